"""The ledger's files (docs/format.md): appended to with each snapshot, read back as far as a snapshot lists.

Windows of about the same length share files, so a file can go when they have passed. `append` may run in a
thread of its own while the ledger goes on: nothing here touches a `Ledger` but `load`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bandit import limits
from bandit.files import Files, write_all
from bandit.footer import Listed
from bandit.frames import frame
from bandit.ledger import Ledger
from bandit.ledger_entries import ENTRY_BYTES, Place
from bandit.ledger_reader import (
    NAME,
    THROUGH_BYTES,
    Content,
    CorruptLedger,
    Note,
    bits_of,
    crc_of,
    header,
    name_of,
    notes_of,
    rows_of,
)

_BLOCK_ENTRIES = 6000
"""Of a frame: its CRC takes a fifth of a millisecond, for which no other thread runs."""
_PARTS_OF_A_WINDOW = 8


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
        self._unwritten: list[bytes | bytearray] = []

    def load(self, listed: Sequence[Listed], ledger: Ledger) -> None:
        """Read what a snapshot lists into an empty ledger; `append` then goes on from there.

        Raises CorruptLedger and NewerFormat; this and the ledger are of no use then. On the disk nothing is
        changed.
        """
        for entry in listed:
            content = Content(self._folder / entry.name, entry.bytes)
            content.expect(entry.chain)
            ledger.load(b"".join(content.blocks))  # by chunk the more at once, the faster
            file = _File(entry.name, content.bits, entry.bytes, entry.chain)
            self._files.append(file)
            for notes in content.notes:
                self._note(file, notes)

    def append(self, news: bytes | bytearray, through: int) -> tuple[Listed, ...]:
        """Write a ledger's news up to the record of number `through`; return what a snapshot of it lists.

        All of that is on the disk then. After an OSError nothing counts as written, and the next call writes
        these news too, before its own. Raises CorruptLedger for a file that has become shorter.
        """
        self._unwritten.append(news)
        writers: dict[int, _Writer] = {}
        with ExitStack() as opened:
            for bits, block in _blocks(self._unwritten):
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
        self._unwritten.clear()
        return self._list()

    def trim(self, kept: Sequence[Sequence[Listed]]) -> list[str]:
        """Remove the files that none of these snapshots' listings names; return their names.

        Those of the latest listing are kept in any case. May raise OSError.
        """
        needed = {entry.name for listing in kept for entry in listing} | {file.name for file in self._files}
        names = sorted(path.name for path in self._folder.iterdir() if NAME.fullmatch(path.name))
        unneeded = [name for name in names if name not in needed]
        for name in unneeded:
            self._disk.unlink(self._folder / name)
        if unneeded:
            self._disk.fsync_dir(self._folder)
        return unneeded

    def _current(self, bits: int, through: int) -> _File:
        """Return the file in which windows of so many bits go on, perhaps one that does not exist yet."""
        fresh = _File(name_of(through, bits), bits, 0, 0)
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
            head = header(through, self.file.bits)
            self.chain = crc_of(head)
            self._put(head)

    def write(self, block: bytes, through: int) -> None:
        """Append a frame with these entries."""
        self.notes.append(notes_of(block))
        payload = through.to_bytes(THROUGH_BYTES, "little") + block
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


def _blocks(news: Sequence[bytes | bytearray]) -> Iterator[tuple[int, bytes]]:
    """Yield the entries in blocks, in order, apart by how many bits their windows take."""
    for entries in news:
        for start in range(0, len(entries), _BLOCK_ENTRIES * ENTRY_BYTES):
            block = entries[start : start + _BLOCK_ENTRIES * ENTRY_BYTES]
            bits = bits_of(block)
            for each in np.unique(bits).tolist():
                yield each, rows_of(block)[bits == each].tobytes()
