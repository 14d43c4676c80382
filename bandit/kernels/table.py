"""Kernels of the ledger's tables: open addressing with linear probing, key 0 = empty slot.

`keys` (slots,) uint64, `values` (slots,) float64. A table always keeps an empty slot, so a probe ends.
"""

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.entries import COUNTED, HEAD, ID, KEY, KIND_BITS, VALUE, WORDS, Rows
from bandit.kernels.jit import Arguments, kernel

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

SLOTS_MIN = 16
FULL = 0.85
"""A table grows before more of its slots than this share are taken,"""
GROWTH = 1.5
"""by this factor."""

_KIND_MASK = np.uint64((1 << KIND_BITS) - 1)


def _find_example() -> Arguments:
    return np.zeros(4, np.uint64), np.uint64(1)


@kernel(_find_example)
def find(keys: Keys, key: np.uint64) -> int:
    """Return the slot of `key`, or the complement (~slot) of the empty one where it belongs."""
    slots = keys.size
    # counters differ in few bits: the 64-bit golden ratio spreads them (Knuth, TAOCP 6.4)
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    slot = int(np.int64((mixed ^ (mixed >> np.uint64(32))) % np.uint64(slots)))
    while keys[slot] != np.uint64(0) and keys[slot] != key:
        slot += 1
        if slot == slots:
            slot = 0
    return slot if keys[slot] == key else ~slot


def _move_example() -> Arguments:
    return np.ones(1, np.uint64), np.zeros(1), np.zeros(4, np.uint64), np.zeros(4)


@kernel(_move_example)
def move(keys: Keys, values: Floats, keys_out: Keys, values_out: Floats) -> None:
    """Insert every entry of one table into another, larger one."""
    for i in range(keys.size):
        if keys[i] != np.uint64(0):
            slot = ~find(keys_out, keys[i])
            keys_out[slot] = keys[i]
            values_out[slot] = values[i]


def _put_example() -> Arguments:
    rows = np.zeros((1, WORDS), np.uint64)
    return np.zeros(0, np.uint64), np.zeros(0), 0, rows, rows.view(np.float64), KEY


@kernel(_put_example)
def put(
    keys: Keys, values: Floats, count: int, rows: Rows, numbers: Floats, word: int
) -> tuple[Keys, Floats, int]:
    """Put the values of a chunk's counted entries, in order, under the key in their `word`, KEY or ID.

    Under KEY a value with an id is added to what is there; under ID only such values are put. `numbers` are
    `rows` as float64, `count` is how many keys the table has. Returns the table, which may have grown, and
    how many it has now.
    """
    for i in range(rows.shape[0]):
        key, of_id = rows[i, word], rows[i, ID] != np.uint64(0)
        if rows[i, HEAD] & _KIND_MASK != np.uint64(COUNTED) or key == np.uint64(0):
            continue
        if count + 1 > FULL * keys.size:
            larger = max(SLOTS_MIN, int(keys.size * GROWTH))
            keys_out, values_out = np.zeros(larger, np.uint64), np.zeros(larger)
            move(keys, values, keys_out, values_out)
            keys, values = keys_out, values_out
        slot = find(keys, key)
        if slot < 0:
            slot = ~slot
            keys[slot] = key
            count += 1
        value = numbers[i, VALUE]
        if word == KEY and of_id:
            value += values[slot] + 0.0  # -0.0 is nothing yet
        values[slot] = value
    return keys, values, count
