"""The data directory of a running process: what earlier ones left, the journal, snapshots, what may go.

No event loop and no threads here: whoever runs it decides when what is slow is run, and where. Before a reply
leaves, `flush` has handed the records behind it to the kernel.
"""

import errno
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bandit.checks import journal_full
from bandit.config import ConfigError, Problem
from bandit.files import NO_SPACE, Files
from bandit.footer import Footer
from bandit.head import pack_head
from bandit.journal import Allocation, Journal, JournalFull, Sync, trim
from bandit.journal_reader import segments
from bandit.limits import JOURNAL_SEGMENT_BYTES
from bandit.record_codec import encode
from bandit.records import Configured, Record
from bandit.sections import pack_placement
from bandit.snapshot import SnapshotWriter, snapshots
from bandit.state import State
from server.descriptors import NONE_LEFT, ReservedFiles
from server.exit_codes import ExitCode, StartError
from server.recovery import Folders, Progress, Recovered, Taken, recover

RECORD_BYTES_MAX = 1024
"""Bytes of what one call records at most, in frames: a stratum that is opened and a decision, 971, are most.
A gate's look and the move that it makes of the ramp are less."""

SNAPSHOTS_KEPT = 2
"""So that a damaged one leaves another, with the journal behind it."""

BATCH_BYTES = 2**18
"""Bytes of a snapshot that are written at once, which takes a thread a fifth of a millisecond."""

NEWS_BYTES_MAX = 64 * 2**20
"""Bytes of memory for what a snapshot will add to the ledger's files; past it one is due at once."""

RETRY_S = 1.0
"""Seconds between two attempts to find space for the journal."""

Work = Callable[[], object]
"""Something slow: to be run, in any thread, before going on."""


class Keep(NamedTuple):
    """How much of the journal stays that snapshots hold: `seconds` of age, at most `bytes_max` (0: any)."""

    seconds: float = 0.0
    bytes_max: int = 0


