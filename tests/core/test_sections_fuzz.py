"""Sections from anywhere, with a right CRC: a SectionError, never another error, a hang or much memory."""

import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.fields import SectionError
from bandit.footer import Footer
from bandit.head import pack_head, unpack_head
from bandit.measuring import Measuring
from bandit.sections import pack_placement, unpack_placement
from tests.core.snapshots import LISTED, migrated
from tests.core.world import World, simple

Read = Callable[[bytes], object]


@cache
def originals() -> dict[str, tuple[bytes, Read]]:
    """A payload of each kind, and what reads it."""
    state = migrated().engine.state
    placement = state.placements["p"]
    measuring = Measuring(len(placement.config.policies), len(placement.config.reward.values))
    placement.measuring = measuring  # without sums: thousands of doubles, of which any is one
    days = placement.history.days
    for number in list(days)[:-2]:
        del days[number]
    head = pack_head(state, sequence=7, origin="test")
    known = unpack_head(head)
    section = pack_placement(state.placements["p"], 9)
    footer = Footer(2, 9, closed=True, ledger=LISTED).pack()
    return {
        "head": (head, unpack_head),
        "placement": (section, lambda payload: unpack_placement(payload, known)),
        "footer": (footer, Footer.unpack),
    }


KINDS = ["head", "placement", "footer"]


def read_or_refuse(read: Read, payload: bytes) -> bool:
    """Whether it is read; if not, that is a SectionError with a place."""
    try:
        read(payload)
    except SectionError as error:
        assert error.where  # noqa: PT017
        assert error.field  # noqa: PT017
        assert len(str(error)) < 2_000  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_changed(kind: str) -> None:
    """Each byte of a payload, to values that change a type, a length or a number.

    Outside of the blobs of doubles, of which any may be one, nearly every change is refused.
    """
    payload, read = originals()[kind]
    assert read_or_refuse(read, payload)
    numbers = in_blobs(payload)
    changed = refused = 0
    for at, byte in enumerate(payload):
        values = {byte ^ 0x80, 0xFF} | ({byte ^ 1, 0xC0, 0xDD, 0xDF} if at not in numbers else set())
        for value in values - {byte}:
            good = read_or_refuse(read, payload[:at] + bytes([value]) + payload[at + 1 :])
            if at not in numbers:
                changed, refused = changed + 1, refused + (not good)
    assert refused > REFUSED_MIN * changed


REFUSED_MIN = 0.9


def in_blobs(payload: bytes) -> set[int]:
    """Where the bytes of binary data stand."""
    at, found = 0, set[int]()
    for blob in blobs(msgpack.unpackb(payload)):
        at = payload.index(blob, at)
        found.update(range(at, at + len(blob)))
        at += len(blob)
    return found


def blobs(value: object) -> Iterator[bytes]:
    """Yield binary data, in the order in which it is packed."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from blobs(inner)


@pytest.mark.parametrize("kind", KINDS)
def test_every_length(kind: str) -> None:
    """Each prefix is refused, and so is what goes on behind the end."""
    payload, read = originals()[kind]
    for size in range(len(payload)):
        assert not read_or_refuse(read, payload[:size])
    for more in (b"\0", b"\xc0", payload):
        assert not read_or_refuse(read, payload + more)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_edits_of_a_payload(kind: str, data: st.DataObject) -> None:
    """Pieces removed, repeated, replaced by others."""
    payload, read = originals()[kind]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(payload)))
        end = data.draw(st.integers(start, min(len(payload), start + 40)))
        piece = data.draw(st.one_of(st.binary(max_size=12), st.just(payload[start:end] * 2), SCALARS))
        payload = payload[:start] + piece + payload[end:]
    read_or_refuse(read, payload)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=8)
).map(msgpack.packb)

VALUES: st.SearchStrategy[object] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.floats(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=8),
        st.binary(max_size=24), st.just(msgpack.ExtType(5, b"")), st.just(msgpack.Timestamp(1, 2)),
    ),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=4) | st.binary(max_size=4) | st.integers(0, 9), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_value_in_any_field(kind: str, data: st.DataObject) -> None:
    """A field, or one inside it, becomes anything that msgpack can say."""
    payload, read = originals()[kind]
    fields = msgpack.unpackb(payload)
    inside, key = fields, data.draw(st.sampled_from(sorted(fields)))
    while isinstance(inside[key], dict | list) and inside[key] and data.draw(st.booleans()):
        inside = inside[key]
        key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
    inside[key] = data.draw(VALUES)
    read_or_refuse(read, msgpack.packb(fields))


@given(value=VALUES)
def test_any_value_at_all(value: object) -> None:
    """Not even a map, or one of other keys."""
    for _, read in originals().values():
        assert not read_or_refuse(read, msgpack.packb(value))


HOSTILE = {
    "arrays within arrays": b"\x81\xa4kind" + b"\xdd\xff\xff\xff\xff" * 1_000_000,
    "arrays as long as their bytes": b"\x81\xa4kind" + (b"\xdd" + struct.pack(">I", 1_000_000)) * 1_000_000,
    "arrays of a thousand within each other": b"\x81\xa4kind" + b"\xdc\x04\x00" * 1_500_000,
    "deep maps": b"\x81\xa1a" * 1_000_000,
    "a map of four billion": b"\xdf\xff\xff\xff\xff" + b"\xa1a\xc0" * 1_000_000,
    "binary data of four billion": b"\x81\xa1a\xc6\xff\xff\xff\xff" + bytes(1_000_000),
    "a string of four billion": b"\x81\xa1a\xdb\xff\xff\xff\xff" + bytes(1_000_000),
    "an extension": b"\x81\xa1a\xc9\xff\xff\xff\xff\x05" + bytes(1_000_000),
    "a timestamp beyond time": b"\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12,
    "a string that is not UTF-8": b"\x81\xa1a\xa1\xff",
    "a key that is not UTF-8": b"\x81\xa1\xff\xc0",
    "an unhashable key": b"\x81\x90\xc0",
    "a reserved byte": b"\xc1",
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_what_was_made_to_hurt(payload: bytes) -> None:
    """Refused within a second, and with no more than ten times its own bytes, or 16 MB."""
    for _, read in originals().values():
        read_or_refuse(read, originals()["footer"][0])  # what is imported and cached at first use
        tracemalloc.start()
        begun = time.process_time()
        try:
            assert not read_or_refuse(read, payload)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert time.process_time() - begun < 1.0
        assert peak < max(16_000_000, 10 * len(payload))


def test_a_section_cannot_make_a_tally_larger_than_its_bytes() -> None:
    """A placement of 80 MB, of whose tally a few bytes are there: refused before it is allocated."""
    document = simple(
        *(f"arm-{k}" for k in range(200)), features={"word": {"kind": "hashed", "buckets": 220}}
    )
    state = World(p=document).engine.state
    head = unpack_head(pack_head(state, sequence=7, origin="test"))
    section = msgpack.unpackb(pack_placement(state.placements["p"], 9))
    assert state.placements["p"].tally.moments.nbytes > 70_000_000
    section["tally"]["A"] = bytes(16)
    payload = msgpack.packb(section)
    tracemalloc.start()
    try:
        with pytest.raises(SectionError, match=r"tally.A: expected \d+ doubles, found b"):
            unpack_placement(payload, head)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
