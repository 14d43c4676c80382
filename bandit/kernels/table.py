"""Kernels of the ledger's tables: open addressing with linear probing, key 0 = empty slot.

`keys` (slots,) uint64, `values` (slots,) float64. A table always keeps an empty slot, so a probe ends.
"""

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]


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
