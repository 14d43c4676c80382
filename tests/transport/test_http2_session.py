"""A whole connection without a socket: the same bytes in any pieces are the same calls and answers."""

import gzip
from collections.abc import Callable, Sequence
from typing import NamedTuple

import ngh2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.causes import Cause
from server.counts import Counts, MethodCounts
from server.errors import ShellError
from server.failures import Failures
from server.http2.call import Budget, Call, Route
from server.http2.session import Session
from tests.transport.http2_client import CHOOSE, DATA, END_STREAM, PADDED, frame, message, request_headers

MILLISECOND_NS = 1_000_000

ECHO, CHAT = "/a.B/Echo", "/a.B/Chat"


async def _never(requests: object) -> None:
    """A stream's handler, which nobody calls here."""


ROUTES = {
    ECHO.encode(): Route(ECHO, MethodCounts(), unary=lambda data: data),
    CHAT.encode(): Route(CHAT, MethodCounts(), stream=_never),  # type: ignore[arg-type]
}


PACKED = gzip.compress(b"packed", mtime=0)


class Peer:
    """A client that writes to memory."""

    def __init__(self) -> None:
        self.connection = ngh2.Connection(
            ngh2.Role.CLIENT, ngh2.Configuration(peer_max_concurrent_streams=1_000)
        )
        self.connection.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: 2**20})
        self.said = self.connection.data_to_send()

    def ask(self, *parts: bytes, path: str = ECHO, extra: Sequence[tuple[bytes, bytes]] = ()) -> int:
        """A call, its body in one frame a part."""
        stream_id = self.connection.send_request(request_headers(path, extra), end_stream=not parts)
        for number, part in enumerate(parts, start=1):
            self.connection.send_data(stream_id, part, end_stream=number == len(parts))
            self.said += self.connection.data_to_send()
        self.said += self.connection.data_to_send()
        return stream_id

    def reset(self, stream_id: int) -> None:
        """Give a call up."""
        self.connection.reset_stream(stream_id)
        self.said += self.connection.data_to_send()

    def hear(self, data: bytes) -> list[str]:
        """What the answers mean, event by event."""
        self.connection.receive_data(data)
        return [describe(event) for event in self.connection.events()]


def describe(event: ngh2.Event) -> str:
    """An event with all its fields."""
    names: tuple[str, ...] = event.__match_args__
    fields = ", ".join(f"{name}={getattr(event, name)!r}" for name in names)
    return f"{type(event).__name__}({fields})"


class Outcome(NamedTuple):
    """What a session made of some bytes: the calls in their order, what they say, and the answers' bytes."""

    calls: list[tuple[int, str, list[bytes], bool, str, int]]
    answer: bytes
    over: object


def outcome(parts: Sequence[bytes]) -> Outcome:
    """Let a session hear the parts, then answer what can be answered, in order."""
    session = Session(ROUTES, Budget(10**6), message_bytes_max=1_000)
    ready: list[Call] = []
    for part in parts:
        ready += session.receive(part, 1_000 * MILLISECOND_NS)
    said = [
        (
            call.stream_id, call.route.path, list(call.messages), call.ended,
            str(call.error or ""), call.deadline_ns // MILLISECOND_NS,
        )
        for call in ready
    ]  # fmt: skip
    failures = Failures(Counts())
    for call in ready:
        if not call.open:
            continue
        if call.error is not None:
            session.fail(call, failures.of(call.error, call.route.path))
        elif call.route.unary is not None:
            session.reply(call, session.next(call))
        else:
            for each in call.messages:
                session.send(call, each)
            session.finish(call)
    answer = b"".join(iter(session.outgoing, b""))
    return Outcome(said, answer, session.over)


