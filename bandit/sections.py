"""What a snapshot's frames hold, as docs/format.md describes it: a head, a section a placement, a footer.

Packing and unpacking give back every bit that later records build on: tallies, strata with the meaning of
their indices, counts. Models and pmfs are derived from these, and are not kept. What is unpacked may come
from anywhere: what no state can have packed is a SectionError, never another exception.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np

from bandit.arrivals_codec import pack_arrivals, pack_recent, read_arrivals, read_recent
from bandit.config import ArmState, ConfigError, Placement, column_names, parse
from bandit.config.canonical import SCHEMA_ID_BYTES
from bandit.decision import ORIGIN_BYTES_MAX, START_BYTES
from bandit.fields import Fields, SectionError, pack
from bandit.history_codec import pack_history, read_history
from bandit.ledger import Ledger
from bandit.limits import EVENTS_MAX, NAME_BYTES_MAX, PLACEMENTS_MAX, STRATA_MAX
from bandit.placement import PlacementState
from bandit.ramp_codec import pack_clock, pack_measuring, read_clock, read_measuring
from bandit.state import Start, State
from bandit.strata import OVERFLOW, Strata, Stratum
from bandit.tally import Forgetting
from bandit.tally_codec import pack_doubles, pack_sums, pack_tally, read_sums, read_tally

__all__ = [
    "Footer",
    "Head",
    "Listed",
    "SectionError",
    "pack_head",
    "pack_placement",
    "restored",
    "unpack_head",
    "unpack_placement",
]

HEAD, PLACEMENT, FOOTER = "head", "placement", "footer"
"""Values of the field `kind`."""

_STARTS_MAX = 1 << 16
"""What the ledger's keys have room for."""
_LEDGER_FILE = re.compile(r"[0-9A-Za-z_-]{1,64}\.ledger")


@dataclass(frozen=True, slots=True)
class Head:
    """What a snapshot says of the state as a whole, after record `sequence`.

    `placements` gives each placement's schema id, in the order of the sections. The other fields are those of
    State; `origin` names the process whose state it is.
    """

    sequence: int
    origin: str
    time_us: int
    expire_us: int
    starts: Mapping[bytes, Start]
    decided: Mapping[bytes, int]
    schemas: Mapping[bytes, Placement]
    outdated_us: Mapping[bytes, int]
    placements: Mapping[str, bytes]


class Listed(NamedTuple):
    """A file of the ledger, as far as it belongs to a snapshot."""

    name: str
    """within the folder of the ledger's files"""
    bytes: int
    """how many, from its first"""
    chain: int
    """the CRC of the last frame among them"""


class Footer(NamedTuple):
    """The end of a snapshot: what must be there besides."""

    sections: int
    """how many placements"""
    sequence: int
    """the highest sequence number that a section holds"""
    closed: bool
    """whether the process ended in good order behind it"""
    ledger: tuple[Listed, ...]

    def pack(self) -> bytes:
        """Return the payload of the last frame."""
        ledger = {name: {"bytes": size, "chain": chain} for name, size, chain in self.ledger}
        fields = {"kind": FOOTER, "sections": self.sections, "sequence": self.sequence}
        return pack(fields | {"closed": self.closed, "ledger": ledger})

    @classmethod
    def unpack(cls, payload: bytes) -> "Footer":
        """Return the footer in a payload. Raises SectionError."""
        fields = _read("the footer", payload, FOOTER)
        ledger = []
        files = fields.inner("ledger")
        for name in fields.members("ledger"):
            if not _LEDGER_FILE.fullmatch(name):
                raise fields.refuse("ledger", "names of ledger files", name)
            file = files.inner(name)
            ledger.append(Listed(name, file.integer("bytes", 0), file.integer("chain", 0, 2**32 - 1)))
        sections = fields.integer("sections", 0, PLACEMENTS_MAX)
        return cls(sections, fields.integer("sequence", 0), fields.flag("closed"), tuple(ledger))


