"""A stop under load, clocks that jump, an event that comes a thousand times: with the whole server."""

import signal
import time
from collections import Counter
from collections.abc import MutableMapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog.testing

from bandit.snapshot import read_footer, snapshots
from loadtest.crash import Run, recovered
from loadtest.crash_clients import identity_of
from server.clock import LearningClock
from server.exit_codes import ExitCode
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.crash.served import rewarded, served
from tests.server.running import CONFIG, WAIT_S, Loop, process, running

HOUR_NS = 3_600 * 10**9
YEARS_NS = 10 * 365 * 24 * HOUR_NS


@pytest.mark.parametrize("transport", ["ngh2", "grpcio"])
def test_a_stop_under_load_loses_nothing(tmp_path: Path, transport: str) -> None:
    """Fault 11: SIGTERM: what was answered is in the last snapshot, other calls are refused, exit code 0.

    The next start has nothing to replay.
    """
    options = ["--transport", transport, "--data-dir", "data", "--journal-keep", "7d"]
    run = Run(tmp_path, options, seed=11)
    for _ in range(2):
        before = len(run.book.decisions)
        began_s = time.monotonic()
        run.live("stopped")
        assert time.monotonic() - began_s < 10 + WAIT_S
        assert len(run.book.decisions) > before + 10
        newest = snapshots(tmp_path / "data" / "snapshots")[0]
        assert read_footer(newest).closed
        with recovered(tmp_path / "data") as store:
            assert store.recovered.records == 0
            assert store.recovered.base is not None
            assert store.recovered.base.path.name == newest.name
    run.last()


class Clocks:
    """A wall clock that can be set, beside the monotonic one."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def learning(self) -> LearningClock:
        """The learning clock of a process that starts now."""
        return LearningClock(lambda: time.time_ns() + self.ahead_ns)


RAMP = CONFIG.replace("      start: 2026-01-01T00:00:00Z\n", "").replace("to: 0.5", "to: 1.0")


@pytest.mark.parametrize("step_ns", [-HOUR_NS, YEARS_NS])
def test_clocks_that_jump_move_nothing(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    """Fault 12: while running and between runs: ramp and decay hold, no identity comes twice, a warning.

    Events of decisions from before still count.
    """
    monkeypatch.setattr("server.lifecycle.TICK_S", 0.01)
    clocks = Clocks()
    tokens: list[str] = []
    shares: list[float] = []
    times_us: list[int] = []
    for run in range(3):
        with (
            structlog.testing.capture_logs() as lines,
            running(loop, tmp_path, RAMP, clock=clocks.learning()) as server,
        ):
            times_us.append(server.engine.state.time_us)
            tokens += [server.choose(unit=f"u{i}").decision_id for i in range(20)]
            clocks.ahead_ns += step_ns  # the next run begins with it
            wait_for(lines, "wall clock")
            tokens += [server.choose(unit=f"u{i}").decision_id for i in range(20)]
            assert {server.reward(token) for token in tokens[-40:]} == {pb.REWARD_OUTCOME_APPLIED}
            assert server.reward(tokens[0], "purchase", event_id=f"{run}") == pb.REWARD_OUTCOME_APPLIED
            placement = server.engine.state.placements["hero"]
            shares.append(placement.share(server.sidecar.clock.now_us()))
            times_us.append(server.engine.state.time_us)
    assert len({identity_of(token) for token in tokens}) == len(tokens) == 120
    assert shares == pytest.approx([0.5] * 3, abs=0.01)
    assert times_us == sorted(times_us)
    assert times_us[-1] - times_us[0] < 3 * WAIT_S * 1e6


def wait_for(lines: Sequence[MutableMapping[str, Any]], words: str) -> None:
    """Wait for a line of the log that says so."""
    end_s = time.monotonic() + WAIT_S
    while not any(words in line["event"] for line in lines):
        assert time.monotonic() < end_s
        time.sleep(0.01)


def at_once(target: str, token: str) -> Counter[int]:
    """The outcomes of one event that is sent a thousand times on several connections without waiting.

    What a busy server sheds, without having applied it, is sent again.
    """
    options = [("grpc.use_local_subchannel_pool", 1)]
    outcomes: Counter[int] = Counter()
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(target, options)) for _ in range(4)]
        calls: list[Any] = [pb_grpc.BanditServiceStub(channel).Reward for channel in channels]
        request = pb.RewardRequest(decision_id=token, event="click")
        while (left := 1000 - outcomes.total()) > 0:
            replies = [calls[i % len(calls)].future(request, timeout=WAIT_S) for i in range(left)]
            for reply in replies:
                if reply.code() is grpc.StatusCode.OK:
                    outcomes[reply.result().outcome] += 1
                else:
                    assert reply.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, reply
    return outcomes


@pytest.mark.parametrize("transport", ["ngh2", "grpcio"])
def test_an_event_that_comes_a_thousand_times_counts_once(tmp_path: Path, transport: str) -> None:
    """Fault 14: at once, and again after a kill and a restart; another worker is for when there are some."""
    target = f"unix:{tmp_path}/data.sock"
    flags = ("--transport", transport, "--calls-max", "5000", "--streams-max", "5000")
    with served(tmp_path, *flags) as server:
        token = server.choose()
        outcomes = at_once(target, token)
        assert outcomes == {pb.REWARD_OUTCOME_APPLIED: 1, pb.REWARD_OUTCOME_DUPLICATE: 999}
        assert server.server.end(signal.SIGKILL) == -signal.SIGKILL
    with served(tmp_path, *flags):
        assert at_once(target, token) == {pb.REWARD_OUTCOME_DUPLICATE: 1000}
    assert rewarded(tmp_path / "data") == 1


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """Fault 9: it says who has the directory, and changes nothing in it; the first one goes on."""
    with served(tmp_path) as server:
        token = server.choose()
        before = sorted(path.name for path in (tmp_path / "data" / "journal").iterdir())
        flags = ("--config", "config.json", "--data-dir", "data", "--listen", "127.0.0.1:0")
        with process(tmp_path, *flags) as second:
            assert second.end() == ExitCode.FILES
            assert f"another process (number {server.pid})" in second.lines[-1]["problem"]
        assert sorted(path.name for path in (tmp_path / "data" / "journal").iterdir()) == before
        assert server.reward(token) == "applied"
