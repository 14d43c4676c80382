"""Starting: what prevents it is said in one line, with an exit code of its own."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from server.addresses import Address, clear_socket_file
from server.client import Client
from server.clock import LearningClock
from server.commands.serve import DEMO, run
from server.exit_codes import ExitCode, StartError
from server.pb import bandit_pb2 as pb
from server.settings import Settings
from server.tls import TlsFiles
from server.warmup import prepare_kernels
from tests.server.running import CONFIG, WAIT_S, Loop, process, running, settings_in

ANYWHERE = Address(host="0.0.0.0", port=0)  # noqa: S104 - what is refused


def refusal(settings: Settings) -> tuple[ExitCode, str]:
    """The exit code of a start that must fail, and what the log said last."""
    with structlog.testing.capture_logs() as lines:
        code = run_quietly(settings)
    return code, lines[-1]["problem"] if lines else ""


def run_quietly(settings: Settings) -> ExitCode:
    """`run`, without its set-up of the log, which would end the capture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.logs.configure", lambda: None)
        return run(settings)


@pytest.mark.parametrize("flag", ["listen", "operator_listen", "http"])
def test_beyond_loopback_without_tls_is_refused(tmp_path: Path, flag: str) -> None:
    """Each listener: the message says --allow-insecure, the exit code is that of a bad command line."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    address = (ANYWHERE,) if flag == "listen" else ANYWHERE
    code, message = refusal(settings_in(tmp_path, **{flag: address}))
    assert code == ExitCode.USAGE
    assert "--allow-insecure" in message
    assert "0.0.0.0:0" in message


def test_tls_opens_the_data_port_but_not_the_operators(tmp_path: Path) -> None:
    """With a certificate others may call; operators beyond this machine need one of their own, too."""
    tls = TlsFiles(Path("cert"), Path("key"))
    settings_in(tmp_path, listen=(ANYWHERE,), tls=tls).check()
    with pytest.raises(StartError, match="--tls-client-ca"):
        settings_in(tmp_path, operator_listen=ANYWHERE, tls=tls).check()
    mutual = TlsFiles(Path("cert"), Path("key"), Path("ca"))
    settings_in(tmp_path, operator_listen=ANYWHERE, tls=mutual).check()


def test_allow_insecure_allows_it(loop: Loop, tmp_path: Path) -> None:
    """Whoever says so may listen everywhere in plain text."""
    settings = settings_in(tmp_path, listen=(ANYWHERE,), allow_insecure=True)
    settings.check()
    with running(loop, tmp_path, listen=(ANYWHERE,), allow_insecure=True) as server:
        assert server.sidecar.listening[0].port > 0


def test_a_second_server_on_the_port_is_refused(loop: Loop, tmp_path: Path) -> None:
    """Ports are not shared: the second says which address is in use, and leaves the first alone."""
    with running(loop, tmp_path) as first:
        second = tmp_path / "second"
        second.mkdir()
        (second / "config.yaml").write_text(CONFIG)
        code, message = refusal(settings_in(second, listen=tuple(first.sidecar.listening)))
        assert code == ExitCode.LISTEN
        assert first.target in message
        assert not (second / "operator.sock").exists()
        first.choose()


def test_a_second_server_on_the_http_port_is_refused(loop: Loop, tmp_path: Path) -> None:
    """The HTTP port neither."""
    with running(loop, tmp_path) as first:
        assert first.sidecar.http is not None
        second = tmp_path / "second"
        second.mkdir()
        (second / "config.yaml").write_text(CONFIG)
        code, message = refusal(settings_in(second, http=first.sidecar.http.address))
        assert (code, "--http" in message) == (ExitCode.LISTEN, True)


def test_a_second_server_on_the_data_directory_is_refused(loop: Loop, tmp_path: Path) -> None:
    """The operator's socket is taken: somebody lives there, and goes on living."""
    with running(loop, tmp_path) as first:
        code, message = refusal(settings_in(tmp_path))
        assert code == ExitCode.LISTEN
        assert "another process is listening" in message
        assert "operator.sock" in message
        first.operator.ListPlacements(pb.ListPlacementsRequest(), timeout=WAIT_S)


def test_a_dead_socket_is_replaced(loop: Loop, tmp_path: Path) -> None:
    """A socket file that a killed process left behind does not prevent the next start."""
    path = tmp_path / "operator.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with running(loop, tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_a_file_is_not_mistaken_for_a_socket(tmp_path: Path) -> None:
    """A file at the socket's path is left as it is."""
    path = tmp_path / "operator.sock"
    path.write_text("precious")
    with pytest.raises(StartError, match="is a file, not a socket") as caught:
        clear_socket_file(path)
    assert caught.value.code is ExitCode.LISTEN
    assert path.read_text() == "precious"


def test_a_socket_in_no_folder_is_refused(tmp_path: Path) -> None:
    """The message names the folder that is missing."""
    with pytest.raises(StartError, match=r"there is no folder '.*nowhere' for the socket"):
        clear_socket_file(tmp_path / "nowhere" / "operator.sock")


