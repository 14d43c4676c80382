"""Fuzz the HTTP/2 half of the transport, without a socket: wrong bytes in, no exception and no hang out.

    python -m loadtest.hostile_frames --seconds 60

Each case is a stream of a client, as a rule with something wrong, in pieces; calls that come of it are
answered, refused or left. A session may say that it is over, but raise nothing; what it says must be frames;
no step may take over SLOWEST_S of CPU. A case is its seed: `--seed N --cases 1` runs one again.
"""

import itertools
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator

import click

from server.codes import Code
from server.counts import MethodCounts
from server.errors import Failure
from server.http2.call import Budget, Call, Route
from server.http2.session import Session
from tests.hostile import frames, mutations

SLOWEST_S = 0.5
"""Seconds of CPU that no single step may take: far above the microseconds it should, far below a hang."""

MESSAGE_BYTES_MAX = 2_000
"""So small that some messages are too large."""

HELD_BYTES_MAX = 5_000
"""So small that parts of messages in several calls come to more."""


class Broken(Exception):  # noqa: N818 - a finding, not an error of this program's
    """A case that a session did not bear."""


async def echo(requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """A streaming method; nobody runs it here."""
    async for request in requests:
        yield request


def routes() -> dict[bytes, Route]:
    """Some methods of the service: what they do is decided call by call."""
    result = {}
    for path in mutations.PATHS[:5]:
        route = Route(path, MethodCounts())
        if path.endswith(("Watch", "Info")):
            route = Route(path, MethodCounts(), stream=echo)
        else:
            route = Route(path, MethodCounts(), unary=lambda request: request)
        result[path.encode()] = route
    return result


ROUTES = routes()


def answer(rng: random.Random, call: Call) -> None:
    """Do with an open call what a handler might."""
    failure = Failure(rng.choice([*Code][1:]), "", "no: 100 %, and ü", {})
    if call.error is not None or rng.random() < 0.2:
        call.session.fail(call, failure)
    elif call.route.unary is not None:
        call.session.reply(call, rng.randbytes(rng.choice([0, 10, 100_000])))
    else:
        call.session.send(call, b"reply")
        if rng.random() < 0.5:
            call.session.finish(call)


def some_answered(rng: random.Random, calls: list[Call]) -> list[Call]:
    """Answer some of the calls, in any order; return those that are open afterwards."""
    rng.shuffle(calls)
    for call in calls[: rng.randrange(len(calls) + 1)]:
        if call.open:
            answer(rng, call)
    return [call for call in calls if call.open]


def speak(rng: random.Random, session: Session) -> tuple[bytes, float]:
    """Say something to a session and answer what comes of it; return what it said, its slowest step's CPU."""
    data = mutations.hostile(rng) if rng.random() < 0.95 else mutations.valid(rng)
    calls: list[Call] = []
    said = bytearray()
    now_ns = 0
    slowest_s = 0.0
    for piece in mutations.pieces(rng, data, rng.choice([1, 2, 10, 200])):
        now_ns += rng.randrange(10**8)
        began_s = time.thread_time()
        calls += session.receive(piece, now_ns)
        if not session.over:
            calls = some_answered(rng, calls)
        said += session.outgoing()
        slowest_s = max(slowest_s, time.thread_time() - began_s)
        if session.over:
            break
    else:
        if rng.random() < 0.3:
            session.leave()
        for call in list(session.calls.values()):
            answer(rng, call)
        said += session.outgoing()
    session.abandon()
    assert not any(call.open for call in calls), "a call outlives its session"
    return bytes(said), slowest_s


def play(seed: int) -> str:
    """One case; returns how its session ended. Raises Broken with what went wrong."""
    parts = Budget(HELD_BYTES_MAX)
    session = Session(ROUTES, parts, MESSAGE_BYTES_MAX, 100)
    try:
        said, slowest_s = speak(random.Random(seed), session)
    except Exception as error:
        raise Broken(traceback.format_exc()) from error
    if parts.held:
        raise Broken(f"{parts.held} bytes of messages are counted as held when there is no call any more")
    if slowest_s > SLOWEST_S:
        raise Broken(f"a step took {slowest_s:.1f} s")
    if sum(frames.HEAD_BYTES + len(part.payload) for part in frames.split(said)) != len(said):
        raise Broken("what it said are no whole frames")
    return session.over or "went on"


@click.command(help=__doc__)
@click.option("--seconds", default=10.0, show_default=True, help="The time box.")
@click.option("--seed", default=0, show_default=True, help="The first case's seed; the next has the next.")
@click.option("--cases", default=10**9, help="End after so many.")
def main(*, seconds: float, seed: int, cases: int) -> None:
    """Run the fuzz."""
    endings: Counter[str] = Counter()
    broken = 0
    end_s = time.monotonic() + seconds
    for number in itertools.islice(itertools.count(seed), cases):
        if time.monotonic() >= end_s:
            break
        try:
            endings[play(number)] += 1
        except Broken as found:
            broken += 1
            print(f"--seed {number} --cases 1: {found}")
            if broken == 10:
                break
    print(f"{sum(endings.values()):,} cases, {broken} broken")
    for ending, times in endings.most_common(20):
        print(f"{times:>9,} {ending}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
