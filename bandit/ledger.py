"""The ledger: which events of which decisions have been counted, so that nothing is counted twice.

Built for millions of decisions within their window. A decision's identity is (start, counter); `start` is a
small number that this process gave to a process's start. What is kept:

* per placement and time bucket, a compact table (16 bytes a slot, 57 to 85 % full) from
  start · counter · event to the event's value (for a repeatable event: the sum over its ids);
* beside it one from a hash of (start, counter, event, event_id) to the value, for repeatable events;
* for the whole process a bitmap by counter of the deferred exposures that were confirmed.

A time bucket is dropped whole once the window of its last decision has passed.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bandit.errors import BanditError, Reason
from bandit.kernels.table import find, move

EVENT_BITS = 4
COUNTER_BITS = 48
BUCKETS_A_WINDOW = 8

_SLOTS_MIN = 16
_FULL = 0.85
_GROWTH = 1.5
_SLOT_BYTES = 16
_CHUNK_BITS = 16
_CHUNK_BYTES = 1 << (_CHUNK_BITS - 3)


@dataclass(slots=True)
class Budget:
    """Bytes that all ledgers of a process hold together, and how many they may."""

    bytes_max: int
    bytes_held: int = 0

    def take(self, size: int) -> None:
        """Account for `size` bytes more (or fewer, if negative). Raises BanditError LEDGER_FULL."""
        if size > 0 and self.bytes_held + size > self.bytes_max:
            message = (
                f"the ledgers hold {self.bytes_held} of at most {self.bytes_max} bytes: the reward was not "
                "counted; retry later, shorten reward windows, or raise the limit"
            )
            raise BanditError(Reason.LEDGER_FULL, message, bytes_max=str(self.bytes_max))
        self.bytes_held += size


class Table:
    """A map from 64-bit keys other than 0 to float64, by open addressing with linear probing."""

    __slots__ = ("_budget", "_count", "_keys", "_values")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._keys: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._values: NDArray[np.float64] = np.zeros(0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: int) -> float | None:
        """Return the value under `key`, or None."""
        if self._count == 0:
            return None
        slot = find(self._keys, np.uint64(key))
        return float(self._values[slot]) if slot >= 0 else None

    def put(self, key: int, value: float) -> None:
        """Set the value under `key`. There must be room: see `reserve`."""
        slot = find(self._keys, np.uint64(key))
        if slot < 0:
            slot = ~slot
            self._keys[slot] = key
            self._count += 1
        self._values[slot] = value

    def reserve(self) -> None:
        """Make room for one key more. Raises BanditError LEDGER_FULL, with nothing changed."""
        slots = self._keys.size
        if self._count + 1 <= _FULL * slots:
            return
        larger = max(_SLOTS_MIN, int(slots * _GROWTH))
        self._budget.take((larger - slots) * _SLOT_BYTES)
        keys, values = np.zeros(larger, np.uint64), np.zeros(larger)
        move(self._keys, self._values, keys, values)
        self._keys, self._values = keys, values

    def release(self) -> None:
        """Give the bytes back to the budget; the table is not used any more."""
        self._budget.take(-self._keys.size * _SLOT_BYTES)

    def entries(self) -> list[tuple[int, float]]:
        """Return (key, value) sorted by key."""
        held = self._keys != 0
        return sorted(zip(self._keys[held].tolist(), self._values[held].tolist(), strict=True))


@dataclass(slots=True)
class _Bucket:
    """What is kept of the decisions of one stretch of time."""

    values: Table
    ids: Table


@dataclass(slots=True)
class Ledger:
    """The events counted for one placement's decisions.

    `horizon_us`: decisions before it have been dropped, so they are late whatever the window says now.
    """

    window_us: int
    budget: Budget
    horizon_us: int = 0
    _buckets: dict[int, _Bucket] = field(default_factory=dict)
    _width_us: int = 0

    def __post_init__(self) -> None:
        self._width_us = max(1, self.window_us // BUCKETS_A_WINDOW)

    def late(self, time_us: int, now_us: int) -> bool:
        """Whether a decision of `time_us` is past its window, or may have been forgotten."""
        return time_us + self.window_us < now_us or time_us < self.horizon_us

    def value(self, time_us: int, key: int) -> float | None:
        """Return what was counted under an event key (for a repeatable event the sum), or None."""
        bucket = self._buckets.get(time_us // self._width_us)
        return bucket.values.get(key) if bucket else None

    def id_value(self, time_us: int, id_key: int) -> float | None:
        """Return the value that came with a repeatable event's id, or None."""
        bucket = self._buckets.get(time_us // self._width_us)
        return bucket.ids.get(id_key) if bucket else None

    def reserve(self, time_us: int) -> None:
        """Make room for one event of a decision of `time_us`. Raises BanditError LEDGER_FULL."""
        number = time_us // self._width_us
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = _Bucket(Table(self.budget), Table(self.budget))
        bucket.values.reserve()
        bucket.ids.reserve()

    def count(self, time_us: int, key: int, value: float, id_key: int) -> None:
        """Count an event: set its value, or add to it under an id (`id_key` 0: not repeatable)."""
        self.reserve(time_us)
        bucket = self._buckets[time_us // self._width_us]
        if id_key:
            bucket.ids.put(id_key, value)
            value += bucket.values.get(key) or 0.0
        bucket.values.put(key, value)

    def expire(self, now_us: int) -> None:
        """Drop the time buckets whose decisions are all past the window."""
        oldest = (now_us - self.window_us) // self._width_us
        if not self._buckets or min(self._buckets) >= oldest:
            return
        for number in [number for number in self._buckets if number < oldest]:
            self._drop(number)
        self.horizon_us = max(self.horizon_us, oldest * self._width_us)

    def clear(self) -> None:
        """Drop everything and give its bytes back."""
        for number in list(self._buckets):
            self._drop(number)

    def _drop(self, number: int) -> None:
        bucket = self._buckets.pop(number)
        bucket.values.release()
        bucket.ids.release()

    def rewindowed(self, window_us: int) -> "Ledger":
        """Return this ledger under another window: what it holds stays, by its old buckets' width."""
        result = Ledger(window_us, self.budget, self.horizon_us, self._buckets)
        result._width_us = self._width_us
        return result

    def entries(self) -> list[tuple[int, list[tuple[int, float]], list[tuple[int, float]]]]:
        """Return (bucket, values, ids) in order: the whole content, for comparison."""
        return [(n, b.values.entries(), b.ids.entries()) for n, b in sorted(self._buckets.items())]


def decision_key(start: int, counter: int) -> int:
    """Return a decision's 64-bit key, with the low bits free for an event's number.

    Injective, and never 0, since counters begin at 1.
    """
    return (start << (COUNTER_BITS + EVENT_BITS)) | (counter << EVENT_BITS)


@dataclass(slots=True)
class ExposureBitmap:
    """One bit a decision whose deferred exposure was confirmed, in chunks of 65,536 counters.

    A chunk is dropped when the windows of all its decisions have passed.
    """

    budget: Budget
    _chunks: dict[tuple[int, int], bytearray] = field(default_factory=dict)
    _expiry_us: dict[tuple[int, int], int] = field(default_factory=dict)

    def seen(self, start: int, counter: int) -> bool:
        """Whether the decision's exposure was confirmed."""
        chunk = self._chunks.get((start, counter >> _CHUNK_BITS))
        bit = counter & ((1 << _CHUNK_BITS) - 1)
        return chunk is not None and bool(chunk[bit >> 3] & (1 << (bit & 7)))

    def reserve(self, start: int, counter: int) -> None:
        """Make room for a decision. Raises BanditError LEDGER_FULL."""
        key = (start, counter >> _CHUNK_BITS)
        if key not in self._chunks:
            self.budget.take(_CHUNK_BYTES)
            self._chunks[key] = bytearray(_CHUNK_BYTES)
            self._expiry_us[key] = 0

    def confirm(self, start: int, counter: int, expiry_us: int) -> None:
        """Mark a decision whose rewards are accepted until `expiry_us`."""
        self.reserve(start, counter)
        key = (start, counter >> _CHUNK_BITS)
        bit = counter & ((1 << _CHUNK_BITS) - 1)
        self._chunks[key][bit >> 3] |= 1 << (bit & 7)
        self._expiry_us[key] = max(self._expiry_us[key], expiry_us)

    def expire(self, now_us: int) -> None:
        """Drop the chunks that nobody may ask for any more."""
        for key in [key for key, expiry_us in self._expiry_us.items() if expiry_us < now_us]:
            del self._chunks[key], self._expiry_us[key]
            self.budget.take(-_CHUNK_BYTES)

    def entries(self) -> list[tuple[tuple[int, int], bytes]]:
        """Return the chunks in order: the whole content, for comparison."""
        return [(key, bytes(chunk)) for key, chunk in sorted(self._chunks.items())]
