"""Calls in flight are bounded, whether they wait for their turn or for something of their own."""

import asyncio

from server.codes import Code
from server.counts import Counts
from server.failures import Failures
from server.methods import Methods
from server.ngh2_engine import Ngh2Engine
from tests.server.running import LOOPBACK, Loop
from tests.transport.http2_client import Http2Client, message
from tests.transport.stand_in import LATER

CALLS_MAX = 10
HEALTH = "/stand.In/Health"


def test_calls_that_are_pending_are_bounded(loop: Loop) -> None:
    """A client asks one by one for what takes its time: beyond the bound it is refused, health is not.

    Those that waited for their turn when the bound was reached still go on: no more than as many again.
    """
    counts = Counts()

    async def start() -> tuple[Ngh2Engine, asyncio.Event, str]:
        released = asyncio.Event()

        async def later(request: bytes) -> bytes:
            await released.wait()
            return request

        methods = Methods({LATER: later, HEALTH: lambda request: request}, vital=frozenset([HEALTH]))
        engine = Ngh2Engine(methods, counts, Failures(counts), calls_max=CALLS_MAX)
        target = str(engine.listen(LOOPBACK, None))
        await engine.start()
        return engine, released, target

    engine, released, target = loop.run(start())
    with Http2Client(target) as client:
        streams = []
        for _ in range(5 * CALLS_MAX):
            streams.append(client.open(LATER))
            client.send(streams[-1], message(b"later"), end=True)
            assert client.call(HEALTH, b"alive").messages == [b"alive"]
        refused = [each for each in streams if client.responses[each].ended]
        assert 3 * CALLS_MAX <= len(refused) <= 4 * CALLS_MAX
        assert {client.responses[each].grpc_status for each in refused} == {Code.RESOURCE_EXHAUSTED}
        loop.call(released.set)
        assert all(client.response(each).ended for each in streams)
        streams = [client.open(LATER)]
        client.send(streams[0], message(b"again"), end=True)
        assert client.response(streams[0]).messages == [b"again"]
    loop.run(engine.stop(1.0))
    assert counts.methods[LATER].codes[Code.OK] == 5 * CALLS_MAX - len(refused) + 1
