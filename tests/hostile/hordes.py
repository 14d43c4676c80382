"""Attacks that are more than one connection's bytes over and over: crowds, peers that never read."""

import random
import time
from collections.abc import Callable, Mapping

from server.pb import bandit_pb2 as pb
from tests.hostile import frames, mutations, peers
from tests.hostile.attacks import FRAGMENT, REPEATS, Attack
from tests.hostile.frames import Setting
from tests.hostile.peers import Ending
from tests.transport.http2_client import CHOOSE, message

BATCH_PATH = "/bandit.v1.BanditService/ChooseBatch"

BATCH: bytes = pb.ChooseBatchRequest(
    requests=[pb.ChooseRequest(placement="home-hero")] * 256
).SerializeToString()
"""A call whose answer has some 50 KB."""


def churn(target: str, left_s: float) -> Ending:
    """Connect and leave, as fast as it goes."""
    began_s = time.monotonic()
    count = 0
    while time.monotonic() - began_s < left_s:
        with peers.crowd(target, 50, frames.opening()):
            count += 50
    return Ending(True, None, count * len(frames.opening()), time.monotonic() - began_s)


def crowd(target: str, left_s: float) -> Ending:
    """Two thousand connections that say hello and no more."""
    began_s = time.monotonic()
    with peers.crowd(target, 2_000, frames.opening()) as found:
        time.sleep(max(0.0, left_s - (time.monotonic() - began_s)))
        sent = len(found) * len(frames.opening())
    return Ending(False, None, sent, time.monotonic() - began_s)


def silent_crowd(target: str, left_s: float) -> Ending:
    """A thousand connections that say nothing."""
    began_s = time.monotonic()
    with peers.crowd(target, 1_000, b"") as found:
        while any(map(peers.alive, found)) and time.monotonic() - began_s < left_s:
            time.sleep(0.05)
        closed = not any(map(peers.alive, found))
    return Ending(closed, None, 0, time.monotonic() - began_s)


def deaf_batches(target: str, left_s: float) -> Ending:
    """Ask for the largest answers and read none."""
    return peers.flood(target, DEAF_BATCHES, left_s)


def deaf_refusals(target: str, left_s: float) -> Ending:
    """Be refused and read nothing of it."""
    return peers.flood(target, DEAF_REFUSALS, left_s)


def closed_windows(target: str, left_s: float) -> Ending:
    """Calls whose answers the client's windows never let out; TCP itself is read."""
    return peers.flood(target, CLOSED_WINDOWS, left_s)


def hog(target: str, left_s: float) -> Ending:
    """One client takes all it can get."""
    return peers.flood(target, HOG, left_s, bytes_max=2**30)


def wrong_frames(target: str, left_s: float) -> Ending:
    """Fuzzed streams, one connection each."""
    began_s = time.monotonic()
    rng = random.Random(round(began_s * 1e6))
    sent = 0
    while (rest_s := left_s - (time.monotonic() - began_s)) > 0:
        data = mutations.hostile(rng)
        sent += len(data)
        peers.told(target, data, min(0.02, rest_s))
    return Ending(True, None, sent, time.monotonic() - began_s)


BATCHES = 60
"""Large answers asked for: 3 MB, if they are given."""

CALLS = 500
"""Calls whose answers are kept out: half of what may be open on a connection."""


def _calls(path: str, body: bytes, count: int) -> bytes:
    return b"".join(frames.call(2 * place + 1, path, body) for place in range(count))


def _refused_calls(turn: int) -> bytes:
    """Calls with messages too large by their prefixes: each costs an answer, and says so in its own words."""
    streams = [2 * (turn * REPEATS + place) + 1 for place in range(REPEATS)]
    prefixes = [message(b"", length=2**31 + stream) for stream in streams]
    return b"".join(
        frames.headers(stream, FRAGMENT) + frames.data(stream, prefix, end_stream=True)
        for stream, prefix in zip(streams, prefixes, strict=True)
    )


DEAF_REFUSALS = Attack(frames.opening(), _refused_calls, deaf=True)

DEAF_BATCHES = Attack(
    frames.opening([(Setting.INITIAL_WINDOW_SIZE, frames.WINDOW_MAX)])
    + frames.window_update(frames.WINDOW_MAX - 65_535),
    lambda turn: frames.call(2 * turn + 1, BATCH_PATH, BATCH),
    deaf=True,
    pace_s=0.01,
)

DEAF_BATCHES_BY_WINDOW = Attack(
    frames.opening() + _calls(BATCH_PATH, BATCH, BATCHES),
    lambda _: frames.priority(1),  # by which it learns, without reading, that the server has gone
    deaf=True,
    pace_s=0.1,
)

HOG = Attack(
    frames.opening([(Setting.INITIAL_WINDOW_SIZE, frames.WINDOW_MAX)])
    + frames.window_update(frames.WINDOW_MAX - 65_535),
    lambda turn: b"".join(frames.call(2 * (10 * turn + place) + 1, BATCH_PATH, BATCH) for place in range(10)),
)
"""The dearest calls there are, as many as go in, all answers read."""

CLOSED_WINDOWS = Attack(
    frames.opening([(Setting.INITIAL_WINDOW_SIZE, 0)]) + _calls(CHOOSE, peers.DEMO_CHOOSE, CALLS)
)

HORDES: Mapping[str, Callable[[str, float], Ending]] = {
    "connections come and go": churn,
    "2,000 connections": crowd,
    "1,000 silent connections": silent_crowd,
    "large answers unread": deaf_batches,
    "refusals unread": deaf_refusals,
    "closed windows": closed_windows,
    "one client's batches without end": hog,
    "wrong frames": wrong_frames,
}
"""By name; each attacks a target for at most so many seconds."""
