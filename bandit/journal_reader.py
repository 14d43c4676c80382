"""Reading a journal's folder: the frames, where the next one goes, and a torn tail, which can be cut off."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bandit.files import Files, write_all
from bandit.frames import CorruptJournal, Frames, Position, Tail, Torn


class Reader:
    """The frames of a folder from number `after` + 1 on: iterate once over (sequence number, payload).

    Everything from the segment that holds them on is checked. Raises CorruptJournal where it is damaged,
    after the frames before that place. At the end `position` says where a Journal goes on, and `torn` names
    a tail that has to be cut off before (`cut_tail`), if there is one.
    """

    def __init__(self, folder: Path, after: int) -> None:
        self.position = Position(after + 1, 0)
        self.torn: Torn | None = None
        self._folder = folder
        self._after = after

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Read."""
        paths = self._segments()
        expected: Position | None = None
        for index, path in enumerate(paths):
            frames = Frames(str(path), path.read_bytes())
            if expected not in (None, frames.first):
                raise CorruptJournal(
                    str(path),
                    8,
                    f"{expected}, where the segment before it ends: one is missing, or was cut",
                    f"{frames.first}",
                )
            for sequence, payload in enumerate(frames, frames.first.sequence):
                if sequence > self._after:
                    yield sequence, payload
            self.position = expected = frames.position
            tail, length = frames.tail()
            if tail == Tail.CLEAN:
                continue
            if tail == Tail.DAMAGED or not all(self._is_empty(later) for later in paths[index + 1 :]):
                raise CorruptJournal(
                    str(path), frames.offset, f"frame {self.position.sequence}", frames.found(frames.offset)
                )
            self.torn = Torn(str(path), frames.offset, length)
            break
        if paths and self.position.sequence <= self._after:
            last = self.position.sequence - 1
            raise CorruptJournal(
                str(path), frames.offset, f"frames up to {self._after}", f"the end at {last}"
            )

    def _segments(self) -> list[Path]:
        """All segments from the one that holds the first frame wanted on."""
        paths = sorted(self._folder.glob("*.journal"))
        for path in paths:
            if not re.fullmatch(r"[0-9]{20}\.journal", path.name):
                raise CorruptJournal(str(path), 0, "a name of 20 digits", repr(path.name))
        wanted = [path for path in paths if int(path.stem) <= self._after + 1]
        if not wanted and (paths or self._after):
            first = f"{int(paths[0].stem)} as the first" if paths else "no segment"
            raise CorruptJournal(str(self._folder), 0, f"a segment with frame {self._after + 1}", first)
        return paths[len(wanted) - 1 :] if wanted else []

    def _is_empty(self, path: Path) -> bool:
        """Whether a segment behind a torn tail goes on from there and holds nothing."""
        frames = Frames(str(path), path.read_bytes())
        return frames.first == self.position and not any(frames) and frames.tail() == (Tail.CLEAN, 0)


def read(folder: Path, after: int) -> Reader:
    """Read the frames behind number `after`; 0 for all."""
    return Reader(folder, after)


def cut_tail(torn: Torn, files: Files | None = None) -> Path:
    """Copy a torn tail to a file of its own beside the segment, then cut it off; return that file.

    Both are on the disk then. If it is interrupted, reading finds the tail again, and this may be repeated.
    """
    files = files or Files()
    segment = Path(torn.path)
    with segment.open("rb") as file:
        file.seek(torn.offset)
        tail = file.read(torn.length)
    aside = segment.with_name(f"{segment.name}.{torn.offset}.torn")
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
