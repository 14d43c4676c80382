"""What crosses a snapshot or a stop: callers who give up, reloads, files that somebody changed, failures."""

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog.testing

from bandit.checks import journal_full
from bandit.config import Config
from bandit.engine import Engine
from bandit.files import Files
from server.durability import Durability
from server.exit_codes import ExitCode
from server.pb import bandit_pb2 as pb
from server.recovery import recover
from server.store import Store
from tests.core.world import snapshot
from tests.server.running import CONFIG, WAIT_S, Loop, Running, refused, running
from tests.server.stored import LEDGER_BYTES_MAX, Stored
from tests.server.test_durability import TRANSPORTS, WEB, live, state_of, until

HEAVIER = CONFIG.replace("b: {weight: 2}", "b: {weight: 3}")


def durability(server: Running) -> Durability:
    """What runs the server's store."""
    assert server.sidecar.durability is not None
    return server.sidecar.durability


def take_snapshot(server: Running, timeout_s: float = WAIT_S) -> pb.TakeSnapshotResponse:
    """TakeSnapshot's answer."""
    response: pb.TakeSnapshotResponse = server.operator.TakeSnapshot(
        pb.TakeSnapshotRequest(), timeout=timeout_s
    )
    return response


@contextmanager
def held_rename(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No snapshot gets its name until the event is set; no two are written at a time."""
    go, rename, writing = threading.Event(), Files.rename, threading.Lock()

    def held(files: Files, source: Path, target: Path) -> None:
        if target.suffix == ".snapshot":
            assert writing.acquire(blocking=False)
            assert go.wait(WAIT_S)
            writing.release()
        rename(files, source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Files, "rename", held)
        yield go
        go.set()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_snapshot_comes_to_its_end_though_nobody_waits_for_it(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """A client's deadline passes while a thread writes: the file stands, and the next one waits for it."""
    with running(loop, tmp_path, transport=transport, snapshot_interval_s=0.0) as server:
        live(server, 20)
        with held_rename(monkeypatch) as go:
            with pytest.raises(grpc.RpcError) as gone:
                take_snapshot(server, 0.3)
            assert gone.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            following = server.operator.TakeSnapshot.future(pb.TakeSnapshotRequest(), timeout=WAIT_S)
            time.sleep(0.2)  # in which it would write beside the first, if it did not wait
            go.set()
            following.result()
        assert durability(server).snapshots == {"taken": 2, "refused": 0}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stop_waits_for_the_snapshot_that_is_being_written(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """Its caller is cut off in time, the file is not: the last snapshot comes behind it."""
    changes: dict[str, Any] = {"transport": transport, "drain_timeout_s": 0.2, "snapshot_interval_s": 0.0}
    with running(loop, tmp_path, **changes) as server:
        live(server, 20)
        with held_rename(monkeypatch) as go:
            asked = server.operator.TakeSnapshot.future(pb.TakeSnapshotRequest(), timeout=WAIT_S)
            until(lambda: list((tmp_path / "data" / "snapshots").glob("*.tmp")))
            loop.call(server.sidecar.request_stop)
            assert asked.exception() is not None
            time.sleep(0.5)
            go.set()
            loop.run(server.sidecar.stopped.wait())
        assert server.sidecar.exit_code is ExitCode.OK
        assert durability(server).snapshots == {"taken": 2, "refused": 0}
    assert recover(tmp_path / "data", ledger_bytes_max=LEDGER_BYTES_MAX).records == 0


def test_a_reload_that_a_stop_overtakes_is_given_up(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGHUP, then SIGTERM before the files are read: nothing is recorded behind the last snapshot."""
    read, go, close = threading.Event(), threading.Event(), Store.close
    with running(loop, tmp_path) as server:
        source = server.sidecar.reloader._source  # type: ignore[union-attr]

        def slow() -> Config:
            read.set()
            go.wait(WAIT_S)
            return source()

        def closing(store: Store) -> None:
            go.set()
            time.sleep(0.3)
            close(store)

        server.config.write_text(HEAVIER)
        monkeypatch.setattr(server.sidecar.reloader, "_source", slow)
        monkeypatch.setattr(Store, "close", closing)
        loop.call(server.sidecar.request_reload)
        assert read.wait(WAIT_S)
        loop.call(server.sidecar.request_stop)
        loop.call(server.sidecar.request_reload)
        loop.run(server.sidecar.stopped.wait())
    assert recover(tmp_path / "data", ledger_bytes_max=LEDGER_BYTES_MAX).records == 0


def test_a_reload_of_the_same_is_not_recorded(loop: Loop, tmp_path: Path) -> None:
    """Nor does it make a snapshot that is under way begin again."""
    with running(loop, tmp_path) as server:
        before = durability(server).store.sequence
        server.operator.ReloadConfig(pb.ReloadConfigRequest(), timeout=WAIT_S)
        assert durability(server).store.sequence == before


def test_a_reload_that_cannot_be_recorded_is_in_the_log(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGHUP there is nobody else to tell that the disk is full."""

    def full(*_: object) -> None:
        raise journal_full()

    with running(loop, tmp_path) as server, structlog.testing.capture_logs() as lines:
        monkeypatch.setattr(Engine, "reconfigure", full)
        loop.call(server.sidecar.request_reload)
        until(lambda: server.sidecar.counts.reloads["refused"] == 1)
    (line,) = [line for line in lines if line["event"] == "configuration refused, the old one stays"]
    assert line["problems"] == [str(journal_full())]


def test_a_ledger_file_that_somebody_cut_stops_snapshots_and_nothing_else(loop: Loop, tmp_path: Path) -> None:
    """Each attempt is refused and logged; calls are answered, and the journal has all of them."""
    with running(loop, tmp_path, snapshot_interval_s=0.0) as server:
        live(server, 20)
        take_snapshot(server)
        (file,) = (tmp_path / "data" / "ledger").iterdir()
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        live(server, 20)
        with structlog.testing.capture_logs() as lines:
            code, info = refused(lambda: take_snapshot(server))
        assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "SNAPSHOT_REFUSED")
        assert str(file) in lines[0]["problem"]
        assert server.choose(**WEB).arm
        file.write_bytes(whole)
        take_snapshot(server)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_refusal_leaves_after_a_failed_write(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """A record that could not be written ends the process before its call gets any answer."""
    ends: list[BaseException] = []
    with running(loop, tmp_path, transport=transport) as server:
        monkeypatch.setattr(durability(server), "_end", ends.append)

        def fails(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(Store, "__call__", fails)
            patch.setattr(Store, "flush", fails)
            with pytest.raises(grpc.RpcError):
                server.choose(**WEB)
            assert ends


def test_a_stop_that_fails_is_no_success(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, known when the stop is."""

    async def fails(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    with running(loop, tmp_path) as server:

        async def stopped() -> ExitCode:
            server.sidecar.request_stop()
            await server.sidecar.stopped.wait()
            return server.sidecar.exit_code

        monkeypatch.setattr(Durability, "close", fails)
        assert loop.run(stopped()) is ExitCode.FAILURE


def test_a_segment_that_begins_is_no_full_disk(tmp_path: Path) -> None:
    """Behind a snapshot no segment is ahead for a moment, which alerts nobody; what it synced counts."""
    life = Stored(tmp_path)
    life.visits(30)
    assert life.store.synced < life.store.sequence
    life.snapshot()
    assert life.store.begin_allocation() is not None
    assert not life.store.full
    assert life.store.synced == life.store.sequence


def test_what_cannot_be_applied_is_not_written_either(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload that memory is too small for ends the process: no start could replay what would follow it."""
    ends: list[BaseException] = []

    def fails(*_: object) -> None:
        raise MemoryError

    with running(loop, tmp_path) as server:
        monkeypatch.setattr(durability(server), "_end", ends.append)
        live(server, 20)
        before = state_of(server)
        server.config.write_text(HEAVIER)
        monkeypatch.setattr("bandit.state.migrated", fails)
        with pytest.raises(grpc.RpcError):
            server.operator.ReloadConfig(pb.ReloadConfigRequest(), timeout=WAIT_S)
        assert isinstance(ends[0], MemoryError)
    found = recover(tmp_path / "data", ledger_bytes_max=LEDGER_BYTES_MAX)
    found.state.derive()
    assert snapshot(found.state) == before


def test_answers_that_leave_late_end_nothing(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads slowly has its last answer when the journal is closed; nothing is left to write."""
    ends: list[BaseException] = []
    with running(loop, tmp_path) as server:
        monkeypatch.setattr(durability(server), "_end", ends.append)
        server.choose(**WEB)
        server.stop()
        loop.call(durability(server).commit)
        assert not ends
        server.engine.choose("hero", "", {}, {}, (), False, 0)
        loop.call(durability(server).commit)
        assert ends
