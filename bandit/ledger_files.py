"""The ledger's files (docs/format.md): appended to with each snapshot, read back as far as a snapshot lists.

Windows of about the same length share files, so a file can go when they have passed. `append` may run in a
thread of its own while the ledger goes on: nothing here touches a `Ledger` but `load`.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from bandit import limits
from bandit.files import Files, write_all
from bandit.frames import FRAME_BYTES, HEADER_BYTES, frame
from bandit.kernels.crc import FULL, crc32c, scan
from bandit.kernels.entries import HEAD, KIND_BITS, WORDS, Rows
from bandit.ledger import Ledger
from bandit.ledger_entries import ENTRY_BYTES, BadEntry, Place, changes
from bandit.sections import Listed

MAGIC = b"BANDITL"
VERSION = 1

_HEADER = Struct("<7sBQB11xI")
_CRC_BYTES = 4
_THROUGH_BYTES = 8
_NAME = re.compile(r"([0-9]{20})-([0-9]{2})\.ledger")
_BLOCK_ENTRIES = 6000
"""Of a frame: its CRC takes a fifth of a millisecond, for which no other thread runs."""
_FRAMES_AT_ONCE = 4096
_PARTS_OF_A_WINDOW = 8
_BY_HAND = "`banditd verify` lists what is wrong; restore the data directory from a backup"


class CorruptLedger(Exception):  # noqa: N818 - it says what the ledger is
    """A ledger's file is not what the snapshot lists. Nothing was changed on the disk.

    Attributes: `path`, the file; `offset`, the byte in it where what is wrong begins.
    """

    def __init__(self, path: str, offset: int, expected: str, found: str) -> None:
        super().__init__(f"{path}: byte {offset}: expected {expected}, found {found}; {_BY_HAND}")
        self.path = path
        self.offset = offset


class NewerLedger(Exception):  # noqa: N818 - it says what the ledger is
    """A ledger's file has a version of the format that this program does not know.

    Attributes: `path`, the file; `version`.
    """

    def __init__(self, path: str, version: int) -> None:
        super().__init__(
            f"{path}: version {version} of the ledger's format, this program knows {VERSION}: start the "
            "version of banditd that wrote it, or a later one"
        )
        self.path = path
        self.version = version


Note = tuple[Place, int | None]
"""A chunk, and the latest time of its entries; None: it was dropped."""


@dataclass(slots=True, eq=False)
class _File:
    """A file, as far as it is written and synced, and what of it may still be asked for."""

    name: str
    bits: int
    """how many a window of its decisions takes"""
    bytes: int
    chain: int
    began_us: int | None = None
    """time of its first block"""
    latest_us: int = 0
    chunks: set[Place] = field(default_factory=set)
    """those that have entries here and were not dropped since"""

    @property
    def spans_much(self) -> bool:
        """Whether its decisions span an eighth of the shortest window that it may have."""
        shortest = 1 << (self.bits - 1)
        return self.latest_us - (self.began_us or 0) > shortest // _PARTS_OF_A_WINDOW


class LedgerFiles:
    """The ledger's files in a folder that exists; for a new one, or after `load`.

    One thread at a time uses it.
    """

    def __init__(
        self, folder: Path, files: Files | None = None, *, file_bytes: int = limits.LEDGER_FILE_BYTES
    ) -> None:
        self._folder = folder
        self._disk = files or Files()
        self._file_bytes = file_bytes
        self._files: list[_File] = []

    def load(self, listed: Sequence[Listed], ledger: Ledger) -> None:
        """Read what a snapshot lists into an empty ledger; `append` then goes on from there.

        Raises CorruptLedger and NewerLedger; this and the ledger are of no use then. On the disk nothing is
        changed.
        """
        for entry in listed:
            content = _Content(self._folder, entry)
            content.load(ledger)
            file = _File(entry.name, content.bits, entry.bytes, entry.chain)
            self._files.append(file)
            for block in content.blocks:
                self._note(file, _notes(block))

    def append(self, news: bytes | bytearray, through: int) -> tuple[Listed, ...]:
        """Write a ledger's news up to the record of number `through`; return what a snapshot of it lists.

        All of that is on the disk then. After an OSError nothing counts as written: `append` the same news
        again, with what came since. Raises CorruptLedger for a file that has become shorter.
        """
        writers: dict[int, _Writer] = {}
        with ExitStack() as opened:
            for bits, block in _blocks(news):
                if bits not in writers:
                    writers[bits] = _Writer(self._disk, self._folder, self._current(bits, through))
                    opened.callback(writers[bits].close)
                    writers[bits].begin(through)
                writers[bits].write(block, through)
            for writer in writers.values():
                writer.sync()
        if any(writer.file not in self._files for writer in writers.values()):
            self._disk.fsync_dir(self._folder)
        for writer in writers.values():
            self._written(writer)
        return self._list()

    def trim(self, kept: Sequence[Sequence[Listed]]) -> list[str]:
        """Remove the files that none of these snapshots' listings names; return their names.

        Those of the latest listing are kept in any case. May raise OSError.
        """
        needed = {entry.name for listing in kept for entry in listing} | {file.name for file in self._files}
        names = sorted(path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        unneeded = [name for name in names if name not in needed]
        for name in unneeded:
            self._disk.unlink(self._folder / name)
        if unneeded:
            self._disk.fsync_dir(self._folder)
        return unneeded

    def _current(self, bits: int, through: int) -> _File:
        """Return the file in which windows of so many bits go on, perhaps one that does not exist yet."""
        fresh = _File(_name_of(through, bits), bits, 0, 0)
        last = next((file for file in reversed(self._files) if file.bits == bits), fresh)
        full = last.bytes >= self._file_bytes or last.spans_much
        return fresh if full and fresh.name != last.name else last

    def _written(self, writer: _Writer) -> None:
        file = writer.file
        if file not in self._files:
            self._files.append(file)
        file.bytes, file.chain = writer.offset, writer.chain
        for notes in writer.notes:
            self._note(file, notes)

    def _note(self, file: _File, notes: Sequence[Note]) -> None:
        """Take in what a block of a file says of its chunks."""
        latest_us = None
        for place, time_us in notes:
            if time_us is None:
                for other in self._files:
                    other.chunks.discard(place)
            else:
                file.chunks.add(place)
                latest_us = time_us if latest_us is None else max(latest_us, time_us)
        if latest_us is not None:
            file.began_us = latest_us if file.began_us is None else file.began_us
            file.latest_us = max(file.latest_us, latest_us)

    def _list(self) -> tuple[Listed, ...]:
        """Forget the files that nobody may ask for, and list the others.

        A file says of those before it what was dropped: it stays as long as they do.
        """
        needed = {file.bits: False for file in self._files}
        files = []
        for file in self._files:
            needed[file.bits] |= bool(file.chunks)
            if needed[file.bits]:
                files.append(file)
        self._files = files
        return tuple(Listed(file.name, file.bytes, file.chain) for file in files)


class _Writer:
    """Appends frames to a file behind what is known to be good of it. All may raise OSError."""

    def __init__(self, disk: Files, folder: Path, file: _File) -> None:
        self.file = file
        self.offset, self.chain = file.bytes, file.chain
        self.notes: list[list[Note]] = []
        """those of each frame that was written"""
        self._disk = disk
        self._path = folder / file.name
        self._descriptor = disk.open(self._path, os.O_WRONLY | (0 if file.bytes else os.O_CREAT))

    def begin(self, through: int) -> None:
        """Cut off what an unfinished snapshot left; write the header if the file is new."""
        size = os.fstat(self._descriptor).st_size
        if size < self.offset:
            raise CorruptLedger(str(self._path), size, f"{self.offset} bytes, as were written", f"{size}")
        if size > self.offset:
            self._disk.truncate(self._descriptor, self.offset)
        if self.offset == 0:
            header = _header(through, self.file.bits)
            self.chain = _crc_of(header)
            self._put(header)

    def write(self, block: bytes, through: int) -> None:
        """Append a frame with these entries."""
        self.notes.append(_notes(block))
        payload = through.to_bytes(_THROUGH_BYTES, "little") + block
        head, self.chain = frame(payload, self.chain)
        self._put(head + payload)

    def sync(self) -> None:
        """Have the disk hold what was written."""
        self._disk.fsync(self._descriptor)

    def close(self) -> None:
        """Close."""
        self._disk.close(self._descriptor)

    def _put(self, data: bytes) -> None:
        write_all(self._disk, self._descriptor, data, self.offset)
        self.offset += len(data)


class _Content:
    """The part of a file that is listed, checked as it is read. Raises CorruptLedger and NewerLedger."""

    def __init__(self, folder: Path, listed: Listed) -> None:
        self._path = str(folder / listed.name)
        name = _NAME.fullmatch(listed.name)
        if name is None:
            raise CorruptLedger(self._path, 0, "a name of 20 digits, - and two", repr(listed.name))
        number, self.bits = int(name[1]), int(name[2])
        data = self._read(listed)
        self._check_header(data[:HEADER_BYTES], _header(number, self.bits))
        self._offsets: list[int] = []
        """of the entries of each frame"""
        self.blocks: list[bytes] = []
        """the entries of each frame"""
        chain = self._frames(data, number)
        if chain != listed.chain:
            expected = f"frames with the CRC {listed.chain:#010x} at their end, as the snapshot lists"
            raise CorruptLedger(self._path, HEADER_BYTES, expected, f"{chain:#010x}")

    def load(self, ledger: Ledger) -> None:
        """Do what the entries say."""
        entries = b"".join(self.blocks)  # by chunk the more at once, the faster
        others = np.flatnonzero(_bits_of(entries) != self.bits)
        if others.size:
            bad = BadEntry(int(others[0]) * ENTRY_BYTES, f"a window of {self.bits} bits", "another")
            raise self._corrupt(bad)
        try:
            ledger.load(entries)
        except BadEntry as error:
            raise self._corrupt(error) from error

    def _corrupt(self, bad: BadEntry) -> CorruptLedger:
        """Say where in the file a bad entry stands."""
        starts = list(accumulate(map(len, self.blocks), initial=0))
        index = bisect_right(starts, bad.offset) - 1
        offset = self._offsets[index] + bad.offset - starts[index]
        return CorruptLedger(self._path, offset, bad.expected, bad.found)

    def _read(self, listed: Listed) -> bytes:
        expected = f"{listed.bytes} bytes, as the snapshot lists"
        try:
            with Path(self._path).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if HEADER_BYTES <= listed.bytes <= size:
                    return file.read(listed.bytes)
        except FileNotFoundError:
            raise CorruptLedger(self._path, 0, expected, "no such file") from None
        raise CorruptLedger(self._path, min(size, listed.bytes), expected, f"{size}")

    def _check_header(self, found: bytes, expected: bytes) -> None:
        if found == expected:
            return
        version = found[len(MAGIC)]
        if found.startswith(MAGIC) and version != VERSION and _crc_of(found) == _crc(found[:-_CRC_BYTES]):
            raise NewerLedger(self._path, version)
        raise CorruptLedger(self._path, 0, f"the header {expected.hex(' ')}", found.hex(" "))

    def _frames(self, data: bytes, number: int) -> int:
        """Take the blocks out of the frames; return the CRC of the last."""
        view, ends = np.frombuffer(data, np.uint8), np.zeros(_FRAMES_AT_ONCE, np.int64)
        at, chain, stop, through = HEADER_BYTES, _crc_of(data[:HEADER_BYTES]), FULL, number
        while stop == FULL:
            count, _, chain, stop = scan(view, at, chain, limits.JOURNAL_PAYLOAD_BYTES_MAX, ends)
            for end in ends[:count].tolist():
                start = at + FRAME_BYTES + _THROUGH_BYTES
                if end <= start or (end - start) % ENTRY_BYTES:
                    expected = f"a payload of {_THROUGH_BYTES} bytes and entries of {ENTRY_BYTES}"
                    raise CorruptLedger(self._path, at, expected, f"{end - at - FRAME_BYTES} bytes")
                before, through = through, int.from_bytes(data[start - _THROUGH_BYTES : start], "little")
                if through < before:
                    expected = f"a sequence number from {before} on"
                    raise CorruptLedger(self._path, at + FRAME_BYTES, expected, f"{through}")
                self._offsets.append(start)
                self.blocks.append(data[start:end])
                at = end
        if at != len(data):
            found = f"the bytes {data[at : at + FRAME_BYTES].hex(' ')}"
            raise CorruptLedger(self._path, at, "a frame", found)
        return chain


def readable(folder: Path, listed: Listed) -> Listed:
    """Return how much of a file can be read, of what is listed: whole frames; 0 bytes if nothing.

    Its chain is that of the last of them, whatever is listed. Raises NewerLedger; OSError as reading does.
    """
    path = folder / listed.name
    data = path.read_bytes()[: listed.bytes] if path.exists() else b""
    ends = _frame_ends(data)
    while ends:
        part = Listed(listed.name, ends[-1], _crc_at(data, ends[-2] if len(ends) > 1 else 0))
        try:
            LedgerFiles(folder).load([part], Ledger(limits.LEDGER_BYTES_MAX))
        except CorruptLedger as error:
            ends = [end for end in ends[:-1] if end <= error.offset]
        else:
            return part
    return Listed(listed.name, 0, 0)


def _frame_ends(data: bytes) -> list[int]:
    """Return where the header ends, and each good frame behind it; nothing without a header."""
    ends = [HEADER_BYTES] if len(data) >= HEADER_BYTES else []
    stop, chain = (FULL, _crc_of(data[:HEADER_BYTES])) if ends else (None, 0)
    found = np.zeros(_FRAMES_AT_ONCE, np.int64)
    while stop == FULL:
        count, _, chain, stop = scan(
            np.frombuffer(data, np.uint8), ends[-1], chain, limits.JOURNAL_PAYLOAD_BYTES_MAX, found
        )
        ends += found[:count].tolist()
    return ends


def _crc_at(data: bytes, start: int) -> int:
    """Return the CRC of the frame that starts at `start`; at 0 that of the header."""
    return int.from_bytes(data[start + 4 :][:_CRC_BYTES], "little") if start else _crc_of(data[:HEADER_BYTES])


def _blocks(news: bytes | bytearray) -> Iterator[tuple[int, bytes]]:
    """Yield the entries in blocks, in order, apart by how many bits their windows take."""
    for start in range(0, len(news), _BLOCK_ENTRIES * ENTRY_BYTES):
        block = news[start : start + _BLOCK_ENTRIES * ENTRY_BYTES]
        bits = _bits_of(block)
        for each in np.unique(bits).tolist():
            yield each, _rows(block)[bits == each].tobytes()


def _rows(entries: bytes | bytearray) -> Rows:
    return np.frombuffer(entries, np.uint64).reshape(-1, WORDS)


def _bits_of(entries: bytes | bytearray) -> NDArray[np.int32]:
    """Return how many bits the window of each entry takes."""
    windows = _rows(entries)[:, HEAD] >> np.uint64(KIND_BITS)
    return np.frexp(windows.astype(np.float64))[1]


def _notes(entries: bytes) -> list[Note]:
    return [(place, None if rows is None else latest_us) for place, rows, latest_us in changes(entries)]


def _name_of(number: int, bits: int) -> str:
    return f"{number:020d}-{bits:02d}.ledger"


def _header(number: int, bits: int) -> bytes:
    covered = _HEADER.pack(MAGIC, VERSION, number, bits, 0)[:-_CRC_BYTES]
    return covered + _crc(covered).to_bytes(_CRC_BYTES, "little")


def _crc(data: bytes) -> int:
    return crc32c(np.frombuffer(data, np.uint8))


def _crc_of(header: bytes) -> int:
    """Return the CRC that a header ends with."""
    return int.from_bytes(header[-_CRC_BYTES:], "little")
