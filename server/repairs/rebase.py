"""A new snapshot of what can be saved, from which a start goes on without the journal.

It takes an old snapshot, the good part of the ledger's files and the good records of the journal behind it,
and says of itself that nothing follows. So the journal may be missing, or be set aside.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bandit.files import Files
from bandit.footer import Footer, Listed
from bandit.frames import CorruptJournal
from bandit.head import pack_head
from bandit.journal_reader import read
from bandit.ledger import Ledger
from bandit.ledger_files import LedgerFiles
from bandit.ledger_reader import readable
from bandit.replay import Replay, ReplayError
from bandit.sections import pack_placement, restored, unpack_placement
from bandit.snapshot import Snapshot, SnapshotWriter
from server.inspection.outlook import UNBOUNDED
from server.recovery import Folders, boot_id


class Part(NamedTuple):
    """How much of a file of the ledger is good, of what a snapshot lists."""

    listed: Listed
    good: Listed

    @property
    def is_whole(self) -> bool:
        """Whether all that is listed is there."""
        return self.listed == self.good


@dataclass(frozen=True, slots=True)
class Saved:
    """What can be saved: `snapshot`, with `parts` of the ledger and the journal's records up to `through`."""

    snapshot: Snapshot
    parts: tuple[Part, ...]
    through: int


def saved(folders: Folders, snapshot: Snapshot) -> Saved:
    """Return what can be saved with a snapshot, whose ledger may be damaged."""
    through = snapshot.head.sequence  # an interrupted repair may have written more into the ledger's files
    listed = snapshot.footer.ledger
    parts = tuple(Part(each, readable(folders.ledger, each, through)) for each in listed)
    try:
        for sequence in _replayed(folders, _Base(folders, Saved(snapshot, parts, through), Files())):
            through = sequence
    except (CorruptJournal, ReplayError):
        pass  # what is behind cannot be saved
    return Saved(snapshot, parts, through)


def write(folders: Folders, what: Saved, files: Files) -> Path:
    """Write it down as a snapshot, and return that. It is on the disk then, with the ledger.

    If it is interrupted, nothing has changed.
    """
    base = _Base(folders, what, files)
    if what.through > what.snapshot.head.sequence:
        for sequence in _replayed(folders, base):
            if sequence == what.through:
                break
    number = max(what.through, what.snapshot.footer.sequence) + 1  # of no record: no file has its name yet
    listed = base.ledger_files.append(base.state.ledger.take_news(), number)
    writer = SnapshotWriter(folders.snapshots, number, files)
    writer.add(pack_head(base.state, sequence=number, origin=what.snapshot.head.origin))
    for placement in base.state.placements.values():
        writer.add(pack_placement(placement, number))
    return writer.finish(Footer(len(base.state.placements), number, closed=True, ledger=listed))


class _Base:
    """A snapshot's state with the good part of its ledger, from which a replay goes on."""

    def __init__(self, folders: Folders, what: Saved, files: Files) -> None:
        ledger, self.ledger_files = Ledger(UNBOUNDED, noting=True), LedgerFiles(folders.ledger, files)
        self.ledger_files.load([part.good for part in what.parts if part.good.bytes], ledger)
        head = what.snapshot.head
        self.after = head.sequence
        sections = [unpack_placement(section, head) for section in what.snapshot.sections]
        self.held = {placement.config.name: sequence for placement, sequence in sections}
        self.state = restored(head, (placement for placement, _ in sections), ledger)


def _replayed(folders: Folders, base: _Base) -> Iterator[int]:
    """Apply the records behind a snapshot; yield the number of each. Raises CorruptJournal, ReplayError."""
    replay = Replay(base.state, base.held)
    for sequence, payload in read(folders.journal, base.after, boot=boot_id()):
        replay.apply(sequence, payload)
        yield sequence