class Store:
    """An engine's journal and snapshots. One thread uses it; what `snapshot` yields may run in another.

    Any OSError of any method is final: what was not flushed may not be acknowledged, and the process has to
    end. A full disk is none: `takes` says so, and a snapshot is given up and can be taken later.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        ledger_bytes_max: int,
        origin: str,
        files: Files | None = None,
        boot: bytes = b"",
        segment_bytes: int = JOURNAL_SEGMENT_BYTES,
        keep: Keep = Keep(),  # noqa: B008 - it is immutable
        progress: Progress | None = None,
        found: Callable[[Recovered], None] = lambda _: None,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Recover. Raises StartError, with the reason and the remedy.

        `found` is told what was recovered before anything else can fail.
        """
        self.files = files or ReservedFiles()
        self.folders = Folders.of(data_dir)
        self._origin = origin
        self._keep = keep
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s
        self._retry_s = 0.0
        self._news = bytearray()
        make_folders(data_dir, self.folders, self.files)
        self.recovered = recover(
            data_dir, ledger_bytes_max=ledger_bytes_max, files=self.files, boot=boot, progress=progress
        )
        found(self.recovered)
        self.state: State = self.recovered.state
        self.state.derive()
        self._ledger_files = self.recovered.ledger_files
        self._kept = [self.recovered.base] if self.recovered.base else []
        self._journal = self._journal_at(boot, segment_bytes)
        self.full = not self._journal.ahead
        """whether the last look for space for a further segment found none"""
        self.spoiled: Exception | None = None
        """why the last record could not be applied, if it could not"""

    @property
    def sequence(self) -> int:
        """Number of the last record that was taken."""
        return self._journal.position.sequence - 1

    @property
    def taken(self) -> Taken | None:
        """The newest snapshot that stands."""
        return self._kept[-1] if self._kept else None

    @property
    def news(self) -> bool:
        """Whether anything was recorded since that snapshot."""
        return self.taken is None or self.taken.sequence < self.sequence

    @property
    def overdue(self) -> bool:
        """Whether a snapshot should be taken before its time, since what waits for it takes much memory."""
        return self.state.ledger.news_bytes > NEWS_BYTES_MAX

    @property
    def synced(self) -> int:
        """Number of the last record that is known to be on the disk."""
        return self._journal.synced

    def takes(self) -> bool:
        """Whether there is room for what one more call may have to record."""
        journal = self._journal
        return journal.left >= RECORD_BYTES_MAX or journal.room(RECORD_BYTES_MAX) or self._room_made()

    def __call__(self, record: Record, packed: bytes | None = None) -> None:
        """Take a record; `packed`: its decision, packed, if that is at hand.

        Raises BanditError JOURNAL_FULL, or ConfigError for one that is too large.
        """
        payload = encode(record, packed)
        if packed is None and isinstance(record, Configured):
            _check_size(len(payload), self._journal.payload_bytes_max)
        try:
            self._journal.append(payload)
        except JournalFull as error:
            raise journal_full() from error

    def spoil(self, error: Exception) -> None:
        """The last record cannot be applied: it is not written, and every further call raises OSError.

        What would follow is acknowledged by a state that no start could make of the journal.
        """
        self.spoiled = error
        with suppress(OSError), self._journal.final():
            raise OSError(errno.ECANCELED, "a record could not be applied")

    def flush(self) -> int:
        """Hand all records to the kernel; return the number of the last one."""
        return self._journal.flush()

    def begin_sync(self) -> Sync:
        """Return the fsync of all that was flushed, to be run once, in any thread."""
        return self._journal.begin_sync()

    def begin_allocation(self) -> Allocation | None:
        """Return the allocation of the journal's next segment, to be run in any thread, if it is due."""
        return self._journal.begin_allocation()

    @property
    def ends_soon(self) -> bool:
        """Whether the journal's segment does, and the next one has its space."""
        return self._journal.ends_soon and self._journal.ahead

    def rotate(self) -> None:
        """Begin the journal's next segment: short if it `ends_soon` and everything was just synced."""
        self._journal.rotate()

    def journal_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.bytes for segment in segments(self.folders.journal))

    def snapshot(self, *, closed: bool = False) -> Generator[Work | None]:
        """Take a snapshot, in steps: after None others may have their turn, a callable is to be run first.

        `closed`: nothing will follow it. It is begun anew when a configuration comes between. On a full disk
        (`is_full` of what is raised, here or by a callable) close it: nothing has changed, and a later one
        can be taken.
        """
        yield self._journal.begin_sync().run  # which leaves the rotation little to sync
        self._journal.rotate()
        whole = False
        while not whole:
            writer = SnapshotWriter(self.folders.snapshots, self.sequence, self.files)
            try:
                whole = yield from self._written(writer, closed=closed)
                if not whole:
                    yield writer.abandon  # which has a large file to remove
            finally:
                if not whole:
                    writer.abandon()
        yield self._trim

    def close(self) -> None:
        """End the journal in good order."""
        self._journal.close()

    def _written(self, writer: SnapshotWriter, *, closed: bool) -> Generator[Work | None, None, bool]:
        """Write a snapshot of the state as it is now; return whether it is whole.

        Each placement's section holds what came until its turn. A configuration that comes between would have
        changed placements that are written already.
        """
        state, sequence, highest = self.state, self.sequence, self.sequence
        serving, placements = state.serving, list(state.placements.values())
        self._news += state.ledger.take_news()
        batch = [pack_head(state, sequence=sequence, origin=self._origin)]
        for placement in placements:
            yield None
            if state.serving is not serving:
                return False
            highest = self.sequence
            batch.append(pack_placement(placement, highest))
            if sum(map(len, batch)) > BATCH_BYTES:
                yield partial(_add, writer, batch)
                batch = []
        self._journal.flush()
        while self._journal.synced < highest:  # one under way beside it may keep a sync from being sure
            yield self._journal.begin_sync().run

        def finish() -> None:
            _add(writer, batch)
            news, self._news = self._news, bytearray()
            listed = self._ledger_files.append(news, sequence)
            path = writer.finish(Footer(len(placements), highest, closed, listed))
            others = [one for one in self._kept if one.path != path]  # it took the place of its like
            self._kept = [*others, Taken(path, sequence, listed)][-SNAPSHOTS_KEPT:]

        yield finish
        return True

    def _trim(self) -> None:
        """Remove what no snapshot that is kept needs, and what is not to be kept besides."""
        kept = self._kept
        for path in set(snapshots(self.folders.snapshots)) - {one.path for one in kept}:
            self.files.unlink(path)
        self.files.fsync_dir(self.folders.snapshots)
        self._ledger_files.trim([one.listed for one in kept])
        if len(kept) == SNAPSHOTS_KEPT:
            trim(self.folders.journal, kept[0].sequence, files=self.files, spare=self._spare())

    def _spare(self) -> Callable[[Path], bool]:
        """Return what says of each segment in turn whether it stays though no snapshot needs it."""
        oldest_s = self._wall_s() - self._keep.seconds
        left = sum(segment.bytes for segment in segments(self.folders.journal))

        def spare(path: Path) -> bool:
            nonlocal left
            status = path.stat()
            too_many = 0 < self._keep.bytes_max < left
            left -= status.st_size
            return self._keep.seconds > 0 and status.st_mtime > oldest_s and not too_many

        return spare

    def _room_made(self) -> bool:
        """Look for space; not again for a while if there is none."""
        now_s = self._monotonic_s()
        if now_s < self._retry_s:
            return False
        try:
            self._journal.reserve(RECORD_BYTES_MAX)
        except JournalFull:
            self._retry_s = now_s + RETRY_S
            self.full = True
            return False
        self.full = False
        return True

    def _journal_at(self, boot: bytes, segment_bytes: int) -> Journal:
        sequence, chain = self.recovered.position
        try:
            return Journal(
                self.folders.journal,
                sequence=sequence,
                chain=chain,
                boot=boot,
                segment_bytes=segment_bytes,
                files=self.files,
            )
        except JournalFull as error:
            raise StartError(ExitCode.DISK, f"{error}: make room for the journal, and start again") from error


def is_full(error: Exception) -> bool:
    """Whether an error says that the disk is full, or all descriptors are taken, which passes.

    Every other OSError is final.
    """
    passing = NO_SPACE | NONE_LEFT
    return isinstance(error, JournalFull) or (isinstance(error, OSError) and error.errno in passing)


def _add(writer: SnapshotWriter, payloads: Sequence[bytes]) -> None:
    for payload in payloads:
        writer.add(payload)


def _check_size(size: int, size_max: int) -> None:
    if size > size_max:
        message = (
            f"the configuration takes {size} bytes when it is written down, at most {size_max} are: shorten "
            "payloads and lists of values, or spread the placements over several sidecars"
        )
        raise ConfigError((Problem("$", message),))


def make_folders(data_dir: Path, folders: Folders, files: Files) -> None:
    """Make the folders, for the owner alone, with their names on the disk. Raises StartError."""
    try:
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.fsync_dir(data_dir)
    except OSError as error:
        raise _unusable(data_dir, error.strerror) from error
    for folder in folders:  # a file system that is mounted read-only says no to root too
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise _unusable(folder, "read-only, or another user's")


def _unusable(folder: Path, why: str | None) -> StartError:
    return StartError(
        ExitCode.FILES,
        f"the data directory's {str(folder)!r} cannot be written to ({why}); make it writable for the "
        "service's user, or give another directory with --data-dir",
    )
