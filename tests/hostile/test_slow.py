"""Slow peers: what never gets on is closed after its time, not sooner and not much later.

The limits are those of `loadtest.hostile_server`: about a second each, and they are looked at once a second.
"""

from concurrent.futures import ThreadPoolExecutor

from loadtest.hostile_server import SHORT
from loadtest.sidecar import Sidecar
from server import limits
from server.codes import Code
from tests.hostile import frames, peers
from tests.hostile.attacks import FRAGMENT, WATCH
from tests.hostile.peers import Beside, Ending
from tests.transport.http2_client import CHOOSE, PREFACE, Http2Client, message

PACE_S = 0.1
"""Seconds between two bytes of a peer that drips."""

LOOK_S = 1.0
"""Seconds between two looks of the server at its connections."""

SLACK_S = 2.0
"""Seconds by which a closing may come later than the limit and two looks, on a busy machine."""

WAIT_S = 10.0

PEERS_MANY = 600
"""Peers with a quarter of a megabyte each: together more than is held of messages that are not whole."""

PARTS_BYTES_MAX = limits.PART_BYTES_MAX + 50_000_000
"""Memory they may take: what is held of messages, and connections of some 30 KB."""

GROWTH_BYTES_MAX = 24_000_000

GREETED = frames.opening()

HELLO_S, REQUEST_S = SHORT["HELLO_S"], SHORT["REQUEST_S"]
PING_S = SHORT["KEEPALIVE_S"] + SHORT["KEEPALIVE_TIMEOUT_S"]

PEERS: dict[str, tuple[float, bytes, bytes]] = {
    "says nothing": (HELLO_S, b"", b""),
    "half a preface": (HELLO_S, PREFACE[:10], b""),
    "a preface, dripped": (HELLO_S, b"", PREFACE),
    "a preface and no settings": (HELLO_S, PREFACE, b""),
    "settings, dripped": (HELLO_S, PREFACE, frames.settings([(n, 1) for n in range(90, 120)])),
    "half a frame's head": (REQUEST_S, GREETED + frames.headers(1, FRAGMENT)[:5], b""),
    "headers, dripped": (REQUEST_S, GREETED, frames.headers(1, FRAGMENT)),
    "headers without their end": (
        REQUEST_S,
        GREETED + frames.headers(1, FRAGMENT, end_headers=False),
        b"",
    ),
    "half a frame of data": (
        REQUEST_S,
        GREETED + frames.headers(1, FRAGMENT) + frames.data(1, bytes(999))[:500],
        b"",
    ),
    "half open: was answered, then answers no pings": (
        PING_S,
        GREETED + frames.call(1, CHOOSE, peers.DEMO_CHOOSE),
        b"",
    ),
}
"""The seconds after which each is closed, what it says at once, and what it says a byte at a time."""


def test_slow_peers_are_closed(victim: Sidecar) -> None:
    """Every kind at once: closed after its time, with a client beside answered and nothing left."""
    before = peers.usage(victim.pid)

    def met(name: str) -> Ending:
        _, opening, rest = PEERS[name]
        return peers.dripped(victim.target, opening, rest, PACE_S, WAIT_S)

    with Beside(victim), ThreadPoolExecutor(len(PEERS)) as pool:
        endings = dict(zip(PEERS, pool.map(met, PEERS), strict=True))
    for name, ending in endings.items():
        limit_s = PEERS[name][0]
        assert ending.closed, (name, ending)
        assert limit_s - 0.1 <= ending.seconds <= limit_s + 2 * LOOK_S + SLACK_S, (name, ending)
    after = peers.settled(victim.pid, before, WAIT_S)
    assert after.descriptors <= before.descriptors


def test_a_dripped_message_is_refused(victim: Sidecar) -> None:
    """A byte at a time, each in a frame of its own: DEADLINE_EXCEEDED, and the connection serves on."""
    with Http2Client(victim.target) as client:
        stream = client.open(CHOOSE)
        found = client.responses[stream]
        for byte in message(peers.DEMO_CHOOSE):
            client.send(stream, bytes([byte]))
            client.idle(PACE_S)
            if found.ended or found.closed:
                break
        assert found.grpc_status == Code.DEADLINE_EXCEEDED
        assert client.call(body=peers.DEMO_CHOOSE).grpc_status == 0


def test_a_silent_client_that_answers_pings_stays(victim: Sidecar) -> None:
    """Silence alone is no fault, nor is a watch that has nothing to say."""
    with Http2Client(victim.target) as client:
        watch = client.open(WATCH)
        client.send(watch, message(b""), end=True)
        client.idle(2.5)
        assert client.pings > 0
        assert not client.disconnected
        assert client.responses[watch].messages
        assert client.call(body=peers.DEMO_CHOOSE).grpc_status == 0


def test_many_half_messages_are_bounded(victim: Sidecar) -> None:
    """What hundreds of peers have sent of messages of a megabyte each is bounded, and let go of."""
    before = peers.usage(victim.pid)
    half = frames.headers(1, FRAGMENT) + frames.data(1, message(bytes(15_000), length=1_000_000))
    half += frames.data(1, bytes(16_000)) * 14  # as much as a stream's window takes
    with Beside(victim), peers.crowd(victim.target, PEERS_MANY, GREETED + half) as found:
        most = max(peers.usage(victim.pid).resident_bytes for peer in found if peers.alive(peer))
    assert most - before.resident_bytes < PARTS_BYTES_MAX
    after = peers.settled(victim.pid, before, WAIT_S, GROWTH_BYTES_MAX)
    assert after.descriptors <= before.descriptors
    assert after.resident_bytes - before.resident_bytes <= GROWTH_BYTES_MAX
