"""Everything that a data directory knows about one decision: gathered here, shown by `view`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from bandit.config import EXPOSURE, Placement, format_time
from bandit.decision import Decision
from bandit.hashing import Draws
from bandit.ledger import decision_key
from bandit.record_codec import DECIDED, EXPOSED, REWARDED, decode
from bandit.records import Decided, Exposed, Record, Rewarded
from bandit.sections import unpack_placement
from bandit.snapshot import Snapshot
from bandit.strata import Stratum
from bandit.token import Keys
from server.data_reading import Meanings, consistently, frames, readable_snapshots
from server.explaining.lookup import looked_up
from server.readable import Event, arm_name, context, earned, policy_name, probabilities

_IDENTITY = slice(1, 25)
"""Of a record of a decision: start and counter."""


class Source(Enum):
    """How what became of a decision is known."""

    JOURNAL = "its record is in the journal, and so is everything that was counted for it"
    LEDGER = "its record is not kept any more; what was counted for it is in the ledger"
    PAST = (
        "its window has passed and its record is not kept any more: what was counted for it is in the sums "
        "alone; `serve --journal-keep 7d` keeps records"
    )
    UNRECORDED = "it was made while the journal took no records: nothing was or will be counted for it"
    ELSEWHERE = (
        "this data directory does not hold it: another process made it, a power cut took its record, or its "
        "placement or configuration is gone"
    )

    @property
    def known(self) -> bool:
        """Whether it is known what was counted."""
        return self in {Source.JOURNAL, Source.LEDGER}


class Recorded(NamedTuple):
    """The record of the decision: its number, and the interval of the served policy's CDF that was drawn."""

    sequence: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and what is known of it. None: not known.

    `draw` is the uniform that its identity gives under the salts of the key file. `events` are what was
    counted, an exposure among them.
    """

    decision: Decision
    schema: Placement | None
    stratum: Stratum | None
    draw: float
    recorded: Recorded | None
    source: Source
    events: Sequence[Event]

    @property
    def draw_fits(self) -> bool | None:
        """Whether the draw lies in the interval that was recorded."""
        return self.recorded and self.recorded.low <= self.draw < self.recorded.high

    @property
    def window_end_us(self) -> int | None:
        """Until when events count."""
        return self.decision.time_us + self.schema.reward.window_us if self.schema else None

    @property
    def exposed(self) -> bool | None:
        """Whether it was shown."""
        if not self.decision.deferred:
            return True
        return bool(self.events) if self.source.known else None

    @property
    def reward(self) -> float | None:
        """R as far as it was counted."""
        return earned(self.schema.reward, self.events) if self.schema and self.source.known else None

    @property
    def rewarded(self) -> list[Event]:
        """The events but for the exposure."""
        return [event for event in self.events if event.event != EXPOSURE]

    def weights(self) -> Iterator[tuple[str, float, float]]:
        """Yield every policy's name, its probability of the arm, and that over the propensity."""
        for name, probability in probabilities(self.schema, self.decision):
            yield name, probability, probability / self.decision.propensity

    def eligible(self) -> list[str] | None:
        """The ids of the arms that could be chosen."""
        if self.stratum is None:
            return None
        return [arm_name(self.schema, k) for k in self.stratum.eligible.tolist()]

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON has it; times in RFC 3339, null for what is not known."""
        decision, schema, stratum = self.decision, self.schema, self.stratum
        return {
            "time": format_time(decision.time_us),
            "placement": schema and schema.name,
            "schema": decision.schema_id.hex(),
            "origin": decision.origin,
            "start": decision.start.hex(),
            "counter": decision.counter,
            "arm": arm_name(schema, decision.arm),
            "policy": policy_name(schema, decision.policy),
            "propensity": decision.propensity,
            "policies": {
                name: {"probability": probability, "weight": weight}
                for name, probability, weight in self.weights()
            },
            "stratum": stratum and {"index": stratum.index, "in_scope": stratum.in_scope},
            "eligible": self.eligible(),
            "bucket": decision.bucket,
            "context": dict(context(schema, decision.x)),
            "deferred": decision.deferred,
            "recorded": decision.recorded,
            "draw": self.draw,
            "record": self.recorded and {**self.recorded._asdict(), "draw_fits": self.draw_fits},
            "window_end": None if self.window_end_us is None else format_time(self.window_end_us),
            "source": self.source.name.lower(),
            "exposed": self.exposed,
            "reward": self.reward,
            "events": [
                {
                    "event": event,
                    "value": value,
                    "time": None if time_us is None else format_time(time_us),
                }
                for event, value, time_us in self.rewarded
            ]
            if self.source.known
            else None,
        }


def explain(data_dir: Path, decision: Decision, keys: Keys) -> Explanation:
    """Return what a data directory knows of a decision. A server may be running. Raises StartError."""
    return consistently(data_dir, lambda: _Search(data_dir, decision).explanation(keys))


class _Search:
    """One walk through the kept journal."""

    def __init__(self, data_dir: Path, decision: Decision) -> None:
        self._data_dir = data_dir
        self._decision = decision
        kept = readable_snapshots(data_dir)
        self._newest = kept[-1] if kept else None
        named = [snapshot.head.schemas.get(decision.schema_id) for snapshot in kept]
        self._meanings = Meanings(data_dir, kept, next((schema.name for schema in named if schema), None))
        self._recorded: Recorded | None = None
        self._counted: list[tuple[int, Event]] = []
        self._stratum = self._meanings.stratum(decision)
        self._walk()

    def explanation(self, keys: Keys) -> Explanation:
        """Return what was found."""
        decision = self._decision
        schema = self._meanings.schemas.get(decision.schema_id)
        source, events = self._became(schema)
        draw = Draws(keys.draw_salt, decision.start)(decision.counter)
        return Explanation(decision, schema, self._stratum, draw, self._recorded, source, events)

    def _walk(self) -> None:
        decision = self._decision
        identity = decision.start + decision.counter.to_bytes(8, "little")
        for sequence, payload in frames(self._data_dir):
            if payload[0] in {DECIDED, EXPOSED, REWARDED}:
                if payload[_IDENTITY] == identity:
                    self._take(sequence, decode(payload))
            else:
                self._meanings.learn(sequence, decode(payload))
                self._stratum = self._stratum or self._meanings.stratum(decision)

    def _take(self, sequence: int, record: Record) -> None:
        match record:
            case Decided(decision, low, high) if decision == self._decision:
                self._recorded = Recorded(sequence, low, high)
            case Exposed(decision, time_us) if decision == self._decision:
                self._counted.append((sequence, Event(EXPOSURE, 1.0, time_us)))
            case Rewarded(decision, event, value, _, time_us) if decision == self._decision:
                self._counted.append((sequence, Event(event, value, time_us)))

    def _became(self, schema: Placement | None) -> tuple[Source, list[Event]]:
        if not self._decision.recorded:
            return Source.UNRECORDED, []
        if self._recorded is not None:
            return Source.JOURNAL, [event for _, event in self._counted]
        if schema is None or self._newest is None:
            return Source.ELSEWHERE, []
        counted = self._in_ledger(self._newest, schema)
        if counted is None:
            return Source.ELSEWHERE, []
        later = [event for sequence, event in self._counted if sequence > self._newest.head.sequence]
        window_passed = self._decision.time_us + schema.reward.window_us < self._newest.head.time_us
        if window_passed and not counted and not later:
            return Source.PAST, []
        return Source.LEDGER, counted + later

    def _in_ledger(self, newest: Snapshot, schema: Placement) -> list[Event] | None:
        """Return what a snapshot's ledger has; None if its state never held the decision."""
        start = newest.head.starts.get(self._decision.start)
        if start is None or schema.name not in newest.head.placements:
            return None
        section = newest.sections[list(newest.head.placements).index(schema.name)]
        placement, _ = unpack_placement(section, newest.head)
        if self._decision.time_us < placement.born_us:
            return None
        key = decision_key(start.number, self._decision.counter)
        found = looked_up(self._data_dir, newest, schema.reward.window_us, key)
        names = {number: event for event, number in placement.events.items()}
        shown = [Event(EXPOSURE, 1.0, None)] if found.was_shown else []
        return shown + [Event(names[number], value, None) for number, value in found.counted]
