"""Hashing: where a unit is routed, its bucket, the uniform of a draw, and a hashed feature's column.

All are BLAKE2b (RFC 7693) cut to 64 bits and read as a little-endian integer. Routing and comparisons stay
in integers, so every language that computes the same hash gets the same answer on every machine.
The three salts are independent: who is routed where says nothing about buckets or draws.
"""

from hashlib import blake2b

HASH_SPACE = 1 << 64
"""Hashes are integers in [0, 2⁶⁴)."""

BUCKETS = 256
"""Unit buckets: enough for a variance between them, too few to tell people apart."""

_HASH_BYTES = 8
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


class PlacementHash(dict[str, SaltedHash]):
    """A salted hash for each placement's name, so that placements are independent of each other."""

    __slots__ = ("_prefix", "_salt")

    def __init__(self, salt: bytes, prefix: bytes = b"") -> None:
        super().__init__()
        self._salt = salt
        self._prefix = prefix

    def __missing__(self, placement: str) -> SaltedHash:
        hashed = self[placement] = SaltedHash(self._salt, placement, self._prefix)
        return hashed


def uniform(hashed: int) -> float:
    """Return the number in [0, 1) made of a hash's upper 53 bits: every float64 of that spacing."""
    return (hashed >> (64 - _UNIFORM_BITS)) * 2.0**-_UNIFORM_BITS


def feature_bucket(feature: str, value: str, buckets: int) -> int:
    """Return the bucket in [0, buckets) of a hashed feature's value: unsalted, the same for every fleet."""
    data = feature.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
    digest = blake2b(data, digest_size=_HASH_BYTES, person=b"banditd-feature").digest()
    return int.from_bytes(digest, "little") % buckets
