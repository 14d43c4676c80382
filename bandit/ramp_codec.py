"""What a ramp came to, and what was measured where it is at work, as fields of msgpack (docs/format.md).

Neither is there before it says something, so that a placement that nobody visits takes no room.
"""

from bandit.config import Placement
from bandit.fields import Fields, pack_doubles
from bandit.gate_codec import pack_gate, read_gate
from bandit.measurement import Measurement
from bandit.measuring import Epoch, Measuring
from bandit.ramp import Move, RampClock, RampStatus

_MEASURED = ("buckets", "totals", "events")


def pack_clock(clock: RampClock) -> dict[str, object]:
    """Return the field of a ramp that was ever moved, or set back to the share that is allowed."""
    if not clock.marked_us:
        return {}
    moves = [list(move) for move in clock.moves]
    fields = {"status": clock.status, "ran_us": clock.ran_us, "marked_us": clock.marked_us}
    return {"ramp": fields | {"moves": moves}}


def read_clock(fields: Fields) -> RampClock:
    """Return what a ramp's moves came to. Raises SectionError."""
    clock = RampClock()
    if not fields.has("ramp"):
        return clock
    ramp = fields.inner("ramp")
    clock.status = RampStatus(ramp.integer("status", 1, max(RampStatus)))
    clock.ran_us, clock.marked_us = ramp.integer("ran_us", 0), ramp.time_us("marked_us")
    clock.moves = tuple(_move(ramp, move) for move in ramp.array("moves"))
    return clock


def _move(fields: Fields, value: object) -> Move:
    match value:
        case [int(time_us), int(status), str(reason), str(actor)] if status in set(RampStatus):
            return Move(time_us, RampStatus(status), reason, actor)
    raise fields.refuse("moves", "a time, a status, a reason and an actor", value)


def _pack_epoch(where: str, epoch: Epoch) -> dict[str, object]:
    """Return the field of what was measured: none before an epoch, no sums before its first decision."""
    if not epoch.began_us:
        return {}
    fields: dict[str, object] = {"key": epoch.key, "began_us": epoch.began_us}
    if epoch.measurement.decisions:
        arrays = zip(_MEASURED, epoch.measurement.arrays(), strict=True)
        fields |= {name: pack_doubles(where, name, array) for name, array in arrays}
    return {"measured": fields}


def pack_measuring(where: str, measuring: Measuring) -> dict[str, object]:
    """Return the fields of what is measured, and of the gate."""
    return _pack_epoch(where, measuring.epoch) | pack_gate(where, measuring.gate)


def read_measuring(fields: Fields, config: Placement, born_us: int) -> Measuring:
    """Return what was measured of a placement that was `born_us`. Raises SectionError."""
    policies, events = len(config.policies), len(config.reward.values)
    gate = read_gate(fields, config, born_us)
    if not fields.has("measured"):
        return Measuring(policies, events, gate=gate)
    measured = fields.inner("measured")
    arrays = [
        measured.doubles(name, array.size).reshape(array.shape) if measured.has(name) else array
        for name, array in zip(_MEASURED, Measurement.zeros(policies, events).arrays(), strict=True)
    ]
    epoch = Epoch(measured.binary("key"), measured.time_us("began_us"), Measurement(*arrays))
    return Measuring(policies, events, epoch, gate)
