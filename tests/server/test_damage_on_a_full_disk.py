"""A start that finds damage and no space: it says both, and what it could not keep aside is still there."""

import errno
import os
from pathlib import Path

import pytest
import structlog.testing

from bandit.files import Files
from bandit.snapshot import snapshots
from server.exit_codes import ExitCode
from tests.server.running import Loop, running
from tests.server.stored import Stored


def damaged(folder: Path, *, torn: bool) -> Path:
    """Leave a data directory whose newest snapshot is damaged, and whose journal may be torn; return that."""
    life = Stored(folder)
    life.visits(30)
    life.snapshot()
    life.visits(30)
    newest = life.snapshot()
    life.visits(5)
    life.kill()
    data = bytearray(newest.read_bytes())
    data[100] ^= 1
    newest.write_bytes(data)
    last = max((folder / "journal").glob("*.journal"))
    whole = last.read_bytes().rstrip(b"\0")
    last.write_bytes(whole[:-3] if torn else whole)
    return newest


def start(loop: Loop, folder: Path) -> tuple[ExitCode, list[dict[str, object]]]:
    """The exit code of a start that must fail, and what it logs."""
    with structlog.testing.capture_logs() as lines, running(loop, folder, wait=False) as server:
        loop.run(server.sidecar.stopped.wait())
        return server.sidecar.exit_code, [dict(line) for line in lines]


def full(*_: object) -> int:
    """Find no space."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_was_set_aside_is_in_the_log_though_the_start_fails(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start will not find it: a snapshot that was damaged, in front of a journal without space."""
    newest = damaged(tmp_path / "data", torn=False)
    monkeypatch.setattr(Files, "fallocate", full)
    code, lines = start(loop, tmp_path)
    assert code is ExitCode.DISK
    said = {line["event"]: line for line in lines}
    assert str(newest) in str(said["found damaged, went on without it"]["problem"])
    assert said["kept aside"]["file"] == f"{newest}.broken"
    assert "make room" in str(said["cannot start"]["problem"])


def test_a_torn_tail_that_cannot_be_kept_is_not_cut(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space for the copy: exit code 7 and `make room`; nothing was changed."""
    newest = damaged(tmp_path / "data", torn=True)
    before = {path: path.read_bytes() for path in (tmp_path / "data" / "journal").glob("*.journal")}
    monkeypatch.setattr(Files, "write", full)
    code, lines = start(loop, tmp_path)
    assert code is ExitCode.DISK
    assert "make room" in str(next(line for line in lines if line["event"] == "cannot start")["problem"])
    assert newest in snapshots(tmp_path / "data" / "snapshots")
    assert {path: path.read_bytes() for path in before} == before
