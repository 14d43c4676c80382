"""The journal's files: appending and syncing segments of frames, and removing old ones (docs/format.md).

What `flush` has handed to the kernel survives the end of the process; what `sync` has synced survives a power
cut. Space is taken a segment ahead, so a full disk shows as JournalFull before anything is accepted; any
other error of the file system is final, since nobody can tell what was written then.

One thread uses a journal, without locks. Two slow things are objects with a `run` that may be called once in
any thread: a `Sync` and an `Allocation`.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from bandit import limits
from bandit.files import NO_SPACE, Files, write_all
from bandit.frames import (
    FRAME_BYTES,
    HEADER_BYTES,
    CorruptJournal,
    Frames,
    Position,
    Synced,
    Tail,
    header,
    name_of,
    sealed,
)
from bandit.journal_reader import SYNCED, Segment, segments

AHEAD = ("ahead.tmp", "ahead-2.tmp")
"""Segments that will be next, before they have a header and a name. The second is there for a frame that
cannot wait while the first is being allocated in another thread."""

_NONE = -1


class JournalFull(Exception):  # noqa: N818 - it says what the journal is
    """There is no space for the next segment. Nothing was written or numbered; try again later."""


class Sync:
    """An fsync to be done: of all that was flushed when it was made, in whichever thread, once."""

    def __init__(self, journal: Journal, descriptor: int, through: int) -> None:
        self._journal = journal
        self._descriptor = descriptor
        self.through = through
        """the last sequence number that it makes safe"""

    def run(self) -> int:
        """Sync; return the last number that is safe. After an OSError the journal takes nothing more.

        It is at least `through`, unless another Sync is under way: the system tells one of them alone of an
        error, so nothing is concluded from the success of this one.
        """
        journal = self._journal
        journal.syncs.add(self)
        try:
            with journal.final():
                journal.files.fsync(self._descriptor)
                journal.files.close(self._descriptor)
                if journal.syncs == {self} and not journal.ended:
                    journal.note_synced(self.through)
        finally:
            journal.syncs.remove(self)
        return journal.synced


class Allocation:
    """The space of a segment to be taken, in whichever thread, once."""

    def __init__(self, journal: Journal, path: Path, size: int) -> None:
        self._journal = journal
        self._size = size
        self.path = path
        self.descriptor = _NONE
        """of the file, once its space is taken"""
        self.failed = False
        """whether `run` has ended without one"""

    def run(self) -> None:
        """Take the space: the journal is `ahead` then. Raises JournalFull, and has left nothing.

        After an OSError the journal takes nothing more.
        """
        try:
            with self._journal.final():
                self.descriptor = self._take()
        finally:
            self.failed = self.descriptor == _NONE

    def _take(self) -> int:
        files = self._journal.files
        descriptor = _NONE
        try:
            descriptor = files.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            files.fallocate(descriptor, self._size)
            files.fsync(descriptor)
        except OSError as error:
            if descriptor != _NONE:
                files.close(descriptor)
                files.unlink(self.path)
            if error.errno in NO_SPACE:
                raise JournalFull(
                    f"{self.path.parent}: no space for {self._size} bytes: {error.strerror}"
                ) from error
            raise
        return descriptor


class Journal:
    """Appends frames to a folder that exists, from `sequence` on, behind the frame whose CRC is `chain`.

    These are the `position` of a `Reader` that has read the folder to its end, with a torn tail cut off; 1
    and 0 for an empty one. It begins a segment of its own. `boot` is an id of this boot of the machine, of at
    most 64 bytes, b"" if not known: it lets a reader tell what a power cut left from damage.

    Every method may raise OSError, and then each further call does: end the process without a reply.
    JournalFull is raised by `reserve`, `append`, `rotate` and `Allocation.run` (and at the start) alone, and
    leaves everything as it was.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sequence: int,
        chain: int,
        boot: bytes = b"",
        segment_bytes: int = limits.JOURNAL_SEGMENT_BYTES,
        files: Files | None = None,
    ) -> None:
        self.files = files or Files()
        self.left = 0
        """bytes of frames, 8 each included, for which this segment has room"""
        self.synced = sequence - 1
        """the last sequence number that is known to be on the disk"""
        self.syncs: set[Sync] = set()
        """those under way"""
        self._frames_bytes = segment_bytes - HEADER_BYTES
        self.payload_bytes_max = min(limits.JOURNAL_PAYLOAD_BYTES_MAX, self._frames_bytes - FRAME_BYTES)
        if self.payload_bytes_max < 1:
            raise ValueError(
                f"segment_bytes: expected more than {HEADER_BYTES + FRAME_BYTES}, got {segment_bytes}"
            )
        self._folder = folder
        self._boot = boot
        self._segment_bytes = segment_bytes
        self._descriptor = _NONE
        self._note = _NONE
        self._allocations: list[Allocation] = []
        self._offset = HEADER_BYTES
        self._payloads: list[bytes] = []
        self._flushed = sequence - 1
        self._chain = chain
        self.ended = False
        """whether it takes nothing more: it was closed, or an OSError came"""
        self._start()

    @property
    def position(self) -> Position:
        """Where the next frame goes. The CRC before it is known once all is flushed."""
        return Position(self._flushed + len(self._payloads) + 1, self._chain)

    @property
    def ahead(self) -> bool:
        """Whether the next segment has its space: while it has not, the disk may be full."""
        return any(allocation.descriptor != _NONE for allocation in self._allocations)

    @property
    def ends_soon(self) -> bool:
        """Whether the last quarter of this segment is being written."""
        return 4 * self.left < self._frames_bytes

    def room(self, bytes_in_all: int) -> bool:
        """Whether frames of so many bytes, 8 each included, can be appended without asking for space."""
        return bytes_in_all <= self.left or (bytes_in_all <= self._frames_bytes and self.ahead)

    def reserve(self, bytes_in_all: int) -> None:
        """Make sure that frames of so many bytes can be appended; without room, allocate here and now.

        At most a segment's room for frames can be asked for.
        """
        with self.final():
            if bytes_in_all > self._frames_bytes:
                raise ValueError(
                    f"expected at most a segment of {self._segment_bytes}, got {bytes_in_all} bytes"
                )
            if not self.room(bytes_in_all):
                self._allocation().run()

    def begin_allocation(self) -> Allocation | None:
        """Return the allocation of the next segment, to be run once; None: there is one, or one under way."""
        with self.final():
            if all(allocation.failed for allocation in self._allocations):
                return self._allocation()
            return None

    def append(self, payload: bytes) -> int:
        """Buffer a frame with this payload (1 to `payload_bytes_max` bytes); return its sequence number."""
        if not 1 <= len(payload) <= self.payload_bytes_max:
            raise ValueError(f"a payload of {len(payload)} bytes; expected 1 to {self.payload_bytes_max}")
        size = FRAME_BYTES + len(payload)
        if size > self.left:
            self.rotate()
        self.left -= size
        self._payloads.append(payload)
        return self._flushed + len(self._payloads)

    def flush(self) -> int:
        """Hand all that was appended to the kernel; return the last sequence number. Empty: costs nothing."""
        with self.final():
            if self._payloads:
                data, chain = sealed(self._payloads, self._chain)
                write_all(self.files, self._descriptor, data, self._offset)
                self._offset += len(data)
                self._flushed += len(self._payloads)
                self._payloads.clear()
                self._chain = chain
        return self._flushed

    def begin_sync(self) -> Sync:
        """Return the fsync of all that was flushed, to be run once, in any thread."""
        with self.final():
            return Sync(self, self.files.duplicate(self._descriptor), self._flushed)

    def sync(self) -> int:
        """Sync all that was flushed, here and now; return the last sequence number that is safe."""
        return self.begin_sync().run()

    def rotate(self) -> None:
        """Flush, and go on in a segment that begins here; nothing if this one holds no frame yet.

        What was not synced of this segment is synced here and now, and two small syncs follow: run a Sync
        elsewhere just before to make it short. No other segment is allocated (`begin_allocation`).
        """
        if self.left == self._frames_bytes:
            return
        self.reserve(self._frames_bytes)
        self.flush()
        with self.final():
            self._end_segment()
            self._go_on()

    def close(self) -> None:
        """Flush, sync, and give back the space that no frame took. No Sync or Allocation may be under way."""
        self.flush()
        with self.final():
            self._end_segment()
            self.note_synced(self._flushed)
            self.files.close(self._note)
            for allocation in self._allocations:
                if allocation.descriptor != _NONE:
                    self.files.close(allocation.descriptor)
                    self.files.unlink(allocation.path)
            self.files.fsync_dir(self._folder)
            self.ended = True

    def note_synced(self, through: int) -> None:
        """Write down that all up to this number is on the disk. The note itself is synced by a start alone.

        On a full disk (some file systems need space to overwrite) it stays as it is, which does no harm.
        """
        self.synced = max(self.synced, through)
        try:
            write_all(self.files, self._note, Synced(self.synced, self._boot).packed(), 0)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise

    @contextmanager
    def final(self) -> Iterator[None]:
        """Take no more calls after an OSError within."""
        if self.ended:
            raise OSError(errno.EIO, "the journal failed before, or was closed; start again")
        try:
            yield
        except OSError:
            self.ended = True
            raise

    def _start(self) -> None:
        """Begin a segment, with all that is before it on the disk, and allocate another if there is space."""
        before = segments(self._folder)
        _refuse_frames(self._folder / name_of(self.position.sequence))
        with self.final():
            for name in AHEAD:
                if (self._folder / name).exists():
                    self.files.unlink(self._folder / name)
            self._allocation().run()
            if before:  # of a process that was killed
                self._end_file(before[-1].path)
            self._note = self.files.open(self._folder / SYNCED, os.O_RDWR | os.O_CREAT)
            self.note_synced(self._flushed)
            self.files.fsync(self._note)
            self._go_on()
            with suppress(JournalFull):  # `ahead` tells; `reserve` tries again
                self._allocation().run()

    def _end_segment(self) -> None:
        """Have the disk hold the segment, without the space that no frame took."""
        self.files.truncate(self._descriptor, self._offset)
        self.files.fsync(self._descriptor)
        self.files.close(self._descriptor)

    def _end_file(self, path: Path) -> None:
        """Do the same for a segment that another process left."""
        frames = Frames(str(path), path.read_bytes())
        deque(frames, maxlen=0)
        descriptor = self.files.open(path, os.O_RDWR)
        try:
            if frames.tail() == (Tail.CLEAN, 0):
                self.files.truncate(descriptor, frames.offset)
            self.files.fsync(descriptor)
        finally:
            self.files.close(descriptor)

    def _allocation(self) -> Allocation:
        """Return an allocation under a name that no other one uses."""
        self._allocations = [allocation for allocation in self._allocations if not allocation.failed]
        used = {allocation.path for allocation in self._allocations}
        path = next(path for name in AHEAD if (path := self._folder / name) not in used)
        self._allocations.append(Allocation(self, path, self._segment_bytes))
        return self._allocations[-1]

    def _go_on(self) -> None:
        """Give the segment that was allocated ahead its header and its name. What is before it is synced."""
        ahead = next(allocation for allocation in self._allocations if allocation.descriptor != _NONE)
        self._allocations.remove(ahead)
        self._descriptor = ahead.descriptor
        write_all(self.files, self._descriptor, header(self.position), 0)
        self.files.fsync(self._descriptor)
        self.files.rename(ahead.path, self._folder / name_of(self.position.sequence))
        self.files.fsync_dir(self._folder)
        self._offset = HEADER_BYTES
        self.left = self._frames_bytes


def trim(
    folder: Path,
    through: int,
    *,
    files: Files | None = None,
    spare: Callable[[Path], bool] = lambda _: False,
) -> list[Segment]:
    """Remove the segments that hold no frame above `through`, and return them: oldest first, never the last.

    It ends at the first segment that `spare` wants kept, so what is left has no gap, wherever it stops.
    """
    files = files or Files()
    removed: list[Segment] = []
    for segment, following in pairwise(segments(folder)):
        if following.first - 1 > through or spare(segment.path):
            break
        files.unlink(segment.path)
        removed.append(segment)
    if removed:
        files.fsync_dir(folder)
    return removed


def _refuse_frames(path: Path) -> None:
    """Raise CorruptJournal if the segment that is to be made exists and holds something."""
    if path.exists():
        frames = Frames(str(path), path.read_bytes())
        if any(True for _ in frames) or frames.tail() != (Tail.CLEAN, 0):
            raise CorruptJournal(str(path), HEADER_BYTES, "nothing yet", frames.found(HEADER_BYTES))
