"""`banditd serve` as a process with each engine, on two addresses, with TLS, until it is told to stop."""

import signal
from pathlib import Path

import grpc
import pytest

from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.server.certificates import Authority
from tests.server.running import CONFIG, WAIT_S, process
from tests.server.test_health_reflection import SERVING, check
from tests.transport.doors import ENGINES, Door, server_files


@pytest.mark.parametrize("engine", ENGINES)
def test_serve(tmp_path: Path, authority: Authority, engine: str) -> None:
    """Calls are answered on TCP with TLS and on the Unix socket without; SIGTERM ends it with 0."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    files = server_files(authority)
    path = tmp_path / "data.sock"
    flags = ["--config", "config.yaml", "--transport", engine, "--tls-cert", str(files.cert)]
    flags += ["--tls-key", str(files.key), "--listen", "127.0.0.1:0", "--listen", f"unix:{path}"]
    with process(tmp_path, *flags) as server:
        server.wait_for("ready")
        tcp, unix = server.wait_for("listening")["listen"]
        for door in (Door(engine, "tls", tcp, authority), Door(engine, "unix", unix)):
            with door.channel() as channel:
                assert check(channel) == SERVING
                stub: pb_grpc.BanditServiceStub = pb_grpc.BanditServiceStub(channel)
                assert stub.Choose(pb.ChooseRequest(placement="hero", arms=["b"]), timeout=WAIT_S).arm == "b"
        with Door(engine, "tcp", tcp).channel() as channel, pytest.raises(grpc.RpcError) as caught:
            check(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # in plain text
        assert server.end(signal.SIGTERM) == 0
        assert not path.exists()
        assert server.wait_for("stopped")["decisions"] == 2
