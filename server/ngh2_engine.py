"""Carries methods over gRPC on our own engine: uvloop's sockets, libnghttp2's HTTP/2 through ngh2.

`docs/decisions/0014` says why. What a byte means is the business of `server/http2`; in which order calls are
answered, of `server/turns.py`; what is answered, of `server/answers.py`; when patience with a client ends, of
`server/ngh2_connection.py`. Here are the listeners and the life of the whole.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns

import structlog

from server import collector, limits
from server.acceptor import Acceptor
from server.addresses import Address
from server.answers import Answers
from server.causes import Cause
from server.counts import Counts
from server.failures import Failures
from server.http2.call import Budget, Route
from server.http2.session import Session
from server.listeners import bind
from server.methods import Methods
from server.ngh2_connection import Connection
from server.tls import Tls
from server.turns import Turns

LOOK_EVERY_S = 1.0
NS = 10**9


class Ngh2Engine:
    """One gRPC server with its listeners. Make it, `listen`, `start`, `stop`; all on one event loop."""

    def __init__(
        self,
        methods: Methods,
        counts: Counts,
        failures: Failures,
        message_bytes_max: int = limits.MESSAGE_BYTES_MAX,
        streams_max: int = limits.STREAMS_MAX,
        calls_max: int = limits.CALLS_MAX,
        connections_max: int = limits.CONNECTIONS_MAX,
        commit: Callable[[], None] = lambda: None,
    ) -> None:
        counts.track([*methods.unary, *methods.streams])
        self._routes = routes(methods, counts)
        self._counts = counts
        self._failures = failures
        self._message_bytes_max = message_bytes_max
        self._streams_max = streams_max
        self._connections_max = connections_max
        self._answers = Answers(failures)
        self._turns = Turns(self._answers.answer, self._soon, calls_max, commit)
        self._answers.turns = self._turns
        self._parts = Budget(limits.PART_BYTES_MAX)
        self._buffer = memoryview(bytearray(limits.READ_BYTES))
        self._connections: set[Connection] = set()
        self._ended = 0
        self._gave_back_ns = 0
        self._empty = asyncio.Event()
        self._stopping = False
        self._log = structlog.get_logger()
        self._bound: list[tuple[list[socket.socket], Tls | None, Address]] = []
        self._acceptors: list[Acceptor] = []
        self._look_task: asyncio.Task[None] | None = None

    def listen(self, address: Address, tls: Tls | None, *, private: bool = False) -> Address:
        """Bind an address; return it with its port, where a free one was asked for.

        Unix sockets are never encrypted; `private` ones are open to their owner alone. Raises `StartError`.
        """
        sockets, bound = bind(address, private=private)
        self._bound.append((sockets, None if address.path else tls, bound))
        return bound

    async def start(self) -> None:
        """Take calls from now on."""
        for sockets, tls, _ in self._bound:
            acceptor = Acceptor(sockets, tls, self)
            self._acceptors.append(acceptor)
            acceptor.start()
        self._look_task = asyncio.get_running_loop().create_task(self._look())

    async def renew_tls(self, tls: Tls) -> None:
        """Serve new connections with `tls`; those that are there keep what they agreed on."""
        for acceptor in self._acceptors:
            acceptor.renew(tls)

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, wait up to `grace_s` seconds for those under way, cut the rest off."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + grace_s
        self._stopping = True
        for acceptor in self._acceptors:
            acceptor.close()
        self._unbind()
        for connection in list(self._connections):
            connection.announce_leave(grace_s)
        if self._connections:
            await asyncio.sleep(min(limits.LEAVE_NOTICE_S, grace_s))
        self._answers.close()
        for connection in list(self._connections):
            connection.leave()
        # not at once, though the grace is over: this process may have had no turn itself
        await self._until_empty(max(end_s - loop.time(), limits.LEAVE_NOTICE_S))
        for connection in list(self._connections):
            connection.close(Cause.OVERSTAYED)
        await self._until_empty(2 * limits.FAREWELL_S)
        await self._answers.cut()
        if self._look_task is not None:
            self._look_task.cancel()

    def _unbind(self) -> None:
        for sockets, _, address in self._bound:
            for listener in sockets:
                listener.close()
            if address.path:
                Path(address.path).unlink(missing_ok=True)

    async def _until_empty(self, patience_s: float) -> None:
        """Return when there are no more connections, or after `patience_s` seconds."""
        if self._connections and patience_s > 0:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience_s)

    def has_room(self) -> bool:
        """Whether there may be another client; one too many is counted."""
        greeted = sum(acceptor.greeted for acceptor in self._acceptors)
        if len(self._connections) + greeted < self._connections_max:
            return True
        self._counts.connections_ended[Cause.TOO_MANY] += 1
        return False

    def not_greeted(self) -> None:
        """Count a client that did not get through TLS."""
        self._counts.connections_ended[Cause.NO_HTTP2] += 1

    def connection(self) -> Connection:
        """Make a new client's connection."""
        session = Session(self._routes, self._parts, self._message_bytes_max, self._streams_max)
        return Connection(session, self._turns, self._buffer, self)

    def come(self, connection: Connection) -> None:
        """Count a new connection in."""
        self._connections.add(connection)
        self._counts.connections += 1
        if self._stopping:
            connection.close(Cause.LEFT)

    def gone(self, connection: Connection, cause: Cause) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._counts.connections -= 1
        self._counts.connections_ended[cause] += 1
        self._ended += 1 if cause in (Cause.CLIENT, Cause.LEFT) else limits.CROWD
        if not self._connections:
            self._empty.set()

    def broke(self, connection: Connection, error: Exception) -> None:
        """Close a connection that met a fault of ours, and report it."""
        self._failures.report(error, "")
        connection.close(Cause.FAULT)

    def _soon(self, work: object) -> None:
        asyncio.get_running_loop().call_soon(work)  # type: ignore[arg-type]

    async def _look(self) -> None:
        """Look at every connection once a second."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_ns = perf_counter_ns()
            for connection in list(self._connections):
                try:
                    connection.look(now_ns)
                except Exception as error:  # noqa: BLE001 - nobody would look at the others any more
                    self.broke(connection, error)
            if self._ended >= limits.CROWD and now_ns - self._gave_back_ns > limits.CROWD_PAUSE_S * NS:
                self._ended, self._gave_back_ns = 0, now_ns
                collector.give_back()


def routes(methods: Methods, counts: Counts) -> dict[bytes, Route]:
    """The methods by path, as sessions want them."""
    found = {
        path: Route(path, counts.methods[path], unary=unary, vital=path in methods.vital)
        for path, unary in methods.unary.items()
    }
    found |= {
        path: Route(path, counts.methods[path], stream=stream, vital=True)
        for path, stream in methods.streams.items()
    }
    return {path.encode(): route for path, route in found.items()}
