"""Calls take turns: they are answered in the order in which they came, a millisecond's worth at a time.

All sockets are read before a turn, so a call that its client has given up meanwhile is found in time; each
connection's answers of a turn leave in one write. Beyond what can be answered in time, reading stops and
calls are refused, which is cheap: so the work that is done is done for clients who still wait.
"""

from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import Protocol

from server import limits
from server.errors import overloaded
from server.http2.call import Call

WAIT_NS = round(limits.WAIT_MAX_S * 1e9)
TURN_NS = round(limits.TURN_S * 1e9)


class Connection(Protocol):
    """What a turn needs of a connection."""

    touched: bool
    """whether a flush is due"""

    def flush(self) -> None:
        """Send what there is to send."""

    async def room(self) -> None:
        """Return when the client has read enough for more of a stream."""

    def resume_reading(self) -> None:
        """Read on, after `Turns.stopped` held it."""


Answer = Callable[[Connection, Call, int], None]


class Turns:
    """The calls that wait, of all connections of a process.

    `answer` answers one call; `soon` runs a function at the next turn of the event loop, after sockets were
    read. `calls_max` bounds the calls in flight, `bytes_max` the bytes of those that wait.
    """

    def __init__(
        self,
        answer: Answer,
        soon: Callable[[Callable[[], None]], object],
        calls_max: int = limits.CALLS_MAX,
        bytes_max: int = limits.CALL_BYTES_MAX,
    ) -> None:
        self.pending = 0
        """calls that wait for something of their own: a file, another process"""
        self._answer = answer
        self._soon = soon
        self._calls_max = calls_max
        self._bytes_max = bytes_max
        self._waiting: deque[tuple[Connection, Call]] = deque()
        self._bytes = 0
        self._touched: list[Connection] = []
        self._stopped: list[Connection] = []
        self._scheduled = False

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return len(self._waiting) + self.pending

    @property
    def full(self) -> bool:
        """Whether no more calls should be read."""
        return len(self._waiting) + self.pending >= self._calls_max or self._bytes >= self._bytes_max

    def take(self, connection: Connection, call: Call) -> None:
        """Let a call wait for its turn; refuse it if too many do. A vital one is answered at once."""
        if call.route.vital or call.error is not None:
            self._answer(connection, call, call.arrived_ns)
        elif self.full:
            call.error = overloaded()
            self._answer(connection, call, call.arrived_ns)
        else:
            self._waiting.append((connection, call))
            self._bytes += len(call.messages[0])

    def touch(self, connection: Connection) -> None:
        """Flush `connection` at the end of the next turn."""
        if not connection.touched:
            connection.touched = True
            self._touched.append(connection)
        self._schedule()

    def stop(self, connection: Connection) -> None:
        """Resume reading from `connection`, which has paused, after the next turn that leaves room."""
        self._stopped.append(connection)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._turn)

    def _turn(self) -> None:
        waiting = self._waiting
        now_ns = perf_counter_ns()
        end_ns = now_ns + TURN_NS
        while waiting and now_ns < end_ns:
            connection, call = waiting.popleft()
            self._bytes -= len(call.messages[0])
            if now_ns - call.arrived_ns > WAIT_NS:
                call.error = overloaded()
            self._answer(connection, call, now_ns)
            self.touch(connection)
            now_ns = perf_counter_ns()
        self._scheduled = False
        touched, self._touched = self._touched, []
        for connection in touched:
            connection.touched = False
            connection.flush()
        if waiting:
            self._schedule()
        if self._stopped and 2 * self.in_flight < self._calls_max and 2 * self._bytes < self._bytes_max:
            stopped, self._stopped = self._stopped, []
            for connection in stopped:
                connection.resume_reading()
