"""The reference engine's bound on calls in flight: health is answered, others are refused with a reason."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from server.counts import Counts
from server.errors import STATUS_DETAILS_KEY
from server.failures import Failures
from server.grpcio_engine import GrpcioEngine
from server.methods import Methods
from tests.server.running import LOOPBACK, WAIT_S, Loop, unary

WAITS = "/stand.In/Waits"
HEALTH = "/stand.In/Health"
CALLS_MAX = 2


class Full:
    """An engine with as many calls in flight as it takes, and a channel to it."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.entered = 0
        target = loop.run(self._start())
        self.channel = grpc.insecure_channel(target)
        self.calls = [self.begin() for _ in range(CALLS_MAX)]
        self.until(lambda: self.entered == CALLS_MAX)

    def begin(self) -> Any:
        """A call that waits for `release`."""
        method: Any = self.channel.unary_unary(WAITS)
        return method.future(b"ping", timeout=WAIT_S)

    def release(self) -> None:
        """Let all calls go that wait."""
        self.loop.call(self._released.set)

    def until(self, true: Any) -> None:
        """Return when `true` is, seen between two turns of the loop."""
        end_s = time.monotonic() + WAIT_S
        while not self.loop.call(true):
            assert time.monotonic() < end_s
            time.sleep(0.001)

    def stop(self) -> None:
        """End it."""
        self.channel.close()
        self.loop.run(self._engine.stop(0))

    async def _start(self) -> str:
        methods = Methods({WAITS: self._waits, HEALTH: lambda request: request}, vital=frozenset({HEALTH}))
        self._released = asyncio.Event()
        self.counts = Counts()
        self._engine = GrpcioEngine(methods, self.counts, Failures(self.counts), calls_max=CALLS_MAX)
        address = self._engine.listen(LOOPBACK, None)
        await self._engine.start()
        return str(address)

    async def _waits(self, request: bytes) -> bytes:
        self.entered += 1
        await self._released.wait()
        return request


@pytest.fixture
def full(loop: Loop) -> Iterator[Full]:
    """An engine at its bound."""
    made = Full(loop)
    yield made
    made.stop()


def test_calls_beyond_the_bound_are_refused(full: Full) -> None:
    """With the reason, and when to try again; the calls in flight are answered, and then others are."""
    error = full.begin().exception()
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(error.trailing_metadata())
    found = status_pb2.Status.FromString(trailers[STATUS_DETAILS_KEY])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert found.details[0].Unpack(info)
    assert found.details[1].Unpack(retry)
    assert (info.reason, retry.retry_delay.ToMilliseconds()) == ("OVERLOADED", 500)
    assert full.counts.errors == {"OVERLOADED": 1}
    full.release()
    assert [call.result() for call in full.calls] == [b"ping"] * CALLS_MAX
    assert full.begin().result() == b"ping"


def test_health_is_answered_at_the_bound(full: Full) -> None:
    """What asks whether we live must not be told that we are busy."""
    assert unary(full.channel, HEALTH, b"ping") == b"ping"


def test_calls_given_up_leave_room(full: Full) -> None:
    """A call that its client cancelled is not in flight any more."""
    for call in full.calls:
        call.cancel()
    full.until(lambda: full.counts.methods[WAITS].codes[grpc.StatusCode.CANCELLED.value[0]] == CALLS_MAX)
    call = full.begin()
    full.until(lambda: full.entered == CALLS_MAX + 1)
    full.release()
    assert call.result() == b"ping"
