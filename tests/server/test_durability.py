"""What was acknowledged survives: group commit, snapshots beside calls, restarts, full disks, odd clocks."""

import errno
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog.testing

from bandit.files import Files
from bandit.journal import Sync
from bandit.journal_reader import read, segments
from server.clock import LearningClock
from server.exit_codes import ExitCode
from server.pb import bandit_pb2 as pb
from server.store import Store
from tests.core.world import snapshot
from tests.server.running import CONFIG, WAIT_S, Loop, Running, process, refused, running

WEB: dict[str, Any] = {"categories": {"platform": "web"}}
DAY_NS = 86_400 * 10**9
TRANSPORTS = ["ngh2", "grpcio"]


class FullDisk:
    """No file can be made or allocated as long as it is `full`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.full = False
        for name in ("fallocate", "open"):
            patch.setattr(Files, name, self._limited(getattr(Files, name)))

    def _limited(self, method: Any) -> Any:
        def limited(*arguments: Any) -> Any:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return method(*arguments)

        return limited


def state_of(server: Running) -> list[object]:
    """All that the engine has learned, bit for bit."""
    return server.loop.call(lambda: snapshot(server.engine.state))


def decided(server: Running) -> int:
    """How many decisions were made for `hero`."""
    return int(server.engine.state.placements["hero"].counters.decisions.sum())


def live(server: Running, visitors: int = 200) -> list[str]:
    """Choices, plain and deferred, some rewarded; their tokens."""
    tokens = []
    for i in range(visitors):
        choice = server.choose(unit=f"u{i}", defer_exposure=i % 5 == 0, numbers={"history": i % 90}, **WEB)
        tokens.append(choice.decision_id)
        if i % 3 == 0:
            assert server.reward(choice.decision_id) == pb.REWARD_OUTCOME_APPLIED
        if i % 4 == 0:
            server.reward(choice.decision_id, "purchase", value=0.5, event_id=f"o{i % 8}")
    return tokens


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_a_restart_goes_on_where_the_process_ended(
    loop: Loop, tmp_path: Path, transport: str, fsync: str
) -> None:
    """Tallies, ledger and counts are the same, bit for bit; an event that was counted is a DUPLICATE."""
    with running(loop, tmp_path, transport=transport, fsync=fsync) as server:
        tokens = live(server)
        before = state_of(server)
    with running(loop, tmp_path, transport=transport, fsync=fsync) as server:
        after = state_of(server)
        assert after[0] == before[0]
        assert after[5:] == before[5:]
        assert server.sidecar.durability is not None
        assert server.sidecar.durability.store.recovered.records == 0  # the last snapshot holds all
        assert server.reward(tokens[0]) == pb.REWARD_OUTCOME_DUPLICATE
        assert server.reward(tokens[1]) == pb.REWARD_OUTCOME_APPLIED


def test_an_answer_means_that_the_record_is_in_the_file(loop: Loop, tmp_path: Path) -> None:
    """Without any stop in good order: what was answered can be read by another process."""
    with running(loop, tmp_path) as server:
        for count in range(1, 30):
            server.choose(**WEB)
            found = [payload[0] for _, payload in read(tmp_path / "data" / "journal", 0)]
            assert found.count(4) == count


def test_always_answers_after_the_sync_and_one_serves_many(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk takes its time no answer leaves; then all do, after two syncs for 32 calls."""
    syncs: list[Sync] = []
    fsync, begin_sync, done = Files.fsync, Store.begin_sync, threading.Event()

    def slow(files: Files, descriptor: int) -> None:
        assert done.wait(WAIT_S)
        fsync(files, descriptor)

    def begun(store: Store) -> Sync:
        syncs.append(begin_sync(store))
        return syncs[-1]

    with running(loop, tmp_path, fsync="always", snapshot_interval_s=0.0) as server:
        monkeypatch.setattr(Files, "fsync", slow)
        monkeypatch.setattr(Store, "begin_sync", begun)
        with ThreadPoolExecutor(32) as pool:
            calls = [pool.submit(server.choose, unit=f"u{i}", **WEB) for i in range(32)]
            until(lambda: loop.call(lambda: decided(server)) == 32)
            assert not any(call.done() for call in calls)
            done.set()
            assert len({call.result().decision_id for call in calls}) == 32
        monkeypatch.undo()
    assert 1 <= len(syncs) <= 2  # one that had begun with the first call, one for all that came meanwhile