def everything() -> Peer:
    """A client that says a bit of everything, well and badly, without breaking HTTP/2."""
    peer = Peer()
    peer.ask(message(b"plain"))
    peer.ask(*(bytes([byte]) for byte in message(b"byte by byte")))
    peer.ask(message(b"one") + message(b"two"))
    peer.ask(message(b"one"), message(b"two"))
    peer.ask()
    peer.ask(message(b"half")[:-1])
    peer.ask(message(b"", length=10**6), b"more of it")
    peer.ask(message(PACKED, compressed=1), extra=[(b"grpc-encoding", b"gzip")])
    peer.ask(message(b"unpacked", compressed=1))
    peer.ask(message(b"x"), extra=[(b"grpc-encoding", b"zstd")])
    peer.ask(message(b"x"), extra=[(b"grpc-timeout", b"250m")])
    peer.ask(message(b"x"), extra=[(b"grpc-timeout", b"soon")])
    peer.ask(message(b"x"), path=CHOOSE)
    peer.ask(message(b"x"), extra=[(b"content-type", b"text/plain")])
    peer.ask(message(b"x"), extra=[(b"trace-bin", b"AAE")])
    peer.ask(message(b"x"), extra=[(b"large", b"\\" * 20_000)])
    peer.ask(message(b"a"), message(b"b") + message(b"c"), path=CHAT)
    peer.ask(message(b"a") + b"\0\0", path=CHAT)
    peer.ask(path=CHAT)
    peer.reset(peer.ask(message(b"given up")))
    peer.connection.ping(b"12345678")
    peer.ask(message(b"last"))
    return peer


SAID = everything().said
WHOLE = outcome([SAID])


def test_everything_is_understood() -> None:
    """The conversation that the others cut in pieces has good calls, refusals of each kind and an end."""
    assert WHOLE.over is None
    messages = {messages[0] for _, _, messages, _, error, _ in WHOLE.calls if messages and not error}
    assert {b"plain", b"byte by byte", PACKED, b"x", b"last"} <= messages
    assert message(b"packed") in WHOLE.answer
    assert len({error for *_, error, _ in WHOLE.calls if error}) >= 8
    assert 1_250 in {deadline for *_, deadline in WHOLE.calls}


def test_byte_by_byte() -> None:
    """The same calls, and to the byte the same answers."""
    assert outcome([SAID[at : at + 1] for at in range(len(SAID))]) == WHOLE


@given(st.lists(st.integers(0, len(SAID)), max_size=60))
def test_any_split(cuts: list[int]) -> None:
    """Wherever the network cuts, the calls and the answers are the same."""
    ends = sorted({*cuts, len(SAID)})
    assert outcome([SAID[start:end] for start, end in zip([0, *ends], ends, strict=False)]) == WHOLE


@given(st.integers(1, 5_000))
def test_any_size_of_read(size: int) -> None:
    """The same for reads of one size."""
    assert outcome([SAID[at : at + size] for at in range(0, len(SAID), size)]) == WHOLE


def test_the_answers_mean_what_they_should() -> None:
    """Read by ngh2's client side, whole or byte by byte: every stream ends, the good ones with OK."""
    heard = everything().hear(WHOLE.answer)
    again = everything()
    by_byte = [event for byte in WHOLE.answer for event in again.hear(bytes([byte]))]
    assert [event for event in by_byte if "Data" not in event] == [
        event for event in heard if "Data" not in event
    ]
    assert sum("(b'grpc-status', b'0')" in event for event in heard) == 8
    assert sum(event.startswith("ResponseReceived") for event in heard) == 20  # all but the one given up


def first_call(peer: Peer) -> tuple[Session, list[Call]]:
    """A session that has heard all a peer said."""
    session = Session(ROUTES, Budget(10**6), message_bytes_max=1_000)
    return session, session.receive(peer.said, 0)


def test_a_call_given_up_in_the_same_bytes_is_not_open() -> None:
    """It is among the calls, but not to be executed."""
    peer = Peer()
    peer.reset(peer.ask(message(b"given up")))
    session, (call,) = first_call(peer)
    assert not call.open
    assert not session.calls


def test_calls_before_a_fatal_frame_are_not_open() -> None:
    """What came in one read with metadata beyond all bounds cannot be answered, so it is not executed."""
    peer = Peer()
    peer.ask(message(b"good"))
    peer.ask(extra=[(b"many", b"y" * 36)] * 1_000)
    session, (call,) = first_call(peer)
    assert session.over is Cause.FLOOD
    assert (call.open, session.calls, session.outgoing()) == (False, {}, b"")
    assert (session.receive(b"more", 0), session.over) == ([], Cause.FLOOD)


