"""The ledger's entries (docs/format.md): each change in 40 bytes, noted as it happens, read by chunk."""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

import numpy as np

from bandit.kernels.entries import (
    COUNTED,
    DROPPED,
    GOOD,
    HEAD,
    KEY,
    KIND_BITS,
    PLACE_SHIFT,
    SHOWN,
    TIME_BITS,
    WINDOW_BITS,
    WORD_SHIFT,
    WORDS,
    Rows,
    check,
    group,
)

ENTRY_BYTES = 8 * WORDS

Place = tuple[int, int]
"""Names a chunk: the window of its decisions, and the upper bits of their keys."""

_COUNTED = Struct("<QqQQd")
_BITS = Struct("<QqQQQ")
_TIME = Struct("<q")
_TIME_AT, _BITS_AT = 8, 32
_BIT_MASK = (1 << WORD_SHIFT) - 1
_EXPECTED = (
    f"a kind from {COUNTED} to {DROPPED} and a window of 1 to {2**WINDOW_BITS - 1}",
    f"a time within ±2^{TIME_BITS}, 0 when decisions were forgotten",
    "a key that is not 0, or that of the first of the decisions",
    "a hash of 0 for what is no event",
    "a finite value, a bit that is set, or 0 when decisions were forgotten",
)
"""By the word of an entry that cannot be."""


class BadEntry(ValueError):  # noqa: N818 - it says what the entry is
    """Bytes that are no entry. Nothing was changed.

    Attributes: `offset`, the byte of the word that is wrong; `expected` and `found` in words.
    """

    def __init__(self, offset: int, expected: str, found: str) -> None:
        super().__init__(f"byte {offset}: expected {expected}, found {found}")
        self.offset = offset
        self.expected = expected
        self.found = found


class News:
    """Notes the changes of a ledger, in the order in which they come about.

    Exposures share an entry with those of the 63 decisions around them: else its 40 bytes would stand for
    what is one bit in memory.
    """

    __slots__ = ("_entries", "_words")

    def __init__(self) -> None:
        self._entries = bytearray()
        self._words: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._entries)

    def counted(self, window_us: int, time_us: int, event_key: int, value: float, id_key: int) -> None:
        """Note that an event was counted; arguments as for `Ledger.count`."""
        self._entries += _COUNTED.pack(window_us << KIND_BITS | COUNTED, time_us, event_key, id_key, value)

    def shown(self, window_us: int, time_us: int, key: int) -> None:
        """Note that an exposure was confirmed."""
        word, bit = key >> WORD_SHIFT, (key & _BIT_MASK) >> (WORD_SHIFT - 6)
        entries = self._entries
        at = self._words.get((window_us, word))
        if at is None:
            self._words[window_us, word] = len(entries)
            head = window_us << KIND_BITS | SHOWN
            entries += _BITS.pack(head, time_us, word << WORD_SHIFT, 0, 1 << bit)
            return
        entries[at + _BITS_AT + (bit >> 3)] |= 1 << (bit & 7)
        if time_us > _TIME.unpack_from(entries, at + _TIME_AT)[0]:
            _TIME.pack_into(entries, at + _TIME_AT, time_us)

    def dropped(self, place: Place) -> None:
        """Note that a chunk was dropped."""
        window_us, chunk = place
        self._words.clear()  # what is shown later in this chunk must stand behind this entry
        self._entries += _BITS.pack(window_us << KIND_BITS | DROPPED, 0, chunk << PLACE_SHIFT, 0, 0)

    def take(self) -> bytearray:
        """Hand over what was noted, and start afresh."""
        taken, self._entries = self._entries, bytearray()
        self._words.clear()
        return taken


class Change(NamedTuple):
    """What some entries do to one chunk."""

    place: Place
    rows: Rows | None
    """the entries (n, 5) that count and show, in order; None: the chunk is dropped"""
    latest_us: int
    """the latest time of a decision among them"""


def changes(entries: bytes | bytearray | memoryview) -> Iterator[Change]:
    """Yield what packed entries do, by chunk; to one chunk, in order. Raises BadEntry before the first."""
    rows = _checked(entries)
    start = 0
    for drop in np.flatnonzero(rows[:, HEAD] & np.uint64((1 << KIND_BITS) - 1) == DROPPED).tolist():
        yield from _grouped(rows[start:drop])
        yield Change(_place(rows[drop]), None, 0)
        start = drop + 1
    yield from _grouped(rows[start:])


def _checked(entries: bytes | bytearray | memoryview) -> Rows:
    """Return the entries as rows of five words, read-only."""
    whole = len(entries) // ENTRY_BYTES
    rows = np.frombuffer(entries, np.uint64, whole * WORDS).reshape(-1, WORDS)
    rows.flags.writeable = False
    index, word = check(rows)
    if word != GOOD:
        found = rows[index].tobytes()[8 * word :][:8].hex(" ")
        raise BadEntry(index * ENTRY_BYTES + 8 * word, _EXPECTED[word], f"the bytes {found}")
    if len(entries) % ENTRY_BYTES:
        rest = len(entries) % ENTRY_BYTES
        raise BadEntry(whole * ENTRY_BYTES, f"an entry of {ENTRY_BYTES} bytes", f"the last {rest}")
    return rows


def _grouped(rows: Rows) -> Iterator[Change]:
    if not len(rows):
        return
    ordered, starts, latest = group(rows)
    for index, latest_us in enumerate(latest.tolist()):
        chunk = ordered[starts[index] : starts[index + 1]]
        yield Change(_place(chunk[0]), chunk, latest_us)


def _place(row: Rows) -> Place:
    return int(row[HEAD]) >> KIND_BITS, int(row[KEY]) >> PLACE_SHIFT
