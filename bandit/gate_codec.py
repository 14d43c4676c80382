"""What a gate has counted and seen, as a field of msgpack (docs/format.md): no sums where there are none."""

from bandit.config import Placement
from bandit.evidence import Evidence
from bandit.fields import Fields, pack_doubles
from bandit.gate import GateState, Look, gate_of
from bandit.limits import SENTENCE_BYTES_MAX
from bandit.sequences import Interval

_TIMES = ("since_us", "checkpoint_us", "week_us", "due_us")
_PERIODS = ("older", "week", "young")
_ARRAYS = ("buckets", "totals")


def pack_gate(where: str, gate: GateState | None) -> dict[str, object]:
    """Return the field of a gate: none without one. Raises SectionError for sums that are not finite."""
    if gate is None:
        return {}
    fields: dict[str, object] = {name: getattr(gate, name) for name in _TIMES}
    fields |= {"week_number": gate.week_number, "allowed": gate.allowed}
    for period in _PERIODS:
        evidence: Evidence = getattr(gate, period)
        if evidence.decisions:
            arrays = zip(_ARRAYS, evidence.arrays(), strict=True)
            fields[period] = {name: pack_doubles(where, name, array) for name, array in arrays}
    if gate.look is not None:
        fields["look"] = _pack_look(gate.look)
    return {"gate": fields}


def _pack_look(look: Look) -> dict[str, object]:
    fields: dict[str, object] = {"time_us": look.time_us, "exposures": look.exposures, "share": look.share}
    if look.static_value is not None:
        fields["static_value"] = look.static_value
    for name, interval in (("uplift", look.uplift), ("week_uplift", look.week_uplift)):
        if interval is not None:
            fields[name] = list(interval)
    return fields | {"sentence": look.sentence}


def read_gate(fields: Fields, config: Placement, since_us: int) -> GateState | None:
    """Return the gate of a configuration; one that counts from `since_us` on where no field says more.

    Raises SectionError.
    """
    gate = gate_of(config, since_us)
    if gate is None:
        return None
    if not fields.has("gate"):
        gate.allowed = 1.0  # what the ramp came to before there were gates stays until the first look
        return gate
    held = fields.inner("gate")
    for name in _TIMES:
        setattr(gate, name, held.time_us(name))
    gate.week_number, gate.allowed = held.integer("week_number", 1), held.number("allowed")
    for period in _PERIODS:
        if held.has(period):
            inner = held.inner(period)
            arrays = zip(_ARRAYS, Evidence.zeros().arrays(), strict=True)
            sums = [inner.doubles(name, array.size).reshape(array.shape) for name, array in arrays]
            setattr(gate, period, Evidence(*sums))
    gate.look = _look(held.inner("look")) if held.has("look") else None
    return gate


def _look(fields: Fields) -> Look:
    return Look(
        time_us=fields.time_us("time_us"),
        exposures=fields.integer("exposures", 0),
        share=fields.number("share"),
        static_value=fields.number("static_value") if fields.has("static_value") else None,
        uplift=_interval(fields, "uplift"),
        week_uplift=_interval(fields, "week_uplift"),
        sentence=fields.text("sentence", SENTENCE_BYTES_MAX),
    )


def _interval(fields: Fields, key: str) -> Interval | None:
    if not fields.has(key):
        return None
    match fields.array(key):
        case [float(mean), float(low), float(high)]:
            return Interval(mean, low, high)
    raise fields.refuse(key, "a mean, and where its interval begins and ends", fields.array(key))
