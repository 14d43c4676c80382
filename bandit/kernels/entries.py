"""Kernels over the ledger's packed entries (docs/format.md, Ledger files).

`rows` (n, 5) uint64, contiguous: an entry is five words, the first of which holds kind and window. A chunk is
what decisions of one window with the same upper bits of their keys share.
"""

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Rows = NDArray[np.uint64]
Times = NDArray[np.int64]
Indices = NDArray[np.int64]

COUNTED, SHOWN, DROPPED = 1, 2, 3
"""The kinds of entry."""
HEAD, TIME, KEY, ID, VALUE = range(5)
"""The words of an entry."""
WORDS = 5
KIND_BITS = 8
EVENT_BITS = 4
CHUNK_BITS = 16
"""A chunk is 65,536 consecutive decisions."""
PLACE_SHIFT = CHUNK_BITS + EVENT_BITS
WORD_SHIFT = 6 + EVENT_BITS
"""Exposures are kept in words of 64 decisions."""
WINDOW_BITS = 55
TIME_BITS = 62

GOOD = -1
_KIND_MASK = np.uint64((1 << KIND_BITS) - 1)
_PLACE_MASK = np.uint64((1 << PLACE_SHIFT) - 1)
_WORD_MASK = np.uint64((1 << WORD_SHIFT) - 1)
_EXPONENT = np.uint64(0x7FF0_0000_0000_0000)
_NONE = np.uint64(0)


def _rows(count: int) -> Rows:
    """Entries as they come from a file: read-only."""
    return np.frombuffer(bytes(8 * WORDS * count), np.uint64).reshape(-1, WORDS)


@kernel()
def _first_bad(row: Rows) -> int:
    """Return the first word of an entry that cannot be, or GOOD."""
    kind, window = np.int64(row[HEAD] & _KIND_MASK), row[HEAD] >> np.uint64(KIND_BITS)
    time, key, value = np.int64(row[TIME]), row[KEY], row[VALUE]
    if kind < COUNTED or kind > DROPPED or window == _NONE or window >> np.uint64(WINDOW_BITS) != _NONE:
        return HEAD
    if time < -(1 << TIME_BITS) or time > 1 << TIME_BITS or (kind == DROPPED and time != 0):
        return TIME
    if kind == COUNTED:
        if key == _NONE:
            return KEY
        return VALUE if value & _EXPONENT == _EXPONENT else GOOD
    if key & (_WORD_MASK if kind == SHOWN else _PLACE_MASK) != _NONE:
        return KEY
    if row[ID] != _NONE:
        return ID
    return VALUE if (value == _NONE) == (kind == SHOWN) else GOOD


def _check_example() -> Arguments:
    return (_rows(1),)


@kernel(_check_example)
def check(rows: Rows) -> tuple[int, int]:
    """Return which entry is the first that cannot be and its first bad word; (number of rows, GOOD): none."""
    for i in range(rows.shape[0]):
        word = _first_bad(rows[i])
        if word != GOOD:
            return i, word
    return rows.shape[0], GOOD


def _group_example() -> Arguments:
    return (_rows(1),)


@kernel(_group_example)
def group(rows: Rows) -> tuple[Rows, Indices, Times]:
    """Sort entries by chunk, in order of appearance, those of a chunk in the order they have.

    Returns them, where each chunk begins and the last ends (chunks + 1,), and the latest time of each.
    """
    count = rows.shape[0]
    slots = 16
    while slots < 2 * count:
        slots *= 2
    table = np.full(slots, -1, np.int64)
    chunk_of = np.empty(count, np.int64)
    first, latest, sizes = np.empty(count, np.int64), np.empty(count, np.int64), np.zeros(count, np.int64)
    chunks = 0
    for i in range(count):
        window, place = rows[i, HEAD] >> np.uint64(KIND_BITS), rows[i, KEY] >> np.uint64(PLACE_SHIFT)
        mixed = (place ^ (window << np.uint64(24))) * np.uint64(0x9E3779B97F4A7C15)
        slot = np.int64(mixed >> np.uint64(32)) & (slots - 1)
        chunk = table[slot]
        while chunk >= 0 and (
            rows[first[chunk], HEAD] >> np.uint64(KIND_BITS) != window
            or rows[first[chunk], KEY] >> np.uint64(PLACE_SHIFT) != place
        ):
            slot = (slot + 1) & (slots - 1)
            chunk = table[slot]
        time = np.int64(rows[i, TIME])
        if chunk < 0:
            chunk = chunks
            chunks += 1
            table[slot] = chunk
            first[chunk], latest[chunk] = i, time
        chunk_of[i] = chunk
        sizes[chunk] += 1
        latest[chunk] = max(latest[chunk], time)
    starts = np.zeros(chunks + 1, np.int64)
    starts[1:] = np.cumsum(sizes[:chunks])
    ends = starts[:chunks].copy()
    ordered = np.empty_like(rows)
    for i in range(count):
        at = ends[chunk_of[i]]
        ends[chunk_of[i]] += 1
        for word in range(WORDS):
            ordered[at, word] = rows[i, word]
    return ordered, starts, latest[:chunks].copy()


def _mark_example() -> Arguments:
    return np.zeros(1 << (CHUNK_BITS - 6), np.uint64), np.zeros((1, WORDS), np.uint64)


@kernel(_mark_example)
def mark(shown: Rows, rows: Rows) -> None:
    """Set the bits of the exposures among a chunk's entries; `shown` (1024,) uint64."""
    for i in range(rows.shape[0]):
        if rows[i, HEAD] & _KIND_MASK == np.uint64(SHOWN):
            word = np.int64(rows[i, KEY] & _PLACE_MASK) >> WORD_SHIFT
            shown[word] |= rows[i, VALUE]
