"""Starting from a data directory: the newest snapshot that can be read whole, and the journal behind it.

What is done with what is found there is `bandit/recovery.py`'s to say; here it is found, and done. Whatever
could mean that something acknowledged is missing stops the start.
"""

import errno
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bandit import recovery
from bandit.corruption import NewerFormat
from bandit.fields import SectionError
from bandit.files import Files
from bandit.footer import Listed
from bandit.frames import CorruptJournal, Position, Torn
from bandit.journal_reader import Reader, cut_tail, read, segments
from bandit.ledger import Ledger
from bandit.ledger_files import LedgerFiles
from bandit.ledger_reader import CorruptLedger
from bandit.recovery import Action, Snapshots, Tail
from bandit.replay import Replay, ReplayError
from bandit.sections import restored, unpack_placement
from bandit.snapshot import CorruptSnapshot, read_snapshot, snapshots
from bandit.state import State
from server import collector
from server.exit_codes import ExitCode, StartError

BROKEN = ".broken"
"""What is added to the name of a damaged file that is kept aside."""

REPORT_EVERY = 1 << 16
"""Records between two reports of a replay's progress, a few of which come a second."""

_ANY = sys.maxsize
"""Bytes of a ledger that are no bound: what was counted stays counted, however low the limit is now."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Progress = Callable[[int, int], None]
"""Told how many records were replayed, and how many there are at least."""


class Folders(NamedTuple):
    """Where what lies in a data directory."""

    journal: Path
    snapshots: Path
    ledger: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Folders":
        """The folders of a data directory."""
        return cls(data_dir / "journal", data_dir / "snapshots", data_dir / "ledger")


def boot_id() -> bytes:
    """An id of this boot of the machine; b"" where the system gives none."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""


class Taken(NamedTuple):
    """A snapshot that stands."""

    path: Path
    sequence: int
    """the last record that the whole of it holds"""
    listed: tuple[Listed, ...]
    """the ledger's files that belong to it"""


@dataclass(slots=True)
class Base:
    """What the replay of the journal starts from: a snapshot, or nothing."""

    side: Snapshots
    state: State
    ledger_files: LedgerFiles
    taken: Taken | None = None
    through: int = 0
    """the last record that any placement holds: so far the journal must reach"""
    held: dict[str, int] = field(default_factory=dict)
    """the last record that each placement holds"""

    @property
    def after(self) -> int:
        """The last record that the whole state holds."""
        return self.taken.sequence if self.taken else 0


@dataclass(slots=True)
class Survey:
    """What a start would find and do. Nothing was changed. The state is still replaying."""

    base: Base
    tail: Tail
    records: int
    """how many were replayed behind the base"""
    end: Position
    """where a journal would go on"""
    torn: Torn | None
    """a tail to be cut off"""
    missing: int
    """how many records behind the end are known to have been on the disk"""
    damaged: tuple[tuple[Path, str], ...]
    """snapshots that cannot be used, and why"""
    refusal: str = ""
    """what stops the start, where, and what to do"""

    @property
    def act(self) -> Action:
        """What a start does."""
        return recovery.action(self.base.side, self.tail)


@dataclass(slots=True)
class Recovered:
    """What a start found. `state` is still replaying; a journal goes on at `position`."""

    state: State
    position: Position
    ledger_files: LedgerFiles
    base: Taken | None
    """the snapshot that it began with"""
    records: int
    """how many were replayed"""
    aside: tuple[Path, ...]
    """files that were found broken or torn, and are kept"""
    problems: tuple[str, ...]
    """what was wrong with them"""