def test_snapshots_are_taken_while_calls_are_answered(loop: Loop, tmp_path: Path) -> None:
    """By TakeSnapshot: it names the file; two are kept, the journal behind the older one goes."""
    with running(loop, tmp_path, snapshot_interval_s=0.0) as server:
        names = []
        for _ in range(4):
            live(server, 20)
            taken = server.operator.TakeSnapshot(pb.TakeSnapshotRequest(), timeout=WAIT_S)
            path = tmp_path / "data" / "snapshots" / taken.file
            assert path.stat().st_size == taken.size_bytes
            assert taken.file == f"{taken.sequence:020d}.snapshot"
            names.append(taken.file)
        assert sorted(path.name for path in (tmp_path / "data" / "snapshots").iterdir()) == names[-2:]
        first = segments(tmp_path / "data" / "journal")[0].first
        assert first == int(names[-2].removesuffix(".snapshot")) + 1


def test_snapshots_come_by_themselves_when_there_is_news(loop: Loop, tmp_path: Path) -> None:
    """After the interval, and not again while nothing was recorded."""
    with running(loop, tmp_path, snapshot_interval_s=0.05) as server:
        durability = server.sidecar.durability
        assert durability is not None
        server.choose(**WEB)
        store = durability.store
        until(lambda: store.taken is not None and store.taken.sequence == store.sequence >= 4)
        name = store.taken
        time.sleep(0.3)  # six intervals without a record
        assert store.taken is name


