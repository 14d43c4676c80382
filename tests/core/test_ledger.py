"""The ledger: an exact memory of what was counted, compact, bounded, forgetful when windows have passed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.counters import Outcome
from bandit.engine import Choice
from bandit.errors import BanditError, Reason
from bandit.kernels.entries import CHUNK_BITS
from bandit.ledger import Ledger, Table, decision_key
from bandit.limits import LEDGER_BYTES_MAX
from tests.core.world import DAY, HOUR, NOW, SECOND, World, simple, snapshot

WINDOW = DAY


def put(table: Table, key: int, value: float) -> None:
    """Make room and put."""
    wanted = table.slots_wanted()
    if wanted:
        table.grow(wanted)
    table.put(key, value)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2**64 - 1) | st.integers(1, 40).map(lambda k: k << 4), st.floats(allow_nan=False)
        ),
        max_size=200,
    ),
    st.lists(st.integers(1, 2**64 - 1), max_size=20),
)
@settings(deadline=None)
def test_a_table_is_a_dict(puts: list[tuple[int, float]], absent: list[int]) -> None:
    """Any sequence of puts leaves what a dict would hold; other keys are not found."""
    table, model = Table(), dict[int, float]()
    for key, value in puts:
        put(table, key, value)
        model[key] = value
        assert table.get(key) == value
    assert table.entries() == sorted(model.items())
    assert len(table) == len(model)
    for key in absent:
        assert table.get(key) == model.get(key)


def test_a_table_grows_by_half_and_stays_under_85_percent() -> None:
    """Growth keeps everything, a table asks for slots before it is full, an empty one finds nothing."""
    table = Table()
    assert table.get(1) is None
    sizes = []
    for key in range(1, 5_000):
        wanted = table.slots_wanted()
        if wanted:
            table.grow(wanted)
            sizes.append(table.bytes_held // 16)
        table.put(key, float(key))
        assert len(table) <= 0.85 * table.bytes_held / 16
    assert sizes[0] == 16
    assert all(after <= 1.5 * before for before, after in pairwise(sizes))
    assert table.entries() == [(key, float(key)) for key in range(1, 5_000)]


def test_keys_tell_starts_counters_and_events_apart() -> None:
    """Injective over (start, counter) with four bits left for events, and never 0."""
    counters = [1, 2, 15, 16, 65_535, 65_536, 2**44 - 1]
    keys = {
        decision_key(start, counter) | event
        for start in (0, 1, 65_535)
        for counter in counters
        for event in range(16)
    }
    assert len(keys) == 3 * len(counters) * 16
    assert min(keys) > 0
    assert max(keys) < 2**64


def test_a_million_rewarded_decisions_take_at_most_32_bytes_each() -> None:
    """10⁶ rewarded decisions: the bytes accounted for are those of the arrays, at most 32 a decision."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    for counter in range(1, 1_000_001):
        ledger.count(WINDOW, NOW, decision_key(0, counter), 1.0, 0)
    assert ledger.bytes_held <= 32 * 1_000_000
    held = sum(
        c.values._keys.nbytes
        + c.values._values.nbytes
        + c.ids._keys.nbytes
        + c.ids._values.nbytes
        + len(c.shown)
        for c in ledger._chunks.values()
    )
    assert ledger.bytes_held == held
    assert ledger.value(WINDOW, decision_key(0, 999_999)) == 1.0
    assert ledger.value(WINDOW, decision_key(0, 1_000_001)) is None


