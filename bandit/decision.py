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

_FIXED = "<8sqHHBHBBBBdd"
_FLAGS_AT, _POLICIES_AT = 24, 25
"""Bytes of the fixed part that hold the flags, and the number of probabilities."""
_PROBABILITIES_FROM = 12
"""Where they stand among what is unpacked."""
_DEFERRED = 1
_RECORDED = 2
_IN_SCOPE = 4
_OVERLAPS = 8
"""Overlaps follow the probabilities."""


class Decision(NamedTuple):
    """One choice.

    `start` is the random id of the process's start, `counter` counts its decisions from 1. `schema_id` names
    the placement's configuration, in whose order `arm`, `policy`, `probabilities` and the columns of x stand.
    `time_us` is the learning clock. `propensity` is μ(arm | x) > 0, `share` the learned policies' share of
    the units then; `probabilities` holds every policy's probability of the chosen arm, `overlaps` every
    policy's of all arms that could be served (empty: 1 each). `x` is the context as `features` encodes it.
    `deferred`: shown only once an exposure event says so. `recorded`: the decision is in its origin's state.
    `in_scope`: the ramp was at work on it.
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
    share: float
    probabilities: tuple[float, ...]
    overlaps: tuple[float, ...]
    x: bytes
    deferred: bool
    recorded: bool
    in_scope: bool

    def pack(self) -> bytes:
        """Return all but start and counter, little-endian: fixed part, probabilities, overlaps, origin, x."""
        (
            origin, _, _, schema_id, time_us, arm, policy, stratum, bucket, propensity, share, probabilities,
            overlaps, x, deferred, recorded, in_scope,
        ) = self[:]  # fmt: skip  # a plain tuple of them unpacks faster than a named one
        name, policies = origin.encode(), len(probabilities)
        flags = deferred * _DEFERRED | recorded * _RECORDED | in_scope * _IN_SCOPE
        doubles = probabilities
        if overlaps:
            flags |= _OVERLAPS
            doubles += overlaps
        return _fixed_and_doubles(len(doubles)).pack(
            schema_id, time_us, arm, len(x) // ENTRY_BYTES, policy, stratum, bucket, flags, policies,
            len(name), propensity, share, *doubles,
        ) + name + x  # fmt: skip


def unpack(start: bytes, counter: int, data: bytes) -> Decision:
    """Return the decision that `Decision.pack` wrote.

    Only for bytes that have been authenticated: a wrong length is a ValueError, IndexError or struct.error.
    """
    layout = layout_of(data)
    held = layout.unpack_from(data)
    (
        schema_id, time_us, arm, size, policy, stratum, bucket, flags, policies, origin_size, propensity,
        share,
    ) = held[:_PROBABILITIES_FROM]  # fmt: skip
    overlaps_from = _PROBABILITIES_FROM + policies
    x_at = layout.size + origin_size
    origin, x = data[layout.size : x_at].decode(), data[x_at:]
    if len(x) != size * ENTRY_BYTES:
        message = f"x has {len(x)} bytes: expected {size} entries of {ENTRY_BYTES}"
        raise ValueError(message)
    return Decision._make((
        origin, start, counter, schema_id, time_us, arm, policy, stratum, bucket, propensity, share,
        held[_PROBABILITIES_FROM:overlaps_from], held[overlaps_from:], x, flags & _DEFERRED != 0,
        flags & _RECORDED != 0, flags & _IN_SCOPE != 0,
    ))  # fmt: skip


def layout_of(data: bytes) -> Struct:
    """Return the layout of a packed decision up to its origin. IndexError if its fixed part is not there."""
    lists = 2 if data[_FLAGS_AT] & _OVERLAPS else 1
    return _fixed_and_doubles(lists * data[_POLICIES_AT])


@cache
def _fixed_and_doubles(doubles: int) -> Struct:
    return Struct(f"{_FIXED}{doubles}d")
