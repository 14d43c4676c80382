"""Reading the ledger's files (docs/format.md), as far as a snapshot lists or as far as they are good."""

import os
import re
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from bandit import limits
from bandit.corruption import CorruptFile, NewerFormat
from bandit.footer import Listed
from bandit.frames import FRAME_BYTES, HEADER_BYTES
from bandit.kernels.crc import FULL, crc32c, scan
from bandit.kernels.entries import HEAD, KIND_BITS, WORDS, Rows
from bandit.ledger_entries import ENTRY_BYTES, BadEntry, Place, changes

MAGIC = b"BANDITL"
VERSION = 1
THROUGH_BYTES = 8
"""Of a payload, before its entries: the number of the last record that they can come from."""
NAME = re.compile(r"([0-9]{20})-([0-9]{2})\.ledger")

_HEADER = Struct("<7sBQB11xI")
_CRC_BYTES = 4
_FRAMES_AT_ONCE = 4096
_ANY = 2**64 - 1

Note = tuple[Place, int | None]
"""A chunk, and the latest time of its entries; None: it was dropped."""


class CorruptLedger(CorruptFile):
    """A ledger's file is not what the snapshot lists. Nothing was changed on the disk."""

    remedy = "`banditd verify` lists what is wrong, `banditd repair` says what can be saved"


class Content:
    """The first `size` bytes of a file. Raises CorruptLedger if it has fewer or another header; NewerFormat.

    Its frames are read as far as they are good, and of snapshots up to that of record `through_max`; `fault`
    says what is wrong behind them, if anything is.
    """

    def __init__(self, path: Path, size: int, through_max: int = _ANY) -> None:
        self._path = str(path)
        self._through_max = through_max
        name = NAME.fullmatch(path.name)
        if name is None:
            raise self._corrupt(0, "a name of 20 digits, - and two", repr(path.name))
        number, self.bits = int(name[1]), int(name[2])
        data = self._read(size)
        self._check_header(data[:HEADER_BYTES], header(number, self.bits))
        self.blocks: list[bytes] = []
        """the entries of each good frame"""
        self.notes: list[list[Note]] = []
        """what each of them says of its chunks"""
        self.bytes, self.chain = HEADER_BYTES, crc_of(data[:HEADER_BYTES])
        """of the file, up to the last good frame, and the CRC of that"""
        self.fault: CorruptLedger | None = None
        try:
            self._walk(data, number)
        except CorruptLedger as error:
            self.fault = error

    def expect(self, chain: int) -> None:
        """Raise CorruptLedger unless all frames are good and the last has this CRC."""
        if self.fault is not None:
            raise self.fault
        if chain != self.chain:
            expected = f"frames with the CRC {chain:#010x} at their end, as the snapshot lists"
            raise self._corrupt(HEADER_BYTES, expected, f"{self.chain:#010x}")

    def _read(self, size: int) -> bytes:
        expected = f"{size} bytes, as the snapshot lists"
        try:
            with Path(self._path).open("rb") as file:
                found = os.fstat(file.fileno()).st_size
                if HEADER_BYTES <= size <= found:
                    return file.read(size)
        except FileNotFoundError:
            raise self._corrupt(0, expected, "no such file") from None
        raise self._corrupt(min(found, size), expected, f"{found}")

    def _check_header(self, found: bytes, expected: bytes) -> None:
        if found == expected:
            return
        version = found[len(MAGIC)]
        if found.startswith(MAGIC) and version != VERSION and crc_of(found) == _crc(found[:-_CRC_BYTES]):
            raise NewerFormat(self._path, "ledger", version, VERSION)
        raise self._corrupt(0, f"the header {expected.hex(' ')}", found.hex(" "))

    def _walk(self, data: bytes, through: int) -> None:
        """Take in frame by frame."""
        view, ends, stop = np.frombuffer(data, np.uint8), np.zeros(_FRAMES_AT_ONCE, np.int64), FULL
        while stop == FULL:
            count, _, _, stop = scan(view, self.bytes, self.chain, limits.JOURNAL_PAYLOAD_BYTES_MAX, ends)
            for end in ends[:count].tolist():
                through = self._take(data[self.bytes : end], through)
        if self.bytes != len(data):
            found = f"the bytes {data[self.bytes :][:FRAME_BYTES].hex(' ')}"
            raise self._corrupt(self.bytes, "a frame", found)

    def _take(self, frame: bytes, before: int) -> int:
        """Take in a frame whose CRC is right; return through which record it goes, at least `before`."""
        start = FRAME_BYTES + THROUGH_BYTES
        through, block = int.from_bytes(frame[FRAME_BYTES:start], "little"), frame[start:]
        if not block or len(block) % ENTRY_BYTES:
            expected = f"a payload of {THROUGH_BYTES} bytes and entries of {ENTRY_BYTES}"
            raise self._corrupt(self.bytes, expected, f"{len(frame) - FRAME_BYTES} bytes")
        if not before <= through <= self._through_max:
            end = "on" if through < before else f"to {self._through_max}"
            expected = f"a sequence number from {before} {end}"
            raise self._corrupt(self.bytes + FRAME_BYTES, expected, f"{through}")
        try:
            notes = notes_of(block)
        except BadEntry as bad:
            raise self._corrupt(self.bytes + start + bad.offset, bad.expected, bad.found) from bad
        others = np.flatnonzero(bits_of(block) != self.bits)
        if others.size:
            offset = self.bytes + start + int(others[0]) * ENTRY_BYTES
            raise self._corrupt(offset, f"a window of {self.bits} bits", "another")
        self.blocks.append(block)
        self.notes.append(notes)
        self.bytes += len(frame)
        self.chain = int.from_bytes(frame[FRAME_BYTES - _CRC_BYTES : FRAME_BYTES], "little")
        return through

    def _corrupt(self, offset: int, expected: str, found: str) -> CorruptLedger:
        return CorruptLedger(self._path, offset, expected, found)


