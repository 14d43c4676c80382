"""What a call's headers ask for, and the headers and trailers of an answer.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from urllib.parse import quote

from server.codes import Code
from server.errors import STATUS_DETAILS_KEY, Failure, status
from server.methods import CallError

Header = tuple[bytes, bytes]
Headers = Sequence[Header]

CONTENT_TYPE = b"application/grpc"

ANSWER: Headers = ((b":status", b"200"), (b"content-type", CONTENT_TYPE))
"""The headers of every answer, in which a refusal's status follows at once (Trailers-Only)."""

OK: Headers = ((b"grpc-status", b"0"),)
"""The trailers of an answer that is whole."""

ACCEPTED_ENCODINGS: Header = (b"grpc-accept-encoding", b"identity,gzip")

GRPC_MESSAGE_BYTES_MAX = 3_072
"""Bytes of grpc-message on the wire. Percent-encoding makes up to twelve of one character, and clients accept
8 KB of trailers as a rule, in which the details travel too; those have the text whole."""

UNITS_NS = {
    b"H": 3_600 * 10**9, b"M": 60 * 10**9, b"S": 10**9, b"m": 10**6, b"u": 10**3, b"n": 1,
}  # fmt: skip
"""Nanoseconds of grpc-timeout's units."""

TIMEOUT_DIGITS_MAX = 8


def http_refusal(fields: Mapping[bytes, bytes]) -> Headers | None:
    """The HTTP answer to what is no gRPC call at all: 405 or 415. None for a call."""
    if fields.get(b":method") != b"POST":
        return ((b":status", b"405"), (b"allow", b"POST"))
    kind = fields.get(b"content-type", b"")
    if kind == CONTENT_TYPE or kind.startswith((CONTENT_TYPE + b"+", CONTENT_TYPE + b";")):
        return None
    return ((b":status", b"415"), (b"accept", CONTENT_TYPE))


def timeout_ns(text: bytes) -> int:
    """The nanoseconds of a grpc-timeout. Raises CallError INTERNAL for what is none, as in Go."""
    unit = UNITS_NS.get(text[-1:])
    digits = text[:-1]
    if unit is None or not digits.isdigit() or len(digits) > TIMEOUT_DIGITS_MAX:
        raise CallError(
            Code.INTERNAL, "the grpc-timeout is malformed: expected 1 to 8 digits and one of HMSmun"
        )
    return int(digits) * unit


def is_gzip(encoding: bytes) -> bool:
    """Whether a grpc-encoding is gzip. Raises CallError UNIMPLEMENTED for encodings that we do not have."""
    if encoding == b"gzip":
        return True
    if encoding == b"identity":
        return False
    raise CallError(Code.UNIMPLEMENTED, "the grpc-encoding is not known here: send identity or gzip")


def list_bytes(fields: Headers) -> int:
    """The size of a header list as HTTP/2 counts it: names, values, 32 bytes each (RFC 9113, 6.5.2)."""
    return sum(map(len, chain.from_iterable(fields))) + 32 * len(fields)


def failed(failure: Failure) -> Headers:
    """The trailers of a failure; what has a reason carries its google.rpc.Status."""
    if failure.metadata:
        return _failed(failure)
    return _failed_alike(failure.code, failure.reason, failure.message, failure.retry_s)


@lru_cache(maxsize=256)
def _failed_alike(code: Code, reason: str, message: str, retry_s: float) -> Headers:
    """The same for failures that say nothing of their call: sheds and drains repeat them by the thousand."""
    return _failed(Failure(code, reason, message, {}, retry_s))


def _failed(failure: Failure) -> Headers:
    trailers = [
        (b"grpc-status", b"%d" % failure.code),
        (b"grpc-message", percent_encoded(failure.message)),
    ]
    if failure.code is Code.UNIMPLEMENTED:
        trailers.append(ACCEPTED_ENCODINGS)
    if failure.reason:
        details = b64encode(status(failure).SerializeToString()).rstrip(b"=")
        trailers.append((STATUS_DETAILS_KEY.encode(), details))
    return tuple(trailers)


def percent_encoded(text: str) -> bytes:
    """A grpc-message: printable ASCII but % as it is, any other byte of the UTF-8 as %XX; cut if too long.

    A space at an end is %20: a field may not begin or end with one (RFC 9113, 8.2.1), and clients mind.
    """
    encoded = _quoted(text)
    kept = text.encode(errors="replace")[:GRPC_MESSAGE_BYTES_MAX].decode(errors="ignore")
    while len(encoded) > GRPC_MESSAGE_BYTES_MAX:
        kept = kept[: len(kept) * 3 // 4]
        encoded = _quoted(kept)
    return encoded


def _quoted(text: str) -> bytes:
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - len(inner) - before
    return ("%20" * before + quote(inner, safe=PLAIN, errors="replace") + "%20" * after).encode()


PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