def recover(
    data_dir: Path,
    *,
    ledger_bytes_max: int,
    files: Files | None = None,
    boot: bytes = b"",
    progress: Progress | None = None,
) -> Recovered:
    """Return what the earlier processes of a data directory left. Its folders exist.

    `boot` is an id of this boot of the machine: see `bandit.journal.Journal`. The ledger may hold more than
    `ledger_bytes_max` already, and takes no more then. What was torn or damaged, and is not needed, is kept
    aside under another name. Raises StartError DATA, with nothing changed, where something that was
    acknowledged could be missing.
    """
    files = files or Files()
    found = survey(data_dir, ledger_bytes_max=_ANY, files=files, boot=boot, progress=progress)
    if not found.act.starts:
        raise StartError(ExitCode.DATA, found.refusal)
    found.base.state.ledger.bytes_max = ledger_bytes_max
    aside: list[Path] = []
    problems: list[str] = []
    if found.act is Action.CUT and found.torn is not None:  # first, since it may find no space
        problems.append(f"{found.torn.path}: a write was interrupted at byte {found.torn.offset}")
        aside.append(cut_tail(found.torn, files))
    for path, why in found.damaged:
        problems.append(why)
        aside.append(_set_aside(path, files))
    if found.missing:
        last = found.end.sequence - 1
        problems.append(
            f"{data_dir}: the journal ends with record {last}, and {found.missing} more were on disk: its "
            "end was cut or lost"
        )
    base = found.base
    return Recovered(
        base.state, found.end, base.ledger_files, base.taken, found.records, tuple(aside), tuple(problems)
    )


def survey(
    data_dir: Path,
    *,
    ledger_bytes_max: int,
    files: Files | None = None,
    boot: bytes = b"",
    progress: Progress | None = None,
    live: bool = False,
    without: Collection[Path] = (),
) -> Survey:
    """Return what a start of a data directory would find, changing nothing.

    `live`: a server may be writing; `bandit.journal_reader.JournalTrimmed` then says to begin again.
    `without`: as if these snapshots were not there.
    """
    folders = Folders.of(data_dir)
    damaged: list[tuple[Path, str]] = []
    with collector.resting():
        found_there = snapshots(folders.snapshots) if folders.snapshots.is_dir() else []
        present = [path for path in found_there if path not in without]
        base = _base(present, folders, ledger_bytes_max, files or Files(), damaged)
        journal = _Journal(folders.journal, base, read(folders.journal, base.after, boot=boot, live=live))
        if base.side not in (Snapshots.DAMAGED, Snapshots.NEWER):
            journal.replay(progress)
    reader = journal.reader
    found = Survey(
        base, journal.tail, journal.records, journal.end, reader.torn, reader.missing, tuple(damaged)
    )
    if not found.act.starts:
        found.refusal = _refusal(found, data_dir, journal.problem)
    return found


class _Journal:
    """The journal behind a base: replays it, then says what it was."""

    def __init__(self, folder: Path, base: Base, reader: Reader) -> None:
        self.tail = Tail.ABSENT
        self.problem = ""
        self.records = 0
        self.reader = reader
        self._folder = folder
        self._base = base

    @property
    def end(self) -> Position:
        """Where a journal goes on: for a snapshot that stands alone, behind all that it holds."""
        if self.tail is Tail.ABSENT:
            return Position(self._base.through + 1, 0)
        return self.reader.position

    def replay(self, progress: Progress | None) -> None:
        """Apply every record, and set `tail`."""
        try:
            present = segments(self._folder)
            if present and present[0].first > self._base.after + 1:
                self.tail = Tail.GAP
                self.problem = f"{present[0].path}: begins with record {present[0].first}"
            elif present:
                self._apply(present[-1].first, progress)
                self.tail = self._what_it_was()
        except NewerFormat as error:
            self.tail, self.problem = Tail.NEWER, str(error)
        except CorruptJournal as error:
            self.tail, self.problem = Tail.DAMAGED, str(error)
        except ReplayError as error:
            self.tail, self.problem = Tail.DAMAGED, f"{self._folder}: {error}; {CorruptJournal.remedy}"

    def _apply(self, last_first: int, progress: Progress | None) -> None:
        """Apply the records; the last segment begins with number `last_first`."""
        replay = Replay(self._base.state, self._base.held)
        at_least = last_first - 1 - self._base.after
        for sequence, payload in self.reader:
            replay.apply(sequence, payload)
            self.records += 1
            if self.records % REPORT_EVERY == 0 and progress is not None:
                progress(self.records, max(at_least, self.records))

    def _what_it_was(self) -> Tail:
        last = self.reader.position.sequence - 1
        if last < self._base.through:
            self.problem = (
                f"it ends with record {last}, and the snapshot holds some up to {self._base.through}"
            )
            return Tail.SHORT
        return Tail.TORN if self.reader.torn else Tail.WHOLE