def pack_head(state: State, *, sequence: int, origin: str) -> bytes:
    """Return the payload of the first frame: `state` as a whole, after record `sequence`."""
    return pack({
        "kind": HEAD,
        "sequence": sequence,
        "origin": origin,
        "time_us": state.time_us,
        "expire_us": state.expire_us,
        "starts": {
            start.hex(): {"number": held.number, "time_us": held.time_us}
            | ({"decided": state.decided[start]} if start in state.decided else {})
            for start, held in state.starts.items()
        },
        "schemas": {schema_id.hex(): schema.document for schema_id, schema in state.schemas.items()},
        "outdated_us": {schema_id.hex(): until_us for schema_id, until_us in state.outdated_us.items()},
        "placements": {name: held.config.schema_id.hex() for name, held in state.placements.items()},
    })  # fmt: skip


def unpack_head(payload: bytes) -> Head:
    """Return the head in a payload. Raises SectionError."""
    fields = _read("the head", payload, HEAD)
    schemas = {
        fields.unhex("schemas", schema, SCHEMA_ID_BYTES): _schema(fields, schema, document)
        for schema, document in fields.members("schemas").items()
    }
    outdated = fields.inner("outdated_us")
    head = Head(
        sequence=fields.integer("sequence", 0),
        origin=fields.text("origin", ORIGIN_BYTES_MAX),
        time_us=fields.time_us("time_us"),
        expire_us=fields.time_us("expire_us"),
        starts=_starts(fields),
        decided=_decided(fields),
        schemas=schemas,
        outdated_us={
            outdated.unhex(schema, schema, SCHEMA_ID_BYTES): outdated.time_us(schema)
            for schema in fields.members("outdated_us")
        },
        placements={
            name: fields.unhex(f"placements.{name}", schema, SCHEMA_ID_BYTES)
            for name, schema in fields.members("placements").items()
        },
    )
    _check_schemas(fields, head)
    return head


def pack_placement(placement: PlacementState, sequence: int) -> bytes:
    """Return the payload of a placement's section: its state after record `sequence`.

    Raises SectionError for sums that are not finite, which could not be read again.
    """
    config, forgetting, counters = placement.config, placement.forgetting, placement.counters
    where = _section_of(config.name)
    return pack({
        "kind": PLACEMENT,
        "placement": config.name,
        "schema": config.schema_id.hex(),
        "sequence": sequence,
        "born_us": placement.born_us,
        "started_us": placement.started_us,
        "latest_us": placement.latest_us,
        "half_life_us": forgetting.half_life_us,
        "origin_us": forgetting.origin_us,
        "arms": [arm.id for arm in config.arms],
        "columns": list(column_names(config)),
        "tally": pack_tally(where, placement.tally),
        "strata": [
            {
                "index": stratum.index,
                "in_scope": stratum.in_scope,
                "arms": [config.arms[k].id for k in stratum.eligible.tolist()],
                "tally": pack_sums(where, stratum.tally),
                **pack_recent(where, stratum.recent),
            }
            for stratum in placement.strata
        ],
        "indices": np.array(placement.strata.indices(), "<u2").tobytes(),
        "events": placement.events,
        "retired": dict.fromkeys(sorted(placement.retired)),
        "chosen": {policy.name: arms for policy, arms in zip(config.policies, counters.chosen, strict=True)},
        "exposures": counters.exposures,
        "reward_sum": pack_doubles(where, "reward_sum", np.array(counters.reward_sum)),
        **pack_measuring(where, placement.measuring),
        **pack_clock(placement.ramp_clock),
        **pack_history(where, config, placement.history),
        **pack_arrivals(where, placement.arrivals),
    })  # fmt: skip


