"""Ten thousand connections: the cap holds, who was there before is served on, and all of it is given back."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtest import hostile_server
from loadtest.sidecar import Sidecar
from tests.hostile import frames, peers
from tests.hostile.peers import Beside
from tests.transport.http2_client import connect

CONNECTIONS = 10_000

CAP = 8_000
"""Connections that are let in; the default's 10,000 would want more descriptors than some machines give."""

SPARE = 500
"""Descriptors that the two processes need besides."""

OWN_MAX = 20
"""Connections that may be there already: the client beside has one."""

GROWTH_BYTES_MAX = 24_000_000
BYTES_PER_CONNECTION_MAX = 50_000

CHURN = 3_000

REFUSED_MAX = 20
"""Calls of the client beside that may be refused: 8,000 closed at once hold the loop for a while."""

SERVED_ON = 10
"""Calls of it that are answered while all the connections are there."""

WAIT_S = 20.0


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many file descriptors as this process may have, and the processes it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + SPARE:
        pytest.skip(f"{CONNECTIONS:,} connections need as many file descriptors; here are at most {hard:,}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CONNECTIONS + SPARE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def crowded(descriptors: None, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar of ordinary patience: what it closes here, it closes for being too many."""
    del descriptors
    options = ("--connections-max", str(CAP))
    with hostile_server.running(tmp_path, {}, options) as made:
        yield made


def opened(target: str, stack: ExitStack) -> list[socket.socket]:
    """Every connection that could be made, greeted."""
    result = []
    for _ in range(CONNECTIONS):
        peer = stack.enter_context(connect(target, wait_s=WAIT_S))
        peer.setblocking(False)
        try:
            peer.send(frames.opening())
        except OSError:
            continue  # it was one too many
        result.append(peer)
    return result


@pytest.mark.slow
def test_ten_thousand_connections(crowded: Sidecar) -> None:
    """8,000 stay, the others are closed at once; a client beside keeps its answers; then all is as before."""
    with Beside(crowded, REFUSED_MAX) as beside:
        before = peers.usage(crowded.pid)
        with ExitStack() as stack:
            found = opened(crowded.target, stack)
            end_s = time.monotonic() + WAIT_S
            while (stayed := sum(map(peers.alive, found))) > CAP and time.monotonic() < end_s:
                time.sleep(0.1)
            full = peers.usage(crowded.pid)
            assert CAP - OWN_MAX <= stayed <= CAP
            assert full.descriptors - before.descriptors <= CAP
            assert full.resident_bytes - before.resident_bytes < CAP * BYTES_PER_CONNECTION_MAX
            answered, end_s = len(beside.took_s), time.monotonic() + WAIT_S
            while len(beside.took_s) <= answered + SERVED_ON:
                assert time.monotonic() < end_s
                time.sleep(0.01)
        assert peers.settled(crowded.pid, before, WAIT_S).descriptors <= before.descriptors
        for _ in range(CHURN // 100):
            with peers.crowd(crowded.target, 100, frames.opening()):
                pass
        after = peers.settled(crowded.pid, before, WAIT_S, GROWTH_BYTES_MAX)
    assert after.descriptors <= before.descriptors
    assert after.resident_bytes - before.resident_bytes <= GROWTH_BYTES_MAX
    assert max(beside.took_s) < WAIT_S
