"""One client's socket: bytes between the transport and its session, and patience with a client's limits."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from time import perf_counter_ns
from typing import Protocol, cast

from server import limits
from server.causes import Cause
from server.codes import Code
from server.http2.call import Call
from server.http2.session import Session
from server.methods import CallError
from server.turns import Turns

NS = 10**9

HELLO_NS = round(limits.HELLO_S * NS)
REQUEST_NS = round(limits.REQUEST_S * NS)
KEEPALIVE_NS = limits.KEEPALIVE_S * NS
PING_NS = limits.KEEPALIVE_TIMEOUT_S * NS
STALL_NS = round(limits.STALL_S * NS)
NOTICE_NS = round(limits.LEAVE_NOTICE_S * NS)
LEAVE_NS = round(limits.LEAVE_S * NS)

WRITING, CROWDED, FAIR = 1, 2, 4
"""Why reading is paused: the client does not read, too many calls wait, others have their turn."""


class Owner(Protocol):
    """Who is told of a connection's life."""

    def come(self, connection: Connection) -> None:
        """There is a client."""

    def gone(self, connection: Connection, cause: Cause) -> None:
        """There is none any more."""

    def broke(self, connection: Connection, error: Exception) -> None:
        """A fault of ours met it."""


class Connection(asyncio.BufferedProtocol):
    """The event loop's side of a connection.

    `buffer` is the engine's: what is read is used before anything else is.
    """

    def __init__(
        self,
        session: Session,
        turns: Turns,
        buffer: memoryview,
        owner: Owner,
    ) -> None:
        self.session = session
        self.touched = False
        self.waiting: deque[Call] = deque()
        self._turns = turns
        self._buffer = buffer
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._cause = Cause.CLIENT
        self._paused = 0
        self._room = asyncio.Event()
        self._room.set()
        self._born_ns = session.heard_ns = perf_counter_ns()
        self._old_ns = self._born_ns + round(limits.CONNECTION_AGE_S * random.uniform(0.9, 1.1) * NS)  # noqa: S311 - spreads load
        self._left_ns = self._overstays_ns = 0
        self._going = False
        self._pinged_ns = 0
        self._stalled_ns = 0
        self._sent_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client, if TLS has agreed on HTTP/2."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.come(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self.close(Cause.NO_HTTP2)
        self._turns.touch(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        del sizehint  # theirs is a guess, ours a bound
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what was read."""
        turns = self._turns
        try:
            for call in self.session.receive(self._buffer[:nbytes], perf_counter_ns()):
                turns.take(self, call)
        except Exception as error:  # noqa: BLE001 - one connection's fault is not the others'
            self.broke(error)
        turns.touch(self)
        if nbytes == len(self._buffer):
            self._pause(FAIR)
            turns.stop(self)
        if turns.crowded(self):
            self._pause(CROWDED)
            turns.stop(self)

    def eof_received(self) -> bool:
        """Close: a client that will say no more does not listen either."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the calls on it."""
        del exc  # a client that went away is no fault
        self._transport = None
        self.session.abandon()
        self._room.set()
        self._owner.gone(self, self._cause)

    def pause_writing(self) -> None:
        """Say and read no more until the client has read."""
        self._pause(WRITING)
        self._watch_reader(self.session.unsent)

    def resume_writing(self) -> None:
        """Go on."""
        self._resume(WRITING)
        self._turns.touch(self)

    def resume_reading(self) -> None:
        """Go on after a turn."""
        self._resume(CROWDED | FAIR)

    async def room(self) -> None:
        """Return when the client has read enough for more of a stream."""
        await self._room.wait()

    def flush(self) -> None:
        """Send what there is to send, as far as the client reads."""
        if self._transport is None or self._paused & WRITING or self._transport.is_closing():
            return
        session = self.session
        data = session.outgoing()
        if data:
            self._transport.write(data)
            self._sent_bytes += len(data)
        if session.over:
            self.close(session.over)
        else:
            self._watch_reader(session.unsent)

    def close(self, cause: Cause) -> None:
        """End the connection once what was written is out."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self._cause = cause
            self.session.abandon()
            transport.close()
            end_ns = perf_counter_ns() + (LEAVE_NS if cause is Cause.LEFT else 0)
            asyncio.get_running_loop().call_later(limits.FAREWELL_S, abort, transport, end_ns)

    def broke(self, error: Exception) -> None:
        """Close: a fault of ours met it."""
        self._owner.broke(self, error)

    def announce_leave(self, patience_s: float = limits.LEAVE_S) -> None:
        """Ask the client to go elsewhere with its next calls; those under way have `patience_s` seconds."""
        now_ns = perf_counter_ns()
        self._overstays_ns = now_ns + round(patience_s * NS)
        if not self._left_ns:
            self._left_ns = now_ns
            self.session.announce_leave()
            self._turns.touch(self)

    def leave(self) -> None:
        """Take no more calls; close when those that were taken are answered."""
        self.session.leave()
        self._turns.touch(self)

    def look(self, now_ns: int) -> None:
        """Look, once a second, for a client that is stuck, silent or has been here for long."""
        session = self.session
        session.pass_second()
        fault = self._fault(now_ns)
        if fault is not None:
            self.close(fault)
            return
        for call in list(session.calls.values()):
            if not call.ended and call.route.unary is not None and now_ns - call.arrived_ns > REQUEST_NS:
                call.error = CallError(Code.DEADLINE_EXCEEDED, "the request did not come whole in time")
                self._turns.take(self, call)
                self._turns.touch(self)
        if self._left_ns:
            if now_ns - self._left_ns > NOTICE_NS and not self._going:
                self._going = True
                self.leave()
        elif now_ns > self._old_ns:
            self.announce_leave()
        elif now_ns - session.heard_ns > KEEPALIVE_NS and not self._pinged_ns:
            self._pinged_ns = now_ns
            session.ping()
            self._turns.touch(self)

    def _fault(self, now_ns: int) -> Cause | None:
        """Why the client has lost our patience; None if it has not."""
        session = self.session
        if self._pinged_ns and session.heard_ns > self._pinged_ns:
            self._pinged_ns = 0
        if not session.greeted and now_ns - self._born_ns > HELLO_NS:
            return Cause.NO_HTTP2
        if session.unheard_bytes and now_ns - session.unheard_ns > REQUEST_NS:
            return Cause.SLOW
        if self._pinged_ns and now_ns - self._pinged_ns > PING_NS:
            return Cause.SILENT
        if self._left_ns and now_ns > self._overstays_ns:
            return Cause.OVERSTAYED
        if self._stalled_ns and now_ns - self._stalled_ns > STALL_NS:
            if self._sent_bytes < limits.STALL_BYTES_MIN:
                return Cause.UNREAD
            self._stalled_ns, self._sent_bytes = now_ns, 0
        return None

    def _watch_reader(self, unsent: int) -> None:
        """Note since when the client has not read all that there is."""
        if unsent == 0 and not self._paused & WRITING:
            self._stalled_ns = 0
        elif not self._stalled_ns:
            self._stalled_ns, self._sent_bytes = perf_counter_ns(), 0
        if unsent > limits.UNSENT_BYTES_MAX:
            self._room.clear()
        else:
            self._room.set()

    def _pause(self, why: int) -> None:
        if not self._paused and self._transport is not None:
            self._transport.pause_reading()
        self._paused |= why

    def _resume(self, why: int) -> None:
        paused, self._paused = self._paused, self._paused & ~why
        if paused and not self._paused and self._transport is not None:
            self._transport.resume_reading()


def abort(transport: asyncio.Transport, end_ns: int) -> None:
    """Abort a transport that is closing; while its client still reads answers, not before `end_ns`."""
    if perf_counter_ns() < end_ns and transport.get_write_buffer_size():
        asyncio.get_running_loop().call_later(limits.FAREWELL_S, abort, transport, end_ns)
    else:
        transport.abort()