def unpack_placement(payload: bytes, head: Head) -> tuple[PlacementState, int]:
    """Return the state in a placement's section, replaying, and the sequence number that it holds.

    Raises SectionError, also for a section that does not belong to `head`.
    """
    fields = _read("a placement's section", payload, PLACEMENT)
    name = fields.text("placement", NAME_BYTES_MAX)
    fields.where = _section_of(name)
    if name not in head.placements:
        raise fields.refuse("placement", "a placement of the head", name)
    schema_id = fields.identifier("schema", SCHEMA_ID_BYTES)
    if schema_id != head.placements[name]:
        raise fields.refuse("schema", f"{head.placements[name].hex()}, as in the head", schema_id.hex())
    config = head.schemas[schema_id]
    arms = [arm.id for arm in config.arms]
    fields.exactly("arms", arms)
    fields.exactly("columns", list(column_names(config)))
    tally = read_tally(fields.inner("tally"), len(arms), len(column_names(config)))
    placement = PlacementState(
        config,
        fields.time_us("born_us"),
        tally=tally,
        strata=_strata(fields, config),
        measuring=read_measuring(fields, config, fields.time_us("born_us")),
        forgetting=_forgetting(fields, config),
        arrivals=read_arrivals(fields, config, tally),
        replaying=True,
    )
    placement.started_us = fields.optional_time_us("started_us")
    placement.ramp_clock = read_clock(fields)
    placement.history = read_history(fields, config, placement.measuring)
    placement.latest_us = fields.time_us("latest_us")
    placement.events = _events(fields, config)
    placement.retired = _retired(fields, config)
    _count(fields, placement)
    return placement, fields.integer("sequence", head.sequence)


def restored(head: Head, placements: Iterable[PlacementState], ledger: Ledger) -> State:
    """Return the state, replaying, of a head, all its placements in order, and the ledger.

    Raises SectionError if these are not the head's placements.
    """
    state = State(ledger.bytes_max, replaying=True)
    state.ledger = ledger
    state.placements = {placement.config.name: placement for placement in placements}
    if list(state.placements) != list(head.placements):
        what = f"{len(state.placements)} that are not the same, or in another order"
        raise SectionError("the snapshot", "placements", f"the {len(head.placements)} of the head", what)
    state.serving = {placement.config.schema_id: placement for placement in state.placements.values()}
    state.schemas, state.starts = dict(head.schemas), dict(head.starts)
    state.decided, state.outdated_us = dict(head.decided), dict(head.outdated_us)
    state.time_us, state.expire_us = head.time_us, head.expire_us
    return state


def _read(where: str, payload: bytes, kind: str) -> Fields:
    fields = Fields.unpack(where, payload)
    if (found := fields.text("kind", NAME_BYTES_MAX)) != kind:
        raise fields.refuse("kind", repr(kind), found)
    return fields


def _section_of(name: str) -> str:
    return f"the section of placement {name!r}"


def _schema(fields: Fields, schema: str, document: object) -> Placement:
    """Return the configuration in a document, which must be the one that the schema id names."""
    field, expected = f"schemas.{schema}", "the canonical document of that schema id"
    if not isinstance(document, str):
        raise fields.refuse(field, expected, document)
    try:
        config = parse(json.loads(document, parse_constant=_not_json))
    except (ValueError, ConfigError, RecursionError) as error:
        raise SectionError(fields.where, field, expected, f"{error}") from None
    for placement in config.placements.values():
        if placement.schema_id.hex() == schema and len(config.placements) == 1:
            return placement
    found = [placement.schema_id.hex() for placement in config.placements.values()]
    raise fields.refuse(field, expected, found)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _starts(fields: Fields) -> dict[bytes, Start]:
    inner = fields.inner("starts")
    starts = {}
    for start in fields.members("starts"):
        held = inner.inner(start)
        known = inner.unhex(start, start, START_BYTES)
        starts[known] = Start(held.integer("number", 0, _STARTS_MAX - 1), held.time_us("time_us"))
    times = [start.time_us for start in starts.values()]
    if times != sorted(times) or len({start.number for start in starts.values()}) != len(starts):
        raise fields.refuse("starts", "numbers of their own, and the earliest first", "others")
    return starts


def _decided(fields: Fields) -> dict[bytes, int]:
    """Return the counter of the last decision of each start for which it is known."""
    inner = fields.inner("starts")
    return {
        bytes.fromhex(start): inner.inner(start).integer("decided", 0)
        for start in fields.members("starts")
        if "decided" in inner.members(start)
    }


