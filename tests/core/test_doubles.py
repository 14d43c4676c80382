"""Doubles in sections: trimmed as docs/format.md says, back bit for bit; other bytes are refused."""

import math
import struct
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.fields import Fields, SectionError, pack_doubles
from tests.core.snapshots import doubles_of

COUNTS = st.integers(-(2**21), 2**21).map(float)
FLOATS = st.one_of(
    st.just(0.0), st.just(-0.0), COUNTS, st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False, width=16), st.sampled_from([5e-324, 1.7e308]),
)  # fmt: skip


def by_the_page(values: list[float]) -> bytes:
    """Doubles, written down from docs/format.md."""
    codes, kept, plain = list[int](), b"", b""
    for value in values:
        number = struct.pack("<d", value)
        bytes_kept = number.lstrip(b"\0")
        codes.append(len(bytes_kept))
        if len(bytes_kept) > 1 and bytes_kept.endswith(b"\x40"):
            bytes_kept = bytes_kept[:-1]
            codes[-1] = 8 + len(bytes_kept)
        kept, plain = kept + bytes_kept, plain + number
    codes.append(0)
    trimmed = bytes(codes[i] | codes[i + 1] << 4 for i in range(0, len(values), 2)) + kept
    return trimmed if len(trimmed) < len(plain) else plain


def read(data: bytes, size: int) -> list[float]:
    """Read doubles from a field."""
    return list(map(float, Fields("here", {"x": data}).doubles("x", size)))


def same(values: list[float]) -> list[bytes]:
    """Values that compare bit for bit."""
    return [struct.pack("<d", value) for value in values]


@given(st.lists(FLOATS, max_size=70))
def test_any_doubles_are_written_as_the_page_says_and_come_back(values: list[float]) -> None:
    """Bit for bit, with the sign of zero; never in more than eight bytes each."""
    data = pack_doubles("here", "x", np.array(values))
    assert data == by_the_page(values)
    assert same(read(data, len(values))) == same(doubles_of(data, len(values))) == same(values)
    assert len(data) <= 8 * len(values)


@given(st.lists(FLOATS, max_size=40))
def test_doubles_that_are_not_trimmed_are_read_too(values: list[float]) -> None:
    """As the first version wrote them, whether or not they could be."""
    assert same(read(b"".join(same(values)), len(values))) == same(values)


def test_what_counts_takes_little() -> None:
    """Half a byte for 0, one more up to 31 but for 1, two up to 8,191; at most seven below 131,072."""
    sizes = {0.0: 0, 1.0: 2, 2.0: 1, 31.0: 1, -31.0: 2, 8191.0: 2, 1e6: 4, 1e5 / 3: 7}
    for value, size in sizes.items():
        assert len(pack_doubles("here", "x", np.full(100, value))) == 50 + 100 * size
    thirds = np.full(100, 1.0 / 3.0)
    assert pack_doubles("here", "x", thirds) == thirds.tobytes()


def test_rows_that_lie_apart_are_written_in_their_order() -> None:
    """A part of a larger array, in which every other number is another's."""
    whole = np.arange(60.0).reshape(5, 12)
    for part in (whole[:, 3:7], whole[1:4], whole.T, whole[::-1, ::2]):
        assert pack_doubles("here", "x", part) == pack_doubles("here", "x", np.array(part.tolist()))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 1, 16, 32])
def test_what_is_not_finite_is_not_written(wrong: float, at: int) -> None:
    """Wherever it stands."""
    values = np.arange(33.0)
    values[at] = wrong
    with pytest.raises(SectionError, match=f"here: x: expected finite numbers, found {wrong}"):
        pack_doubles("here", "x", values)


def test_what_is_not_finite_is_not_read() -> None:
    """Of two bytes, it would be infinite."""
    with pytest.raises(SectionError, match="x: expected finite numbers, found inf"):
        read(b"\x02\xf0\x7f", 1)


def refused_or_canonical(data: bytes, size: int) -> bool:
    """Whether it is read. If so, and it is trimmed, the same doubles are written as nothing else."""
    try:
        values = read(data, size)
    except SectionError:
        return False
    assert len(data) == 8 * size or pack_doubles("here", "x", np.array(values)) == data
    return True


def test_all_short_bytes_are_refused_or_what_is_written() -> None:
    """Every one of up to two bytes, for every number of doubles that they could be, and others."""
    for length, size in product(range(3), range(7)):
        taken = [refused_or_canonical(bytes(data), size) for data in product(range(256), repeat=length)]
        assert any(taken) == (size == length == 0 or 0 <= length - (size + 1) // 2 <= 8 * size)


@given(st.binary(max_size=40), st.integers(0, 20))
def test_any_bytes_are_refused_or_what_is_written(data: bytes, size: int) -> None:
    """Codes of other bytes than follow; bytes that would have been left out."""
    refused_or_canonical(data, size)


def said(codes: int) -> int:
    """How many bytes two codes announce."""
    return sum(code if code <= 8 else code - 8 for code in (codes % 16, codes // 16))


@given(st.lists(FLOATS, min_size=2, max_size=30), st.data())
def test_every_other_code_is_refused(values: list[float], data: st.DataObject) -> None:
    """One that says another number of bytes, a byte more, a byte less."""
    written = pack_doubles("here", "x", np.array(values))
    count = len(values)
    if len(written) < 8 * count:
        at = data.draw(st.integers(0, (count + 1) // 2 - 1))
        changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != written[at]))
        damaged = written[:at] + bytes([changed]) + written[at + 1 :]
        if said(changed) != said(written[at]):
            assert not refused_or_canonical(damaged, count)
        assert not refused_or_canonical(written + b"\1", count) or len(written) + 1 == 8 * count
        assert not refused_or_canonical(written[:-1], count)


def test_nothing_is_made_for_bytes_that_are_too_few() -> None:
    """Half a byte a double must be there before there is room for all of them."""
    for data, size in ((bytes(1_000), 50_000_000), (bytes(24_999_999), 50_000_000), (b"", 1)):
        tracemalloc.start()
        try:
            with pytest.raises(SectionError, match=f"expected {size} doubles"):
                read(data, size)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 100_000
