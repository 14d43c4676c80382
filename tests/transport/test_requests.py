"""What each form of request is owed, well-formed or not: the table, and every engine held to it.

`ROWS` is also the list of the engines' differences: what grpcio answers instead, and why that is let be. The
ngh2 engine owes the first answer everywhere.
"""

import gzip
import zlib
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from ngh2 import ErrorCode

from server import limits
from server.codes import Code
from tests.transport.conftest import FEW_DOORS
from tests.transport.doors import BareDoor
from tests.transport.http2_client import (
    DATA,
    END_STREAM,
    PADDED,
    Http2Client,
    Pairs,
    Response,
    frame,
    message,
)
from tests.transport.stand_in import ECHO

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"

HI = message(b"hi")
PACKED = message(gzip.compress(b"hi"), compressed=1)
SILENCE = "no answer, and the call is not executed"
ANYTHING = "nothing is promised, but that the connection goes on"

Send = Callable[[Http2Client], int]


@dataclass(frozen=True)
class Reset:
    """The stream is reset, with an error code of HTTP/2; the connection goes on."""

    code: int


@dataclass(frozen=True)
class Http:
    """An HTTP status and no gRPC status: the request was no call."""

    status: int


Owed = Code | Reset | Http | str


class Row(NamedTuple):
    """A request, what it is owed, and, where grpcio does something else, what and why that is let be."""

    send: Send
    owed: Owed
    grpcio: Owed | None = None
    why: str = ""


def call(extra: Pairs = (), body: bytes = HI, path: str = ECHO, method: bytes = b"POST") -> Send:
    """Headers, then all of `body` in one frame with the end."""

    def send(client: Http2Client) -> int:
        stream_id = client.open(path, extra, method=method)
        client.send(stream_id, body, end=True)
        return stream_id

    return send


def with_field(name: str, value: str, body: bytes = HI) -> Send:
    """A call with one more header, or (empty) without a usual one."""
    return call([(name.encode(), value.encode())], body)


def pieces(*parts: bytes, end: bool = True) -> Send:
    """A call whose body comes in several DATA frames."""

    def send(client: Http2Client) -> int:
        stream_id = client.open(ECHO)
        for number, part in enumerate(parts, start=1):
            client.send(stream_id, part, end=end and number == len(parts))
        return stream_id

    return send


def no_body(client: Http2Client) -> int:
    """Headers that end the stream."""
    return client.open(ECHO, end=True)


def request_trailers(client: Http2Client) -> int:
    """A request that ends with trailers instead of data."""
    stream_id = client.open(ECHO)
    client.send(stream_id, HI)
    client.connection.send_trailers(stream_id, [(b"checksum", b"1")])
    client.flush()
    return stream_id


def padded(client: Http2Client) -> int:
    """DATA frames with padding, one of them with the most there is."""
    stream_id = client.open(ECHO)
    client.raw(frame(DATA, PADDED, stream_id, bytes([5]) + HI[:3] + bytes(5)))
    client.raw(frame(DATA, PADDED | END_STREAM, stream_id, bytes([255]) + HI[3:] + bytes(255)))
    return stream_id


