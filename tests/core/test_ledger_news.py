"""What a ledger notes: loaded, it is the same ledger, bit for bit; bytes that are no entry are named."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.kernels import jit
from bandit.ledger import Ledger, decision_key
from bandit.ledger_entries import ENTRY_BYTES, BadEntry
from bandit.limits import LEDGER_BYTES_MAX
from tests.core.world import DAY, HOUR, NOW

Operation = tuple[str, tuple[int, ...], float]

COUNTERS = [1, 2, 62, 63, 64, 65, 127, 128, 1_000, 65_535, 65_536, 65_537, 2**44 - 1]
WINDOWS = [1, HOUR, HOUR + 1, DAY]
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("count"),
            st.tuples(
                st.sampled_from(WINDOWS),
                st.integers(0, 5 * HOUR),
                st.integers(0, 1),
                st.sampled_from(COUNTERS),
                st.integers(0, 2),
                st.sampled_from([0, 0, 1, 7, 2**64 - 1]),
            ),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        st.tuples(
            st.just("show"),
            st.tuples(
                st.sampled_from(WINDOWS),
                st.integers(0, 5 * HOUR),
                st.integers(0, 1),
                st.sampled_from(COUNTERS) | st.integers(1, 200),
            ),
            st.just(0.0),
        ),
        st.tuples(st.just("expire"), st.tuples(st.integers(0, DAY + 6 * HOUR)), st.just(0.0)),
        st.tuples(st.just("take"), st.just(()), st.just(0.0)),
    ),
    max_size=60,
)


def run(ledger: Ledger, operation: Operation) -> None:
    """Do what an operation says."""
    match operation:
        case "count", (window_us, after_us, start, counter, event, id_key), value:
            key = decision_key(start, counter) | event
            ledger.count(window_us, NOW + after_us, key, value, id_key)
        case "show", (window_us, after_us, start, counter), _:
            ledger.show(window_us, NOW + after_us, decision_key(start, counter))
        case "expire", (after_us,), _:
            ledger.expire(NOW + after_us)


def content(ledger: Ledger) -> str:
    """All that a ledger holds, and until when, with every bit of its floats."""
    expiry = {place: chunk.expiry_us for place, chunk in sorted(ledger._chunks.items())}
    return repr((ledger.entries(), expiry))


def held(ledger: Ledger) -> int:
    """The bytes of all its chunks."""
    return sum(chunk.bytes_held for chunk in ledger._chunks.values())


@given(OPERATIONS, st.booleans())
@settings(max_examples=400)
def test_loaded_news_give_the_same_ledger(operations: list[Operation], at_once: bool) -> None:
    """Any sequence, its news taken at any points, loaded in pieces or at once; both then go on alike."""
    ledger, other = Ledger(LEDGER_BYTES_MAX, noting=True), Ledger(LEDGER_BYTES_MAX)
    news = bytearray()
    for operation in [*operations, ("take", (), 0.0)]:
        run(ledger, operation)
        if operation[0] == "take":
            taken = ledger.take_news()
            news += taken
            if not at_once:
                other.load(taken)
                assert content(other) == content(ledger)
    if at_once:
        other.load(news)
    assert content(other) == content(ledger)
    assert other.bytes_held == held(other)
    assert ledger.bytes_held == held(ledger)
    assert ledger.take_news() == b""
    for operation in operations:
        run(ledger, operation)
        run(other, operation)
    assert content(other) == content(ledger)


def test_a_sum_begins_with_nothing() -> None:
    """-0.0 adds up as where the ledger lived: with an id it is 0.0, without one it stays, and is nothing."""
    ledger, other = Ledger(LEDGER_BYTES_MAX, noting=True), Ledger(LEDGER_BYTES_MAX)
    for counter, id_keys in enumerate([(7,), (0,), (0, 7), (0, 7, 8), (7, 0), (7, 8)], 1):
        for id_key in id_keys:
            ledger.count(DAY, NOW, decision_key(0, counter), -0.0, id_key)
    other.load(ledger.take_news())
    assert content(other) == content(ledger)


def test_large_tables_are_the_same() -> None:
    """50,000 events over a few chunks, a third under few keys with many ids each: bits and bytes agree."""
    rng = np.random.default_rng(5)
    ledger, other = Ledger(LEDGER_BYTES_MAX, noting=True), Ledger(LEDGER_BYTES_MAX)
    for counter, value in zip(
        rng.integers(1, 200_000, 50_000).tolist(), rng.normal(size=50_000).tolist(), strict=True
    ):
        repeatable = counter % 3 == 0
        key = decision_key(0, counter % 7 + 1 if repeatable else counter) | repeatable
        ledger.count(DAY, NOW, key, value, int(rng.integers(1, 2**63)) if repeatable else 0)
        if counter % 5 == 0:
            ledger.show(DAY, NOW, decision_key(0, counter))
    other.load(ledger.take_news())
    assert content(other) == content(ledger)
    # the tables have grown alike; a chunk without repeatable events lacks 16 slots that were only reserved
    assert ledger.bytes_held - other.bytes_held == 16 * 16 * (len(ledger._chunks) - 1)
    assert {
        count
        for name, count in jit.specialisations().items()
        if name.partition(".")[0] in {"entries", "table"}
    } == {1}


def test_exposures_share_entries() -> None:
    """64 decisions in a row, in whatever order they are shown, are one entry; a dropped chunk begins anew."""
    ledger = Ledger(LEDGER_BYTES_MAX, noting=True)
    for counter in np.random.default_rng(1).permutation(64).tolist():
        ledger.show(DAY, NOW + counter, decision_key(3, 64 * 9 + counter))
    assert len(ledger.take_news()) == ENTRY_BYTES
    ledger.show(DAY, NOW, decision_key(3, 64 * 9))
    ledger.expire(NOW + 2 * DAY)
    ledger.show(DAY, NOW, decision_key(3, 64 * 9 + 1))
    news = ledger.take_news()
    assert len(news) == 3 * ENTRY_BYTES
    other = Ledger(LEDGER_BYTES_MAX)
    other.load(news)
    assert content(other) == content(ledger)


def test_who_notes_nothing_has_no_news() -> None:
    """Asking such a ledger would make a snapshot without what was counted: an error."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    ledger.count(DAY, NOW, decision_key(0, 1), 1.0, 0)
    with pytest.raises(ValueError, match="notes nothing: make it with noting=True"):
        ledger.take_news()


