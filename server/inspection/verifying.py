"""All files of a data directory, checked byte by byte; and what is left over there."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bandit.config import format_bytes
from bandit.footer import Listed
from bandit.journal_reader import SYNCED
from bandit.ledger import Ledger
from bandit.ledger_files import LedgerFiles
from bandit.ledger_reader import CorruptLedger, readable
from bandit.sections import restored, unpack_placement
from bandit.snapshot import read_snapshot, snapshots
from server import keys
from server.inspection.files import KEPT_ASIDE, listed
from server.inspection.findings import Finding, Said, Verdict, found
from server.inspection.journal_check import journal
from server.inspection.outlook import UNBOUNDED
from server.inspection.words import count
from server.recovery import Folders

_LEFT = ".tmp"


def verified(data_dir: Path, *, live: bool) -> Iterator[Finding]:
    """Yield what is found about each file: the key, snapshots, the ledger's files, the journal, the rest.

    `live`: a server runs: files may go meanwhile, and what is half written is no damage.
    """
    folders = Folders.of(data_dir)
    yield _key(data_dir)
    for folder in folders:
        if not folder.is_dir():
            yield Finding(folder.name, Verdict.NOTE, "there is no such folder")
    tables = _Tables(data_dir)
    yield from tables.snapshots()
    yield from tables.ledger()
    if folders.journal.is_dir():
        yield from journal(data_dir, folders.journal, live=live)
    for folder, ending in zip(folders, (".journal", ".snapshot", ".ledger"), strict=True):
        yield from _rest(data_dir, folder, ending)


def damaged(findings: list[Finding]) -> list[Finding]:
    """Return those that mean that something is lost or cannot be read."""
    return [one for one in findings if one.verdict not in {Verdict.GOOD, Verdict.NOTE}]


def _key(data_dir: Path) -> Finding:
    path = keys.key_path(None, data_dir)
    if not path.exists():
        return Finding(path.name, Verdict.NOTE, "not here: --key-file names another, or a start makes it")
    return found(data_dir, path, lambda: (Verdict.GOOD, f"key {keys.read(path).current} seals"))


def snapshots_checked(data_dir: Path) -> Iterator[Finding]:
    """Yield what is found about each snapshot, and what it lists of the ledger."""
    yield from _Tables(data_dir).snapshots()


class _Tables:
    """Snapshots and the ledger's files, which snapshots list."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folders = Folders.of(data_dir)
        self._needed: dict[str, int] = {}
        """how many bytes of which of the ledger's files snapshots list"""

    def snapshots(self) -> Iterator[Finding]:
        """Yield what is found about each snapshot, the newest first."""
        folder = self._folders.snapshots
        for path in snapshots(folder) if folder.is_dir() else ():
            yield found(self._data_dir, path, partial(self._snapshot, path))

    def ledger(self) -> Iterator[Finding]:
        """Yield what is found about each of the ledger's files, when the snapshots have been looked at."""
        present = [path for path in listed(self._folders.ledger) if path.suffix == ".ledger"]
        for path in present:
            yield found(self._data_dir, path, partial(self._ledger, path))
        for name in sorted(self._needed.keys() - {path.name for path in present}):
            file = f"{self._folders.ledger.name}/{name}"
            yield Finding(file, Verdict.DAMAGED, "missing: a snapshot lists it")

    def _snapshot(self, path: Path) -> Said:
        """Return what a snapshot holds; all of it is right, with what it lists of the ledger."""
        snapshot = read_snapshot(path)
        head, footer = snapshot.head, snapshot.footer
        for name, size, _ in footer.ledger:
            self._needed[name] = max(size, self._needed.get(name, 0))
        sections = [unpack_placement(section, head) for section in snapshot.sections]
        ledger = Ledger(UNBOUNDED)
        restored(head, (placement for placement, _ in sections), ledger)
        LedgerFiles(self._folders.ledger).load(footer.ledger, ledger)
        later = f", of some up to {footer.sequence}" if footer.sequence > head.sequence else ""
        through = f"up to record {head.sequence}{later}"
        closed = ", made by a stop" if footer.closed else ""
        space = format_bytes(path.stat().st_size)
        return Verdict.GOOD, f"{count(len(sections), 'placement')} {through}{closed}, {space}"

    def _ledger(self, path: Path) -> Said:
        """Return how much of a file is used. Raises CorruptLedger if less of it is good."""
        size, needed = path.stat().st_size, self._needed.get(path.name, 0)
        good = readable(path.parent, Listed(path.name, size, 0)).bytes
        if good < needed:
            raise CorruptLedger(str(path), good, f"good frames up to byte {needed}, as is listed", "another")
        what = f"snapshots list {format_bytes(needed)}"
        if size > needed:
            return Verdict.NOTE, f"{what}; {format_bytes(size - needed)} behind that are of no snapshot"
        return Verdict.GOOD, what


def _rest(data_dir: Path, folder: Path, ending: str) -> Iterator[Finding]:
    for path in listed(folder):
        if path.name == SYNCED or (path.suffix == ending and path.stem.replace("-", "").isdigit()):
            continue
        if path.name.endswith(KEPT_ASIDE):
            what = "kept aside, for people"
        elif path.name.endswith(_LEFT):
            what = "not finished: no part of the data"
        else:
            what = "not of this program"
        yield Finding(str(path.relative_to(data_dir)), Verdict.NOTE, what)