def _base(
    present: Sequence[Path],
    folders: Folders,
    ledger_bytes_max: int,
    files: Files,
    damaged: list[tuple[Path, str]],
) -> Base:
    """Return the newest snapshot that can be read whole, its ledger with it; note those that cannot."""
    for path in present:
        try:
            base = _restored(path, folders, Ledger(ledger_bytes_max, noting=True), files)
        except NewerFormat as error:
            damaged.append((path, str(error)))
            return _empty(Snapshots.NEWER, folders, ledger_bytes_max, files)
        except (CorruptSnapshot, CorruptLedger) as error:
            damaged.append((path, str(error)))
        except SectionError as error:
            damaged.append((path, f"{path}: {error}"))
        except OSError as error:
            if error.errno != errno.EIO:  # a disk that lost it, which is damage too
                raise
            damaged.append((path, f"{path}: it, or a ledger file that it lists: {error.strerror}"))
        else:
            if damaged:
                base.side = Snapshots.OLDER
            return base
    return _empty(Snapshots.DAMAGED if damaged else Snapshots.NONE, folders, ledger_bytes_max, files)


def _empty(side: Snapshots, folders: Folders, ledger_bytes_max: int, files: Files) -> Base:
    state = State(ledger_bytes_max, replaying=True)
    state.ledger = Ledger(ledger_bytes_max, noting=True)
    return Base(side, state, LedgerFiles(folders.ledger, files))


def _restored(path: Path, folders: Folders, ledger: Ledger, files: Files) -> Base:
    snapshot = read_snapshot(path)
    head, footer = snapshot.head, snapshot.footer
    ledger_files = LedgerFiles(folders.ledger, files)
    ledger_files.load(footer.ledger, ledger)
    sections = [unpack_placement(section, head) for section in snapshot.sections]
    state = restored(head, (placement for placement, _ in sections), ledger)
    held = {placement.config.name: sequence for placement, sequence in sections}
    side = Snapshots.CLOSED if footer.closed else Snapshots.OPEN
    taken = Taken(path, head.sequence, footer.ledger)
    return Base(side, state, ledger_files, taken, max(footer.sequence, head.sequence, *held.values()), held)


def _set_aside(path: Path, files: Files) -> Path:
    aside = path.with_name(path.name + BROKEN)
    files.rename(path, aside)
    files.fsync_dir(path.parent)
    return aside


def _refusal(found: Survey, data_dir: Path, problem: str) -> str:
    """Return what stops the start, where, and what to do: one sentence for the operator."""
    folder, taken = Folders.of(data_dir).journal, found.base.taken
    behind = f"record {found.base.after + 1}" + (f", behind snapshot {taken.path}" if taken else "")
    restore = f"restore the data directory from a backup, or see what `banditd repair {data_dir}` would do"
    match found.act:
        case Action.REFUSE_SNAPSHOTS:
            why = f"no snapshot can be read: {'; '.join(dict.fromkeys(why for _, why in found.damaged))}"
        case Action.REFUSE_NEWER:
            return problem or found.damaged[-1][1]
        case Action.REFUSE_ABSENT:
            why = f"{folder}: no segment is there, expected one with {behind}"
        case Action.REFUSE_GAP:
            why = f"{problem}, expected {behind}: earlier segments are missing"
        case Action.REFUSE_SHORT:
            why = f"{folder}: {problem}: its last segments are missing, or were cut"
        case _:
            return problem
    return f"{why}; {restore}"