def test_a_lower_limit_loses_nothing() -> None:
    """What was acknowledged is loaded past a limit that was lowered; only then is more refused."""
    ledger = Ledger(LEDGER_BYTES_MAX, noting=True)
    for counter in range(1, 100):
        ledger.count(DAY, NOW, decision_key(0, counter), 1.0, 0)
    other = Ledger(1)
    other.load(ledger.take_news())
    assert content(other) == content(ledger)
    assert other.bytes_held > 1
    with pytest.raises(Exception, match="the ledger holds"):
        other.show(DAY, NOW, decision_key(0, 1))


def entry(kind: int, window: int, time: int, key: int, id_key: int, value: float) -> bytes:
    """An entry, written down from docs/format.md; only events have a value, others bits."""
    last = struct.pack("<d", value) if kind == 1 else int(value).to_bytes(8, "little")
    return bytes([kind]) + window.to_bytes(7, "little") + struct.pack("<qQQ", time, key, id_key) + last


GOOD = [
    entry(1, DAY, NOW, 0x10, 0, 1.0),
    entry(1, 2**55 - 1, 2**62, 2**64 - 1, 2**64 - 1, -0.0),
    entry(2, 1, -(2**62), 0, 0, 2**64 - 1),
    entry(3, DAY, 0, 1 << 20, 0, 0),
]
BAD = [
    (0, entry(0, DAY, NOW, 0x10, 0, 1.0)),
    (0, entry(4, DAY, NOW, 0x10, 0, 1.0)),
    (0, entry(255, DAY, NOW, 0x10, 0, 1.0)),
    (0, entry(1, 0, NOW, 0x10, 0, 1.0)),
    (0, entry(1, 2**55, NOW, 0x10, 0, 1.0)),
    (0, bytes(ENTRY_BYTES)),
    (8, entry(1, DAY, 2**62 + 1, 0x10, 0, 1.0)),
    (8, entry(2, DAY, -(2**62) - 1, 0x400, 0, 1)),
    (8, entry(3, DAY, 1, 1 << 20, 0, 0)),
    (16, entry(1, DAY, NOW, 0, 0, 1.0)),
    (16, entry(2, DAY, NOW, 0x410, 0, 1)),
    (16, entry(3, DAY, 0, 1 << 19, 0, 0)),
    (24, entry(2, DAY, NOW, 0x400, 1, 1)),
    (24, entry(3, DAY, 0, 1 << 20, 1, 0)),
    (32, entry(1, DAY, NOW, 0x10, 0, float("nan"))),
    (32, entry(1, DAY, NOW, 0x10, 0, float("-inf"))),
    (32, entry(2, DAY, NOW, 0x400, 0, 0)),
    (32, entry(3, DAY, 0, 1 << 20, 0, 1)),
]


@pytest.mark.parametrize(("offset", "bad"), BAD)
def test_what_is_no_entry_is_named(offset: int, bad: bytes) -> None:
    """The word that is wrong, by its byte; nothing of what stands before it is taken."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    ledger.load(b"".join(GOOD))
    before = content(ledger)
    news = b"".join([*GOOD, entry(1, DAY, NOW, 0x20, 0, 1.0), bad, *GOOD])
    with pytest.raises(BadEntry, match=rf"byte {200 + offset}: expected .*, found the bytes ") as error:
        ledger.load(news)
    assert error.value.offset == 200 + offset
    assert content(ledger) == before


@pytest.mark.parametrize("cut", range(1, ENTRY_BYTES))
def test_half_an_entry_is_none(cut: int) -> None:
    """At every length."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    with pytest.raises(BadEntry, match=f"byte 160: expected an entry of 40 bytes, found the last {cut}$"):
        ledger.load(b"".join([*GOOD, GOOD[0][:cut]]))
    assert ledger.entries() == []


@given(st.binary(max_size=200) | st.lists(st.sampled_from(GOOD), max_size=5).map(b"".join), st.data())
@settings(max_examples=400)
def test_any_bytes_load_or_are_refused(news: bytes, data: st.DataObject) -> None:
    """Entries with any bytes changed: BadEntry and nothing else, or a ledger whose bytes add up."""
    changed = bytearray(news)
    for _ in range(data.draw(st.integers(0, 3))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    ledger = Ledger(LEDGER_BYTES_MAX)
    refused: BadEntry | None = None
    try:
        ledger.load(bytes(changed))
    except BadEntry as error:
        refused = error
    if refused is not None:
        assert 0 <= refused.offset < len(changed)
        assert ledger.entries() == []
    assert ledger.bytes_held == held(ledger)
