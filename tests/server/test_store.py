"""What a store keeps and goes on from, where the course of a server's life is an unusual one."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from bandit.counters import Outcome
from bandit.errors import BanditError, Reason
from bandit.snapshot import snapshots
from server.recovery import recover
from server.store import Store
from tests.core.world import snapshot
from tests.server.stored import LEDGER_BYTES_MAX, SEGMENT, Stored


def test_a_snapshot_of_the_same_record_pushes_no_other_out(tmp_path: Path) -> None:
    """Taken again with no record between, as a stop does: damaged, it leaves the one before (fault 4)."""
    life = Stored(tmp_path)
    life.visits(30)
    life.snapshot()
    life.visits(30)
    life.snapshot()
    life.stop()
    newest, older = snapshots(tmp_path / "snapshots")
    data = bytearray(newest.read_bytes())
    data[100] ^= 1
    newest.write_bytes(data)
    found = recover(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX)
    found.state.derive()
    assert found.base is not None
    assert found.base.path == older
    assert snapshot(found.state) == life.learned()


def test_a_ledger_limit_that_was_lowered_loses_nothing(tmp_path: Path) -> None:
    """What was counted under the old limit is replayed whole; what is new is refused."""
    life = Stored(tmp_path)
    life.visits(60)
    life.snapshot()
    life.visits(4000)
    life.kill()
    lower = life.engine.state.ledger.bytes_held // 2
    store = Store(tmp_path, ledger_bytes_max=lower, origin="test", segment_bytes=SEGMENT)
    assert snapshot(store.state) == life.learned()
    assert store.state.ledger.bytes_max == lower
    with pytest.raises(BanditError) as refused:
        store.state.ledger.reserve(10**9, 1 << 40, event=True, exposure=False)
    assert refused.value.reason is Reason.LEDGER_FULL


def test_a_snapshot_that_the_disk_has_lost_is_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sector that cannot be read: the one before it and a longer journal, as for a changed byte."""
    life = Stored(tmp_path)
    life.visits(30)
    life.snapshot()
    life.visits(30)
    newest = life.snapshot()
    life.kill()
    read_bytes = Path.read_bytes

    def lost(path: Path) -> bytes:
        if path == newest:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", lost)
    found = recover(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX)
    monkeypatch.undo()
    found.state.derive()
    assert [path.name for path in found.aside] == [f"{newest.name}.broken"]
    assert os.strerror(errno.EIO) in found.problems[0]
    assert snapshot(found.state) == life.learned()


def test_what_came_behind_a_backup_is_unrecorded(tmp_path: Path) -> None:
    """A reward of a decision whose exposure is not known would teach that each is worth more than it is."""
    life = Stored(tmp_path / "data")
    life.visits(30)
    life.snapshot()
    within = [life.choose("p", f"visitor-{i}") for i in range(4)]
    life.kill()
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    behind = [life.choose("p", f"visitor-{i}", deferred=i % 2 == 0) for i in range(4)]
    restored = Stored(tmp_path / "backup")
    restored.now = life.now
    assert [restored.reward(choice, "click") for choice in within] == [Outcome.APPLIED] * 4
    before = restored.learned()
    assert [restored.reward(choice, "click") for choice in behind] == [Outcome.UNRECORDED] * 4
    assert [restored.reward(choice, "exposure") for choice in behind] == [Outcome.UNRECORDED] * 4
    assert restored.learned() == before
    own = restored.choose("p", "visitor")
    assert restored.reward(own, "click") == Outcome.APPLIED
    restored.stop()
    again = Stored(tmp_path / "backup")
    assert again.reward(own, "click") == Outcome.DUPLICATE
    assert again.reward(behind[0], "click") == Outcome.UNRECORDED
