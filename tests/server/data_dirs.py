"""Data directories for tests of the tools that read them, written as a server does."""

from pathlib import Path

from bandit.engine import Engine
from bandit.footer import Footer
from bandit.head import pack_head
from bandit.journal import Journal
from bandit.ledger import Ledger
from bandit.ledger_files import LedgerFiles
from bandit.record_codec import encode
from bandit.records import Record
from bandit.sections import pack_placement
from bandit.snapshot import SnapshotWriter
from bandit.state import State
from tests.core.world import KEYS, NOW, START, Document, Kept, World, config

SECRET = bytes(range(32))
"""From which `tests.core.world.KEYS` derive."""


class Served(World):
    """A world whose records go to a data directory, flushed and not closed, as beside a running server."""

    def __init__(self, path: Path, *, start: bytes = START, **placements: Document) -> None:
        self.path = path
        for folder in ("journal", "snapshots", "ledger"):
            (path / folder).mkdir(parents=True)
        key = path / "secret.key"
        key.write_text(SECRET.hex())
        key.chmod(0o600)
        self.file = Journal(path / "journal", sequence=1, chain=0, segment_bytes=2**16)
        self._ledger_files = LedgerFiles(path / "ledger")
        self.now = NOW
        self.journal = Kept()
        state = State(2**30)
        state.ledger = Ledger(2**30, noting=True)
        self.engine = Engine(
            config(**placements), KEYS, origin="test", start_id=start, now_us=NOW, state=state, journal=self
        )

    def takes(self) -> bool:
        """Whether it takes records: always."""
        return True

    def __call__(self, record: Record, packed: bytes | None = None) -> None:
        """Write one down."""
        self.journal.append(record)
        self.file.append(encode(record, packed))
        if (allocation := self.file.begin_allocation()) is not None:
            allocation.run()
        self.file.flush()

    def spoil(self, error: Exception) -> None:
        """No record is such that it cannot be applied."""
        raise AssertionError from error

    @property
    def sequence(self) -> int:
        """Number of the last record."""
        return self.file.position.sequence - 1

    def snapshot(self) -> None:
        """Take a snapshot."""
        state = self.engine.state
        listed = self._ledger_files.append(state.ledger.take_news(), self.sequence)
        writer = SnapshotWriter(self.path / "snapshots", self.sequence)
        writer.add(pack_head(state, sequence=self.sequence, origin="test"))
        for placement in state.placements.values():
            writer.add(pack_placement(placement, self.sequence))
        writer.finish(Footer(len(state.placements), self.sequence, closed=False, ledger=listed))

    def trim(self) -> None:
        """Go on in a segment of its own, and remove those before it."""
        before = list((self.path / "journal").glob("*.journal"))
        self.file.rotate()
        for path in before:
            path.unlink()
