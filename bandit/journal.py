"""The journal's files: appending and syncing segments of frames (docs/format.md).

What `flush` has handed to the kernel survives the end of the process; what `sync` has synced survives a power
cut. Space is taken a segment ahead, so a full disk shows as JournalFull before anything is accepted; any
other error of the file system is final, since nobody can tell what was written then.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bandit import limits
from bandit.files import NO_SPACE, Files, write_all
from bandit.frames import (
    FRAME_BYTES,
    HEADER_BYTES,
    CorruptJournal,
    Frames,
    Position,
    Tail,
    frame,
    header,
    name_of,
)

AHEAD = "ahead.tmp"
"""The segment that will be next, before it has a header and a name."""

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
                if error.errno in NO_SPACE:
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