def test_a_bad_configuration_is_refused(tmp_path: Path) -> None:
    """Every problem is in the log, and the exit code says that it is the configuration."""
    (tmp_path / "config.yaml").write_text(CONFIG.replace("weight: 2", "weight: -2"))
    with structlog.testing.capture_logs() as lines:
        assert run_quietly(settings_in(tmp_path)) == ExitCode.CONFIG
    assert "$.placements.hero.arms.b.weight" in lines[-1]["problems"][0]


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file where the directory should be: the message names it and the flag."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "file").write_text("")
    code, message = refusal(settings_in(tmp_path, data_dir=tmp_path / "file" / "data"))
    assert code == ExitCode.FILES
    assert "--data-dir" in message


def test_missing_tls_files_are_refused(tmp_path: Path) -> None:
    """Before anything listens."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    missing = TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem")
    code, message = refusal(settings_in(tmp_path, tls=missing))
    assert (code, "cert.pem" in message) == (ExitCode.FILES, True)


def test_without_a_configuration_the_example_is_served(tmp_path: Path) -> None:
    """The log says so, and the key and all that will be learned lie in the data directory, for its owner."""
    with process(tmp_path, "--listen", f"unix:{tmp_path}/data.sock") as server:
        assert server.wait_for("no --config: serving the embedded example")["config"] == str(DEMO)
        ready = server.wait_for("ready")
        assert ready["placements"] == 1
        data = tmp_path / "data"
        folders = [path for path in data.iterdir() if path.is_dir()]
        files = [path for path in data.rglob("*") if not path.is_dir()]
        assert sorted(path.name for path in folders) == ["journal", "ledger", "snapshots"]
        assert {"lock", "operator.sock", "secret.key"} <= {path.name for path in files}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_it_serves_with_standard_error_closed(tmp_path: Path) -> None:
    """As `2>&-` in a script: it starts, serves and stops; there is nowhere to log to."""
    socket_file = tmp_path / "data.sock"
    command = [
        sys.executable,
        "-m",
        "server",
        "serve",
        "--http",
        "127.0.0.1:0",
        "--listen",
        f"unix:{socket_file}",
    ]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    started = subprocess.Popen(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], cwd=tmp_path, env=env)
    try:
        with Client(f"unix:{socket_file}") as client:
            client.wait_ready(WAIT_S)
            assert client.choose(pb.ChooseRequest(placement="home-hero")).arm
        started.send_signal(signal.SIGTERM)
        assert started.wait(WAIT_S) == ExitCode.OK
    finally:
        started.kill()


def test_an_engine_that_cannot_be_made_ends_the_process(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault while getting ready is logged with its text, everything is closed, and the start has failed."""

    def broken(_: object) -> None:
        raise MemoryError("no room for arms")

    monkeypatch.setattr("server.lifecycle.Sidecar._open", broken)
    with structlog.testing.capture_logs() as lines, running(loop, tmp_path, wait=False) as server:
        loop.run(server.sidecar.stopped.wait())
        assert server.sidecar.exit_code is ExitCode.FAILURE
    assert [line["text"] for line in lines if line["event"] == "internal error"] == ["no room for arms"]
    assert not (tmp_path / "operator.sock").exists()


def test_a_departed_wall_clock_is_a_warning(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says by how much, once; learning time goes on as if nothing had happened."""
    monkeypatch.setattr("server.lifecycle.TICK_S", 0.001)
    wall_ns = [10**18]
    clock = LearningClock(lambda: wall_ns[0], lambda: 0)
    with structlog.testing.capture_logs() as lines, running(loop, tmp_path, clock=clock) as server:
        wall_ns[0] -= 3_600 * 10**9
        loop.run(_until(lambda: any("wall clock" in line["event"] for line in lines)))
        server.choose()
        assert clock.now_us() == 10**15
    (line,) = [line for line in lines if "wall clock" in line["event"]]
    assert (line["log_level"], line["seconds"]) == ("warning", -3600.0)


async def _until(holds: Callable[[], bool]) -> None:
    """Return once it holds, letting the loop's other work go on."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what it waits for is a line in a log
            await asyncio.sleep(0.001)


def test_kernels_that_cannot_be_kept_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a writable folder for them the log says which variable names one."""
    monkeypatch.setattr("bandit.kernels.jit.uncached", lambda: ("one", "two"))
    with structlog.testing.capture_logs() as lines:
        prepare_kernels(structlog.get_logger())
    assert (lines[-1]["log_level"], lines[-1]["kernels"]) == ("warning", 2)
    assert "NUMBA_CACHE_DIR" in lines[-1]["event"]


@pytest.mark.slow
def test_a_cold_start_says_how_far_it_is_and_a_warm_one_compiles_nothing(tmp_path: Path) -> None:
    """With an empty kernel cache it reports progress; the next start finds everything in it.

    How long each takes beside others is shown by `make bench`.
    """
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    flags = ("--listen", f"unix:{tmp_path}/data.sock")
    with process(tmp_path, *flags, env=env) as cold:
        assert cold.wait_for("kernels ready")["compiled"] > 5
        cold.wait_for("ready")
        progress = [line for line in cold.lines if line["event"] == "preparing kernels"]
        assert len(progress) > 3
        assert [line["done"] for line in progress] == sorted(line["done"] for line in progress)
        assert cold.end(signal.SIGTERM) == 0
    with process(tmp_path, *flags, env=env) as warm:
        warm.wait_for("ready")
        assert warm.wait_for("kernels ready")["compiled"] == 0
