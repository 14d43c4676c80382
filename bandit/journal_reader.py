"""Reading a journal's folder: its frames, where the next one goes, what a crash or a power cut left behind.

What is left behind can be cut off, and is kept aside.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from bandit.files import Files, write_all
from bandit.frames import HEADER_BYTES, CorruptJournal, Frames, Position, Synced, Tail, Torn

_BROKEN = ".broken"

SYNCED = "synced"
"""The file that says how far the journal is known to be on the disk."""


class JournalTrimmed(Exception):  # noqa: N818 - it says what the journal is
    """A frame that was to be read has been removed by the server, since a newer snapshot holds it."""


class Segment(NamedTuple):
    """One file of a journal."""

    first: int
    """number of its first frame"""
    path: Path
    bytes: int
    """its length, the allocated rest included"""


def segments(folder: Path) -> list[Segment]:
    """List the segments in order. Other names are none."""
    found: list[Segment] = []
    for path in sorted(folder.glob("*.journal")):
        if not re.fullmatch(r"[0-9]{20}\.journal", path.name):
            continue
        with suppress(FileNotFoundError):  # it may be removed while they are listed
            found.append(Segment(int(path.stem), path, path.stat().st_size))
    return found


def read_synced(folder: Path) -> Synced:
    """Return how far the journal is known to be on the disk; a file that is missing or damaged says 0."""
    path = folder / SYNCED
    return Synced.of(path.read_bytes() if path.exists() else b"")


class Reader:
    """The frames of a folder from number `after` + 1 on: iterate once over (sequence number, payload).

    Everything from the segment that holds them on is checked. Raises CorruptJournal where it is damaged,
    after the frames before that place. At the end:

    * `position` says where a Journal goes on,
    * `torn` names a tail that has to be cut off before (`cut_tail`), if there is one,
    * `missing` is how many frames behind the end are known to have been on the disk; 0 if all is well.

    `boot` is an id of this boot of the machine (b"": not known): a hole that a power cut left is a torn tail.

    `live`: a server may be writing. What is half written is the end, never torn; what is appended meanwhile
    may be left out. Raises JournalTrimmed if a segment was removed that was still to be read: begin again,
    from the newest snapshot.
    """

    def __init__(self, folder: Path, after: int, *, boot: bytes = b"", live: bool = False) -> None:
        self.position = Position(after + 1, 0)
        self.torn: Torn | None = None
        self.missing = 0
        self._folder = folder
        self._after = after
        self._boot = boot
        self._live = live

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Read."""
        synced = read_synced(self._folder)  # before the segments: all that it speaks of is in them
        paths = self._paths()
        last: Frames | None = None
        for index, path in enumerate(paths):
            frames = self._frames(path)
            if last is not None and frames.first != last.position:
                raise CorruptJournal(
                    str(path),
                    8,
                    f"{last.position}, where the segment before it ends: one is missing, or was cut",
                    f"{frames.first}",
                )
            last = frames
            for sequence, payload in enumerate(frames, frames.first.sequence):
                if sequence > self._after:
                    yield sequence, payload
            self.position = frames.position
            if self._ends(frames, paths[index + 1 :], synced):
                break
        if last is not None and self.position.sequence <= self._after:
            found = f"the end at {self.position.sequence - 1}"
            raise CorruptJournal(last.path, last.offset, f"frames up to {self._after}", found)
        self.missing = max(0, synced.through - (self.position.sequence - 1))

    def _ends(self, frames: Frames, later: list[Path], synced: Synced) -> bool:
        """Whether the journal ends within this segment, which may set `torn`. Raises CorruptJournal."""
        # a segment with a name has all before it on the disk
        promised = self.position.sequence <= synced.through or bool(later)
        if self._live and not promised:
            return True
        tail, length = frames.tail()
        if tail == Tail.CLEAN:
            return False
        power_was_cut = bool(self._boot and synced.boot) and self._boot != synced.boot
        interrupted = tail == Tail.TORN or (power_was_cut and not promised)
        if not interrupted or not all(self._is_empty(path) for path in later):
            raise CorruptJournal(
                frames.path, frames.offset, f"frame {self.position.sequence}", frames.found(frames.offset)
            )
        self.torn = Torn(frames.path, frames.offset, length)
        return True

    def _paths(self) -> list[Path]:
        """All segments from the one that holds the first frame wanted on."""
        present = segments(self._folder)
        wanted = [segment for segment in present if segment.first <= self._after + 1]
        if not wanted and (present or self._after):
            if self._live and present:
                raise self._trimmed(self._after + 1)
            first = f"{present[0].first} as the first" if present else "no segment"
            raise CorruptJournal(str(self._folder), 0, f"a segment with frame {self._after + 1}", first)
        return [segment.path for segment in present[len(wanted) - 1 :]] if wanted else []

    def _frames(self, path: Path) -> Frames:
        try:
            return Frames(str(path), path.read_bytes())
        except FileNotFoundError:
            if self._live:
                raise self._trimmed(self.position.sequence) from None
            raise

    def _trimmed(self, number: int) -> JournalTrimmed:
        return JournalTrimmed(
            f"{self._folder}: frame {number} was removed meanwhile: a newer snapshot holds it, begin there"
        )

    def _is_empty(self, path: Path) -> bool:
        """Whether a segment behind a torn tail goes on from there and holds nothing."""
        frames = Frames(str(path), path.read_bytes())
        return frames.first == self.position and not any(frames) and frames.tail() == (Tail.CLEAN, 0)


