"""HTTP/2 frames as bytes, well formed or not: what a hostile peer sends (RFC 9113, RFC 7541).

A library refuses to write most of what is wanted here, so frames are built by hand. Header blocks are
literals without Huffman codes; nothing here decodes a header block.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from tests.transport.http2_client import PREFACE, frame, message

HEAD_BYTES = 9
"""Length (3 bytes), type (1), flags (1), stream (4): section 4.1."""

Fields = Sequence[tuple[str, str]]


class Kind(IntEnum):
    """Types of frames: section 6. Any other number is an unknown type, to be ignored (section 5.5)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """Settings by number: section 6.5.2."""

    HEADER_TABLE_SIZE = 1
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8

WINDOW_MAX = 2**31 - 1


class Frame(NamedTuple):
    """One frame as it was read."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def settings(values: Iterable[tuple[int, int]] = ()) -> bytes:
    """SETTINGS with numbers and values in this order, repeated ones too."""
    payload = b"".join(number.to_bytes(2) + value.to_bytes(4) for number, value in values)
    return frame(Kind.SETTINGS, 0, 0, payload)


def settings_ack() -> bytes:
    """The answer to SETTINGS."""
    return frame(Kind.SETTINGS, ACK, 0)


def opening(values: Iterable[tuple[int, int]] = ()) -> bytes:
    """What an ordinary client begins with."""
    return PREFACE + settings(values) + settings_ack()


def integer(value: int, prefix_bits: int, pattern: int = 0) -> bytes:
    """An HPACK integer (RFC 7541, section 5.1) behind the bits of `pattern`."""
    full = (1 << prefix_bits) - 1
    if value < full:
        return bytes([pattern | value])
    result = bytearray([pattern | full])
    value -= full
    while value >= 128:
        result.append(value % 128 + 128)
        value //= 128
    result.append(value)
    return bytes(result)


def literal(name: str, value: str, *, indexed: bool = False) -> bytes:
    """A header field as a literal with a new name; `indexed` puts it into the peer's dynamic table."""
    texts = b"".join(integer(len(text), 7) + text for text in (name.encode(), value.encode()))
    return (b"\x40" if indexed else b"\x00") + texts


def reference(index: int) -> bytes:
    """A header field by its number in the tables; 62 is the newest of the dynamic one."""
    return integer(index, 7, 0x80)


def block(fields: Fields) -> bytes:
    """A header block of literals."""
    return b"".join(literal(name, value) for name, value in fields)


def request_fields(path: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """The header fields of a gRPC call."""
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]


def headers(stream: int, fragment: bytes, *, end_stream: bool = False, end_headers: bool = True) -> bytes:
    """HEADERS with a header block, or with its beginning."""
    flags = END_STREAM * end_stream | END_HEADERS * end_headers
    return frame(Kind.HEADERS, flags, stream, fragment)


def continuation(stream: int, fragment: bytes, *, end_headers: bool = False) -> bytes:
    """CONTINUATION with more of a header block."""
    return frame(Kind.CONTINUATION, END_HEADERS * end_headers, stream, fragment)


def data(stream: int, payload: bytes, *, end_stream: bool = False) -> bytes:
    """DATA."""
    return frame(Kind.DATA, END_STREAM * end_stream, stream, payload)


def reset(stream: int, code: int = 8) -> bytes:
    """RST_STREAM; CANCEL unless told otherwise."""
    return frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4))


def ping(opaque: bytes = b"hostile!", *, ack: bool = False) -> bytes:
    """PING."""
    return frame(Kind.PING, ACK * ack, 0, opaque)


def window_update(increment: int, stream: int = 0) -> bytes:
    """WINDOW_UPDATE."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, increment.to_bytes(4))


def priority(stream: int, depends_on: int = 0, weight: int = 15) -> bytes:
    """PRIORITY, which RFC 9113 has deprecated and every server must still read."""
    return frame(Kind.PRIORITY, 0, stream, depends_on.to_bytes(4) + bytes([weight]))


def goaway(last_stream: int = 0, code: int = 0, text: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame(Kind.GOAWAY, 0, 0, last_stream.to_bytes(4) + code.to_bytes(4) + text)


def call(stream: int, path: str, body: bytes = b"", *more: tuple[str, str]) -> bytes:
    """A whole unary call: HEADERS and one DATA."""
    fragment = block(request_fields(path, *more))
    return headers(stream, fragment) + data(stream, message(body), end_stream=True)


def split(stream: bytes) -> Iterator[Frame]:
    """The whole frames at the beginning of `stream`."""
    at = 0
    while at + HEAD_BYTES <= len(stream):
        length = int.from_bytes(stream[at : at + 3])
        following = at + HEAD_BYTES + length
        if following > len(stream):
            return
        number = int.from_bytes(stream[at + 5 : at + HEAD_BYTES])
        yield Frame(stream[at + 3], stream[at + 4], number, stream[at + HEAD_BYTES : following])
        at = following


def goaway_code(stream: bytes) -> int | None:
    """The error code of the last GOAWAY in what a server sent; None without one."""
    found = [part for part in split(stream) if part.kind == Kind.GOAWAY]
    return int.from_bytes(found[-1].payload[4:8]) if found else None
