"""A pair renewed under a running sidecar: new connections get it, old ones stay, a bad one is refused."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from structlog.testing import capture_logs

from server import limits
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from server.tls import TlsFiles
from tests.server.certificates import Authority
from tests.server.running import LOOPBACK, WAIT_S, Loop, Running, process, running

TRANSPORTS = ("ngh2", "grpcio")


@pytest.fixture(autouse=True)
def _only_looked_at_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidecar's own looks are an hour apart."""
    monkeypatch.setattr(limits, "TLS_LOOK_S", 3600)


@contextmanager
def connection(target: str, ca: Authority, client: tuple[Path, Path] | None = None) -> Iterator[grpc.Channel]:
    """A channel with a connection of its own."""
    cert, key = (path.read_bytes() for path in client) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.pem.read_bytes(), key, cert)
    with grpc.secure_channel(target, credentials, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def choose(channel: grpc.Channel) -> str:
    """The arm of one Choose."""
    stub: pb_grpc.BanditServiceStub = pb_grpc.BanditServiceStub(channel)
    arm: str = stub.Choose(pb.ChooseRequest(placement="hero"), timeout=WAIT_S).arm
    return arm


def serves(target: str, ca: Authority, client: tuple[Path, Path] | None = None) -> bool:
    """Whether a new connection that trusts `ca` is taken and answered."""
    with connection(target, ca, client) as channel:
        try:
            choose(channel)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
        else:
            return True
    assert code is grpc.StatusCode.UNAVAILABLE
    return False


def look(server: Running) -> list[str]:
    """Look at the files now; what was logged of it."""
    watch = server.sidecar.tls_watch
    assert watch is not None
    with capture_logs() as lines:
        server.loop.run(watch.look(now=True))
    return [line["event"] for line in lines if "TLS" in line["event"]]


def metric(server: Running, name: str) -> float:
    """The value of one of the sidecar's metrics."""
    with urlopen(f"{server.http}/metrics") as reply:  # noqa: S310 - our own
        lines = reply.read().decode().splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_new_connections_get_the_renewed_pair(loop: Loop, tmp_path: Path, transport: str) -> None:
    """On both listeners; the connection from before goes on, though it would not be made again."""
    before, after = Authority(tmp_path, "before"), Authority(tmp_path, "after")
    files = TlsFiles(*before.issue("server"))
    with running(loop, tmp_path, tls=files, transport=transport, operator_listen=LOOPBACK) as server:
        with connection(server.target, before) as old:
            choose(old)
            end = datetime.now(UTC) + timedelta(hours=20)
            after.issue("server", end)
            assert serves(server.target, before)
            assert "TLS renewed" in look(server)
            assert (serves(server.target, after), serves(server.target, before)) == (True, False)
            assert choose(old)
        with connection(str(server.sidecar.operator_listening), after) as channel:
            stub: pb_grpc.OperatorServiceStub = pb_grpc.OperatorServiceStub(channel)
            assert stub.ListPlacements(pb.ListPlacementsRequest(), timeout=WAIT_S).placements
        assert metric(server, 'banditd_tls_reloads_total{result="applied"}') == 1
        assert metric(server, "banditd_tls_expires_timestamp_seconds") == int(end.timestamp())


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("fault", ["expired", "mismatched", "half"])
def test_the_last_good_pair_goes_on_serving(loop: Loop, tmp_path: Path, transport: str, fault: str) -> None:
    """An expired, a mismatched and a half-written pair are refused; a mended one is served."""
    before, after = Authority(tmp_path, "before"), Authority(tmp_path, "after")
    files = TlsFiles(*before.issue("server"))
    with running(loop, tmp_path, tls=files, transport=transport) as server:
        after.issue("server", datetime.now(UTC) - timedelta(hours=1) if fault == "expired" else None)
        if fault == "mismatched":
            files.key.write_bytes(after.issue("other")[1].read_bytes())
        if fault == "half":
            files.cert.write_bytes(files.cert.read_bytes()[:300])
        assert "TLS files refused, the last good pair stays" in look(server)
        assert serves(server.target, before)
        assert metric(server, 'banditd_tls_reloads_total{result="refused"}') >= 1
        after.issue("server")
        assert "TLS renewed" in look(server)
        assert serves(server.target, after)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_clients_of_the_new_ca_are_served_and_no_others(loop: Loop, tmp_path: Path, transport: str) -> None:
    """With mutual TLS the clients' CA is renewed too; a file that holds none changes nothing."""
    servers, old, new = (Authority(tmp_path, name) for name in ("servers", "old", "new"))
    bundle = tmp_path / "clients.pem"
    bundle.write_bytes(old.pem.read_bytes())
    clients = old.issue("one"), new.issue("two")
    files = TlsFiles(*servers.issue("server"), client_ca=bundle)

    with running(loop, tmp_path, tls=files, transport=transport) as server:

        def served() -> list[bool]:
            return [serves(server.target, servers, client) for client in (*clients, None)]

        with connection(server.target, servers, clients[0]) as standing:
            choose(standing)
            assert served() == [True, False, False]
            bundle.write_bytes(files.cert.read_bytes())
            assert "TLS files refused, the last good pair stays" in look(server)
            assert served() == [True, False, False]
            bundle.write_bytes(new.pem.read_bytes())
            assert "TLS renewed" in look(server)
            assert served() == [False, True, False]
            bundle.write_bytes(old.pem.read_bytes() + new.pem.read_bytes())
            assert "TLS renewed" in look(server)
            assert served() == [True, True, False]
            assert choose(standing)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_intermediate_may_be_the_clients_ca(loop: Loop, tmp_path: Path, transport: str) -> None:
    """Those that it signed may call, and nobody else of its root."""
    root = Authority(tmp_path, "root")
    below = Authority(tmp_path, "below", above=root)
    files = TlsFiles(*root.issue("server"), client_ca=below.pem)
    with running(loop, tmp_path, tls=files, transport=transport) as server:
        assert serves(server.target, root, below.issue("one"))
        assert not serves(server.target, root, root.issue("two"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sighup_reads_the_files_at_once(tmp_path: Path, transport: str) -> None:
    """The log has the new pair's end; the configuration is read by the same signal."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    flags = ["--listen", "127.0.0.1:0", "--transport", transport, "--tls-cert", cert, "--tls-key", key]
    with process(tmp_path, *map(str, flags)) as server:
        server.wait_for("ready")
        end = datetime.now(UTC) + timedelta(hours=20)
        authority.issue("server", end)
        server.process.send_signal(signal.SIGHUP)
        assert server.wait_for("TLS renewed")["expires"] == f"{end:%Y-%m-%dT%H:%M:%S+00:00}"
        server.wait_for("configuration applied")
        assert server.end(signal.SIGTERM) == 0
