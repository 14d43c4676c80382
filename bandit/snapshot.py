"""Snapshots as files (docs/format.md): written beside, and named only when they are whole and on the disk.

A name that ends in `.snapshot` therefore never stands for half a snapshot; what damage makes of one later is
named with its place. Lengths and CRCs are checked before anything is interpreted.

Every change of a file goes through `Files`, so that tests can make each of them fail.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import numpy as np

from bandit.corruption import CorruptFile, NewerFormat
from bandit.fields import SectionError
from bandit.files import Files, write_all
from bandit.footer import Footer
from bandit.frames import FRAME_BYTES, frame
from bandit.head import Head, unpack_head
from bandit.kernels.crc import FULL, crc32c, scan
from bandit.limits import SNAPSHOT_PAYLOAD_BYTES_MAX

MAGIC = b"BANDITS"
VERSION = 2
"""What is written. Version 1, which is read as well, has no trimmed doubles."""
HEADER_BYTES = 32
"""Bytes of a snapshot before its first frame, in every version."""

_HEADER = Struct("<7sBQ12xI")
_FRAME = Struct("<II")
_NAME = re.compile(r"[0-9]{20}\.snapshot")
_TEMPORARY = ".tmp"
_FRAMES_AT_ONCE = 4096
_NONE = -1


class CorruptSnapshot(CorruptFile):
    """A snapshot is damaged. Nothing of it is used, and nothing was changed."""

    remedy = "`banditd verify` lists what is wrong, `banditd repair` sets it aside"


class Snapshot(NamedTuple):
    """What a whole snapshot holds. Its sections are those of the head's placements, in that order."""

    head: Head
    sections: list[bytes]
    footer: Footer


def name_of(sequence: int) -> str:
    """Return the name of the snapshot whose head holds the state after record `sequence`."""
    return f"{sequence:020d}.snapshot"


def sequence_of(path: Path) -> int:
    """Return the sequence number that a snapshot's name says."""
    return int(path.name.partition(".")[0])


def snapshots(folder: Path) -> list[Path]:
    """Return the snapshots of a folder, the newest first. Other names are none."""
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def read_snapshot(path: Path) -> Snapshot:
    """Return a snapshot, after checking every length and CRC of it.

    Raises CorruptSnapshot and NewerFormat; OSError for what the file system refuses.
    """
    data = path.read_bytes()
    payloads = list(_payloads(str(path), data))
    if len(payloads) < 2:  # noqa: PLR2004 - head and footer
        raise CorruptSnapshot(str(path), len(data), "a head and a footer", f"{len(payloads)} frames")
    (head_at, first), (footer_at, last) = payloads[0], payloads[-1]
    footer = _footer(path, footer_at, last)
    sections = [payload for _, payload in payloads[1:-1]]
    try:
        head = unpack_head(first)
    except SectionError as error:
        raise CorruptSnapshot(str(path), head_at, "a head", str(error)) from error
    if head.sequence != sequence_of(path):
        raise CorruptSnapshot(
            str(path), head_at, f"a head of sequence {sequence_of(path)}", f"{head.sequence}"
        )
    if not len(sections) == footer.sections == len(head.placements):
        said = f"{len(head.placements)} sections as in the head, {footer.sections} as in the footer"
        raise CorruptSnapshot(str(path), footer_at, said, f"{len(sections)}")
    return Snapshot(head, sections, footer)