def test_a_frame_is_slow_from_its_first_byte_on() -> None:
    """However long the client was silent before, and however often a byte of it comes."""
    peer = Peer()
    peer.ask(message(b"first"))
    session, _ = first_call(peer)
    peer.said = b""
    peer.ask(message(b"second"))
    for number in range(3):
        session.receive(peer.said[number : number + 1], (60 + number) * 10**9)
    assert (session.heard_ns, session.unheard_bytes, session.unheard_ns) == (0, 3, 60 * 10**9)
    session.receive(peer.said[3:], 70 * 10**9)
    assert (session.heard_ns, session.unheard_bytes) == (70 * 10**9, 0)


def test_padding_is_nobodys_message() -> None:
    """DATA with padding, in two frames."""
    peer = Peer()
    stream_id = peer.connection.send_request(request_headers(ECHO))
    body = message(b"padded")
    peer.said += peer.connection.data_to_send()
    peer.said += frame(DATA, PADDED, stream_id, bytes([7]) + body[:4] + bytes(7))
    peer.said += frame(DATA, PADDED | END_STREAM, stream_id, bytes([255]) + body[4:] + bytes(255))
    _, (call,) = first_call(peer)
    assert (call.messages, call.ended, call.error) == ([b"padded"], True, None)


def test_parts_are_counted_and_let_go_of() -> None:
    """Bytes of messages that are not whole weigh on the budget until they are, or their call is gone."""
    for end in ("whole", "reset", "abandoned"):
        budget = Budget(1_000)
        session = Session(ROUTES, budget, message_bytes_max=900)
        peer = Peer()
        stream_id = peer.connection.send_request(request_headers(ECHO))
        peer.connection.send_data(stream_id, message(bytes(800))[:600])
        session.receive(peer.said + peer.connection.data_to_send(), 0)
        assert budget.held == 600
        if end == "whole":
            peer.connection.send_data(stream_id, message(bytes(800))[600:], end_stream=True)
        elif end == "reset":
            peer.connection.reset_stream(stream_id)
        session.receive(peer.connection.data_to_send(), 0)
        if end == "abandoned":
            session.abandon()
        assert budget.held == 0


def test_messages_that_wait_are_counted_too() -> None:
    """Whole ones of a call that has not ended, and a streaming call's until they are taken."""
    budget = Budget(1_000)
    session = Session(ROUTES, budget, message_bytes_max=900)
    peer = Peer()
    asked = peer.connection.send_request(request_headers(ECHO))
    chat = peer.connection.send_request(request_headers(CHAT))
    for stream_id in (asked, chat):
        peer.connection.send_data(stream_id, message(bytes(100)))
    peer.connection.send_data(chat, message(bytes(200)) + message(b"half")[:-2])
    (call,) = session.receive(peer.said + peer.connection.data_to_send(), 0)
    assert budget.held == 100 + 100 + 200 + 7
    assert session.next(call) == bytes(100)
    assert budget.held == 100 + 200 + 7
    peer.connection.end_stream(asked)
    session.receive(peer.connection.data_to_send(), 0)
    assert budget.held == 200 + 7  # the other waits for its turn, which is counted there
    peer.connection.send_data(chat, b"lf" + message(bytes(800)))
    session.receive(peer.connection.data_to_send(), 0)
    assert isinstance(call.error, ShellError)
    assert (budget.held, call.messages) == (0, [])


def test_a_bomb_is_inflated_when_its_turn_comes() -> None:
    """Until then it is as small as it came; what comes out is still bounded."""
    peer = Peer()
    peer.ask(message(gzip.compress(bytes(10**5)), compressed=1), extra=[(b"grpc-encoding", b"gzip")])
    session, (call,) = first_call(peer)
    assert len(call.messages[0]) == len(gzip.compress(bytes(10**5)))
    with pytest.raises(ShellError):
        session.next(call)


def test_parts_beyond_the_budget_are_refused() -> None:
    """OVERLOADED, and nothing of the call is held."""
    budget = Budget(1_000)
    session = Session(ROUTES, budget, message_bytes_max=900)
    peer = Peer()
    for _ in range(2):
        stream_id = peer.connection.send_request(request_headers(ECHO))
        peer.connection.send_data(stream_id, message(bytes(800))[:600])
    (call,) = session.receive(peer.said + peer.connection.data_to_send(), 0)
    assert "more calls wait" in str(call.error)
    assert budget.held == 600