def readable(folder: Path, listed: Listed, through_max: int = _ANY) -> Listed:
    """Return how much of a file can be read, of what is listed: whole frames; 0 bytes if nothing.

    None written for snapshots behind that of record `through_max`. Its chain is that of the last of them,
    whatever is listed. Raises NewerFormat; OSError as reading does.
    """
    path = folder / listed.name
    size = path.stat().st_size if path.exists() else 0
    try:
        content = Content(path, min(size, listed.bytes), through_max)
    except CorruptLedger:
        return Listed(listed.name, 0, 0)
    return Listed(listed.name, content.bytes, content.chain)


def name_of(number: int, bits: int) -> str:
    """Return the name of the file that a snapshot of this number begins for windows of so many bits."""
    return f"{number:020d}-{bits:02d}.ledger"


def header(number: int, bits: int) -> bytes:
    """Return what such a file begins with."""
    covered = _HEADER.pack(MAGIC, VERSION, number, bits, 0)[:-_CRC_BYTES]
    return covered + _crc(covered).to_bytes(_CRC_BYTES, "little")


def crc_of(header: bytes) -> int:
    """Return the CRC that a header ends with."""
    return int.from_bytes(header[-_CRC_BYTES:], "little")


def rows_of(entries: bytes | bytearray) -> Rows:
    """Return packed entries as rows of words."""
    return np.frombuffer(entries, np.uint64).reshape(-1, WORDS)


def bits_of(entries: bytes | bytearray) -> NDArray[np.int32]:
    """Return how many bits the window of each entry takes."""
    windows = rows_of(entries)[:, HEAD] >> np.uint64(KIND_BITS)
    return np.frexp(windows.astype(np.float64))[1]


def notes_of(entries: bytes) -> list[Note]:
    """Return what packed entries say of their chunks, in order. Raises BadEntry."""
    return [(place, None if rows is None else latest_us) for place, rows, latest_us in changes(entries)]


def _crc(data: bytes) -> int:
    return crc32c(np.frombuffer(data, np.uint8))
