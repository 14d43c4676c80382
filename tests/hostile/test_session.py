"""Wrong bytes into the HTTP/2 half of the transport, without a socket: it says so or goes on."""

import itertools
import time

import pytest

from loadtest.hostile_frames import ROUTES, play
from server import limits
from server.codes import Code
from server.errors import Failure, ShellError
from server.http2.call import Budget, Call
from server.http2.session import Session
from tests.hostile import frames
from tests.hostile.attacks import BREACHES, FLOODS, GAMES, Attack
from tests.transport.http2_client import CHOOSE, message

CASES = 8_000
"""Cases of the fuzz, the same on every machine: about two seconds'."""

FLOOD_BYTES_MAX = 2_000_000
"""Bytes after which every flood is over, of each second that it takes: some resets are allowed, and
libnghttp2 counts seconds by its own clock, whatever time a test says it is."""

FLOOD_CPU_S = 2.0
"""Seconds of CPU that all of a flood may cost. It is 0.1 for the worst; the rest is for slow machines."""

ONCE_FOUND = [43_229, 14, 15, 18]
"""Seeds of cases that a session once did not bear."""


def made() -> Session:
    """A session with room for what one connection may hold."""
    return Session(ROUTES, Budget(limits.CALL_BYTES_MAX))


@pytest.mark.parametrize("seed", ONCE_FOUND)
def test_what_was_found_once_stays_mended(seed: int) -> None:
    """Cases of the fuzz that failed before."""
    play(seed)


def test_no_bytes_break_a_session() -> None:
    """As `python -m loadtest.hostile_frames`, for some seconds: no exception, no hang, nothing kept."""
    for seed in range(CASES):
        play(seed)


@pytest.mark.parametrize("name", BREACHES)
def test_what_is_no_http2_ends_the_session(name: str) -> None:
    """At once, with a GOAWAY if the peer spoke HTTP/2 at all, however its bytes are cut."""
    codes = []
    for size in (1, 7, 10_000):
        session, said = made(), b""
        for at in range(0, len(BREACHES[name]), size):
            assert not session.over
            session.receive(BREACHES[name][at : at + size], now_ns=0)
            said += session.outgoing()
            if session.over:
                break
        assert session.over
        codes.append(frames.goaway_code(said))
    assert len(set(codes)) == 1
    assert codes[0] != 0
    assert codes[0] is not None or name in {"HTTP/1.1", "noise"}


@pytest.mark.parametrize("name", GAMES)
def test_a_broken_stream_gets_no_answer_of_a_handler(name: str) -> None:
    """No call is ready of it; the session is over, or serves the next call."""
    session = made()
    ready = session.receive(frames.opening() + GAMES[name], now_ns=0)
    session.outgoing()
    assert session.over or not ready
    if not session.over:
        (call,) = session.receive(frames.call(99, CHOOSE), now_ns=0)
        session.reply(call, b"well")
        kinds = [part.kind for part in frames.split(session.outgoing()) if part.stream == 99]
        assert kinds == [frames.Kind.HEADERS, frames.Kind.DATA, frames.Kind.HEADERS]


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_session(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon, with little CPU spent, with a GOAWAY, and little said or kept meanwhile."""
    monkeypatch.setattr(limits, "RESETS_PER_STREAM", 1)  # a machine that is slow makes no more than ten
    session = made()
    began_s, poured_s = time.thread_time(), time.monotonic()
    received = _pour(session, FLOODS[name])
    assert session.over
    assert received <= flood_bytes_max(poured_s)
    assert time.thread_time() - began_s < FLOOD_CPU_S


def flood_bytes_max(began_s: float) -> int:
    """What a flood that began then may have taken by now: every second of the clock that it saw counts."""
    return FLOOD_BYTES_MAX * (1 + int(time.monotonic()) - int(began_s))


def _pour(session: Session, attack: Attack) -> int:
    """Attack, at one moment of the clock, with calls answered as they come; return how many bytes it took."""
    received = said = 0
    began_s = time.monotonic()
    streaming: list[Call] = []
    for piece in itertools.chain([attack.opening], map(attack.step, itertools.count())):
        calls = session.receive(piece, now_ns=10**12)
        streaming = [call for call in (*streaming, *calls) if call.open and call.route.stream is not None]
        for call in {*calls, *streaming}:
            if call.open and not session.over:
                _answer(call)
        said += len(session.outgoing())
        received += len(piece)
        if session.over or received > flood_bytes_max(began_s):
            break
        assert len(session.calls) <= limits.STREAMS_MAX
        assert sum(len(call.messages) for call in session.calls.values()) < 1_000
    assert said < received + 100_000
    return received


def _answer(call: Call) -> None:
    """Answer a unary call; a streaming one has nothing to say, unless it is to be refused."""
    if call.error is not None:
        call.session.fail(call, Failure(Code.INTERNAL, "", "no", {}))
    elif call.route.unary is not None:
        call.session.reply(call, b"reply")


def test_a_table_hides_no_large_headers() -> None:
    """Fifteen bytes that refer to 60 KB of one earlier field are refused like 60 KB."""
    session = made()
    field = frames.literal("x-large", "v" * 3_900, indexed=True)
    fragment = frames.block(frames.request_fields(CHOOSE))
    first = frames.headers(1, fragment + field, end_stream=True)
    session.receive(frames.opening() + first, now_ns=0)
    second = frames.headers(3, fragment + frames.reference(62) * 15)
    (call,) = session.receive(second + frames.data(3, message(b"m"), end_stream=True), now_ns=0)
    assert isinstance(call.error, ShellError)
    assert call.error.metadata["limit"] == str(limits.METADATA_BYTES_MAX)
