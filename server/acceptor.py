"""Accepts clients on bound sockets. A TLS handshake is bounded in time, and counts as a connection.

The event loop's own servers tell us of a client only when its handshake is done: those that never finish one
would cost descriptors and memory that nobody counts. And a renewed pair is the next handshake's, on the same
listeners.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

import structlog

from server import limits
from server.descriptors import HANDOVER
from server.tls import Tls, server_context

ACCEPTS_PER_TURN = 64
"""Clients that are accepted before others get their turn."""

PAUSE_S = 0.1
"""Seconds without accepting when there is no descriptor for another client, or one that is spoken for."""


class Owner(Protocol):
    """Who counts clients."""

    def has_room(self) -> bool:
        """Whether there may be another client; one that is refused is counted."""

    def connection(self) -> asyncio.BaseProtocol:
        """The protocol of a client that is there, and has agreed on TLS."""

    def not_greeted(self) -> None:
        """A handshake failed, or took too long."""


class Acceptor:
    """Accepts on sockets that listen, in TLS if there is a `tls`. The sockets are the caller's to close."""

    def __init__(self, sockets: list[socket.socket], tls: Tls | None, owner: Owner) -> None:
        self._sockets = sockets
        self._context = None if tls is None else server_context(tls)
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._greetings: set[asyncio.Task[None]] = set()
        self._pauses = 0

    def start(self) -> None:
        """Accept from now on."""
        for listener in self._sockets:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._accept, listener)

    def renew(self, tls: Tls) -> None:
        """Use this pair from now on, if there is TLS here. Raises OSError, with the old one kept."""
        if self._context is not None:
            self._context = server_context(tls)

    def close(self) -> None:
        """Accept no more, and give up handshakes."""
        for listener in self._sockets:
            self._loop.remove_reader(listener)
        for task in self._greetings:
            task.cancel()

    @property
    def greeted(self) -> int:
        """How many clients are being greeted."""
        return len(self._greetings)

    def _accept(self, listener: socket.socket) -> None:
        if not HANDOVER.acquire(blocking=False):
            self._wait(listener)
            return
        try:
            for _ in range(ACCEPTS_PER_TURN):
                client, _ = listener.accept()
                self._take(client)
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass
        except OSError as error:
            self._pause(listener, error)
        finally:
            HANDOVER.release()

    def _take(self, client: socket.socket) -> None:
        if not self._owner.has_room():
            client.close()
            return
        client.setblocking(False)
        task = self._loop.create_task(self._greet(client))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    def _wait(self, listener: socket.socket) -> None:
        """Let new clients wait a little."""
        self._loop.remove_reader(listener)
        self._loop.call_later(PAUSE_S, self._again, listener)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        """Let them wait; said for the 1st, 2nd, 4th, 8th … time, since it may last."""
        self._wait(listener)
        self._pauses += 1
        if self._pauses & (self._pauses - 1) == 0:
            structlog.get_logger().error("cannot accept", problem=error.strerror, times=self._pauses)

    def _again(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener, self._accept, listener)

    async def _greet(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._owner.connection,
                client,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else limits.HELLO_S,
            )
        except OSError:
            self._owner.not_greeted()
