"""Clients that come: TLS that is not finished is counted and ended; none is lost when descriptors are."""

import asyncio
import errno
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from server import limits
from server.acceptor import Acceptor
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


class Full(socket.socket):
    """A listener in a process that has no descriptor for a client, some times."""

    times = 5

    def accept(self) -> tuple[socket.socket, Any]:
        """A client, if there is a descriptor."""
        if self.times:
            self.times -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_clients_wait_while_there_are_no_descriptors(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says so, ever more rarely; the one that waited is served then."""
    monkeypatch.setattr("server.acceptor.PAUSE_S", 0.01)
    counts = Counts()

    async def serve() -> Acceptor:
        engine = Ngh2Engine(Methods(), counts, Failures(counts))
        acceptor = Acceptor([listener], None, engine)
        acceptor.start()
        return acceptor

    with Full() as listener, capture_logs() as lines:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        acceptor = loop.run(serve())
        with socket.create_connection(listener.getsockname(), timeout=WAIT_S) as client:
            assert client.recv(100)  # the server's settings
        loop.call(acceptor.close)
    assert [(line["event"], line["times"]) for line in lines] == [("cannot accept", at) for at in (1, 2, 4)]
    loop.run(asyncio.sleep(0.01))
