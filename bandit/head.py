"""The beginning of a snapshot, as docs/format.md describes it: what concerns no single placement.

What is unpacked may come from anywhere: what no state can have packed is a SectionError, never another
exception.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from bandit.config import ConfigError, Placement, parse
from bandit.config.canonical import SCHEMA_ID_BYTES
from bandit.decision import ORIGIN_BYTES_MAX, START_BYTES
from bandit.fields import Fields, SectionError, pack
from bandit.limits import PLACEMENTS_MAX
from bandit.state import Start, State

HEAD = "head"
"""Value of the field `kind`."""

_STARTS_MAX = 1 << 16
"""What the ledger's keys have room for."""


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
    fields = Fields.of_kind("the head", payload, HEAD)
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