@pytest.mark.parametrize("every", [3, 20, 300])
def test_sparse_rewards_of_deferred_decisions_stay_compact(every: int) -> None:
    """With exposures deferred and 1 in 3, 20 or 300 rewarded, the tables take 32 bytes a rewarded decision.

    The bitmap is one bit a decision on top: 8 KiB for each 65,536.
    """
    ledger = Ledger(LEDGER_BYTES_MAX)
    decisions = 4 << CHUNK_BITS
    for counter in range(1, decisions, every):
        key = decision_key(0, counter)
        ledger.show(WINDOW, NOW, key)
        ledger.count(WINDOW, NOW, key, 1.0, 0)
    assert ledger.bytes_held <= 32 * (decisions // every) + decisions // 8 + 4 * 512


def test_repeatable_events_are_summed_and_kept_by_id() -> None:
    """The value under an event is the sum over its ids; each id remembers its own."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    key = decision_key(2, 9) | 3
    for id_key, value in ((7, 1.5), (8, 2.0), (9, -0.5)):
        ledger.count(WINDOW, NOW, key, value, id_key)
    assert ledger.value(WINDOW, key) == 3.0
    assert [ledger.id_value(WINDOW, key, id_key) for id_key in (7, 8, 9, 10)] == [1.5, 2.0, -0.5, None]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3 << CHUNK_BITS)), max_size=50))
@settings(deadline=None, max_examples=40)
def test_exposures_are_a_set(shown: list[tuple[int, int]]) -> None:
    """A bit a decision, of any start and counter; neighbours and other starts are not touched."""
    ledger, model = Ledger(LEDGER_BYTES_MAX), set[tuple[int, int]]()
    for start, counter in shown:
        assert ledger.shown(WINDOW, decision_key(start, counter)) == ((start, counter) in model)
        ledger.show(WINDOW, NOW, decision_key(start, counter))
        model.add((start, counter))
    for start, counter in model:
        for near in (counter - 1, counter, counter + 1):
            assert ledger.shown(WINDOW, decision_key(start, near)) == ((start, near) in model)


def test_a_chunk_is_dropped_when_its_last_window_has_passed() -> None:
    """What may still be asked for stays, exactly to the end of the window; then its bytes come back."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    old, new, later = decision_key(0, 1), decision_key(0, 2), decision_key(0, 5 << CHUNK_BITS)
    ledger.count(WINDOW, NOW, old, 1.0, 0)
    ledger.show(WINDOW, NOW + HOUR, new)
    ledger.count(WINDOW, NOW + 2 * DAY, later, 1.0, 0)
    ledger.expire(NOW + HOUR + WINDOW)
    assert ledger.value(WINDOW, old) == 1.0
    assert ledger.shown(WINDOW, new)
    ledger.expire(NOW + HOUR + WINDOW + 1)
    assert ledger.value(WINDOW, old) is None
    assert not ledger.shown(WINDOW, new)
    assert ledger.value(WINDOW, later) == 1.0
    ledger.expire(NOW + 9 * DAY)
    assert ledger.bytes_held == 0
    assert ledger.entries() == []


def refusal(world: World, choice: Choice, event: str) -> Reason | None:
    """Reward a choice; return why it was refused, None if it was not."""
    try:
        world.reward(choice, event, event_id="1")
    except BanditError as error:
        return error.reason
    return None


def test_a_full_ledger_refuses_and_changes_nothing() -> None:
    """LEDGER_FULL, the state bit-unchanged, the decision not spent; it mends itself as windows pass."""
    world = World(p=simple(reward={"window": "1h", "values": {"click": 1, "buy": 1}, "repeatable": ["buy"]}))
    state = world.engine.state
    choices = [world.choose(deferred=i % 2 == 0) for i in range(40)]
    world.reward(choices[0], "exposure")
    world.reward(choices[1])
    state.ledger.bytes_max = state.ledger.bytes_held
    applied = 0
    for choice in choices[2:]:
        for event in ("buy", "click"):
            before, records = snapshot(state), len(world.journal)
            reason = refusal(world, choice, event)
            applied += reason is None
            if reason is not None:
                assert reason is Reason.LEDGER_FULL
                assert snapshot(state) == before
                assert len(world.journal) == records
    assert 0 < applied < 76
    assert state.ledger.bytes_held == state.ledger.bytes_max
    with pytest.raises(BanditError):
        world.reward(choices[-1])
    world.now += 2 * HOUR
    assert world.reward(world.choose()) is Outcome.APPLIED
    assert world.reward(choices[-1]) is Outcome.LATE


def test_expiry_in_service_forgets_only_what_is_late() -> None:
    """Over ten windows of traffic memory stays flat, no duplicate within the window is ever applied."""
    world = World(p=simple(reward={"window": "1h", "values": {"click": 1}}))
    waiting = []
    largest = 0
    for i in range(2_000):
        world.now += 18 * SECOND
        choice = world.choose(deferred=i % 2 == 0)
        assert world.reward(choice) is Outcome.APPLIED
        waiting.append((world.now, choice))
        made, old = waiting[max(0, i - 150)]
        expected = Outcome.DUPLICATE if made + HOUR >= world.now else Outcome.LATE
        assert world.reward(old) is expected
        assert expected is Outcome.DUPLICATE
        largest = max(largest, world.engine.state.ledger.bytes_held)
    for made, old in waiting[::50]:
        assert world.reward(old) is (Outcome.DUPLICATE if made + HOUR >= world.now else Outcome.LATE)
    assert world.state().tally.n.sum() == 2_000.0
    assert largest < 32 * 2_000 + (1 << (CHUNK_BITS - 3))
    world.now += 3 * HOUR
    world.choose()
    assert world.engine.state.ledger.bytes_held == 0


def test_late_is_one_microsecond_after_the_window() -> None:
    """At the end of the window a reward counts, a microsecond later it is LATE: counted, not learned."""
    world = World(p=simple(reward={"window": "1h", "values": {"click": 1}}))
    first, second = world.choose(), world.choose()
    world.now += HOUR
    assert world.reward(first) is Outcome.APPLIED
    world.now += 1
    before = snapshot(world.engine.state)
    assert world.reward(second) is Outcome.LATE
    assert world.reward(second, "exposure") is Outcome.LATE
    assert snapshot(world.engine.state) == before
    assert world.state().counters.rewards["click"] == [0, 1, 0, 1, 0]
    assert world.state().counters.rewards["exposure"] == [0, 0, 0, 1, 0]


def test_hashing_of_consecutive_keys_probes_little() -> None:
    """Counters in a row, the common case, do not cluster: the longest run of slots, hence probe, is short."""
    table = Table()
    for counter in range(1, 60_000):
        put(table, decision_key(0, counter), 1.0)
    filled = np.append(table._keys != 0, values=False)
    ends = np.flatnonzero(~filled)
    assert np.diff(ends, prepend=-1).max() < 400