def _check_schemas(fields: Fields, head: Head) -> None:
    """Every placement has its configuration, and every other configuration says until when it is needed."""
    if len(head.placements) > PLACEMENTS_MAX:
        raise fields.refuse("placements", f"at most {PLACEMENTS_MAX}", len(head.placements))
    for name, schema_id in head.placements.items():
        if schema_id not in head.schemas or head.schemas[schema_id].name != name:
            raise fields.refuse(f"placements.{name}", "the id of a schema of this name", schema_id.hex())
    if head.outdated_us.keys() != head.schemas.keys() - set(head.placements.values()):
        expected = "the schemas that no placement serves, and no others"
        raise fields.refuse("outdated_us", expected, [schema_id.hex() for schema_id in head.outdated_us])


def _forgetting(fields: Fields, config: Placement) -> Forgetting:
    half_life_us, origin_us = fields.time_us("half_life_us"), fields.time_us("origin_us")
    if half_life_us != (config.half_life_us or 0):
        raise fields.refuse("half_life_us", f"{config.half_life_us or 0}, as configured", half_life_us)
    if origin_us % half_life_us if half_life_us else origin_us:
        raise fields.refuse("origin_us", "a multiple of the half-life", origin_us)
    return Forgetting(half_life_us, origin_us)


def _strata(fields: Fields, config: Placement) -> Strata:
    strata = [_stratum(inner, config) for inner in fields.inners("strata")]
    own = [stratum.index for stratum in strata]
    if len({(stratum.mask, stratum.in_scope) for stratum in strata}) != len(strata) or len(own) > STRATA_MAX:
        raise fields.refuse("strata", f"at most {STRATA_MAX}, no two alike", len(own))
    data = fields.binary("indices")
    indices = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
    used = indices != OVERFLOW
    sound = (
        len(data) % 2 == 0
        and len(indices) <= OVERFLOW
        and np.unique(indices[used]).tolist() == own
        and (indices[used] <= np.flatnonzero(used)).all()
        and indices[own].tolist() == own
    )
    if not sound:
        raise fields.refuse("indices", f"what each means: one of {own}, not after it, or {OVERFLOW}", data)
    return Strata.restored(strata, indices.tolist())


def _stratum(fields: Fields, config: Placement) -> Stratum:
    ids = [arm.id for arm in config.arms]
    eligible = fields.array("arms")
    mask = sum(1 << k for k, arm in enumerate(ids) if arm in eligible)
    if not eligible or [ids[k] for k in range(len(ids)) if mask >> k & 1] != eligible:
        raise fields.refuse("arms", "some of the section's arms, in its order", eligible)
    tally = read_sums(fields.inner("tally"), len(ids))
    index = fields.integer("index", 0, OVERFLOW - 1)
    stratum = Stratum(config, index, mask, in_scope=fields.flag("in_scope"), tally=tally)
    read_recent(fields, stratum.recent)
    return stratum


def _events(fields: Fields, config: Placement) -> dict[str, int]:
    inner = fields.inner("events")
    events = {event: inner.integer(event, 0, EVENTS_MAX - 1) for event in fields.members("events")}
    if sorted(events.values()) != list(range(len(events))):
        raise fields.refuse("events", "each number from 0 on once", list(events.values()))
    for event, _ in config.reward.values:
        if event not in events:
            raise fields.refuse("events", f"{event!r}, as configured", list(events))
    return events


def _retired(fields: Fields, config: Placement) -> frozenset[str]:
    retired = fields.members("retired")
    if not all(value is None for value in retired.values()):
        raise fields.refuse("retired", "a map to nil", "others")
    for arm in config.arms:
        if arm.state is not ArmState.RETIRED and arm.id in retired:
            raise fields.refuse("retired", f"no arm that is {arm.state}", arm.id)
    return frozenset(retired)


def _count(fields: Fields, placement: PlacementState) -> None:
    """Read what the records have counted."""
    counters, arms = placement.counters, len(placement.config.arms)
    policies = [policy.name for policy in placement.config.policies]
    if list(fields.members("chosen")) != policies:
        raise fields.refuse("chosen", f"{policies}, as configured", list(fields.members("chosen")))
    chosen = fields.inner("chosen")
    counters.chosen = [chosen.counts(policy, arms) for policy in policies]
    counters.exposures = fields.counts("exposures", arms)
    counters.reward_sum = fields.doubles("reward_sum", arms).tolist()
