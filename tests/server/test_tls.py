"""TLS and mutual TLS from files, and what is said of files that do not do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from server.cli import cli
from server.exit_codes import ExitCode, StartError
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from server.tls import TlsFiles, load_tls
from tests.server.certificates import Authority
from tests.server.running import WAIT_S, Loop, running


def choose(target: str, ca: Path, client: tuple[Path, Path] | None = None) -> str:
    """The arm of one Choose over TLS."""
    cert, key = (path.read_bytes() for path in client) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), key, cert)
    with grpc.secure_channel(target, credentials) as channel:
        stub: pb_grpc.BanditServiceStub = pb_grpc.BanditServiceStub(channel)
        arm: str = stub.Choose(pb.ChooseRequest(placement="hero"), timeout=WAIT_S).arm
        return arm


def test_tls_serves_those_who_trust_its_ca(loop: Loop, tmp_path: Path) -> None:
    """A client with the CA is served; one with another CA, or in plain text, is not."""
    authority = Authority(tmp_path)
    other = Authority(tmp_path, "other")
    with running(loop, tmp_path, tls=TlsFiles(*authority.issue("server"))) as server:
        assert choose(server.target, authority.pem)
        with pytest.raises(grpc.RpcError) as caught:
            choose(server.target, other.pem)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as caught:
            server.choose()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_mutual_tls_serves_those_its_ca_signed(loop: Loop, tmp_path: Path) -> None:
    """Clients need a certificate of the client CA."""
    authority = Authority(tmp_path)
    stranger = Authority(tmp_path, "stranger").issue("intruder")
    files = TlsFiles(*authority.issue("server"), client_ca=authority.pem)
    with running(loop, tmp_path, tls=files) as server:
        assert choose(server.target, authority.pem, authority.issue("client"))
        for client in (None, stranger):
            with pytest.raises(grpc.RpcError) as caught:
                choose(server.target, authority.pem, client)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_probe_speaks_tls(loop: Loop, tmp_path: Path) -> None:
    """`probe` with the files answers SERVING, without them says that nobody does."""
    authority = Authority(tmp_path)
    files = TlsFiles(*authority.issue("server"), client_ca=authority.pem)
    cert, key = authority.issue("client")
    with running(loop, tmp_path, tls=files) as server:
        flags = ["--tls-ca", authority.pem, "--tls-cert", cert, "--tls-key", key]
        good = CliRunner().invoke(cli, ["probe", "--target", server.target, *map(str, flags)])
        assert (good.exit_code, good.output) == (0, f"{server.target}: SERVING\n")
        bad = CliRunner().invoke(cli, ["probe", "--target", server.target])
        assert bad.exit_code == 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: f.cert.unlink(), "cannot be read"),
        (lambda f: f.cert.write_bytes(f.cert.read_bytes()[:100]), "no certificate in PEM"),
        (lambda f: f.key.write_bytes(b"half a key"), "no private key in PEM"),
        (lambda f: f.client_ca.write_bytes(b""), "no certificate in PEM"),
        (lambda f: f.key.write_bytes((f.key.parent / "other.key").read_bytes()), "is not the key"),
    ],
)
def test_unfit_files_are_named(tmp_path: Path, spoil: Callable[[TlsFiles], object], says: str) -> None:
    """A missing, half-written or mismatched file stops the start, with its name and its own exit code."""
    authority = Authority(tmp_path)
    authority.issue("other")
    files = TlsFiles(*authority.issue("server"), client_ca=authority.pem)
    spoil(files)
    with pytest.raises(StartError, match=says) as caught:
        load_tls(files)
    assert caught.value.code is ExitCode.FILES
    assert str(tmp_path) in str(caught.value)


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    """The message says from when to when it was valid."""
    files = TlsFiles(*Authority(tmp_path).issue("server", datetime.now(UTC) - timedelta(hours=1)))
    with pytest.raises(StartError, match=r"is valid from .* to .*, not now"):
        load_tls(files)


def test_no_key_is_shown(tmp_path: Path) -> None:
    """A loaded pair can be printed without its key."""
    tls = load_tls(TlsFiles(*Authority(tmp_path).issue("server")))
    assert repr(tls).startswith("Tls(expires=")
    assert "key hidden" in repr(tls)
