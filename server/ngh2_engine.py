"""Carries methods over gRPC on our own engine: uvloop's sockets, libnghttp2's HTTP/2 through ngh2.

`docs/decisions/0014` says why. What a byte means is the business of `server/http2`; in which order calls are
answered, of `server/turns.py`; what is answered, of `server/answers.py`; when patience with a client ends, of
`server/ngh2_connection.py`. Here are the listeners and the life of the whole.
"""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns

import structlog

from server import limits
from server.addresses import Address
from server.answers import Answers
from server.causes import Cause
from server.counts import Counts
from server.failures import Failures
from server.http2.call import Budget, Route
from server.http2.session import Session
from server.listeners import BACKLOG, bind
from server.methods import Methods
from server.ngh2_connection import Connection
from server.tls import Tls, server_context
from server.turns import Turns

LOOK_EVERY_S = 1.0


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
    ) -> None:
        counts.track([*methods.unary, *methods.streams])
        self._routes = routes(methods, counts)
        self._counts = counts
        self._message_bytes_max = message_bytes_max
        self._streams_max = streams_max
        self._connections_max = connections_max
        self._answers = Answers(failures)
        self._turns = Turns(self._answers.answer, self._soon, calls_max)
        self._answers.turns = self._turns
        self._parts = Budget(limits.PART_BYTES_MAX)
        self._buffer = memoryview(bytearray(limits.READ_BYTES))
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._log = structlog.get_logger()
        self._bound: list[tuple[list[socket.socket], Tls | None, Address]] = []
        self._servers: list[asyncio.Server] = []
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
            await self._serve(sockets, tls)
        self._look_task = asyncio.get_running_loop().create_task(self._look())

    async def renew_tls(self, tls: Tls) -> None:
        """Serve new connections with `tls`; those that are there keep what they agreed on."""
        servers, self._servers = self._servers, []
        self._bound = [(sockets, old and tls, address) for sockets, old, address in self._bound]
        for sockets, new, _ in self._bound:
            await self._serve(sockets, new)
        for server in servers:
            server.close()

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, wait up to `grace_s` seconds for those under way, cut the rest off."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + grace_s
        for server in self._servers:
            server.close()
        self._unbind()
        for connection in list(self._connections):
            connection.announce_leave()
        if self._connections:
            await asyncio.sleep(min(limits.LEAVE_NOTICE_S, grace_s))
        self._answers.close()
        for connection in list(self._connections):
            connection.leave()
        await self._until_empty(end_s - loop.time())
        for connection in list(self._connections):
            connection.close(Cause.OVERSTAYED)
        await self._until_empty(2 * limits.FAREWELL_S)
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

    async def _serve(self, sockets: list[socket.socket], tls: Tls | None) -> None:
        """Accept on `sockets`, through copies of them, so that one set of servers can follow another."""
        loop = asyncio.get_running_loop()
        for listener in sockets:
            self._servers.append(
                await loop.create_server(
                    self._connection,
                    sock=listener.dup(),
                    backlog=BACKLOG,
                    ssl=None if tls is None else server_context(tls),
                    ssl_handshake_timeout=None if tls is None else limits.HELLO_S,
                )
            )

    def _connection(self) -> Connection:
        session = Session(self._routes, self._parts, self._message_bytes_max, self._streams_max)
        return Connection(session, self._turns, self._buffer, self._come, self._gone)

    def _come(self, connection: Connection) -> None:
        """Count a new connection in; one too many is closed at once. TLS has agreed on its terms by now."""
        self._connections.add(connection)
        self._counts.connections += 1
        if len(self._connections) > self._connections_max:
            connection.close(Cause.TOO_MANY)

    def _gone(self, connection: Connection, cause: Cause) -> None:
        self._connections.discard(connection)
        self._counts.connections -= 1
        self._counts.connections_ended[cause] += 1
        if not self._connections:
            self._empty.set()

    def _soon(self, work: object) -> None:
        asyncio.get_running_loop().call_soon(work)  # type: ignore[arg-type]

    async def _look(self) -> None:
        """Look at every connection once a second."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_ns = perf_counter_ns()
            for connection in list(self._connections):
                connection.look(now_ns)


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
