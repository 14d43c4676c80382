"""What tests of the core start from: a placement with everything, an engine with a clock and a journal."""

import copy
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bandit.arrivals import Arrivals
from bandit.config import Config, parse
from bandit.counters import Outcome
from bandit.decision import Decision
from bandit.engine import Choice, Engine, Looked
from bandit.features import entries, packed
from bandit.gate import GateState
from bandit.kernels.decide import score
from bandit.model import LinearModel
from bandit.placement import PlacementState
from bandit.recent import Recent
from bandit.record_codec import encode
from bandit.records import Record
from bandit.state import State
from bandit.tally import Floats, Tally
from bandit.token import Keys

NOW = 1_800_000_000_000_000
"""Microseconds since the epoch at which tests begin: January 2027."""

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR

KEYS = Keys.derive(bytes(range(32)))
START = bytes(range(100, 116))

Document = dict[str, Any]

_HERO: Document = {
    "arms": {
        "mens": {"weight": 1, "when": {"platform": ["web", "app"]}},
        "none": {"weight": 2},
        "womens": {"weight": 1, "payload": '{"banner": "w"}'},
    },
    "features": {
        "country": {"kind": "hashed", "buckets": 4},
        "history": {"kind": "number", "min": 0, "max": 3000, "scale": "log"},
        "platform": {"kind": "category", "values": ["web", "app", "tv"]},
        "returning": {"kind": "boolean"},
    },
    "reward": {
        "window": "24h",
        "values": {"visit": 1.0, "purchase": 0.02},
        "max": 5.0,
        "repeatable": ["purchase"],
    },
    "policies": {
        "best-arm": {"kind": "thompson"},
        "personal": {"kind": "linear_thompson"},
        "explorer": {"kind": "linucb", "explore": 0.02},
        "even": {"kind": "uniform"},
    },
    "ramp": {"policies": {"best-arm": 0.5, "personal": 0.3, "explorer": 0.2}, "from": 0.5, "to": 0.9},
}


def hero(**changes: object) -> Document:
    """A placement with every kind of feature and policy; `changes` replace keys, None removes one."""
    document = copy.deepcopy(_HERO) | changes
    return {key: value for key, value in document.items() if value is not None}


def simple(*arms: str, **changes: object) -> Document:
    """A placement of these arms without features, rewarded by `click`; `changes` as in `hero`."""
    document: Document = {"arms": {arm: {} for arm in arms or ("a", "b")}, "reward": {"values": {"click": 1}}}
    return {key: value for key, value in (document | changes).items() if value is not None}


def config(**placements: Document) -> Config:
    """Parse a configuration of these placements."""
    return parse({"version": 1, "placements": placements})


def placement_state(document: Document, now_us: int = NOW) -> PlacementState:
    """Return the state of one placement by itself."""
    return PlacementState(config(p=document).placements["p"], now_us)


class Kept(list[Record]):
    """A journal that keeps its records, as long as it `takes` them."""

    full = False

    def takes(self) -> bool:
        """Whether it takes records."""
        return not self.full

    def __call__(self, record: Record, packed: bytes | None = None) -> None:
        """Keep one, which says the same packed."""
        assert packed is None or encode(record, packed) == encode(record)
        self.append(record)

    def spoil(self, error: Exception) -> None:
        """No record is such that it cannot be applied."""
        raise AssertionError from error


class World:
    """An engine, its clock `now` and every record it has journaled."""

    def __init__(self, *, start: bytes = START, **placements: Document) -> None:
        self.now = NOW
        self.journal = Kept()
        self.engine = Engine(
            config(**placements),
            KEYS,
            origin="test",
            start_id=start,
            now_us=self.now,
            journal=self.journal,
        )

    def choose(
        self,
        placement: str = "p",
        unit: str = "",
        categories: Mapping[str, str] | None = None,
        numbers: Mapping[str, float] | None = None,
        arms: Sequence[str] = (),
        *,
        deferred: bool = False,
    ) -> Choice:
        """Choose now."""
        return self.engine.choose(placement, unit, categories or {}, numbers or {}, arms, deferred, self.now)

    def reward(self, choice: Choice, event: str = "click", value: float = 1.0, event_id: str = "") -> Outcome:
        """Reward a choice now."""
        return self.engine.reward(choice.decision_id, event, value, event_id, self.now)

    def reload(self, **placements: Document) -> None:
        """Reconfigure now."""
        self.engine.reconfigure(config(**placements), self.now)

    def engine_config(self) -> Config:
        """Return the configuration that is served."""
        return Config({name: held.config for name, held in self.engine.state.placements.items()})

    def look(self) -> list[Looked]:
        """Let every gate look that is due."""
        looked = [self.engine.look(name, self.now) for name in self.engine.gates_due(self.now)]
        return [one for one in looked if one is not None]

    def state(self, placement: str = "p") -> PlacementState:
        """Return a placement's state."""
        return self.engine.state.placements[placement]


