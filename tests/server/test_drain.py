"""Stopping: nothing acknowledged is lost, nothing under way is cut off, the exit code is 0."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from server.counts import Counts
from server.lifecycle import Sidecar
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.server.running import CONFIG, WAIT_S, Loop, process, running, stream

CLIENTS = 8

STOP_S_MAX = 5.0
"""Seconds that a stop may take while clients call, half of the drain's timeout."""


class Load:
    """Clients that call without a pause until they are told to stop, and keep count of the answers."""

    def __init__(self, target: str) -> None:
        self.acknowledged = 0
        self.codes: set[grpc.StatusCode] = set()
        self._target = target
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, calls: int) -> None:
        """Return once so many calls were acknowledged."""
        end_s = time.monotonic() + WAIT_S
        while self.acknowledged < calls:
            assert time.monotonic() < end_s
            self._end.wait(0.01)

    def join(self) -> None:
        """Stop calling."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        with grpc.insecure_channel(self._target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub: pb_grpc.BanditServiceStub = pb_grpc.BanditServiceStub(channel)
            request = pb.ChooseRequest(placement="hero", categories={"platform": "web"})
            while not self._end.is_set():
                try:
                    stub.Choose(request, timeout=WAIT_S)
                except grpc.RpcError as error:
                    with self._lock:
                        self.codes.add(error.code())
                    return
                with self._lock:
                    self.acknowledged += 1


def test_what_is_applied_is_acknowledged(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain under load: each decision's answer arrived, and refused calls were never decisions."""
    # so that a client's thread that gets no turn on a busy machine does not pass for one that left
    monkeypatch.setattr("server.lifecycle.QUIET_S", 0.5)
    monkeypatch.setattr("server.lifecycle.QUIET_MAX_S", 10.0)
    with running(loop, tmp_path) as server:
        load = Load(server.target)
        load.wait_for(200)
        server.stop()
        load.join()
        decisions = int(server.engine.state.placements["hero"].counters.decisions.sum())
    assert load.acknowledged == decisions
    assert load.codes == {grpc.StatusCode.UNAVAILABLE}


def test_a_pause_in_which_nobody_ran_is_no_quiet(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What clients sent while the process stood still is looked at before a drain goes on."""
    monkeypatch.setattr("server.lifecycle.QUIET_S", 0.05)
    sidecar = SimpleNamespace(counts=Counts())

    async def drain() -> float:
        asyncio.get_running_loop().call_later(0.01, time.sleep, 0.3)
        began_s = time.monotonic()
        await Sidecar._quiet(sidecar, 10.0)  # type: ignore[arg-type]
        return time.monotonic() - began_s

    assert loop.run(drain()) >= 0.3 + 0.05


def served(folder: Path, *flags: str) -> list[str]:
    """Flags of a process that serves the tests' configuration on a Unix socket."""
    (folder / "config.yaml").write_text(CONFIG)
    return ["--config", "config.yaml", "--listen", f"unix:{folder}/data.sock", *flags]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_with_zero(tmp_path: Path, number: signal.Signals) -> None:
    """Under load: the process says that it drains, how many decisions it made, and ends with 0 in time."""
    with process(tmp_path, *served(tmp_path)) as server:
        server.wait_for("ready")
        load = Load(f"unix:{tmp_path}/data.sock")
        load.wait_for(100)
        begun_s = time.monotonic()
        assert server.end(number) == 0
        assert time.monotonic() - begun_s < STOP_S_MAX
        load.join()
        assert server.wait_for("stopped")["decisions"] == load.acknowledged
        assert not (tmp_path / "data.sock").exists()


def test_a_stop_does_not_wait_for_the_compiler(tmp_path: Path) -> None:
    """SIGTERM while kernels are being compiled ends the process at once, with 0."""
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}  # empty: everything has to be compiled
    with process(tmp_path, *served(tmp_path), env=env) as server:
        said = server.wait_for("preparing kernels")
        assert (said["done"], said["total"] > 5) == (0, True)
        assert server.end(signal.SIGTERM) == 0
        assert [line for line in server.lines if line["event"] == "ready"] == []


def test_a_call_beyond_the_drain_timeout_is_cut_off(loop: Loop, tmp_path: Path) -> None:
    """A stop is bounded: an idle reflection stream ends with it, and so does a reload that hangs."""
    with running(loop, tmp_path, drain_timeout_s=0.2) as server:
        release = threading.Event()
        hangs = threading.Event()

        def source() -> None:
            hangs.set()
            release.wait(WAIT_S)

        assert server.sidecar.reloader is not None
        server.sidecar.reloader._source = source  # type: ignore[assignment]
        path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        replies = stream(server.channel, path, _idle(release))
        reload = server.operator.ReloadConfig.future(pb.ReloadConfigRequest(), timeout=WAIT_S)
        assert hangs.wait(WAIT_S)
        server.stop()
        assert reload.exception(WAIT_S) is not None
        assert list(replies) == []
        release.set()


def _idle(release: threading.Event) -> Iterator[bytes]:
    """No request, for as long as the test likes."""
    release.wait(WAIT_S)
    yield from ()
