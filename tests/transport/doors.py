"""Every way into a server: two engines, each on TCP, on a Unix socket and behind TLS."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from server.tls import TlsFiles
from tests.server.certificates import Authority
from tests.server.running import Running
from tests.transport.http2_client import Http2Client, client_tls
from tests.transport.stand_in import Bare

ENGINES = ("grpcio", "ngh2")
CARRIERS = ("tcp", "unix", "tls")

Options = Sequence[tuple[str, Any]]

ONE_CHANNEL = ("grpc.use_local_subchannel_pool", 1)
"""A connection of its own for each channel; grpcio otherwise shares them in a process."""


def server_files(authority: Authority, client_ca: Path | None = None) -> TlsFiles:
    """The certificate and key that the authority made for the server."""
    return TlsFiles(authority.folder / "server.pem", authority.folder / "server.key", client_ca)


@dataclass(frozen=True)
class Door:
    """One address of one engine, and how to go in. `authority` is set where TLS is spoken."""

    engine: str
    carrier: str
    target: str
    authority: Authority | None = None

    def raw(self, *, greet: bool = True, **options: Any) -> Http2Client:
        """A raw HTTP/2 client, by default once both sides know each other's settings."""
        tls = client_tls(self.authority.pem) if self.authority else None
        client = Http2Client(self.target, tls, **options)
        if greet:
            client.greet()
        return client

    def channel(self, *options: tuple[str, Any], **more: Any) -> grpc.Channel:
        """A channel of grpcio's with a connection of its own."""
        if self.authority:
            return grpc.secure_channel(self.target, self._credentials(), [ONE_CHANNEL, *options], **more)
        return grpc.insecure_channel(self.target, [ONE_CHANNEL, *options], **more)

    def aio_channel(self, *options: tuple[str, Any], **more: Any) -> grpc.aio.Channel:
        """The same of its asyncio half; to be made and used on the loop of the sidecars."""
        if self.authority:
            return grpc.aio.secure_channel(self.target, self._credentials(), [ONE_CHANNEL, *options], **more)
        return grpc.aio.insecure_channel(self.target, [ONE_CHANNEL, *options], **more)

    def _credentials(self) -> grpc.ChannelCredentials:
        assert self.authority is not None
        return grpc.ssl_channel_credentials(self.authority.pem.read_bytes())


@dataclass(frozen=True)
class BareDoor(Door):
    """A door to an engine that carries a stand-in."""

    server: Bare | None = None

    @property
    def bare(self) -> Bare:
        """The engine behind the door."""
        assert self.server is not None
        return self.server


@dataclass(frozen=True)
class SidecarDoor(Door):
    """A door to a whole sidecar."""

    server: Running | None = None

    @property
    def sidecar(self) -> Running:
        """The sidecar behind the door."""
        assert self.server is not None
        return self.server

    def decisions(self) -> int:
        """How many decisions it has made for `hero`."""
        return self.sidecar.loop.call(
            lambda: int(self.sidecar.engine.state.placements["hero"].counters.decisions.sum())
        )
