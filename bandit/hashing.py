"""Hashing: where a unit is routed, its bucket, the uniform of a draw, and a hashed feature's column.

All are BLAKE2b (RFC 7693) cut into integers, little-endian. Routing and comparisons stay in integers, so
every language that computes the same hash gets the same answer on every machine. One digest serves several
purposes: pieces of one keyed digest are as independent of each other as digests under two keys
(docs/decisions/0016). Who is routed where says nothing about buckets or draws.
"""

from hashlib import blake2b
from struct import Struct

HASH_SPACE = 1 << 64
"""Hashes are integers in [0, 2⁶⁴)."""

BUCKETS = 256
"""Unit buckets: enough for a variance between them, too few to tell people apart."""

_HASH_BYTES = 8
_UNIT = Struct("<QB")
_DRAWS = Struct("<8Q")
_PLACE_BITS = 3
"""Of a counter: which of a digest's eight draws is its own."""
_UNIFORM_BITS = 53


class SaltedHash:
    """A 64-bit hash keyed by a salt (16 bytes) within a named domain; absorbs the prefix once."""

    __slots__ = ("_absorbed",)

    def __init__(self, salt: bytes, domain: str, prefix: bytes = b"") -> None:
        self._absorbed = blake2b(domain.encode() + b"\0" + prefix, key=salt, digest_size=_HASH_BYTES)

    def __call__(self, data: bytes) -> int:
        """Return the hash of `data` in [0, 2⁶⁴)."""
        state = self._absorbed.copy()
        state.update(data)
        return int.from_bytes(state.digest(), "little")


class UnitHash:
    """Where units go in one placement: independently of every other placement, and of every other salt."""

    __slots__ = ("_absorbed",)

    def __init__(self, salt: bytes, placement: str) -> None:
        self._absorbed = blake2b(placement.encode() + b"\0", key=salt, digest_size=_UNIT.size)

    def __call__(self, unit: bytes) -> tuple[int, int]:
        """Return a unit's routing hash in [0, 2⁶⁴) and its bucket in [0, BUCKETS)."""
        state = self._absorbed.copy()
        state.update(unit)
        routing, bucket = _UNIT.unpack(state.digest())
        return routing, bucket


class UnitHashes(dict[str, UnitHash]):
    """The `UnitHash` of each placement's name, made when it is first asked for."""

    __slots__ = ("_salt",)

    def __init__(self, salt: bytes) -> None:
        super().__init__()
        self._salt = salt

    def __missing__(self, placement: str) -> UnitHash:
        hashed = self[placement] = UnitHash(self._salt, placement)
        return hashed


class Draws:
    """The uniforms of the decisions of one start, by their counter: eight of each digest.

    A counter is unique to its decision, whatever the placement. Quickest in the order of counters.
    """

    __slots__ = ("_absorbed", "_block", "_hashed")

    def __init__(self, salt: bytes, start: bytes) -> None:
        self._absorbed = blake2b(start, key=salt, digest_size=_DRAWS.size)
        self._block = -1
        self._hashed: tuple[int, ...] = ()

    def __call__(self, counter: int) -> float:
        """Return the uniform in [0, 1) of a decision."""
        block = counter >> _PLACE_BITS
        if block != self._block:
            state = self._absorbed.copy()
            state.update(block.to_bytes(8, "little"))
            self._block, self._hashed = block, _DRAWS.unpack(state.digest())
        return uniform(self._hashed[counter & (1 << _PLACE_BITS) - 1])


def uniform(hashed: int) -> float:
    """Return the number in [0, 1) made of a hash's upper 53 bits: every float64 of that spacing."""
    return (hashed >> (64 - _UNIFORM_BITS)) * 2.0**-_UNIFORM_BITS


def feature_bucket(feature: str, value: str, buckets: int) -> int:
    """Return the bucket in [0, buckets) of a hashed feature's value: unsalted, the same for every fleet."""
    data = feature.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
    digest = blake2b(data, digest_size=_HASH_BYTES, person=b"banditd-feature").digest()
    return int.from_bytes(digest, "little") % buckets
