"""CRC-32C (Castagnoli, RFC 3720 B.4), and the loops over a journal's frames that need it (docs/format.md).

Eight bytes a step by eight tables: "slicing-by-8", Kounavis and Berry, "Novel Table Lookup-Based Algorithms
for High-Performance CRC Generation", IEEE Transactions on Computers 57 (11), 2008. `data` is uint8,
contiguous and read-only, as `np.frombuffer` makes it from bytes; offsets and CRCs are int64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, reflected."""
MASK = 0xFFFFFFFF
FRAME_HEADER = 8
"""Bytes before a frame's payload: its length and its CRC."""

FULL, ZERO, BAD = range(3)
"""Why `scan` stopped: `ends` is full; a length of zero or no room for a header; a frame that is not good."""


def _tables() -> NDArray[np.uint32]:
    """(8, 256): row k is what a byte contributes to the CRC when k bytes follow it."""
    tables = np.zeros((8, 256), np.uint32)
    row = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        row = (row >> np.uint32(1)) ^ np.where(row & np.uint32(1), np.uint32(POLYNOMIAL), np.uint32(0))
    tables[0] = row
    for k in range(1, 8):
        tables[k] = (tables[k - 1] >> np.uint32(8)) ^ row[tables[k - 1] & np.uint32(0xFF)]
    return tables


_TABLES = _tables()


@kernel()
def _eight(low: int, high: int) -> int:
    """Return the register after eight bytes: `low` is the first four XOR the register, `high` the others."""
    t = _TABLES
    crc = t[7, low & 0xFF] ^ t[6, (low >> 8) & 0xFF] ^ t[5, (low >> 16) & 0xFF] ^ t[4, low >> 24]
    crc ^= t[3, high & 0xFF] ^ t[2, (high >> 8) & 0xFF] ^ t[1, (high >> 16) & 0xFF] ^ t[0, high >> 24]
    return int(np.int64(crc))


@kernel()
def _four(data: Bytes, at: int) -> int:
    """Return the four bytes at `at` as an integer."""
    low = np.int64(data[at]) | np.int64(data[at + 1]) << 8
    return int(low | np.int64(data[at + 2]) << 16 | np.int64(data[at + 3]) << 24)


@kernel()
def _update(register: int, data: Bytes, start: int, stop: int) -> int:
    """Return the register after data[start:stop]."""
    at = start
    while at + 8 <= stop:
        register = _eight(register ^ _four(data, at), _four(data, at + 4))
        at += 8
    while at < stop:
        register = (register >> 8) ^ int(np.int64(_TABLES[0, (register ^ np.int64(data[at])) & 0xFF]))
        at += 1
    return register


@kernel()
def _chained(before: int, data: Bytes, start: int, stop: int) -> int:
    """Return the CRC of a frame: over the CRC before, the length and the payload data[start:stop]."""
    return _update(_eight(MASK ^ before, stop - start), data, start, stop) ^ MASK


def _data(size: int) -> Bytes:
    return np.frombuffer(bytes(size), np.uint8)


def _crc32c_example() -> Arguments:
    return (_data(9),)


@kernel(_crc32c_example)
def crc32c(data: Bytes) -> int:
    """Return the CRC-32C of `data`; 0xE3069283 for the bytes "123456789"."""
    return _update(MASK, data, 0, data.size) ^ MASK


def _continued_example() -> Arguments:
    return 0, _data(9)


@kernel(_continued_example)
def continued(crc: int, data: Bytes) -> int:
    """Return the CRC of what has the CRC `crc` and `data` behind it."""
    return _update(crc ^ MASK, data, 0, data.size) ^ MASK


def _seal_example() -> Arguments:
    return _data(9), np.array([4, 5]), np.zeros(25, np.uint8), 0


@kernel(_seal_example)
def seal(payloads: Bytes, lengths: Indices, frames: Bytes, before: int) -> int:
    """Write the frames of payloads that stand one behind another, the first behind the CRC `before`.

    `lengths` (n,) int64 are the payloads', above 0; `frames` is overwritten, and 8 bytes longer for each.
    Returns the CRC of the last frame.
    """
    start, at = 0, 0
    for length in lengths:
        stop = start + length
        before = _chained(before, payloads, start, stop)
        for k in range(4):
            frames[at + k] = length >> 8 * k & 0xFF
            frames[at + 4 + k] = before >> 8 * k & 0xFF
        at += FRAME_HEADER
        frames[at : at + length] = payloads[start:stop]
        start, at = stop, at + length
    return before


def _scan_example() -> Arguments:
    return _data(64), 32, 0, 1 << 24, np.zeros(4, np.int64)


@kernel(_scan_example)
def scan(data: Bytes, start: int, before: int, payload_max: int, ends: Indices) -> tuple[int, int, int, int]:
    """Walk over good frames from `start`, the first behind CRC `before`; write where each ends to `ends`.

    `ends` (n,) int64. Returns how many, where the walk stopped, the CRC of the last good frame, and why:
    FULL, ZERO or BAD.
    """
    at, count = start, 0
    while count < ends.size:
        if at + FRAME_HEADER > data.size:
            return count, at, before, ZERO
        length = _four(data, at)
        if length == 0:
            return count, at, before, ZERO
        end = at + FRAME_HEADER + length
        if length > payload_max or end > data.size:
            return count, at, before, BAD
        crc = _chained(before, data, at + FRAME_HEADER, end)
        if crc != _four(data, at + 4):
            return count, at, before, BAD
        ends[count] = end
        count += 1
        before = crc
        at = end
    return count, at, before, FULL


@kernel()
def _follows(data: Bytes, at: int, before: int, payload_max: int) -> int:
    """Look for a good frame behind CRC `before` at `at`.

    Returns the length of its payload; if there is none, minus the bytes that were read to see that.
    """
    if at + FRAME_HEADER > data.size:
        return 0
    length = _four(data, at)
    end = at + FRAME_HEADER + length
    if length == 0 or length > payload_max or end > data.size:
        return 0
    if _chained(before, data, at + FRAME_HEADER, end) == _four(data, at + 4):
        return length
    return -length


def _proof_example() -> Arguments:
    return _data(64), 32, 0, 1 << 24, 1 << 34


@kernel(_proof_example)
def proof(data: Bytes, bad: int, before: int, payload_max: int, work_max: int) -> tuple[int, bool]:
    """Search behind the bad frame at `bad` for a frame that was written here, as docs/format.md says.

    Returns where it stands (0: nowhere) and whether the search was finished, within `work_max` bytes of CRC.
    """
    work = 0
    for at in range(bad, data.size - 2 * FRAME_HEADER):
        length = _four(data, at)
        end = at + FRAME_HEADER + length
        if length == 0 or length > payload_max or end + FRAME_HEADER > data.size:
            continue
        found = _follows(data, end, _four(data, at + 4), payload_max)
        if found <= 0 and at == bad:  # perhaps the CRC alone is damaged
            work += length
            found = _follows(data, end, _chained(before, data, at + FRAME_HEADER, end), payload_max)
        if found > 0:
            return end, True
        work -= found
        if work > work_max:
            return 0, False
    return 0, True
