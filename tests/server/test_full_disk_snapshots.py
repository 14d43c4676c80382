"""A disk that is full at any write of a snapshot (fault 8): it is given up, and the next one has it all."""

import errno
import os
from pathlib import Path

import pytest

from bandit.engine import Engine
from bandit.files import Files
from bandit.limits import LEDGER_BYTES_MAX
from server.recovery import recover
from server.store import Store
from tests.core.world import KEYS, NOW, SECOND, config, hero, snapshot


class Disk(Files):
    """Finds no space at the `full_at`th opening or writing of a snapshot's or the ledger's file."""

    def __init__(self) -> None:
        self.changes, self.full_at = 0, 0
        self._snapshots: set[int] = set()

    def open(self, path: Path, flags: int) -> int:
        """Open."""
        if path.parent.name == "journal":
            return super().open(path, flags)
        self._change()
        descriptor = super().open(path, flags)
        self._snapshots.add(descriptor)
        return descriptor

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """Write."""
        if descriptor in self._snapshots:
            self._change()
        return super().write(descriptor, data, offset)

    def close(self, descriptor: int) -> None:
        """Close."""
        super().close(descriptor)
        self._snapshots.discard(descriptor)

    def _change(self) -> None:
        self.changes += 1
        if self.changes == self.full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Life:
    """A store and an engine on a disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.disk = Disk()
        self.store = Store(folder, ledger_bytes_max=LEDGER_BYTES_MAX, origin="here", files=self.disk)
        self.engine = Engine(
            config(p=hero()), KEYS, origin="here", start_id=bytes(16), now_us=NOW, state=self.store.state,
            journal=self.store,
        )  # fmt: skip

    def visit(self, time_us: int) -> None:
        """Choose and reward."""
        choice = self.engine.choose("p", "u", {"platform": "web"}, {}, (), False, time_us)
        self.engine.reward(choice.decision_id, "visit", 1.0, "", time_us)
        self.store.flush()

    def snapshot(self) -> None:
        """Take a snapshot."""
        for work in self.store.snapshot():
            if work is not None:
                work()


def test_a_snapshot_that_was_given_up_takes_nothing_with_it(tmp_path: Path) -> None:
    """Whichever write found no space: the next snapshot, and the journal behind it, are the whole state."""
    life = Life(tmp_path / "0")
    life.visit(NOW)
    life.snapshot()
    for full_at in range(1, life.disk.changes + 1):
        folder = tmp_path / str(full_at)
        life = Life(folder)
        life.visit(NOW)
        life.disk.full_at = full_at
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            life.snapshot()
        life.visit(NOW + SECOND)
        life.snapshot()
        life.visit(NOW + 2 * SECOND)
        state = recover(folder, ledger_bytes_max=LEDGER_BYTES_MAX).state
        state.derive()
        assert snapshot(state) == snapshot(life.engine.state), f"change {full_at} of the disk"