def leave(session: Session) -> None:
    """Announce, then leave."""
    session.announce_leave()
    session.outgoing()
    session.leave()


@pytest.mark.parametrize("go", [Session.leave, leave])
def test_leaving_waits_for_the_last_answer(go: Callable[[Session], None]) -> None:
    """A session that leaves is over when its calls are answered and the answers are out."""
    peer = Peer()
    peer.ask(message(b"under way"))
    session, (call,) = first_call(peer)
    go(session)
    assert session.outgoing()
    assert session.over is None
    session.reply(call, b"answer")
    assert session.over is None
    assert b"answer" in session.outgoing()
    assert session.over is Cause.LEFT


def test_what_is_read_before_the_farewell_is_out_was_taken() -> None:
    """A call that came after the decision to leave, before the client was told: it is answered, once."""
    peer = Peer()
    session, _ = first_call(peer)
    session.announce_leave()
    notice = session.outgoing()
    session.leave()
    peer.said = b""
    peer.ask(message(b"on the wire"))
    (call,) = session.receive(peer.said, 0)
    session.reply(call, b"answer")
    heard = peer.hear(notice + session.outgoing())
    assert any(event.startswith("GoAwayReceived(last_stream_id=1,") for event in heard)
    assert any("answer" in event for event in heard)


def test_leaving_waits_for_trailers_that_windows_hold_back() -> None:
    """A client whose window its stream has just filled: the status is out before the session is over."""
    peer = Peer()
    peer.connection.update_settings({ngh2.Setting.INITIAL_WINDOW_SIZE: len(message(b"fits"))})
    stream_id = peer.ask(path=CHAT)
    session, (call,) = first_call(peer)
    session.send(call, b"fits")
    peer.hear(session.outgoing())
    session.leave()
    session.finish(call)
    peer.hear(session.outgoing())
    assert (session.unsent, session.over) == (0, None)
    peer.connection.set_local_window_size(1_000, stream_id=stream_id)
    session.receive(peer.connection.data_to_send(), 0)
    assert any("(b'grpc-status', b'0')" in event for event in peer.hear(session.outgoing()))
    assert session.over is Cause.LEFT


SECOND_NS = 1_000 * MILLISECOND_NS
BORN_S = 5_000.0
"""The clock when the connection is made."""


def pinged(times_s: Sequence[float], *, answer_every: int = 0, path: str = ECHO) -> Session:
    """A session that was pinged at these times, and now and then asked something between two pings."""
    session = Session(ROUTES, Budget(10**6))
    peer = Peer()
    session.receive(peer.said, round(BORN_S * SECOND_NS))
    for number, at_s in enumerate(times_s, start=1):
        peer.said = b""
        peer.connection.ping(b"keep me!")
        peer.said += peer.connection.data_to_send()
        if answer_every and number % answer_every == 0:
            peer.ask(message(b"something"), path=path)
        for call in session.receive(peer.said, round((BORN_S + at_s) * SECOND_NS)):
            if path == ECHO:
                session.reply(call, b"")
            else:
                session.send(call, b"")  # and it stays open, as a health watch does
        if session.over:
            break
        session.quiet_bytes = 0  # as the engine does every second
        peer.hear(session.outgoing())
    return session


def test_a_keepalive_of_ten_seconds_is_welcome() -> None:
    """For an hour, whether the pings arrive evenly or not; so is every second ping with calls in between."""
    even = [10.0 * number for number in range(1, 361)]
    uneven = [at_s + (number % 5) for number, at_s in enumerate(even)]
    for times_s in (even, uneven):
        assert pinged(times_s).over is None
    assert pinged([float(number) for number in range(3_600)], answer_every=2).over is None
    assert pinged([float(number) for number in range(900)], answer_every=2, path=CHAT).over is None


def test_pings_without_pause_are_too_many() -> None:
    """A ping a second with no call between them ends the connection, as with gRPC's own servers."""
    assert pinged([1.0, 2.0, 3.0]).over is None
    assert pinged([float(number) for number in range(1, 7)]).over is not None
