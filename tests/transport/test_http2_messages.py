"""gRPC's framing without a connection: any split of the bytes, and every bound."""

import gzip
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.codes import Code
from server.errors import ShellError, ShellReason
from server.http2.messages import MessageReader, framed, inflated, whole
from server.http2.messages import plain as unpacked
from server.methods import CallError
from tests.transport.http2_client import message

LIMIT = 64
"""Bytes of the largest message, small enough for chance to reach it."""

Heard = tuple[list[bytes], str]
"""The messages, and what was said of the rest: an error's text, or nothing."""


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """`data` cut at these places."""
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    starts = [0, *ends]
    return [data[start:end] for start, end in zip(starts, ends, strict=False)]


def heard(parts: Sequence[bytes]) -> Heard:
    """What a reader makes of the parts, inflated, or its first refusal."""
    reader = MessageReader(LIMIT, gzip=True)
    messages: list[bytes] = []
    try:
        for part in parts:
            messages += reader.feed(part)
        return [unpacked(each, LIMIT) for each in messages], ""
    except (CallError, ShellError) as error:
        return [], error.message


packed = st.binary(max_size=LIMIT).map(lambda data: message(gzip.compress(data), compressed=1))
plain = st.binary(max_size=LIMIT).map(framed)
odd = st.builds(
    lambda data, flag: message(data, compressed=flag), st.binary(max_size=LIMIT), st.integers(0, 3)
)
too_long = st.integers(LIMIT + 1, 2**32 - 1).map(lambda size: message(b"", length=size))
bodies = st.lists(plain | packed | odd | too_long, max_size=6).map(b"".join)


@given(bodies, st.lists(st.integers(0, 400), max_size=30))
@example(framed(b"one") + framed(b"two"), range(400))
def test_any_split_says_the_same(body: bytes, cuts: Sequence[int]) -> None:
    """Whole, cut anywhere, byte by byte: the same messages or the same refusal."""
    expected = heard([body])
    assert heard(pieces(body, cuts)) == expected
    assert heard([body[at : at + 1] for at in range(len(body))]) == expected


@given(st.lists(st.binary(max_size=LIMIT), max_size=5))
def test_what_is_framed_is_read(messages: list[bytes]) -> None:
    """`framed` and the reader are each other's reverse, and nothing is left."""
    reader = MessageReader(LIMIT, gzip=False)
    assert reader.feed(b"".join(map(framed, messages))) == messages
    assert reader.held == 0


@given(st.binary(max_size=2 * LIMIT))
def test_the_short_way_agrees_with_the_long_one(data: bytes) -> None:
    """`whole` gives a message exactly where a reader finds one and nothing else."""
    found = whole(data, LIMIT)
    if found is not None:
        assert heard([data]) == ([found], "")
    assert whole(framed(data), len(data)) == data
    assert whole(framed(data) + b"\0", len(data)) is None


def test_a_prefix_is_enough_to_refuse() -> None:
    """One byte beyond the bound is MESSAGE_TOO_LARGE before any of it has come; the bound itself is taken."""
    with pytest.raises(ShellError) as caught:
        MessageReader(LIMIT, gzip=False).feed(message(b"", length=LIMIT + 1))
    assert caught.value.reason is ShellReason.MESSAGE_TOO_LARGE
    assert caught.value.metadata == {"limit": str(LIMIT)}
    assert MessageReader(LIMIT, gzip=False).feed(framed(bytes(LIMIT))) == [bytes(LIMIT)]


def test_the_inflated_size_is_bounded() -> None:
    """The bound itself is taken, one byte more is not; a bomb is not inflated to be refused."""
    assert inflated(gzip.compress(bytes(LIMIT)), LIMIT) == bytes(LIMIT)
    for size in (LIMIT + 1, 50_000_000):
        with pytest.raises(ShellError) as caught:
            inflated(gzip.compress(bytes(size)), LIMIT)
        assert caught.value.reason is ShellReason.MESSAGE_TOO_LARGE
        assert str(LIMIT + 1) in caught.value.message  # as far as it was unpacked


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(b"cut short")[:-1],
        gzip.compress(b"and more") + b"\0",
        gzip.compress(b"one") + gzip.compress(b"two"),
        zlib.compress(b"another kind"),
        gzip.compress(b"checked")[:-8] + bytes(8),
    ],
)
def test_what_cannot_be_inflated_is_internal(data: bytes) -> None:
    """Anything but one whole gzip stream with the right checksum."""
    with pytest.raises(CallError) as caught:
        inflated(data, LIMIT)
    assert caught.value.code is Code.INTERNAL


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    """Messages, or one of the two refusals; what is held is never more than what came."""
    for announced in (False, True):
        reader = MessageReader(LIMIT, gzip=announced)
        try:
            found = reader.feed(data)
        except (CallError, ShellError):
            continue
        assert sum(map(len, found)) + reader.held <= len(data)
