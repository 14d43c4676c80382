"""The journal's files: appending, syncing and reading segments of frames (docs/format.md).

What `flush` has handed to the kernel survives the end of the process; what `sync` has synced survives a power
cut. Space is taken a segment ahead, so a full disk shows as JournalFull before anything is accepted; any
other error of the file system is final, since nobody can tell what was written then.

Every change of a file goes through `Files`, so that tests can make each of them fail.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bandit import limits
from bandit.frames import (
    FRAME_BYTES,
    HEADER_BYTES,
    CorruptJournal,
    Frames,
    Position,
    Tail,
    Torn,
    frame,
    header,
    name_of,
)

AHEAD = "ahead.tmp"
"""The segment that will be next, before it has a header and a name."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ZEROS = bytes(2**20)
_NONE = -1


class JournalFull(Exception):  # noqa: N818 - it says what the journal is
    """There is no space for the next segment. Nothing was written or numbered; try again later."""


class Files:
    """What the journal asks of the file system. All of it may raise OSError."""

    def open(self, path: Path, flags: int) -> int:
        """Open, for the owner alone if that makes the file; return a descriptor."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def duplicate(self, descriptor: int) -> int:
        """Return another descriptor of the same open file."""
        return os.dup(descriptor)

    def close(self, descriptor: int) -> None:
        """Close."""
        os.close(descriptor)

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """Write some of `data` at `offset`; return how many bytes."""
        return os.pwrite(descriptor, data, offset)

    def fsync(self, descriptor: int) -> None:
        """Have the disk hold what was written."""
        os.fsync(descriptor)

    def fallocate(self, descriptor: int, size: int) -> None:
        """Take the space for the first `size` bytes of an empty file; they read as zeros."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
            return
        for offset in range(0, size, len(_ZEROS)):  # macOS has no such call
            write_all(self, descriptor, _ZEROS[: size - offset], offset)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of a file that has it."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def fsync_dir(self, folder: Path) -> None:
        """Have the disk hold the folder's names."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_all(files: Files, descriptor: int, data: bytes | bytearray, offset: int) -> None:
    """Write all of `data` at `offset`, however many calls that takes."""
    with memoryview(data) as rest:
        done = 0
        while done < len(rest):
            try:
                count = files.write(descriptor, rest[done:], offset + done)
            except InterruptedError:
                continue
            if count <= 0:
                raise OSError(errno.EIO, "a write wrote nothing")
            done += count


class Sync:
    """An fsync to be done: of all that was flushed when it was made, in whichever thread, once."""

    def __init__(self, journal: Journal, descriptor: int, through: int) -> None:
        self._journal = journal
        self._descriptor = descriptor
        self.through = through
        """the last sequence number that it makes safe"""

    def run(self) -> int:
        """Sync; return `through`. After an OSError the journal takes nothing more."""
        with self._journal.final():
            self._journal.files.fsync(self._descriptor)
            self._journal.files.close(self._descriptor)
        return self.through


class Journal:
    """Appends frames to a folder that exists, from `sequence` on, behind the frame whose CRC is `chain`.

    These are the `position` of a `Reader` that has read the folder to its end, with a torn tail cut off; 1
    and 0 for an empty one. It begins a segment of its own. One thread uses it; `Sync.run` may be elsewhere.

    Every method may raise OSError, and then each further call does: end the process without a reply.
    JournalFull is raised by `reserve` and `append` (and at the start) alone, and leaves everything as it was.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sequence: int,
        chain: int,
        segment_bytes: int = limits.JOURNAL_SEGMENT_BYTES,
        files: Files | None = None,
    ) -> None:
        self.files = files or Files()
        self.position = Position(sequence, chain)
        """where the next frame goes"""
        self.payload_bytes_max = min(
            limits.JOURNAL_PAYLOAD_BYTES_MAX, segment_bytes - HEADER_BYTES - FRAME_BYTES
        )
        if self.payload_bytes_max < 1:
            raise ValueError(
                f"segment_bytes: expected more than {HEADER_BYTES + FRAME_BYTES}, got {segment_bytes}"
            )
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._descriptor = _NONE
        self._ahead = _NONE
        self._offset = segment_bytes  # as if a segment were full
        self._buffer = bytearray()
        self._flushed = sequence - 1
        self._failed = False
        _refuse_frames(folder / name_of(sequence))
        self._allocate()
        self._rotate()

    @property
    def ahead(self) -> bool:
        """Whether the next segment has its space: while it has not, the disk is full."""
        return self._ahead != _NONE

    def reserve(self, bytes_in_all: int) -> None:
        """Make sure that frames of so many bytes, 8 each included, can be appended: else raises JournalFull.

        At most a segment's room for frames can be asked for.
        """
        with self.final():
            if bytes_in_all > self._segment_bytes - HEADER_BYTES:
                raise ValueError(
                    f"expected at most a segment of {self._segment_bytes}, got {bytes_in_all} bytes"
                )
            if self._room() < bytes_in_all and not self.ahead:
                self._allocate()

    def append(self, payload: bytes) -> int:
        """Buffer a frame with this payload (1 to `payload_bytes_max` bytes); return its sequence number."""
        if not 1 <= len(payload) <= self.payload_bytes_max:
            raise ValueError(f"a payload of {len(payload)} bytes; expected 1 to {self.payload_bytes_max}")
        size = FRAME_BYTES + len(payload)
        if self._room() < size:
            self.reserve(size)
            self._rotate()
        sequence, before = self.position
        head, chain = frame(payload, before)
        self._buffer += head
        self._buffer += payload
        self.position = Position(sequence + 1, chain)
        return sequence

    def flush(self) -> int:
        """Hand all that was appended to the kernel; return the last sequence number. Empty: costs nothing."""
        with self.final():
            if self._buffer:
                write_all(self.files, self._descriptor, self._buffer, self._offset)
                self._offset += len(self._buffer)
                self._buffer.clear()
                self._flushed = self.position.sequence - 1
        return self._flushed

    def begin_sync(self) -> Sync:
        """Return the fsync of all that was flushed, to be run once, in any thread."""
        with self.final():
            return Sync(self, self.files.duplicate(self._descriptor), self._flushed)

    def sync(self) -> int:
        """Sync all that was flushed, here and now; return the last sequence number that is safe."""
        return self.begin_sync().run()

    def close(self) -> None:
        """Flush, sync, and give back the space that no frame took."""
        self.flush()
        with self.final():
            self.files.truncate(self._descriptor, self._offset)
            self.files.fsync(self._descriptor)
            self.files.close(self._descriptor)
            if self.ahead:
                self.files.close(self._ahead)
                self.files.unlink(self._folder / AHEAD)
            self.files.fsync_dir(self._folder)

    @contextmanager
    def final(self) -> Iterator[None]:
        """Take no more calls after an OSError within."""
        if self._failed:
            raise OSError(errno.EIO, "the journal failed before; start again")
        try:
            yield
        except OSError:
            self._failed = True
            raise

    def _room(self) -> int:
        return self._segment_bytes - self._offset - len(self._buffer)

    def _allocate(self) -> None:
        """Take the space of the next segment."""
        path = self._folder / AHEAD
        descriptor = _NONE
        with self.final():
            try:
                descriptor = self.files.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
                self.files.fallocate(descriptor, self._segment_bytes)
                self.files.fsync(descriptor)
            except OSError as error:
                if descriptor != _NONE:
                    self.files.close(descriptor)
                    self.files.unlink(path)
                if error.errno in _NO_SPACE:
                    raise JournalFull(
                        f"{self._folder}: no space for {self._segment_bytes} bytes: {error.strerror}"
                    ) from error
                raise
        self._ahead = descriptor

    def _rotate(self) -> None:
        """Go on in the segment that was allocated ahead, and allocate the next if there is space."""
        if self._descriptor != _NONE:
            self.flush()
        with self.final():
            if self._descriptor != _NONE:  # a segment with a name has all before it on the disk
                self.files.fsync(self._descriptor)
                self.files.close(self._descriptor)
            self._descriptor, self._ahead = self._ahead, _NONE
            write_all(self.files, self._descriptor, header(self.position), 0)
            self.files.fsync(self._descriptor)
            self.files.rename(self._folder / AHEAD, self._folder / name_of(self.position.sequence))
            self.files.fsync_dir(self._folder)
        self._offset = HEADER_BYTES
        with suppress(JournalFull):  # `ahead` tells; `reserve` tries again
            self._allocate()


def _refuse_frames(path: Path) -> None:
    """Raise CorruptJournal if the segment that is to be made exists and holds something."""
    if path.exists():
        frames = Frames(str(path), path.read_bytes())
        if any(True for _ in frames) or frames.tail() != (Tail.CLEAN, 0):
            raise CorruptJournal(str(path), HEADER_BYTES, "nothing yet", frames.found(HEADER_BYTES))


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