def metadata(size: int) -> Send:
    """A call with `size` bytes of metadata in values that no header compression shortens."""
    return call([(b"m-%d" % at, b"\\" * 1_000) for at in range(size // 1_000)])


GIANT = message(b"", length=limits.MESSAGE_BYTES_MAX + 1)
BOMB = message(gzip.compress(bytes(20 * limits.MESSAGE_BYTES_MAX)), compressed=1)
GZIP = (b"grpc-encoding", b"gzip")
PACKED_HI = gzip.compress(b"hi")
CHECKS_NO_TYPE = "grpcio looks at no content-type"
WAITS = "grpcio waits for the message that can no longer come; such a call is never executed"
LEAVES = "grpcio reads one message and leaves the rest"
NO_TE = "te shows proxies that drop trailers; gRPC for Go does not insist on it either"
NOT_POST = "grpcio says no more than that"
UNSTEADY = "grpcio now executes it, with an empty message, now does not"
FOR_EMPTY = "grpcio takes it for an empty message"
LOOSE = "grpcio reads what a strict HTTP/2 peer must take for malformed"
NO_METADATA = "no method of ours reads metadata, so the ngh2 engine does not decode it"

ROWS = {
    "plain": Row(call(), Code.OK),
    # content-type and method
    "content-type with +proto": Row(with_field("content-type", "application/grpc+proto"), Code.OK),
    "content-type of JSON": Row(
        with_field("content-type", "application/json"), Http(415), Code.OK, CHECKS_NO_TYPE
    ),
    "content-type of gRPC-Web": Row(
        with_field("content-type", "application/grpc-web+proto"), Http(415), Code.OK, CHECKS_NO_TYPE
    ),
    "no content-type": Row(with_field("content-type", ""), Http(415), Code.OK, CHECKS_NO_TYPE),
    "GET": Row(call(method=b"GET"), Http(405), Reset(2), NOT_POST),
    "PUT": Row(call(method=b"PUT"), Http(405), Reset(2), NOT_POST),
    "no te": Row(with_field("te", ""), Code.OK, Reset(2), NO_TE),
    # paths
    "unknown method": Row(call(path="/stand.In/Guess"), Code.UNIMPLEMENTED),
    "unknown service": Row(call(path="/no.Where/Echo"), Code.UNIMPLEMENTED),
    "path with a query": Row(call(path=f"{ECHO}?x=1"), Code.UNIMPLEMENTED),
    "path with an escape": Row(call(path="/stand.In/%45cho"), Code.UNIMPLEMENTED),
    "path in another case": Row(call(path=ECHO.lower()), Code.UNIMPLEMENTED),
    "path of one word": Row(call(path="/stand"), Code.UNIMPLEMENTED),
    # encodings
    "gzip": Row(call([GZIP], PACKED), Code.OK),
    "gzip announced, not used": Row(call([GZIP]), Code.OK),
    "identity announced": Row(with_field("grpc-encoding", "identity"), Code.OK),
    "unknown encoding": Row(
        with_field("grpc-encoding", "snappy"), Code.UNIMPLEMENTED, Code.INTERNAL,
        "grpcio takes it for malformed; the specification wants UNIMPLEMENTED",
    ),
    "deflate": Row(
        with_field("grpc-encoding", "deflate", message(zlib.compress(b"hi"), compressed=1)),
        Code.UNIMPLEMENTED, Code.OK, "grpcio has deflate, which its clients use only when told to",
    ),
    "compressed without an encoding": Row(call(body=PACKED), Code.INTERNAL),
    "compressed with identity": Row(with_field("grpc-encoding", "identity", PACKED), Code.INTERNAL),
    "flag neither 0 nor 1": Row(
        call(body=message(b"hi", compressed=2)), Code.INTERNAL, ANYTHING, UNSTEADY
    ),
    "gzip that is none": Row(call([GZIP], message(b"hi", compressed=1)), Code.INTERNAL),
    "gzip of no bytes": Row(
        call([GZIP], message(b"", compressed=1)), Code.INTERNAL, Code.OK, FOR_EMPTY
    ),
    "half a gzip": Row(call([GZIP], message(PACKED_HI[:-6], compressed=1)), Code.INTERNAL),
    "gzip and more": Row(call([GZIP], message(PACKED_HI + b"more", compressed=1)), Code.INTERNAL),
    "two gzips": Row(call([GZIP], message(PACKED_HI * 2, compressed=1)), Code.INTERNAL),
    "gzip that inflates beyond the limit": Row(call([GZIP], BOMB), Code.RESOURCE_EXHAUSTED),
    # messages
    "in three frames": Row(pieces(HI[:3], HI[3:6], HI[6:]), Code.OK),
    "byte by byte": Row(pieces(*(HI[at : at + 1] for at in range(len(HI)))), Code.OK),
    "the end in a frame of its own": Row(pieces(HI, b""), Code.OK),
    "frames without bytes between": Row(pieces(b"", HI[:4], b"", HI[4:], b""), Code.OK),
    "empty message": Row(call(body=message(b"")), Code.OK),
    "ended by trailers": Row(request_trailers, Code.OK),
    "padded": Row(padded, Code.OK, Reset(1), "grpcio does not read padding; RFC 9113, 6.1 has it"),
    "no body": Row(no_body, Code.UNIMPLEMENTED, SILENCE, WAITS),
    "empty body": Row(call(body=b""), Code.UNIMPLEMENTED, SILENCE, WAITS),
    "half a prefix": Row(call(body=HI[:3]), Code.INTERNAL, SILENCE, WAITS),
    "half a message": Row(call(body=HI[:-1]), Code.INTERNAL, SILENCE, WAITS),
    "two messages": Row(call(body=HI + HI), Code.UNIMPLEMENTED, Code.OK, LEAVES),
    "two messages, two frames": Row(
        pieces(HI, HI), Code.UNIMPLEMENTED, Code.OK, "grpcio executes the first as soon as it is there"
    ),
    "a message and a half": Row(call(body=HI + HI[:4]), Code.INTERNAL, Code.OK, LEAVES),
    "message beyond the limit": Row(call(body=GIANT), Code.RESOURCE_EXHAUSTED),
    "prefix beyond the limit, no end": Row(pieces(GIANT, end=False), Code.RESOURCE_EXHAUSTED),
    "prefix of 4 GB": Row(call(body=message(b"", length=2**32 - 1)), Code.RESOURCE_EXHAUSTED),
    # metadata
    "unpadded base64": Row(with_field("trace-bin", "aGk"), Code.OK),
    "padded base64": Row(with_field("trace-bin", "aGk="), Code.OK),
    "base64 that is none": Row(with_field("trace-bin", "!!!"), Code.OK, Code.INTERNAL, NO_METADATA),
    "8 KB of metadata": Row(metadata(8_000), Code.OK),
    "20 KB of metadata": Row(metadata(20_000), Code.RESOURCE_EXHAUSTED),
    "40 KB of metadata": Row(metadata(40_000), Code.RESOURCE_EXHAUSTED),
    "a header of HTTP/1": Row(with_field("connection", "close"), Reset(1), Code.OK, LOOSE),
    "content-length that fits": Row(with_field("content-length", str(len(HI))), Code.OK),
    "content-length that lies": Row(with_field("content-length", "9"), Reset(1), Code.OK, LOOSE),
    "a value with a space at its end": Row(with_field("trace", "1 "), Reset(1), Code.OK, LOOSE),
    "a value with a control character": Row(with_field("trace", "a\x01"), Reset(1), Code.OK, LOOSE),
    "a value of UTF-8": Row(with_field("trace", "naïve"), Code.OK),
    "two content-types": Row(
        call([(b"content-type", b"application/grpc"), (b"content-type", b"text/html")]),
        Http(415), Code.OK, CHECKS_NO_TYPE,
    ),
    "no path": Row(with_field(":path", ""), Reset(1), Reset(2), "another error code"),
    # deadlines
    **{
        f"timeout {text}": Row(with_field("grpc-timeout", text), Code.OK)
        for text in ("1H", "1M", "5S", "5000m", "5000000u", "99999999u", "99999999S", "00000005S")
    },
    **{
        f"timeout {text}": Row(with_field("grpc-timeout", text), Code.DEADLINE_EXCEEDED)
        for text in ("0S", "0n", "00000000H")
    },
    **{
        f"malformed timeout {text!r}": Row(with_field("grpc-timeout", text), Code.INTERNAL)
        for text in ("S", "1", "1x", "1s", "-1S", "+1S", "1.5S")
    },
    "timeout of nine digits": Row(
        with_field("grpc-timeout", "123456789S"), Code.INTERNAL, Code.OK, "the specification allows eight"
    ),
    "timeout with a space": Row(
        with_field("grpc-timeout", "1 S"), Code.INTERNAL, Code.OK, "grpcio skips spaces"
    ),
}  # fmt: skip


def answer(client: Http2Client, stream_id: int) -> Owed:
    """What came of a request."""
    got = client.response(stream_id)
    if got.reset is not None and not got.headers:
        return Reset(got.reset)
    if got.http_status != 200 or got.grpc_status is None:
        return Http(got.http_status)
    return Code(got.grpc_status)


@pytest.mark.parametrize("door", FEW_DOORS, indirect=True)
@pytest.mark.parametrize("row", ROWS)
def test_every_request_gets_what_it_is_owed(door: BareDoor, row: str) -> None:
    """The owed answer, executed if and only if it is OK; the connection then serves the next call."""
    send, owed, instead, why = ROWS[row]
    assert (instead is None) == (not why)
    if instead is not None and door.engine == "grpcio":
        owed = instead
    before = door.bare.executed()
    with door.raw() as client:
        stream_id = send(client)
        if owed not in {SILENCE, ANYTHING}:
            assert answer(client, stream_id) == owed
        assert client.call(ECHO, b"next").messages == [b"next"]
        assert (client.disconnected, client.goaways) == (False, [])
        if owed == SILENCE:
            assert client.responses[stream_id] == Response()
    assert owed == ANYTHING or door.bare.executed() == before + (owed is Code.OK) + 1


def test_metadata_beyond_reason_ends_its_connection_at_most(door: BareDoor) -> None:
    """Of 100 KB nothing is executed; the connection may go, others stay."""
    before = door.bare.executed()
    with door.raw() as client, door.raw() as other:
        stream_id = metadata(100_000)(client)
        got = client.response(stream_id)
        assert client.disconnected or got.reset is not None or got.grpc_status == Code.RESOURCE_EXHAUSTED
        assert other.call(ECHO, b"other").messages == [b"other"]
    assert door.bare.executed() == before + 1


@pytest.mark.parametrize(
    ("send", "reason"),
    [
        (call(body=GIANT), "MESSAGE_TOO_LARGE"),
        (call([GZIP], BOMB), "MESSAGE_TOO_LARGE"),
        (metadata(20_000), "METADATA_TOO_LARGE"),
        (with_field("grpc-timeout", "0S"), "DEADLINE_PASSED"),
    ],
)
def test_refusals_before_a_handler_carry_reasons(door: BareDoor, send: Send, reason: str) -> None:
    """With ErrorInfo, as all of ours; grpcio's own refusals have a message alone."""
    with door.raw() as client:
        got = client.response(send(client))
    if door.engine == "ngh2":
        assert reason.encode() in status_details(got)
    else:
        assert b"grpc-status-details-bin" not in got.headers


def status_details(got: Response) -> bytes:
    """The serialised google.rpc.Status of a refusal."""
    encoded = got.headers[b"grpc-status-details-bin"]
    return b64decode(encoded + b"=" * (-len(encoded) % 4))


def in_words(owed: Owed) -> str:
    """An answer as the document has it."""
    match owed:
        case Code():
            return f"`{owed.name}`"
        case Http(status):
            return f"HTTP {status}"
        case Reset(code):
            return f"`RST_STREAM` {ErrorCode(code).name}"
        case text:
            return str(text)


def test_the_document_has_every_difference() -> None:
    """docs/conformance.md lists what this table does, in its order and its words."""
    expected = [
        f"| {name} | {in_words(row.owed)} | {in_words(row.grpcio)} | {row.why} |"
        for name, row in ROWS.items()
        if row.grpcio is not None
    ]
    lines = DOCUMENT.read_text("utf-8").splitlines()
    start = lines.index("| request | ngh2 | grpcio | |") + 2
    found = lines[start : lines.index("", start)]
    assert found == expected
