"""Floods and breaches against a whole sidecar: thrown out; others keep their answers, nothing stays."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtest.sidecar import Sidecar
from tests.hostile import frames, mutations, peers
from tests.hostile.attacks import BREACHES, FLOODS, GAMES, Attack
from tests.hostile.hordes import CLOSED_WINDOWS, DEAF_BATCHES, DEAF_BATCHES_BY_WINDOW, DEAF_REFUSALS, HOG
from tests.hostile.peers import Beside
from tests.transport.http2_client import CHOOSE, Http2Client

FLOOD_S = 10.0
"""Seconds in which every flood is over: those that are stopped by a timeout take four."""

GROWTH_BYTES_MAX = 16_000_000
"""Memory that may remain: allocators keep some of what was freed, and the process has just begun."""

RESIDENT_BYTES_MAX = 128_000_000
"""Memory that an attack may take meanwhile."""

STREAMS = 600
"""Fuzzed streams, one connection each: about two seconds'."""

MESSAGES = 1_500
"""Fuzzed messages: about a second's."""

HOG_S = 2.0

HOGS_MAX = 5
"""Hogs one after another, until there were calls enough beside them."""

REFUSED_MAX = 5
"""Calls of a client beside a hog that may be refused: a batch holds the loop for some ten milliseconds."""

SETTLE_S = 5.0

UNREAD = {
    "batches, the socket": DEAF_BATCHES,
    "batches, the window": DEAF_BATCHES_BY_WINDOW,
    "calls, the streams' windows": CLOSED_WINDOWS,
    "refusals": DEAF_REFUSALS,
}
"""Answers that are not read, by what holds them back."""


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_stopped(victim: Sidecar, name: str) -> None:
    """The connection is closed; a client beside gets all its answers; descriptors and memory return."""
    with Beside(victim) as beside:
        before = peers.usage(victim.pid)
        ending = peers.flood(victim.target, FLOODS[name], FLOOD_S)
        after = peers.settled(victim.pid, before, SETTLE_S, GROWTH_BYTES_MAX)
    assert ending.closed, ending
    assert after.descriptors <= before.descriptors
    assert after.resident_bytes - before.resident_bytes <= GROWTH_BYTES_MAX
    assert max(beside.took_s) < FLOOD_S


def test_what_is_no_http2_is_thrown_out(victim: Sidecar) -> None:
    """At once, with a GOAWAY to who speaks HTTP/2."""
    with Beside(victim):
        for name, data in BREACHES.items():
            closed, said = peers.told(victim.target, data, wait_s=FLOOD_S)
            assert closed, name
            assert frames.goaway_code(said) != 0, name


def test_a_broken_stream_costs_its_connection_at_most(victim: Sidecar) -> None:
    """The stream or the connection ends; nothing is applied, nobody else notices."""

    def met(name: str) -> tuple[bool, bytes]:
        return peers.told(victim.target, frames.opening() + GAMES[name] + frames.ping(), wait_s=0.5)

    with Beside(victim), ThreadPoolExecutor(len(GAMES)) as pool:
        for name, (closed, said) in zip(GAMES, pool.map(met, GAMES), strict=True):
            kinds = {part.kind for part in frames.split(said)}
            assert closed or kinds & {frames.Kind.RST_STREAM, frames.Kind.PING}, name


def test_answers_that_nobody_reads_are_bounded(victim: Sidecar) -> None:
    """They pile up to a bound, then the connection is closed, and the memory returns; all kinds at once."""

    def watch() -> int:
        return peers.usage(victim.pid).resident_bytes

    def met(attack: Attack) -> peers.Ending:
        return peers.flood(victim.target, attack, FLOOD_S, watch=watch)

    before = peers.usage(victim.pid)
    with ThreadPoolExecutor(len(UNREAD)) as pool:
        endings = dict(zip(UNREAD, pool.map(met, UNREAD.values()), strict=True))
    for name, ending in endings.items():
        assert ending.closed, (name, ending)
        assert ending.watched - before.resident_bytes < RESIDENT_BYTES_MAX
    after = peers.settled(victim.pid, before, SETTLE_S, GROWTH_BYTES_MAX)
    assert after.resident_bytes - before.resident_bytes <= GROWTH_BYTES_MAX
    assert after.descriptors <= before.descriptors


def test_one_client_takes_no_more_than_its_turn(victim: Sidecar) -> None:
    """The dearest calls of one client without end: most of them are shed, hardly any of another's."""
    with Beside(victim, refused_max=REFUSED_MAX) as beside:
        for _ in range(HOGS_MAX):
            ending = peers.flood(victim.target, HOG, HOG_S)
            assert not ending.closed
            if len(beside.took_s) > 3 * REFUSED_MAX:
                break
    assert len(beside.took_s) > 3 * REFUSED_MAX


def test_wrong_frames_over_the_wire(victim: Sidecar) -> None:
    """Fuzzed streams, for some seconds: the process lives, answers others, and holds nothing afterwards."""
    rng = random.Random(26)
    before = peers.usage(victim.pid)
    with Beside(victim):
        for _ in range(STREAMS):
            peers.told(victim.target, mutations.hostile(rng), wait_s=0.01)
    after = peers.settled(victim.pid, before, SETTLE_S, GROWTH_BYTES_MAX)
    assert after.descriptors <= before.descriptors
    assert after.resident_bytes - before.resident_bytes <= GROWTH_BYTES_MAX


def test_wrong_protobufs_over_the_wire(victim: Sidecar) -> None:
    """Any bytes as a message get a status of gRPC's, in time; never INTERNAL, never a reset."""
    rng = random.Random(27)
    codes = set()
    with Beside(victim), Http2Client(victim.target, wait_s=FLOOD_S) as client:
        for _ in range(MESSAGES):
            body = bytearray(peers.DEMO_CHOOSE)
            for _ in range(rng.randrange(1, 5)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            path = rng.choice([CHOOSE, *mutations.PATHS[1:3]])
            response = client.call(path, bytes(body))
            assert response.reset is None
            codes.add(response.grpc_status)
    assert None not in codes
    assert codes <= {0, 3, 5}
    assert 3 in codes