def read_footer(path: Path) -> Footer:
    """Return a snapshot's footer, of all before it reading no more than the frames' lengths.

    Raises CorruptSnapshot and NewerFormat for what shows then, and OSError.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        crc = _read_header(str(path), file.read(HEADER_BYTES))
        at, before = HEADER_BYTES, crc
        end, start, payload = at, b"", b""
        while end < size:
            at, before = end, crc
            file.seek(at)
            start = file.read(FRAME_BYTES)
            length, crc = _FRAME.unpack(start.ljust(FRAME_BYTES, b"\0"))
            end = at + FRAME_BYTES + length
            payload = file.read(length) if end == size else b""
    if not payload or frame(payload, before) != (start, crc):
        raise CorruptSnapshot(str(path), at, "the last frame, whole", _found(start))
    return _footer(path, at, payload)


class SnapshotWriter:
    """Writes one snapshot into a folder that exists: `add` each payload, then `finish`, or `abandon`.

    `sequence` is that of its head. Nothing happens on the disk before the first `add`. One thread at a time
    uses it. After an OSError it is abandoned; what remains of it goes with the next one.
    """

    def __init__(self, folder: Path, sequence: int, files: Files | None = None) -> None:
        self._folder = folder
        self._path = folder / name_of(sequence)
        self._fresh = folder / (self._path.name + _TEMPORARY)
        self._files = files or Files()
        self._descriptor = _NONE
        self._ended = False
        header = _header(VERSION, sequence)
        self._start = header
        self._offset = 0
        self._chain = int.from_bytes(header[-4:], "little")
        self._frames = 0

    def add(self, payload: bytes) -> None:
        """Write the next frame: the head's payload, then each section's in the head's order."""
        if self._ended:
            raise ValueError(f"{self._path}: the snapshot was finished or abandoned: begin another")
        if not 1 <= len(payload) <= SNAPSHOT_PAYLOAD_BYTES_MAX:
            raise ValueError(f"a payload of {len(payload)} bytes; expected 1 to {SNAPSHOT_PAYLOAD_BYTES_MAX}")
        try:
            if self._descriptor == _NONE:
                self._open()
            start, self._chain = frame(payload, self._chain)
            self._write(start + payload)
        except OSError:
            self.abandon()
            raise
        self._frames += 1

    def finish(self, footer: Footer) -> Path:
        """Write the footer, have the disk hold everything, then give the file its name; return it.

        What the footer lists, and the journal up to its sequence, must be on the disk already.
        """
        if not self._ended and footer.sections != self._frames - 1:
            raise ValueError(f"{self._frames - 1} sections were added, the footer says {footer.sections}")
        self.add(footer.pack())
        try:
            self._files.fsync(self._descriptor)
            descriptor, self._descriptor = self._descriptor, _NONE
            self._files.close(descriptor)
            self._files.rename(self._fresh, self._path)
            self._files.fsync_dir(self._folder)
        except OSError:
            self.abandon()
            raise
        self._ended = True
        return self._path

    def abandon(self) -> None:
        """Give it up, at any time: nothing is left, unless it was finished."""
        if self._ended:
            return
        self._ended = True
        with suppress(OSError):
            if self._descriptor != _NONE:
                self._files.close(self._descriptor)
        with suppress(OSError):
            self._files.unlink(self._fresh)

    def _open(self) -> None:
        for left in self._folder.glob(f"*.snapshot{_TEMPORARY}"):
            self._files.unlink(left)
        self._descriptor = self._files.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._write(self._start)

    def _write(self, data: bytes) -> None:
        write_all(self._files, self._descriptor, data, self._offset)
        self._offset += len(data)


def _header(version: int, sequence: int) -> bytes:
    covered = _HEADER.pack(MAGIC, version, sequence, 0)[:-4]
    return covered + crc32c(np.frombuffer(covered, np.uint8)).to_bytes(4, "little")


def _read_header(path: str, data: bytes) -> int:
    """Return the CRC that the first frame's goes on from."""
    if len(data) < HEADER_BYTES:
        raise CorruptSnapshot(path, 0, f"a header of {HEADER_BYTES} bytes", f"a file of {len(data)}")
    magic, version, sequence, crc = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise CorruptSnapshot(path, 0, f"{MAGIC!r}", f"{magic!r}")
    if (computed := crc32c(np.frombuffer(data[: HEADER_BYTES - 4], np.uint8))) != crc:
        raise CorruptSnapshot(path, 0, f"a header whose CRC is {crc:#010x}", f"one of {computed:#010x}")
    if version > VERSION:
        raise NewerFormat(path, "snapshot", version, VERSION)
    if version < 1:
        raise CorruptSnapshot(path, 7, f"version 1 to {VERSION}", f"version {version}")
    if Path(path).name != name_of(sequence):
        raise CorruptSnapshot(path, 8, "the sequence number of its name", f"{sequence}")
    return int(crc)


def _payloads(path: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where each frame begins and its payload, after checking all of them."""
    at, chain = HEADER_BYTES, _read_header(path, data[:HEADER_BYTES])
    ends, found, stop = np.zeros(_FRAMES_AT_ONCE, np.int64), [at], FULL
    while stop == FULL:
        count, at, chain, stop = scan(
            np.frombuffer(data, np.uint8), at, chain, SNAPSHOT_PAYLOAD_BYTES_MAX, ends
        )
        found += ends[:count].tolist()
    if at != len(data):
        raise CorruptSnapshot(path, at, f"frame {len(found)}", _found(data[at : at + FRAME_BYTES]))
    for start, end in pairwise(found):
        yield start, data[start + FRAME_BYTES : end]


def _footer(path: Path, at: int, payload: bytes) -> Footer:
    try:
        return Footer.unpack(payload)
    except SectionError as error:
        raise CorruptSnapshot(str(path), at, "the footer as its last frame", str(error)) from error


def _found(data: bytes) -> str:
    return f"the bytes {data.hex(' ')}" if data else "the end of the file"
