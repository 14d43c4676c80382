"""Answers calls that have come in over HTTP/2: runs the method, and says on the call what came of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import aclosing
from time import perf_counter_ns
from typing import Any

from server import limits
from server.codes import Code
from server.errors import ShellError, ShellReason
from server.failures import Failures
from server.http2.call import Call
from server.methods import CallError
from server.turns import Connection, Turns

NS = 1e-9


class Answers:
    """Runs methods for calls. It belongs to one event loop; `turns` flush the connections it answers on."""

    def __init__(self, failures: Failures) -> None:
        self.turns: Turns
        self._failures = failures
        self._streaming: set[asyncio.Task[None]] = set()
        self._pending: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def answer(self, connection: Connection, call: Call, now_ns: int) -> None:
        """Answer a call whose turn has come, or start to. `now_ns` is the time."""
        if not call.open:
            call.route.counts.observe(Code.CANCELLED, now_ns - call.arrived_ns)
            return
        if call.deadline_ns and now_ns >= call.deadline_ns and call.error is None:
            call.error = deadline_passed()
        if call.error is not None:
            self._fail(call, call.error)
            return
        if call.route.unary is None:
            if len(self._streaming) < limits.STREAMING_CALLS_MAX:
                _spawn(self._stream(connection, call), self._streaming)
            else:
                self._fail(call, CallError(Code.RESOURCE_EXHAUSTED, "too many streaming calls at once"))
            return
        try:
            reply = call.route.unary(call.session.next(call) if call.gzip else call.messages[0])
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and we go on
            self._fail(call, error)
            return
        if isinstance(reply, bytes):
            self._reply(call, reply)
        else:
            self.turns.pending += 1
            _spawn(self._later(connection, call, reply), self._pending)

    def close(self) -> None:
        """Let streaming calls see the end of what their clients say, so that they end."""
        self._closing.set()

    async def cut(self) -> None:
        """End what is still under way, whatever it waits for."""
        tasks = [*self._streaming, *self._pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reply(self, call: Call, message: bytes) -> None:
        call.session.reply(call, message)
        call.route.counts.observe(Code.OK, perf_counter_ns() - call.arrived_ns)

    def _fail(self, call: Call, error: Exception) -> None:
        found = self._failures.of(error, call.route.path)
        call.session.fail(call, found)
        call.route.counts.observe(found.code, perf_counter_ns() - call.arrived_ns)

    async def _later(self, connection: Connection, call: Call, reply: Awaitable[bytes]) -> None:
        """Answer a unary call whose reply has to wait; what was applied stays, whether it is heard or not."""
        try:
            message = await reply
        except Exception as error:  # noqa: BLE001 - as above
            if call.open:
                self._fail(call, error)
            else:
                self._failures.of(error, call.route.path)  # a fault of ours is logged, heard or not
                call.route.counts.observe(Code.CANCELLED, perf_counter_ns() - call.arrived_ns)
        else:
            if call.open:
                self._reply(call, message)
            else:
                call.route.counts.observe(Code.CANCELLED, perf_counter_ns() - call.arrived_ns)
        finally:
            self.turns.pending -= 1
            self.turns.touch(connection)

    async def _stream(self, connection: Connection, call: Call) -> None:
        """Answer a streaming call, as long as its client listens."""
        assert call.route.stream is not None  # noqa: S101 - it is what this is called for
        task = asyncio.current_task()
        said = asyncio.Event()

        def on_input() -> None:
            said.set()
            if not call.open and task is not None:
                task.cancel()

        if not call.open:
            call.route.counts.observe(Code.CANCELLED, perf_counter_ns() - call.arrived_ns)
            return
        call.on_input = on_input
        remaining_s = (call.deadline_ns - perf_counter_ns()) * NS if call.deadline_ns else None
        try:
            replies = call.route.stream(self._requests(call, said))
            async with asyncio.timeout(remaining_s), aclosing(replies):
                async for reply in replies:
                    call.session.send(call, reply)
                    self.turns.touch(connection)
                    await connection.room()
            call.session.finish(call)
            call.route.counts.observe(Code.OK, perf_counter_ns() - call.arrived_ns)
        except asyncio.CancelledError:
            call.route.counts.observe(Code.CANCELLED, perf_counter_ns() - call.arrived_ns)
            raise
        except TimeoutError:
            self._fail(call, deadline_passed())
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(call, error)
        finally:
            call.on_input = None
            self.turns.touch(connection)

    async def _requests(self, call: Call, said: asyncio.Event) -> AsyncIterator[bytes]:
        """What the client says, up to its end or ours."""
        closing = asyncio.ensure_future(self._closing.wait())
        closing.add_done_callback(lambda _: said.set())
        try:
            while True:
                if call.error is not None:
                    raise call.error
                if call.messages:
                    yield call.session.next(call)
                    continue
                if call.ended or self._closing.is_set():
                    return
                said.clear()
                await said.wait()
        finally:
            closing.cancel()


def _spawn(work: Coroutine[Any, Any, None], held: set[asyncio.Task[None]]) -> None:
    """Run `work` beside us, holding on to it in `held`."""
    task = asyncio.get_running_loop().create_task(work)
    held.add(task)
    task.add_done_callback(held.discard)


def deadline_passed() -> ShellError:
    """The refusal of a call that nobody waits for any more: nothing is applied for it."""
    return ShellError(
        ShellReason.DEADLINE_PASSED,
        "the deadline passed before the call was looked at; nothing was applied",
    )
