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

_FIXED = Struct("<8sqHHBHBBBBd")
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
        origin = self.origin.encode()
        policies = len(self.probabilities)
        fixed = _FIXED.pack(
            self.schema_id,
            self.time_us,
            self.arm,
            len(self.x) // ENTRY_BYTES,
            self.policy,
            self.stratum,
            self.bucket,
            self.deferred * _DEFERRED | self.recorded * _RECORDED,
            policies,
            len(origin),
            self.propensity,
        )
        return b"".join((fixed, _doubles(policies).pack(*self.probabilities), origin, self.x))


def unpack(start: bytes, counter: int, data: bytes) -> Decision:
    """Return the decision that `Decision.pack` wrote.

    Only for bytes that have been authenticated: a wrong length is a ValueError or struct.error, no more.
    """
    schema_id, time_us, arm, size, policy, stratum, bucket, flags, policies, origin_size, propensity = (
        _FIXED.unpack_from(data)
    )
    at = _FIXED.size
    probabilities = _doubles(policies).unpack_from(data, at)
    at += 8 * policies
    origin = data[at : at + origin_size].decode()
    x = data[at + origin_size :]
    if len(x) != size * ENTRY_BYTES:
        message = f"x has {len(x)} bytes: expected {size} entries of {ENTRY_BYTES}"
        raise ValueError(message)
    return Decision(
        origin,
        start,
        counter,
        schema_id,
        time_us,
        arm,
        policy,
        stratum,
        bucket,
        propensity,
        probabilities,
        x,
        bool(flags & _DEFERRED),
        bool(flags & _RECORDED),
    )


@cache
def _doubles(count: int) -> Struct:
    return Struct(f"<{count}d")
