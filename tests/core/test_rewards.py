"""Rewards: what counts, what counts once, what is refused with nothing changed."""

import math

import numpy as np
import pytest

from bandit.counters import Outcome
from bandit.errors import BanditError, Reason
from bandit.features import entries
from tests.core.world import NOW, SECOND, Kept, World, hero, simple, snapshot

WEB = {"platform": "web"}
MINUTE = 60 * SECOND


def refused(world: World, choice: object, event: str, value: float = 1.0, event_id: str = "") -> BanditError:
    """Reward and return the refusal, having checked that it changed nothing."""
    before, records = snapshot(world.engine.state), len(world.journal)
    with pytest.raises(BanditError) as error:
        world.reward(choice, event, value, event_id)  # type: ignore[arg-type]
    assert snapshot(world.engine.state) == before
    assert len(world.journal) == records
    return error.value


def total(world: World) -> float:
    """Return Σ R of a world whose rewards go to one decision."""
    assert sum(world.state().counters.reward_sum) == pytest.approx(world.state().tally.r1.sum())
    return float(world.state().tally.r1.sum())


def test_a_reward_counts_once() -> None:
    """The first is APPLIED, the same again DUPLICATE, another value a conflict; the first stays."""
    world = World(p=simple())
    choice = world.choose()
    assert world.reward(choice, value=2.5) is Outcome.APPLIED
    before = snapshot(world.engine.state)
    for _ in range(1_000):
        assert world.reward(choice, value=2.5) is Outcome.DUPLICATE
    assert snapshot(world.engine.state) == before
    error = refused(world, choice, "click", 2.0)
    assert error.reason is Reason.REWARD_CONFLICT
    assert "2.5" in error.message
    assert total(world) == 2.5


def test_repeatable_events_count_once_an_id() -> None:
    """Two orders count, one order twice does not, one order with another amount is a conflict."""
    world = World(p=simple(reward={"values": {"buy": 0.5}, "repeatable": ["buy"]}))
    choice = world.choose()
    assert world.reward(choice, "buy", 10.0, "order-1") is Outcome.APPLIED
    assert world.reward(choice, "buy", 20.0, "order-2") is Outcome.APPLIED
    assert world.reward(choice, "buy", 10.0, "order-1") is Outcome.DUPLICATE
    assert refused(world, choice, "buy", 20.0, "order-1").reason is Reason.REWARD_CONFLICT
    assert refused(world, choice, "buy", 20.0).reason is Reason.EVENT_ID_REQUIRED
    assert total(world) == 15.0
    assert world.state().tally.r2.sum() == 225.0


def test_an_order_of_one_decision_is_not_that_of_another() -> None:
    """The same event_id under two decisions counts for both; likewise under two events of one."""
    world = World(p=simple(reward={"values": {"buy": 1, "gift": 1}, "repeatable": ["buy", "gift"]}))
    for choice in (world.choose(), world.choose()):
        for event in ("buy", "gift"):
            assert world.reward(choice, event, 1.0, "same") is Outcome.APPLIED
    assert total(world) == 4.0


def test_r_is_clipped_once_over_all_events() -> None:
    """R = clip(Σ value x event value, 0, max), moved by its difference: above, below, back, r2 too."""
    reward = {"values": {"visit": 1.0, "buy": 2.0, "back": -1.0}, "max": 5.0, "repeatable": ["buy", "back"]}
    world = World(p=simple("a", reward=reward))
    choice = world.choose()
    for event, value, event_id, expected in (
        ("back", 1.0, "r0", 0.0),
        ("visit", 1.0, "", 0.0),
        ("visit", 1.0, "", 0.0),
        ("buy", 2.0, "o1", 4.0),
        ("buy", 3.0, "o2", 5.0),
        ("back", 4.0, "r1", 5.0),
        ("back", 3.0, "r2", 3.0),
        ("back", 30.0, "r3", 0.0),
        ("buy", 14.0, "o3", 1.0),
        ("buy", 1.5, "o4", 4.0),
    ):
        world.reward(choice, event, value, event_id)
        tally = world.state().tally
        assert (tally.r1[0], tally.r2[0], tally.b[0, 0]) == (expected, expected**2, expected)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, Reason.VALUE_NOT_FINITE),
        (math.inf, Reason.VALUE_NOT_FINITE),
        (-math.inf, Reason.VALUE_NOT_FINITE),
        (1e308, Reason.VALUE_OUT_OF_RANGE),
        (-1.1e9, Reason.VALUE_OUT_OF_RANGE),
    ],
)
@pytest.mark.parametrize("deferred", [True, False])
def test_a_value_that_is_no_use_changes_nothing(value: float, reason: Reason, *, deferred: bool) -> None:
    """NaN, infinity and 1e308 are refused by event and value, bit-unchanged; the decision is not spent."""
    world = World(p=hero())
    choice = world.choose(categories=WEB, deferred=deferred)
    for event in ("visit", "purchase", "exposure"):
        error = refused(world, choice, event, value, "order")
        assert error.reason is reason
        assert error.metadata["event"] == event
        assert str(value) in error.message
    assert world.reward(choice, "visit") is Outcome.APPLIED
    assert world.reward(choice, "purchase", 1e9, "order") is Outcome.APPLIED


def test_an_unknown_event_or_a_long_id_changes_nothing() -> None:
    """EVENT_UNKNOWN names what is configured; an event_id over 256 bytes is refused."""
    world = World(p=hero())
    choice = world.choose(categories=WEB)
    error = refused(world, choice, "vizit\n")
    assert error.reason is Reason.EVENT_UNKNOWN
    assert "purchase, visit" in error.message
    assert "\n" not in error.message
    for event_id in ("x" * 257, "ž" * 129):
        assert refused(world, choice, "purchase", 1.0, event_id).reason is Reason.EVENT_ID_TOO_LONG
    assert world.reward(choice, "purchase", 1.0, "ž" * 128) is Outcome.APPLIED


