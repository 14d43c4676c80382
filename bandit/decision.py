"""A decision: one choice, with everything that its rewards will need. Packed, it is what a token seals.

Since the token carries all of it, a reward needs no pending table, survives a restart and may reach any
process that has the key. The identity everywhere is (origin, start, counter).
"""

import struct
from dataclasses import dataclass

import numpy as np

from bandit.tally import Indices, Values

START_BYTES = 16
ORIGIN_BYTES_MAX = 255

_FIXED = struct.Struct("<8sqHHBHBBBBd")
_DEFERRED = 1
_RECORDED = 2


@dataclass(slots=True, frozen=True, eq=False)
class Decision:
    """One choice.

    `start` is the random id of the process's start, `counter` counts its decisions from 1. `schema_id` names
    the placement's configuration, in whose order `arm`, `policy`, `probabilities` and the columns of x stand.
    `time_us` is the learning clock. `propensity` is μ(arm | x) > 0; `probabilities` holds every policy's
    probability of the chosen arm. x is `index` (m,) uint16 and `value` (m,) float32. `deferred`: shown only
    once an exposure event says so. `recorded`: the decision is in its origin's state.
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
    index: Indices
    value: Values
    deferred: bool
    recorded: bool

    def pack(self) -> bytes:
        """Return all but start and counter, little-endian: fixed part, probabilities, origin, x."""
        origin = self.origin.encode()
        fixed = _FIXED.pack(
            self.schema_id,
            self.time_us,
            self.arm,
            self.index.size,
            self.policy,
            self.stratum,
            self.bucket,
            self.deferred * _DEFERRED | self.recorded * _RECORDED,
            len(self.probabilities),
            len(origin),
            self.propensity,
        )
        probabilities = struct.pack(f"<{len(self.probabilities)}d", *self.probabilities)
        return b"".join((fixed, probabilities, origin, self.index.tobytes(), self.value.tobytes()))


def unpack(start: bytes, counter: int, data: bytes) -> Decision:
    """Return the decision that `Decision.pack` wrote.

    Only for bytes that have been authenticated: a wrong length is a ValueError or struct.error, no more.
    """
    schema_id, time_us, arm, size, policy, stratum, bucket, flags, policies, origin_size, propensity = (
        _FIXED.unpack_from(data)
    )
    at = _FIXED.size
    probabilities = struct.unpack_from(f"<{policies}d", data, at)
    at += 8 * policies
    origin = data[at : at + origin_size].decode()
    at += origin_size
    return Decision(
        origin=origin,
        start=start,
        counter=counter,
        schema_id=schema_id,
        time_us=time_us,
        arm=arm,
        policy=policy,
        stratum=stratum,
        bucket=bucket,
        propensity=propensity,
        probabilities=probabilities,
        # copies: writable and aligned, as the kernels are compiled for
        index=np.frombuffer(data, "<u2", size, at).copy(),
        value=np.frombuffer(data, "<f4", size, at + 2 * size).copy(),
        deferred=bool(flags & _DEFERRED),
        recorded=bool(flags & _RECORDED),
    )
