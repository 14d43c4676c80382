"""Replaying a journal: the payloads of its frames, in order, onto the state that a snapshot left."""

from collections.abc import Mapping
from typing import NamedTuple

from bandit.apply import apply
from bandit.config import columns_of
from bandit.decision import Decision
from bandit.errors import BanditError
from bandit.features import ENTRY_BYTES
from bandit.record_codec import RecordError, decode
from bandit.records import Configured, Decided, GateLooked, RampMoved, Record, Started, StratumOpened
from bandit.state import State


class ReplayError(ValueError):
    """A frame whose record does not fit the state before it. `sequence` is the frame's number."""

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(f"frame {sequence}: {why}")
        self.sequence = sequence


class _Shape(NamedTuple):
    """How large a placement's configuration is: what a decision of it may point at."""

    placement: str
    arms: int
    policies: int
    columns: int


class Replay:
    """Applies records to `state`. `held` says, by placement, up to which frame the state holds it already.

    A placement without an entry holds what the whole state holds.
    """

    def __init__(self, state: State, held: Mapping[str, int]) -> None:
        self.state = state
        self._held = held
        self._held_max = max(held.values(), default=0)
        self._shapes: dict[bytes, _Shape] = {}

    def apply(self, sequence: int, payload: bytes) -> Record:
        """Apply a frame's payload; return its record. Raises ReplayError: the state may not be used then."""
        try:
            record = decode(payload)
            name = self._placement(record)
            apply(self.state, record, held=sequence <= self._held_max and sequence <= self._held.get(name, 0))
        except RecordError as error:
            raise ReplayError(sequence, f"it is no record: {error}") from error
        except (BanditError, LookupError, ValueError, OverflowError) as error:
            raise ReplayError(sequence, f"its record does not fit what is before it: {error}") from error
        return record

    def _placement(self, record: Record) -> str:
        """Return which placement a record changes, "" if all; refuse what points out of its arrays."""
        if isinstance(record, Decided):  # most records are: no pattern, which takes three times as long
            return self._fitting(record.decision).placement
        match record:
            case Started() | Configured():
                return ""
            case RampMoved(placement, _) | GateLooked(placement, _):
                return placement
            case StratumOpened(placement, mask, _):
                if mask >> len(self.state.placements[placement].config.arms):
                    message = f"a stratum of arms that placement '{placement}' does not have"
                    raise ValueError(message)
                return placement
            case _:
                return self._fitting(record.decision).placement

    def _fitting(self, decision: Decision) -> _Shape:
        shape = self._shapes.get(decision.schema_id) or self._shape(decision.schema_id)
        x = decision.x
        column_max = max(x[: len(x) // ENTRY_BYTES * 2 : 2], default=0)  # low bytes: `decode` allows no other
        if (
            decision.arm >= shape.arms
            or len(decision.probabilities) != shape.policies
            or column_max >= shape.columns
        ):
            message = (
                f"arm {decision.arm}, {len(decision.probabilities)} policies and column {column_max} of a "
                f"placement with {shape.arms} arms, {shape.policies} policies and {shape.columns} columns"
            )
            raise ValueError(message)
        return shape

    def _shape(self, schema_id: bytes) -> _Shape:
        schema = self.state.schemas.get(schema_id)
        if schema is None:
            message = f"no configuration has the schema id {schema_id.hex()}"
            raise LookupError(message)
        columns = 1 + sum(columns_of(feature) for feature in schema.features)
        shape = _Shape(schema.name, len(schema.arms), len(schema.policies), columns)
        self._shapes[schema_id] = shape
        return shape