def decision(**changes: object) -> Decision:
    """A decision with all fields set; `changes` replace some."""
    example = Decision(
        origin="host-1",
        start=START,
        counter=7,
        schema_id=b"schema-8",
        time_us=NOW,
        arm=2,
        policy=1,
        stratum=3,
        bucket=200,
        propensity=0.625,
        share=0.5,
        probabilities=(0.25, 0.75, 0.5),
        overlaps=(1.0, 0.875, 0.5),
        x=struct.pack("<3H3f", 0, 5, 255, 1.0, 0.5, 1.0),
        deferred=True,
        recorded=True,
        in_scope=True,
    )
    return example._replace(**changes)  # type: ignore[arg-type]


def snapshot(state: State) -> list[object]:
    """Return all that a state has learned and remembers, as values that compare bit for bit."""
    return [
        state.ledger.entries(),
        (dict(state.starts), dict(state.decided)),
        sorted(state.schemas),
        sorted(state.outdated_us.items()),
        (state.time_us, state.expire_us),
        *(
            (
                name,
                tally_bytes(held.tally),
                [(s.mask, s.in_scope, s.index, tally_bytes(s.tally), *ring(s.recent)) for s in held.strata],
                awaited(held.arrivals),
                held.started_us,
                held.forgetting.origin_us,
                sorted(held.retired),
                (held.born_us, held.latest_us, held.events),
                (
                    held.ramp_clock.status,
                    held.ramp_clock.ran_us,
                    held.ramp_clock.marked_us,
                    held.ramp_clock.moves,
                ),
                (held.measuring.epoch.key, held.measuring.epoch.began_us),
                [array.tobytes() for array in held.measuring.epoch.measurement.arrays()],
                [
                    (day, kept.sums.tobytes(), kept.share, kept.uplifts.tobytes())
                    for day, kept in held.history.days.items()
                ],
                held.history.shown.tolist(),
                gate_bytes(held.gate),
                [list(row) for row in held.counters.chosen],
                list(held.counters.exposures),
                [total.hex() for total in held.counters.reward_sum],
            )
            for name, held in sorted(state.placements.items())
        ),
    ]


def gate_bytes(gate: GateState | None) -> list[object]:
    """Return all that a gate has counted and seen."""
    if gate is None:
        return []
    times = gate.since_us, gate.checkpoint_us, gate.week_us, gate.week_number, gate.due_us
    periods = gate.older, gate.week, gate.young
    sums = [array.tobytes() for period in periods for array in period.arrays()]
    return [times, gate.allowed, gate.look, sums]


def ring(recent: Recent | None) -> list[object]:
    """Return what is recent, as values that compare bit for bit."""
    return [recent.newest, recent.rows.tobytes()] if recent is not None else []


def awaited(arrivals: Arrivals | None) -> list[object]:
    """Return what is still expected, as values that compare bit for bit."""
    if arrivals is None:
        return []
    delays = arrivals.delays
    learned = delays.since_us, delays.uncounted, delays.counts.tobytes(), delays.credits.tobytes()
    looked = arrivals.due_us, arrivals.fresh, arrivals.moments.tobytes()
    return [*ring(arrivals.others), learned, looked]


def tally_bytes(tally: Tally) -> list[bytes]:
    """Return a tally's arrays as bytes."""
    return [np.ascontiguousarray(array).tobytes() for array in tally.arrays()]


def sparse(dense: Floats) -> bytes:
    """Return a dense vector as x."""
    index = np.flatnonzero(dense)
    return packed(index, dense[index])


class Scores:
    """What a model says of every arm in context x: `mean`, `width`, `sd` (arms,) and `sigma`."""

    def __init__(self, model: LinearModel, tally: Tally, x: bytes) -> None:
        scores = np.zeros((3, len(model.posterior)))
        self.sigma = score(tally.sums, model.posterior, model.upkeep, *entries(x), scores)
        self.mean, self.width, self.sd = scores
