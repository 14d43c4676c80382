"""A decision: one choice, with everything that its rewards will need. Packed, it is what a token seals.

Since the token carries all of it, a reward needs no pending table, survives a restart and may reach any
process that has the key. The identity everywhere is (origin, start, counter).
"""

from functools import cache
from struct import Struct
from typing import NamedTuple

from bandit.features import ENTRY_BYTES

START_BYTES = 16
ORIGIN_BYTES_MAX = 255

_FIXED = "<8sqHHBHBBBBd"
_POLICIES_AT = 25
"""Byte of the fixed part that holds the number of probabilities."""
_DEFERRED = 1
_RECORDED = 2


class Decision(NamedTuple):
    """One choice.

    `start` is the random id of the process's start, `counter` counts its decisions from 1. `schema_id` names
    the placement's configuration, in whose order `arm`, `policy`, `probabilities` and the columns of x stand.
    `time_us` is the learning clock. `propensity` is μ(arm | x) > 0; `probabilities` holds every policy's
    probability of the chosen arm. `x` is the context as `features` encodes it. `deferred`: shown only once an
    exposure event says so. `recorded`: the decision is in its origin's state.
    """

    origin: str
    start: bytes
    counter: int
    schema_id: bytes
    time_us: int
    arm: int
    policy: int
    stratum: int
    bucket: int
    propensity: float
    probabilities: tuple[float, ...]
    x: bytes
    deferred: bool
    recorded: bool

    def pack(self) -> bytes:
        """Return all but start and counter, little-endian: fixed part, probabilities, origin, x."""
        (
            origin, _, _, schema_id, time_us, arm, policy, stratum, bucket, propensity, probabilities, x,
            deferred, recorded,
        ) = self[:]  # fmt: skip  # a plain tuple of them unpacks faster than a named one
        name, policies = origin.encode(), len(probabilities)
        flags = (_DEFERRED if deferred else 0) | (_RECORDED if recorded else 0)
        return _fixed_and_doubles(policies).pack(
            schema_id, time_us, arm, len(x) // ENTRY_BYTES, policy, stratum, bucket, flags, policies,
            len(name), propensity, *probabilities,
        ) + name + x  # fmt: skip


def unpack(start: bytes, counter: int, data: bytes) -> Decision:
    """Return the decision that `Decision.pack` wrote.

    Only for bytes that have been authenticated: a wrong length is a ValueError, IndexError or struct.error.
    """
    layout = _fixed_and_doubles(data[_POLICIES_AT])
    schema_id, time_us, arm, size, policy, stratum, bucket, flags, _, origin_size, propensity, *several = (
        layout.unpack_from(data)
    )
    x_at = layout.size + origin_size
    origin, x = data[layout.size : x_at].decode(), data[x_at:]
    if len(x) != size * ENTRY_BYTES:
        message = f"x has {len(x)} bytes: expected {size} entries of {ENTRY_BYTES}"
        raise ValueError(message)
    return Decision(
        origin, start, counter, schema_id, time_us, arm, policy, stratum, bucket, propensity,
        tuple(several), x, bool(flags & _DEFERRED), bool(flags & _RECORDED),
    )  # fmt: skip


@cache
def _fixed_and_doubles(policies: int) -> Struct:
    return Struct(f"{_FIXED}{policies}d")
