"""Attacks on a connection, as bytes: each is an opening and then the same kind of thing, without end.

Sources: CVE-2019-9511 to 9518 (ping, settings, reset, empty frames, windows), CVE-2023-44487 (rapid reset),
CVE-2024-27316 and its kin (CONTINUATION), CVE-2025-8671 (resets that the client makes the server send),
CVE-2016-6581 (HPACK bomb).
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile import frames
from tests.hostile.frames import Kind, Setting
from tests.transport.http2_client import CHOOSE, PREFACE, frame, message

WATCH = "/grpc.health.v1.Health/Watch"

REPEATS = 100
"""Frames of an attack in one write, as a rule."""

FRAGMENT = frames.block(frames.request_fields(CHOOSE))
"""The header block of an ordinary call."""

TRAILER = frames.block([("x-trailer", "1")])

CHUNK_BYTES = 16_000
"""A large payload that still fits into one frame."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack: its `opening` once, then `step(0)`, `step(1)` … until the server ends the connection.

    `deaf` ones never read what the server sends. Between two steps they wait `pace_s` seconds.
    """

    opening: bytes
    step: Callable[[int], bytes] = lambda _: b""
    deaf: bool = False
    pace_s: float = 0.0


def _odd(turn: int, place: int, places: int = REPEATS) -> int:
    """A stream of a client that has not been used: the `place`-th of the `turn`-th step."""
    return 2 * (turn * places + place) + 1


def _rapid_reset(turn: int) -> bytes:
    """Calls that are whole and cancelled in the same breath."""
    streams = [_odd(turn, place) for place in range(REPEATS)]
    return b"".join(frames.call(stream, CHOOSE) + frames.reset(stream) for stream in streams)


def _header_reset(turn: int) -> bytes:
    """Calls cancelled before their message."""
    streams = [_odd(turn, place) for place in range(REPEATS)]
    return b"".join(frames.headers(stream, FRAGMENT) + frames.reset(stream) for stream in streams)


def _made_to_reset(turn: int) -> bytes:
    """Calls broken by trailers that do not end them, at which the server must reset them itself."""
    streams = [_odd(turn, place) for place in range(REPEATS)]
    return b"".join(frames.headers(stream, FRAGMENT) + frames.headers(stream, TRAILER) for stream in streams)


def _settings_changes(turn: int) -> bytes:
    """Settings that change what the server keeps for every stream."""
    values = [(Setting.INITIAL_WINDOW_SIZE, turn % 2 * 65_535), (Setting.HEADER_TABLE_SIZE, turn % 2 * 4_096)]
    return frames.settings(values) * REPEATS


def _priorities(turn: int) -> bytes:
    """Priorities of streams that do not exist, each depending on another."""
    streams = [_odd(turn, place) for place in range(REPEATS)]
    return b"".join(frames.priority(stream, stream + 2) for stream in streams)


BOMB_NAME, BOMB_BYTES = "x-bomb", 3_900
"""A field that fills the 4,096 bytes of the table of HPACK."""


def _bomb(turn: int) -> bytes:
    """One frame of references to the large field: 62 MB of headers in 16 KB."""
    bomb = frames.reference(62) * CHUNK_BYTES
    return frames.headers(_odd(turn, 0, 1) + 2, FRAGMENT + bomb, end_stream=True)


_FIRST = frames.headers(1, FRAGMENT)
_HALF = frames.headers(1, FRAGMENT, end_headers=False)

FLOODS: dict[str, Attack] = {
    "rapid reset": Attack(frames.opening(), _rapid_reset),
    "reset before the message": Attack(frames.opening(), _header_reset),
    "rapid reset, deaf": Attack(frames.opening(), _rapid_reset, deaf=True),
    "made to reset": Attack(frames.opening(), _made_to_reset),
    "ping": Attack(frames.opening(), lambda _: frames.ping() * REPEATS),
    "ping, deaf": Attack(frames.opening(), lambda _: frames.ping() * REPEATS, deaf=True),
    "ping answers": Attack(frames.opening(), lambda _: frames.ping(ack=True) * REPEATS),
    "settings": Attack(frames.opening(), lambda _: frames.settings() * REPEATS),
    "settings, deaf": Attack(frames.opening(), lambda _: frames.settings() * REPEATS, deaf=True),
    "settings that change": Attack(frames.opening() + _FIRST, _settings_changes),
    "settings of 1,000 entries": Attack(frames.opening(), lambda _: frames.settings([(99, 1)] * 1_000)),
    "continuation": Attack(
        frames.opening() + _HALF,
        lambda turn: frames.continuation(1, frames.literal(f"x-{turn}", "v" * CHUNK_BYTES)),
    ),
    "empty continuation": Attack(frames.opening() + _HALF, lambda _: frames.continuation(1, b"") * REPEATS),
    "window update": Attack(frames.opening(), lambda _: frames.window_update(1) * REPEATS),
    "priority": Attack(frames.opening(), _priorities),
    "empty data": Attack(frames.opening() + _FIRST, lambda _: frames.data(1, b"") * REPEATS),
    "padding": Attack(
        frames.opening() + _FIRST,
        lambda _: frame(Kind.DATA, frames.PADDED, 1, bytes([255]) + bytes(255)) * REPEATS,
    ),
    "unknown frames": Attack(frames.opening(), lambda _: frame(0xBB, 0, 0, b"what?") * REPEATS),
    "large unknown frames": Attack(frames.opening(), lambda _: frame(0xBB, 0, 0, bytes(CHUNK_BYTES)) * 8),
    "goaway": Attack(frames.opening(), lambda _: frames.goaway() * REPEATS),
    "header bomb": Attack(
        frames.opening()
        + frames.headers(
            1, FRAGMENT + frames.literal(BOMB_NAME, "b" * BOMB_BYTES, indexed=True), end_stream=True
        ),
        _bomb,
    ),
    "messages without end": Attack(
        frames.opening() + frames.headers(1, frames.block(frames.request_fields(WATCH))),
        lambda _: frames.data(1, message(b"m")) * REPEATS,
    ),
    "bytes of data": Attack(
        frames.opening() + frames.headers(1, frames.block(frames.request_fields("/no.Such/Method"))),
        lambda _: frames.data(1, b"m") * REPEATS,
    ),
}
"""What goes on until the server has had enough of it."""


BREACHES: dict[str, bytes] = {
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(64),
    "noise": bytes(range(256)),
    "no settings first": PREFACE + frames.ping(),
    "a window update of nothing": frames.opening() + frames.window_update(0),
    "the connection's window beyond its end": frames.opening()
    + frames.window_update(frames.WINDOW_MAX)
    + frames.window_update(frames.WINDOW_MAX),
    "windows beyond their end by settings": frames.opening()
    + _FIRST
    + frames.window_update(frames.WINDOW_MAX - 65_535, 1)
    + frames.settings([(Setting.INITIAL_WINDOW_SIZE, frames.WINDOW_MAX)]),
    "an initial window beyond its end": frames.opening([(Setting.INITIAL_WINDOW_SIZE, 2**31)]),
    "a frame size out of range": frames.opening([(Setting.MAX_FRAME_SIZE, 1)]),
    "settings of five bytes": PREFACE + frame(Kind.SETTINGS, 0, 0, bytes(5)),
    "settings on a stream": frames.opening() + frame(Kind.SETTINGS, 0, 1),
    "a ping of seven bytes": frames.opening() + frames.ping(b"seven b"),
    "a ping on a stream": frames.opening() + frame(Kind.PING, 0, 1, bytes(8)),
    "a frame above 16 KB": frames.opening() + frame(0xBB, 0, 0, bytes(16_385)),
    "headers on no stream": frames.opening() + frames.headers(0, FRAGMENT),
    "headers on a server's stream": frames.opening() + frames.headers(2, FRAGMENT),
    "data on an idle stream": frames.opening() + frames.data(1, b"early"),
    "reset of an idle stream": frames.opening() + frames.reset(1),
    "window of an idle stream": frames.opening() + frames.window_update(1, 1),
    "a continuation of nothing": frames.opening() + frames.continuation(1, FRAGMENT),
    "a ping between headers": frames.opening() + _HALF + frames.ping(),
    "a push by a client": frames.opening() + frame(Kind.PUSH_PROMISE, frames.END_HEADERS, 1, bytes(4)),
    "a reference to nothing": frames.opening() + frames.headers(1, frames.reference(99)),
    "half a header": frames.opening() + frames.headers(1, b"\x00\x7f\xff\xff\xff\xff\xff\xff"),
    "a table that grows": frames.opening() + frames.headers(1, frames.integer(2**30, 5, 0x20) + FRAGMENT),
    "padding longer than its frame": frames.opening()
    + _FIRST
    + frame(Kind.DATA, frames.PADDED, 1, b"\xff12"),
}
"""What is no HTTP/2 at all: the server says so or goes, at once."""


GAMES: dict[str, bytes] = {
    "depends on itself": frames.priority(1, 1),
    "streams that go back": frames.headers(5, FRAGMENT) + frames.headers(3, FRAGMENT),
    "no path": frames.headers(1, frames.block([(":method", "POST"), (":scheme", "http")])),
    "two paths": frames.headers(1, FRAGMENT + frames.literal(":path", "/other")),
    "upper case": frames.headers(1, FRAGMENT + frames.literal("Upper", "case")),
    "a pseudo-header too late": frames.headers(1, FRAGMENT + frames.literal(":late", "x")),
    "a line break in a value": frames.headers(1, FRAGMENT + frames.literal("x-a", "b\r\nc: d")),
    "connection: close": frames.headers(1, FRAGMENT + frames.literal("connection", "close")),
    "a content-length that lies": frames.headers(1, FRAGMENT + frames.literal("content-length", "3"))
    + frames.data(1, b"12345678", end_stream=True),
    "data after the end": frames.headers(1, FRAGMENT, end_stream=True) + frames.data(1, b"more"),
    "a stream's window beyond its end": _FIRST + frames.window_update(frames.WINDOW_MAX, 1),
    "trailers without an end": _FIRST + frames.headers(1, TRAILER),
    "trailers with a path": _FIRST + frames.headers(1, FRAGMENT, end_stream=True),
}
"""Streams that break a rule: the server may end the stream or the connection, and answers no call on it."""
