"""The files of a data directory as they lie there: how many, how large, how far they go."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bandit.journal_reader import read_synced, segments
from bandit.snapshot import sequence_of, snapshots
from server.inspection.holder import holder
from server.recovery import Folders


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A snapshot. `sequence` is the last record that the whole of it holds."""

    name: str
    bytes: int
    sequence: int
    written_us: int
    """when, in microseconds since 1970"""


@dataclass(frozen=True, slots=True)
class JournalFiles:
    """The journal's segments: the number of the first record; how far all is known to be on the disk."""

    segments: int
    bytes: int
    first: int | None
    synced: int


@dataclass(frozen=True, slots=True)
class LedgerFiles:
    """The ledger's files."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Files:
    """A data directory's files. `process` serves from it; `aside` are files that are kept for people."""

    process: int | None
    snapshots: tuple[SnapshotFile, ...]
    journal: JournalFiles
    ledger: LedgerFiles
    aside: tuple[str, ...]


KEPT_ASIDE = (".broken", ".torn")
"""How the names of files end that a start or `repair` has kept."""


def files(data_dir: Path) -> Files:
    """Return what lies in a data directory, but for what a server removes meanwhile."""
    folders = Folders.of(data_dir)
    return Files(
        process=holder(data_dir),
        snapshots=tuple(_snapshots(folders.snapshots)),
        journal=_journal(folders.journal),
        ledger=_ledger(folders.ledger),
        aside=tuple(str(path.relative_to(data_dir)) for path in aside(data_dir)),
    )


def aside(data_dir: Path) -> list[Path]:
    """Return the files that are kept aside, in order."""
    found = (path for folder in (data_dir, *Folders.of(data_dir)) for path in listed(folder))
    return [path for path in found if path.name.endswith(KEPT_ASIDE)]


def listed(folder: Path) -> list[Path]:
    """Return what a folder holds, in order; nothing if it is not there."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _snapshots(folder: Path) -> Iterator[SnapshotFile]:
    for path in snapshots(folder) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            status = path.stat()
            yield SnapshotFile(path.name, status.st_size, sequence_of(path), status.st_mtime_ns // 1000)


def _journal(folder: Path) -> JournalFiles:
    synced = read_synced(folder).through if folder.is_dir() else 0  # before the segments that it speaks of
    present = segments(folder)
    size = sum(segment.bytes for segment in present)
    return JournalFiles(len(present), size, present[0].first if present else None, synced)


def _ledger(folder: Path) -> LedgerFiles:
    sizes = []
    for path in listed(folder):
        with suppress(FileNotFoundError):
            if path.suffix == ".ledger":
                sizes.append(path.stat().st_size)
    return LedgerFiles(len(sizes), sum(sizes))
