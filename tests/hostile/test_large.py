"""What is too large is refused before it costs anything: by its prefix, its headers, its size."""

import statistics
import time
from collections.abc import Callable

import pytest

from loadtest.sidecar import Sidecar
from server import limits
from server.codes import Code
from server.errors import ShellError, ShellReason
from server.pb import bandit_pb2 as pb
from tests.hostile import frames, peers
from tests.hostile.attacks import FRAGMENT, Attack
from tests.hostile.peers import Beside
from tests.server.test_fuzz import made_handlers
from tests.transport.http2_client import CHOOSE, Http2Client, message

GIGABYTE = 2**30

CALLS = 200

TIMES_MAX = 5.0
"""A refusal's time by that of a small call that is answered, at most. It is about 1."""

GROWTH_BYTES_MAX = 16_000_000


def test_a_gigabyte_is_refused_by_its_prefix(victim: Sidecar) -> None:
    """RESOURCE_EXHAUSTED before the message comes; nothing is kept for it; the connection serves on."""
    before = peers.usage(victim.pid)
    with Http2Client(victim.target) as client:
        for _ in range(CALLS):
            stream = client.open(CHOOSE)
            client.send(stream, message(bytes(1_000), length=GIGABYTE))
            assert client.response(stream).grpc_status == Code.RESOURCE_EXHAUSTED
        assert client.call(body=peers.DEMO_CHOOSE).grpc_status == 0
    assert peers.usage(victim.pid).resident_bytes - before.resident_bytes <= GROWTH_BYTES_MAX


def test_a_gigabyte_that_is_sent_is_not_read(victim: Sidecar) -> None:
    """Megabytes behind such a prefix: the stream is reset, the connection closed if it goes on."""
    prefix = frames.headers(1, FRAGMENT) + frames.data(1, message(b"", length=GIGABYTE))
    attack = Attack(frames.opening() + prefix, lambda _: frames.data(1, bytes(16_000)))
    with Beside(victim):
        before = peers.usage(victim.pid)
        ending = peers.flood(
            victim.target, attack, 10.0, watch=lambda: peers.usage(victim.pid).resident_bytes
        )
    assert ending.closed, ending
    assert ending.watched - before.resident_bytes <= GROWTH_BYTES_MAX


@pytest.mark.parametrize("size", [20_000, 60_000])
def test_large_metadata_are_refused(victim: Sidecar, size: int) -> None:
    """RESOURCE_EXHAUSTED, with METADATA_TOO_LARGE; the connection serves on."""
    with Http2Client(victim.target) as client:
        response = client.call(body=peers.DEMO_CHOOSE, extra=[(b"trace", b"t" * size)])
        assert response.grpc_status == Code.RESOURCE_EXHAUSTED
        assert client.call(body=peers.DEMO_CHOOSE).grpc_status == 0


def test_giant_metadata_close_the_connection(victim: Sidecar) -> None:
    """100 KB are not decoded to the end: the connection goes, others stay."""
    with Beside(victim), Http2Client(victim.target) as client:
        stream = client.open(CHOOSE, [(b"trace", b"t" * 100_000)])
        client.until(lambda: client.disconnected or client.responses[stream].closed)
        assert client.responses[stream].grpc_status in {None, Code.RESOURCE_EXHAUSTED}


def test_a_refusal_costs_no_more_than_an_answer(victim: Sidecar) -> None:
    """A gigabyte's prefix is refused in about the time in which a small call is answered, on the wire."""
    with Http2Client(victim.target) as client:

        def small() -> None:
            assert client.call(body=peers.DEMO_CHOOSE).grpc_status == 0

        def giant() -> None:
            stream = client.open(CHOOSE)
            client.send(stream, message(bytes(100), length=GIGABYTE), end=True)
            assert client.response(stream).grpc_status == Code.RESOURCE_EXHAUSTED

        refused_s, answered_s = _medians_s(giant, small)
    assert refused_s < TIMES_MAX * answered_s


def test_many_arms_are_refused_undecoded() -> None:
    """10⁵ arms are refused about as fast as a small request is answered: only the size is looked at."""
    bandit, _, _ = made_handlers()
    giant = pb.ChooseRequest(placement="hero", arms=[f"a{i}" for i in range(100_000)]).SerializeToString()
    small = pb.ChooseRequest(placement="hero").SerializeToString()
    assert len(giant) > limits.REQUEST_BYTES_MAX

    def refused() -> None:
        with pytest.raises(ShellError) as caught:
            bandit.choose(giant)
        assert caught.value.reason is ShellReason.MESSAGE_TOO_LARGE

    refused_s, answered_s = _medians_s(refused, lambda: bandit.choose(small))
    assert refused_s < TIMES_MAX * answered_s


def _medians_s(*works: Callable[[], object]) -> list[float]:
    """The median of the seconds that each of `works` takes, by turns: a slow moment is one for all."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(CALLS):
        for work, seconds in zip(works, taken, strict=True):
            began_s = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began_s)
    return [statistics.median(seconds) for seconds in taken]
