"""The ledger: which events of which decisions have been counted, so that nothing is counted twice.

Built for millions of decisions within their windows. A decision's key is (start, counter), `start` being a
small number given to a process's start. Since counters grow with time, 65,536 consecutive decisions of the
same window share a chunk, which holds

* a compact table (16 bytes a slot, 57 to 85 % full) from start · counter · event to the event's value; for a
  repeatable event, to the sum over its ids;
* one from a hash of (start, counter, event, event_id) to the value, for repeatable events;
* one bit a decision for confirmed exposures of deferred decisions;

and is dropped whole when the window of its last decision has passed. No table outgrows its chunk, so growing
one never takes longer than about a millisecond.

A ledger that is to be on disk notes every change; a snapshot takes these news, and `load` makes the same
ledger of them again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandit.errors import BanditError, Reason
from bandit.kernels.entries import CHUNK_BITS, EVENT_BITS, ID, KEY, PLACE_SHIFT, Rows, mark
from bandit.kernels.jit import bind
from bandit.kernels.table import FULL, GROWTH, SLOTS_MIN, find, move, put
from bandit.ledger_entries import News, Place, changes

COUNTER_BITS = 44
"""Ten years of 50,000 decisions a second, which leaves 65,536 starts of processes."""

_SLOT_BYTES = 16
_BITMAP_BYTES = 1 << (CHUNK_BITS - 3)


def decision_key(start: int, counter: int) -> int:
    """Return a decision's 64-bit key, with the low bits free for an event's number.

    Injective, and never 0, since counters begin at 1.
    """
    return (start << (COUNTER_BITS + EVENT_BITS)) | (counter << EVENT_BITS)


class Table:
    """A map from 64-bit keys other than 0 to float64, by open addressing with linear probing."""

    __slots__ = ("_cells", "_count", "_find", "_full", "_keys", "_values")

    def __init__(self) -> None:
        self._hold(np.zeros(0, np.uint64), np.zeros(0), 0)

    def _hold(self, keys: NDArray[np.uint64], values: NDArray[np.float64], count: int) -> None:
        self._keys, self._values, self._count = keys, values, count
        self._find, self._full = bind(find, keys), FULL * keys.size
        self._cells: list[Any] = [keys.data, values.data]  # faster than NumPy one by one

    def __len__(self) -> int:
        return self._count

    @property
    def bytes_held(self) -> int:
        """Bytes of all slots."""
        return self._keys.size * _SLOT_BYTES

    def get(self, key: int) -> float | None:
        """Return the value under `key`, or None."""
        if self._count == 0:
            return None
        slot = self._find(key)
        return float(self._cells[1][slot]) if slot >= 0 else None

    def put(self, key: int, value: float) -> None:
        """Set the value under `key`. There must be room: see `slots_wanted` and `grow`."""
        slot, (keys, values) = self._find(key), self._cells
        if slot < 0:
            slot = ~slot
            keys[slot] = key
            self._count += 1
        values[slot] = value

    def slots_wanted(self) -> int:
        """Return how many slots more one further key needs; mostly 0."""
        if self._count + 1 <= self._full:
            return 0
        slots = int(self._keys.size)
        return max(SLOTS_MIN, int(slots * GROWTH)) - slots

    def grow(self, slots: int) -> None:
        """Add `slots` slots."""
        keys, values = np.zeros(self._keys.size + slots, np.uint64), np.zeros(self._keys.size + slots)
        move(self._keys, self._values, keys, values)
        self._hold(keys, values, self._count)

    def load(self, rows: Rows, word: int) -> None:
        """Put, in order, what packed entries count under the key in their `word`: KEY or ID."""
        numbers = rows.view(np.float64)
        self._hold(*put(self._keys, self._values, self._count, rows, numbers, word))

    def entries(self) -> list[tuple[int, float]]:
        """Return (key, value) sorted by key."""
        held = self._keys != 0
        return sorted(zip(self._keys[held].tolist(), self._values[held].tolist(), strict=True))


class _Chunk:
    """What is kept of 65,536 consecutive decisions. `shown` is empty until a bit of it is needed."""

    __slots__ = ("expiry_us", "ids", "shown", "values")

    def __init__(self) -> None:
        self.values = Table()
        self.ids = Table()
        self.shown = bytearray()
        self.expiry_us = 0

    @property
    def bytes_held(self) -> int:
        return self.values.bytes_held + self.ids.bytes_held + len(self.shown)

    def load(self, rows: Rows) -> None:
        """Do what packed entries of this chunk say, in order."""
        self.values.load(rows, KEY)
        self.ids.load(rows, ID)
        shown = np.zeros(_BITMAP_BYTES // 8, np.uint64)
        mark(shown, rows)
        if shown.any():
            held = np.frombuffer(self.shown or bytearray(_BITMAP_BYTES), np.uint64)
            self.shown = bytearray(held | shown)


class Ledger:
    """The events counted for the decisions of the starts that a state holds.

    A decision is named by its `window_us` (that of the configuration it was made under) and its key. Changes
    are noted, for `take_news`, if it is `noting`.
    """

    def __init__(self, bytes_max: int, *, noting: bool = False) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self._chunks: dict[Place, _Chunk] = {}
        self._news = News() if noting else None

    def value(self, window_us: int, event_key: int) -> float | None:
        """Return what was counted for a decision's event (for a repeatable one the sum), or None."""
        chunk = self._chunks.get((window_us, event_key >> PLACE_SHIFT))
        return chunk.values.get(event_key) if chunk else None

    def id_value(self, window_us: int, event_key: int, id_key: int) -> float | None:
        """Return the value that came with a repeatable event's id, or None."""
        chunk = self._chunks.get((window_us, event_key >> PLACE_SHIFT))
        return chunk.ids.get(id_key) if chunk else None

    def shown(self, window_us: int, key: int) -> bool:
        """Whether a deferred decision's exposure was confirmed."""
        chunk = self._chunks.get((window_us, key >> PLACE_SHIFT))
        byte, bit = _bit(key)
        return bool(chunk and chunk.shown and chunk.shown[byte] & bit)

    def reserve(self, window_us: int, key: int, *, event: bool, exposure: bool) -> None:
        """Make room for an event, an exposure or both. Raises BanditError LEDGER_FULL, nothing changed."""
        chunk = self._chunks.get((window_us, key >> PLACE_SHIFT)) or _Chunk()
        values, ids = (chunk.values.slots_wanted(), chunk.ids.slots_wanted()) if event else (0, 0)
        bitmap = _BITMAP_BYTES if exposure and not chunk.shown else 0
        wanted = (values + ids) * _SLOT_BYTES + bitmap
        if wanted == 0:
            return
        if self.bytes_held + wanted > self.bytes_max:
            raise self._full()
        self.bytes_held += wanted
        if values:
            chunk.values.grow(values)
        if ids:
            chunk.ids.grow(ids)
        if bitmap:
            chunk.shown = bytearray(bitmap)
        self._chunks[window_us, key >> PLACE_SHIFT] = chunk

    def count(self, window_us: int, time_us: int, event_key: int, value: float, id_key: int) -> None:
        """Count an event of a decision of `time_us`: set its value, or add to it under an id (0: none)."""
        self.reserve(window_us, event_key, event=True, exposure=False)
        if self._news is not None:
            self._news.counted(window_us, time_us, event_key, value, id_key)
        chunk = self._chunks[window_us, event_key >> PLACE_SHIFT]
        if id_key:
            chunk.ids.put(id_key, value)
            value += chunk.values.get(event_key) or 0.0
        chunk.values.put(event_key, value)
        chunk.expiry_us = max(chunk.expiry_us, time_us + window_us)

    def show(self, window_us: int, time_us: int, key: int) -> None:
        """Confirm the exposure of a deferred decision of `time_us`."""
        self.reserve(window_us, key, event=False, exposure=True)
        if self._news is not None:
            self._news.shown(window_us, time_us, key)
        chunk = self._chunks[window_us, key >> PLACE_SHIFT]
        byte, bit = _bit(key)
        chunk.shown[byte] |= bit
        chunk.expiry_us = max(chunk.expiry_us, time_us + window_us)

    def expire(self, now_us: int) -> None:
        """Drop the chunks of which every decision is past its window."""
        for place in [place for place, chunk in self._chunks.items() if chunk.expiry_us < now_us]:
            self._drop(place)
            if self._news is not None:
                self._news.dropped(place)

    @property
    def news_bytes(self) -> int:
        """Bytes that `take_news` would hand over."""
        return 0 if self._news is None else len(self._news)

    def take_news(self) -> bytearray:
        """Hand over what was counted, shown and dropped since the last call, as packed entries, at no cost.

        Raises ValueError if the ledger notes nothing.
        """
        if self._news is None:
            raise ValueError("this ledger notes nothing: make it with noting=True")
        return self._news.take()

    def load(self, entries: bytes | bytearray | memoryview) -> None:
        """Do what packed entries say, in order, which gives the ledger that had these news; notes nothing.

        Also past `bytes_max`, since all of it was acknowledged: `reserve` then refuses more. Raises BadEntry,
        with nothing changed.
        """
        for place, rows, latest_us in changes(entries):
            if rows is None:
                self._drop(place)
                continue
            chunk = self._chunks.setdefault(place, _Chunk())
            self.bytes_held -= chunk.bytes_held
            chunk.load(rows)
            self.bytes_held += chunk.bytes_held
            chunk.expiry_us = max(chunk.expiry_us, latest_us + place[0])

    def entries(
        self,
    ) -> list[tuple[Place, list[tuple[int, float]], list[tuple[int, float]], bytes]]:
        """Return (chunk, values, ids, exposures) in order: the whole content, for comparison.

        Room that was only reserved is no content.
        """
        content = [
            (place, chunk.values.entries(), chunk.ids.entries(), bytes(chunk.shown).rstrip(b"\0"))
            for place, chunk in sorted(self._chunks.items())
        ]
        return [entry for entry in content if any(entry[1:])]

    def _drop(self, place: Place) -> None:
        chunk = self._chunks.pop(place, None)
        if chunk is not None:
            self.bytes_held -= chunk.bytes_held

    def _full(self) -> BanditError:
        message = (
            f"the ledger holds {self.bytes_held} of at most {self.bytes_max} bytes, so the event was not "
            "counted: retry later, shorten reward windows, or raise the limit"
        )
        return BanditError(Reason.LEDGER_FULL, message, bytes_max=str(self.bytes_max))


def _bit(key: int) -> tuple[int, int]:
    position = (key >> EVENT_BITS) & ((1 << CHUNK_BITS) - 1)
    return position >> 3, 1 << (position & 7)
