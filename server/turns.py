"""Calls take turns: connections go round, each is answered for half a millisecond, in the order it asked.

All sockets are read before a turn, so a call that its client has given up meanwhile is found in time; each
connection's answers of a turn leave in one write. Beyond what can be answered in time, reading stops and
calls are refused, which is cheap: so the work that is done is done for clients who still wait. One that asks
for more than its share waits, and is refused, by itself.
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
VISIT_NS = round(limits.VISIT_S * 1e9)


class Connection(Protocol):
    """What a turn needs of a connection."""

    touched: bool
    """whether a flush is due"""
    waiting: deque[Call]
    """its calls that wait for their turn"""

    def flush(self) -> None:
        """Send what there is to send."""

    async def room(self) -> None:
        """Return when the client has read enough for more of a stream."""

    def broke(self, error: Exception) -> None:
        """Close: a fault of ours met it."""

    def resume_reading(self) -> None:
        """Read on, after `Turns.stop` was asked to say when."""


Answer = Callable[[Connection, Call, int], None]


class Turns:
    """The calls that wait, of all connections of an engine.

    `answer` answers one call; `soon` runs a function at the next turn of the event loop, after sockets were
    read. `commit` makes sure of what was done, once a turn, before any answer leaves. `calls_max` bounds the
    calls in flight, `bytes_max` the bytes of those that wait.
    """

    def __init__(
        self,
        answer: Answer,
        soon: Callable[[Callable[[], None]], object],
        calls_max: int = limits.CALLS_MAX,
        commit: Callable[[], None] = lambda: None,
        bytes_max: int = limits.CALL_BYTES_MAX,
    ) -> None:
        self.pending = 0
        """calls that wait for something of their own: a file, another process"""
        self._answer = answer
        self._soon = soon
        self._calls_max = calls_max
        self._commit = commit
        self._bytes_max = bytes_max
        self._round: deque[Connection] = deque()
        self._waiting = 0
        self._bytes = 0
        self._touched: list[Connection] = []
        self._stopped: list[Connection] = []
        self._scheduled = False
        self._turned_ns = 0
        """end of the last turn: a call that came after it has waited for no other, however long we slept"""

    def crowded(self, connection: Connection) -> bool:
        """Whether to read no more from `connection`: too many calls wait, and it has its share of them."""
        if self._waiting + self.pending < self._calls_max and self._bytes < self._bytes_max:
            return False
        return len(connection.waiting) * (len(self._round) + 1) >= self._calls_max

    def take(self, connection: Connection, call: Call) -> None:
        """Let a call wait for its turn; refuse it if too many do. A vital one is answered at once."""
        if call.error is None and not call.route.vital:
            if self.pending < self._calls_max and not self.crowded(connection):
                self._wait(connection, call)
                return
            call.error = overloaded()
        self._answer(connection, call, call.arrived_ns)

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

    def _wait(self, connection: Connection, call: Call) -> None:
        if not connection.waiting:
            self._round.append(connection)
        connection.waiting.append(call)
        self._waiting += 1
        self._bytes += len(call.messages[0])

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        now_ns = perf_counter_ns()
        end_ns = now_ns + TURN_NS
        while self._round and now_ns < end_ns:
            connection = self._round.popleft()
            now_ns = self._visit(connection, now_ns)
            if connection.waiting:
                self._round.append(connection)
        self._turned_ns = now_ns
        self._commit()
        touched, self._touched = self._touched, []
        for connection in touched:
            connection.touched = False
            try:
                connection.flush()
            except Exception as error:  # noqa: BLE001 - one connection's fault is not the others'
                connection.broke(error)
        if self._round:
            self._schedule()
        if self._stopped and 2 * (self._waiting + self.pending) < self._calls_max:
            stopped, self._stopped = self._stopped, []
            for connection in stopped:
                connection.resume_reading()

    def _visit(self, connection: Connection, now_ns: int) -> int:
        """Answer some calls of `connection`; return the time after it."""
        waiting = connection.waiting
        end_ns = now_ns + VISIT_NS
        while waiting and now_ns < end_ns:
            call = waiting.popleft()
            self._waiting -= 1
            self._bytes -= len(call.messages[0])
            if now_ns - call.arrived_ns > WAIT_NS and call.arrived_ns < self._turned_ns:
                call.error = overloaded()
            try:
                self._answer(connection, call, now_ns)
            except Exception as error:  # noqa: BLE001 - as in a flush
                connection.broke(error)
            now_ns = perf_counter_ns()
        self.touch(connection)
        return now_ns