def read(folder: Path, after: int, *, boot: bytes = b"", live: bool = False) -> Reader:
    """Read the frames behind number `after`; 0 for all."""
    return Reader(folder, after, boot=boot, live=live)


def cut_tail(torn: Torn, files: Files | None = None, ending: str = ".torn") -> Path:
    """Copy a torn tail to a file of its own beside the segment, then cut it off; return that file.

    Both are on the disk then. If it is interrupted, reading finds the tail again, and this may be repeated.
    """
    files = files or Files()
    segment = Path(torn.path)
    with segment.open("rb") as file:
        file.seek(torn.offset)
        tail = file.read(torn.length)
    aside = _aside(segment, torn.offset, ending)
    fresh = aside.with_name(f"{aside.name}.tmp")
    descriptor = files.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(files, descriptor, tail, 0)
        files.fsync(descriptor)
    finally:
        files.close(descriptor)
    files.rename(fresh, aside)
    files.fsync_dir(segment.parent)
    descriptor = files.open(segment, os.O_WRONLY)
    try:
        files.truncate(descriptor, torn.offset)
        files.fsync(descriptor)
    finally:
        files.close(descriptor)
    return aside


def cut(segment: Path, offset: int, files: Files | None = None) -> list[Path]:
    """End the journal at byte `offset` of a segment, in good order or not; return what was kept aside.

    These are the later segments, whole, and the rest of this one; all of it, if the cut is in its header.
    Their names end in `.broken`. If it is interrupted, what is wrong is still there: it may be repeated.
    """
    files = files or Files()
    whole = [later.path for later in segments(segment.parent) if later.path.name > segment.name]
    if offset < HEADER_BYTES:
        whole.insert(0, segment)
    aside: list[Path] = []
    for path in reversed(whole):
        aside.append(_aside(path, 0, _BROKEN))
        files.rename(path, aside[-1])
    if whole:
        files.fsync_dir(segment.parent)
    if offset >= HEADER_BYTES:
        length = len(segment.read_bytes()[offset:].rstrip(b"\0"))
        aside.append(cut_tail(Torn(str(segment), offset, length), files, _BROKEN))
    return aside[::-1]


def _aside(segment: Path, offset: int, ending: str) -> Path:
    """Where what is cut off a segment at a byte is kept: under a name that is free."""
    stem = f"{segment.name}.{offset}"
    names = chain([f"{stem}{ending}"], (f"{stem}.{again}{ending}" for again in count(2)))
    return next(path for name in names if not (path := segment.with_name(name)).exists())
