"""Clients that begin TLS and do not finish it: counted from the start, closed in time."""

import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

from server import limits
from server.causes import Cause
from server.counts import Counts
from server.failures import Failures
from server.methods import Methods
from server.ngh2_engine import Ngh2Engine
from server.tls import load_tls
from tests.server.certificates import Authority
from tests.server.running import LOOPBACK, WAIT_S, Loop
from tests.transport.doors import server_files
from tests.transport.stand_in import ECHO

CONNECTIONS_MAX = 3


class Encrypted:
    """An engine behind TLS that takes few connections."""

    def __init__(self, loop: Loop, authority: Authority) -> None:
        self.loop = loop
        self.authority = authority
        self.counts = Counts()
        self.target = loop.run(self._start())

    async def _start(self) -> str:
        methods = Methods({ECHO: lambda request: request})
        self.engine = Ngh2Engine(methods, self.counts, Failures(self.counts), connections_max=CONNECTIONS_MAX)
        address = self.engine.listen(LOOPBACK, load_tls(server_files(self.authority)))
        await self.engine.start()
        return str(address)

    def silent(self) -> socket.socket:
        """A client that connects and says nothing."""
        host, _, port = self.target.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=WAIT_S)

    def echo(self) -> bytes:
        """A call on a connection of its own."""
        credentials = grpc.ssl_channel_credentials(self.authority.pem.read_bytes())
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(self.target, credentials, options) as channel:
            call: Any = channel.unary_unary(ECHO)
            reply: bytes = call(b"hi", timeout=WAIT_S, wait_for_ready=True)
            return reply

    def ended(self, cause: Cause) -> int:
        """How many connections ended for `cause`."""
        return self.loop.call(lambda: self.counts.connections_ended[cause])


@pytest.fixture
def encrypted(loop: Loop, tmp_path: Path) -> Encrypted:
    """A fresh one."""
    authority = Authority(tmp_path)
    authority.issue("server")
    return Encrypted(loop, authority)


def test_handshakes_take_the_places_of_connections(encrypted: Encrypted) -> None:
    """One too many is closed as it comes; when the silent ones are gone, others are served."""
    silent = [encrypted.silent() for _ in range(CONNECTIONS_MAX)]
    with encrypted.silent() as refused:
        assert refused.recv(1) == b""
    assert encrypted.ended(Cause.TOO_MANY) == 1
    for client in silent:
        client.close()
    assert encrypted.echo() == b"hi"
    encrypted.loop.run(encrypted.engine.stop(1))


def test_a_handshake_that_takes_too_long_is_ended(
    encrypted: Encrypted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And counted, as are bytes that are no TLS."""
    monkeypatch.setattr(limits, "HELLO_S", 0.05)
    with encrypted.silent() as client:
        assert client.recv(1) == b""
    with encrypted.silent() as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while client.recv(100):
            pass
    encrypted.loop.run(encrypted.engine.stop(0))
    assert encrypted.ended(Cause.NO_HTTP2) == 2


def test_a_stop_gives_handshakes_up(encrypted: Encrypted) -> None:
    """A client that says nothing does not hold it up, and sees the end."""
    with encrypted.silent() as client:
        encrypted.loop.run(encrypted.engine.stop(10))
        assert client.recv(1) == b""