def test_a_deferred_decision_counts_when_it_is_shown() -> None:
    """No exposure at Choose; `exposure` counts it once; a reward implies it; neither counts it again."""
    world = World(p=simple())
    shown, rewarded, neither = (world.choose(deferred=True) for _ in range(3))
    assert world.state().tally.n.sum() == 0.0
    assert world.state().started_us is None
    assert world.reward(shown, "exposure") is Outcome.APPLIED
    assert world.reward(shown, "exposure") is Outcome.DUPLICATE
    assert world.reward(rewarded) is Outcome.APPLIED
    assert world.reward(rewarded, "exposure") is Outcome.DUPLICATE
    assert world.state().tally.n.sum() == 2.0
    assert world.reward(shown) is Outcome.APPLIED
    assert world.state().tally.n.sum() == 2.0
    assert total(world) == 2.0
    assert sum(world.state().counters.exposures) == 2
    assert world.state().counters.decisions.sum() == 3
    del neither


def test_exposure_of_a_decision_that_counted_at_choose_is_a_duplicate() -> None:
    """Confirming what was not deferred changes nothing."""
    world = World(p=simple())
    choice = world.choose()
    before = snapshot(world.engine.state)
    assert world.reward(choice, "exposure") is Outcome.DUPLICATE
    assert snapshot(world.engine.state) == before


def test_a_placement_may_defer_every_exposure() -> None:
    """With `exposure: on_event` nothing counts at Choose, whatever the request says."""
    world = World(p=simple(exposure="on_event"))
    choice = world.choose(deferred=False)
    assert world.state().tally.n.sum() == 0.0
    assert world.reward(choice, "exposure") is Outcome.APPLIED
    assert world.state().tally.n.sum() == 1.0


def test_a_reward_credits_the_context_of_its_decision() -> None:
    """Whatever has been chosen since, b moves by R · x of the decision rewarded, at its arm."""
    world = World(p=hero(ramp=None))
    choice = world.choose("p", "u", WEB, {"history": 100.0, "returning": 1.0})
    for i in range(20):
        world.choose("p", f"other{i}", {"platform": "app"}, {"history": float(i)})
    before = world.state().tally.b.copy()
    world.reward(choice, "visit", 2.0)
    index, value = entries(world.state().encoder.encode(WEB, {"history": 100.0, "returning": 1.0})[0])
    expected = np.zeros_like(before)
    expected[world.state().arm_index(choice.arm), index] = 2.0 * value.astype(float)
    assert np.array_equal(world.state().tally.b - before, expected)


def test_rewards_and_outcomes_are_counted() -> None:
    """Counters of outcomes by event, of learned R by arm."""
    world = World(p=simple())
    choice = world.choose()
    for event in ("click", "click", "exposure"):
        world.reward(choice, event)
    counters = world.state().counters
    assert counters.rewards["click"] == [0, 1, 1, 0, 0]
    assert counters.rewards["exposure"] == [0, 0, 1, 0, 0]
    assert sum(counters.reward_sum) == 1.0


def test_time_does_not_go_back() -> None:
    """A clock an hour behind counts as the last time seen: nothing becomes younger, nothing fails."""
    world = World(p=simple())
    world.now = NOW + 100 * MINUTE
    first = world.choose()
    world.now -= 60 * MINUTE
    second = world.choose()
    opened = [world.engine._sealer.open(choice.decision_id) for choice in (first, second)]
    assert [decision.time_us for decision in opened] == [NOW + 100 * MINUTE] * 2
    assert world.reward(first) is Outcome.APPLIED


def test_a_full_journal_refuses_events_and_lets_choices_go_on_unlearned() -> None:
    """Nothing changes but the count; the tokens say so for good; what was recorded before is still known."""
    world = World(p=simple(reward={"values": {"click": 1, "buy": 1}}), q=hero())
    choice = world.choose()
    assert world.reward(choice) is Outcome.APPLIED
    before, records = snapshot(world.engine.state), len(world.journal)
    world.journal.full = True
    unrecorded = world.choose()
    assert unrecorded.propensity == choice.propensity
    assert world.choose("q", categories={"platform": "web"}).arm  # its first: no stratum can be opened
    with pytest.raises(BanditError, match="no space left") as refused:
        world.reward(choice, "buy")
    assert refused.value.reason is Reason.JOURNAL_FULL
    assert world.reward(choice) is Outcome.DUPLICATE
    assert (snapshot(world.engine.state), len(world.journal)) == (before, records)
    assert (world.state().counters.unrecorded, world.state("q").counters.unrecorded) == (1, 1)
    world.journal.full = False
    assert world.reward(unrecorded) is Outcome.UNRECORDED
    assert world.reward(choice, "buy") is Outcome.APPLIED
    assert world.reward(world.choose()) is Outcome.APPLIED


def test_a_journal_that_fails_stops_the_change() -> None:
    """If the record cannot be journaled, the call fails and the state is as before."""
    world = World(p=simple())
    choice = world.choose()
    before = snapshot(world.engine.state)

    class Failing(Kept):
        def __call__(self, record: object, packed: bytes | None = None) -> None:
            del record, packed
            raise OSError

    world.engine._journal = Failing()
    with pytest.raises(OSError):  # noqa: PT011 - the very error of `fail`
        world.reward(choice)
    with pytest.raises(OSError):  # noqa: PT011
        world.choose()
    assert snapshot(world.engine.state) == before
    world.engine._journal = None
    assert world.reward(choice) is Outcome.APPLIED
