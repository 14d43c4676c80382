"""Requests' and answers' headers without a connection: timeouts, escapes, details, sizes."""

from base64 import b64decode
from urllib.parse import unquote

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import example, given
from hypothesis import strategies as st

from server.codes import Code
from server.errors import Failure, ShellReason, failure, overloaded
from server.http2 import headers
from server.methods import CallError

UNITS_S = {"H": 3_600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@given(st.integers(0, 99_999_999), st.sampled_from(list(UNITS_S)))
def test_every_timeout_is_read(value: int, unit: str) -> None:
    """One to eight digits and a unit, in nanoseconds."""
    assert headers.timeout_ns(f"{value}{unit}".encode()) == pytest.approx(value * UNITS_S[unit] * 1e9)
    assert headers.timeout_ns(f"{value:08}{unit}".encode()) == headers.timeout_ns(f"{value}{unit}".encode())


@given(st.binary(max_size=12))
def test_nothing_else_is_a_timeout(text: bytes) -> None:
    """Any other bytes are INTERNAL, none raises anything else."""
    good = text[-1:] in {unit.encode() for unit in UNITS_S} and text[:-1].isdigit() and len(text) <= 9
    if good:
        assert headers.timeout_ns(text) >= 0
        return
    with pytest.raises(CallError) as caught:
        headers.timeout_ns(text)
    assert caught.value.code is Code.INTERNAL


@given(st.text())
@example(" at both ends ")
def test_messages_survive_their_escapes(text: str) -> None:
    """What a client decodes is the text, or its beginning where it was cut; only printable ASCII travels.

    No field of HTTP/2 may begin or end with a space: RFC 9113, 8.2.1.
    """
    encoded = headers.percent_encoded(text)
    assert encoded.strip(b" ") == encoded
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert len(encoded) <= headers.GRPC_MESSAGE_BYTES_MAX
    decoded = unquote(encoded.decode("ascii"), errors="strict")
    expected = text.encode(errors="replace").decode()
    if len(encoded) < headers.GRPC_MESSAGE_BYTES_MAX // 2:
        assert decoded == expected
    assert expected.startswith(decoded)


@pytest.mark.parametrize("character", ["x", "%", "\0", "é", "\N{GRINNING FACE}"])
def test_long_messages_are_cut_between_characters(character: str) -> None:
    """A text of any characters keeps a good part, cut between two of them."""
    encoded = headers.percent_encoded(character * 10_000)
    decoded = unquote(encoded.decode("ascii"), errors="strict")
    assert set(decoded) == {character}
    assert headers.GRPC_MESSAGE_BYTES_MAX // 2 < len(encoded) <= headers.GRPC_MESSAGE_BYTES_MAX


def details(trailers: headers.Headers) -> status_pb2.Status:
    """The status in the details, whose base64 has no padding."""
    encoded = dict(trailers)[b"grpc-status-details-bin"]
    assert b"=" not in encoded
    return status_pb2.Status.FromString(b64decode(encoded + b"=" * (-len(encoded) % 4)))


@given(st.text(max_size=50), st.text(max_size=50))
def test_details_say_the_same_as_the_trailers(message: str, fact: str) -> None:
    """Code and message stand in both; the reason and its facts in the details, whatever their length."""
    trailers = headers.failed(Failure(Code.NOT_FOUND, "A_REASON", message, {"fact": fact}))
    fields = dict(trailers)
    status = details(trailers)
    assert int(fields[b"grpc-status"]) == status.code == Code.NOT_FOUND
    assert unquote(fields[b"grpc-message"].decode()) == status.message == message
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("A_REASON", "bandit.v1", {"fact": fact})


def test_an_overloaded_server_says_when_to_come_back() -> None:
    """RESOURCE_EXHAUSTED with ErrorInfo and RetryInfo."""
    status = details(headers.failed(failure(overloaded())))
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (status.code, info.reason) == (Code.RESOURCE_EXHAUSTED, ShellReason.OVERLOADED)
    assert retry.retry_delay.ToMilliseconds() > 0


def test_failures_that_are_alike_are_not_mixed_up() -> None:
    """What is kept for repetition is keyed by all that it says."""
    failures = [
        Failure(Code.UNAVAILABLE, "A", "text", {}),
        Failure(Code.UNAVAILABLE, "B", "text", {}),
        Failure(Code.UNAVAILABLE, "A", "other", {}),
        Failure(Code.INTERNAL, "A", "text", {}),
        Failure(Code.UNAVAILABLE, "A", "text", {}, 1.0),
        Failure(Code.UNAVAILABLE, "", "text", {}),
    ]
    for _ in range(2):
        assert len({headers.failed(each) for each in failures}) == len(failures)


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;charset=utf-8", True),
        (b"application/grpc-web", False),
        (b"application/grpcx", False),
        (b"application/json", False),
        (b"", False),
        (b"text/html", False),
    ],
)
def test_content_types(kind: bytes, *, good: bool) -> None:
    """GRPC's own with any suffix; everything else is 415, and nothing but POST is 405."""
    refusal = headers.http_refusal({b":method": b"POST", b"content-type": kind})
    assert (refusal is None) == good
    if refusal is not None:
        assert dict(refusal)[b":status"] == b"415"
    wrong = headers.http_refusal({b":method": b"GET", b"content-type": kind})
    assert wrong is not None
    assert dict(wrong)[b":status"] == b"405"


@pytest.mark.parametrize("encoding", [b"snappy", b"deflate", b"zstd", b"GZIP", b"", b"gzip,identity"])
def test_unknown_encodings_are_unimplemented(encoding: bytes) -> None:
    """And the trailers of UNIMPLEMENTED name those that are known."""
    with pytest.raises(CallError) as caught:
        headers.is_gzip(encoding)
    assert caught.value.code is Code.UNIMPLEMENTED
    trailers = dict(headers.failed(Failure(Code.UNIMPLEMENTED, "", "no", {})))
    assert trailers[b"grpc-accept-encoding"] == b"identity,gzip"