def test_a_full_disk_refuses_rewards_and_nothing_else(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 6: JOURNAL_FULL for rewards, SNAPSHOT_REFUSED; Choose goes on; and then it mends itself."""
    disk = FullDisk(monkeypatch)
    with running(loop, tmp_path, snapshot_interval_s=0.0) as server:
        first = server.choose(**WEB).decision_id
        assert server.sidecar.durability is not None
        store = server.sidecar.durability.store
        disk.full = True
        while not server.engine.state.placements["hero"].counters.unrecorded:  # what is allocated is used
            unrecorded = server.choose(**WEB).decision_id
        assert loop.call(lambda: store.full)
        code, info = refused(lambda: server.reward(first))
        assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "JOURNAL_FULL")
        code, info = refused(lambda: server.operator.TakeSnapshot(pb.TakeSnapshotRequest(), timeout=WAIT_S))
        assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "SNAPSHOT_REFUSED")
        disk.full = False
        until(lambda: not loop.call(lambda: store.full))
        assert server.reward(unrecorded) == pb.REWARD_OUTCOME_UNRECORDED
        assert server.reward(first) == pb.REWARD_OUTCOME_APPLIED


def until(condition: Any) -> None:
    """Wait for it."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


class Clocks:
    """A wall clock that can be set, and a monotonic one beside it."""

    def __init__(self, wall_ns: int) -> None:
        self.wall_ns = wall_ns
        self._began_ns = time.monotonic_ns()

    def learning(self) -> LearningClock:
        """A learning clock of a process that starts now."""
        return LearningClock(lambda: self.wall_ns + time.monotonic_ns() - self._began_ns, time.monotonic_ns)


@pytest.mark.parametrize(
    ("days", "accept", "believed"),
    [
        (-1 / 24, False, False),
        (-1 / 24, True, False),
        (3650, False, False),
        (3650, True, True),
        (30, False, True),
    ],
)
def test_a_clock_that_moved_between_runs_holds_ramp_and_decay(
    loop: Loop, tmp_path: Path, days: float, accept: bool, believed: bool
) -> None:
    """Fault 12: back an hour or on ten years, learning time goes on from the last record, with a warning."""
    clocks = Clocks(1_800_000_000 * 10**9)
    with running(loop, tmp_path, clock=clocks.learning()) as server:
        server.choose(**WEB)
        before_us = server.engine.state.time_us
    clocks.wall_ns += round(days * DAY_NS)
    with (
        structlog.testing.capture_logs() as lines,
        running(loop, tmp_path, clock=clocks.learning(), accept_clock=accept) as server,
    ):
        server.choose(**WEB)
        passed_us = server.engine.state.time_us - before_us
    warned = [line for line in lines if "wall clock" in line["event"]]
    assert bool(warned) is not believed
    expected_us = days * DAY_NS / 1000 if believed else 0.0
    assert 0 <= passed_us - expected_us < 60e6


def test_a_configuration_that_cannot_follow_is_refused_at_the_start(loop: Loop, tmp_path: Path) -> None:
    """An arm id that was retired before the restart may not come back: exit code 3, and nothing changed."""
    with running(loop, tmp_path, CONFIG.replace("{weight: 2}", "{weight: 2, state: retired}")) as server:
        server.choose(**WEB)
    with structlog.testing.capture_logs() as lines, running(loop, tmp_path, CONFIG, wait=False) as server:
        loop.run(server.sidecar.stopped.wait())
        assert server.sidecar.exit_code is ExitCode.CONFIG
    (line,) = [line for line in lines if line["event"] == "cannot start"]
    assert "ids are never reused" in line["problems"][0]


def test_what_a_new_configuration_drops_is_said_at_the_start(loop: Loop, tmp_path: Path) -> None:
    """A placement that is gone takes what it learned with it: the log names it."""
    with running(loop, tmp_path) as server:
        server.choose(**WEB)
    fewer = CONFIG[: CONFIG.index("  web-only:")]
    with structlog.testing.capture_logs() as lines, running(loop, tmp_path, fewer):
        pass
    assert [line["placements"] for line in lines if "configured no more" in line["event"]] == [["web-only"]]


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Any]:
    """A process of its own."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    flags = ("--config", "config.yaml", "--data-dir", "data", "--listen", f"unix:{tmp_path}/data.sock")
    with process(tmp_path, *flags) as server:
        server.wait_for("ready")
        yield server


def test_a_journal_that_is_damaged_stops_the_start(tmp_path: Path, sidecar: Any) -> None:
    """Fault 3: exit code 6, and the message names file, offset and command."""
    with grpc.insecure_channel(f"unix:{tmp_path}/data.sock") as channel:
        call: Any = channel.unary_unary("/bandit.v1.BanditService/Choose")
        for _ in range(20):
            call(pb.ChooseRequest(placement="hero").SerializeToString(), timeout=WAIT_S)
    sidecar.end(signal.SIGKILL)
    path = tmp_path / "data" / "journal" / f"{1:020d}.journal"
    data = bytearray(path.read_bytes())
    data[len(data.rstrip(b"\0")) // 2] ^= 1
    path.write_bytes(data)
    flags = ("--config", "config.yaml", "--data-dir", "data", "--listen", f"unix:{tmp_path}/data.sock")
    with process(tmp_path, *flags) as server:
        assert server.end() == ExitCode.DATA
        (line,) = [line for line in server.lines if line["event"] == "cannot start"]
    assert f"{path.name}: byte " in line["problem"]
    assert "`banditd verify`" in line["problem"]
    assert "`banditd repair`" in line["problem"]


def test_a_snapshot_does_not_wait_for_its_time_when_too_much_waits_for_it(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What will be added to the ledger's files is bounded, also without an interval."""
    monkeypatch.setattr("server.store.NEWS_BYTES_MAX", 100)
    with running(loop, tmp_path, snapshot_interval_s=0.0) as server:
        live(server, 20)
        store = server.sidecar.durability.store  # type: ignore[union-attr]
        until(lambda: store.taken is not None)
        until(lambda: loop.call(lambda: store.state.ledger.news_bytes) == 0)


def test_a_configuration_of_other_placements_is_refused(loop: Loop, tmp_path: Path) -> None:
    """The wrong file must not end all that was learned: exit code 3, and the next start has it still."""
    with running(loop, tmp_path) as server:
        token = server.choose(**WEB).decision_id
    other = CONFIG.replace("  hero:", "  elsewhere:").replace("  web-only:", "  nowhere:")
    with structlog.testing.capture_logs() as lines, running(loop, tmp_path, other, wait=False) as server:
        loop.run(server.sidecar.stopped.wait())
        assert server.sidecar.exit_code is ExitCode.CONFIG
    (line,) = [line for line in lines if line["event"] == "cannot start"]
    assert "none of the 2 placements that the data directory knows (hero, web-only)" in line["problem"]
    with running(loop, tmp_path) as server:
        assert server.reward(token) == pb.REWARD_OUTCOME_APPLIED
