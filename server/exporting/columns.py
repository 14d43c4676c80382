"""The columns of an export: names, types, and what of a decision each holds (docs/export.md).

Needs pyarrow, the extra `export`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from bandit.config import EXPOSURE, Placement
from bandit.decision import Decision
from bandit.strata import Stratum
from server.readable import Event, arm_name, context, earned, policy_name, probabilities


@dataclass(frozen=True, slots=True)
class Row:
    """A decision, and what the export knows of it. `stratum` None: not known, or there were too many."""

    sequence: int
    decision: Decision
    schema: Placement
    stratum: Stratum | None
    events: Sequence[Event]
    """an exposure among them"""

    def eligible(self) -> list[str] | None:
        """The ids of the arms that could be chosen."""
        if self.stratum is None:
            return None
        return [self.schema.arms[k].id for k in self.stratum.eligible.tolist()]

    def rewarded(self) -> list[dict[str, object]]:
        """The events but for the exposure."""
        return [
            {"event": event, "value": value, "time": time_us}
            for event, value, time_us in self.events
            if event != EXPOSURE
        ]


class Column(NamedTuple):
    """A column, and what stands in it."""

    name: str
    type: Any
    of: Callable[[Row], object]


_TIME = pa.timestamp("us", "UTC")
_TEXT = pa.string()
_EVENTS = pa.list_(pa.struct({"event": _TEXT, "value": pa.float64(), "time": _TIME}))

COLUMNS = (
    Column("sequence", pa.int64(), lambda row: row.sequence),
    Column("origin", _TEXT, lambda row: row.decision.origin),
    Column("start", _TEXT, lambda row: row.decision.start.hex()),
    Column("counter", pa.int64(), lambda row: row.decision.counter),
    Column("time", _TIME, lambda row: row.decision.time_us),
    Column("window_end", _TIME, lambda row: row.decision.time_us + row.schema.reward.window_us),
    Column("placement", _TEXT, lambda row: row.schema.name),
    Column("schema", _TEXT, lambda row: row.schema.schema_id.hex()),
    Column("policy", _TEXT, lambda row: policy_name(row.schema, row.decision.policy)),
    Column("arm", _TEXT, lambda row: arm_name(row.schema, row.decision.arm)),
    Column("eligible", pa.list_(_TEXT), Row.eligible),
    Column("propensity", pa.float64(), lambda row: row.decision.propensity),
    Column(
        "probabilities", pa.map_(_TEXT, pa.float64()), lambda row: [*probabilities(row.schema, row.decision)]
    ),
    Column("deferred", pa.bool_(), lambda row: row.decision.deferred),
    Column("exposed", pa.bool_(), lambda row: not row.decision.deferred or bool(row.events)),
    Column("reward", pa.float64(), lambda row: earned(row.schema.reward, row.events)),
    Column("events", _EVENTS, Row.rewarded),
    Column("context", pa.map_(_TEXT, pa.float32()), lambda row: [*context(row.schema, row.decision.x)]),
    Column("bucket", pa.int32(), lambda row: row.decision.bucket),
    Column("stratum", pa.int32(), lambda row: row.stratum.index if row.stratum else None),
    Column("in_scope", pa.bool_(), lambda row: row.stratum.in_scope if row.stratum else None),
)

SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])


def batch(rows: Sequence[Row]) -> "pa.RecordBatch":
    """Return rows as a record batch, which holds them in a tenth of the memory."""
    arrays = [pa.array([column.of(row) for row in rows], column.type) for column in COLUMNS]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
