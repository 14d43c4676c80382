"""What one call records fits into the room that is kept for it, with the longest of everything."""

import pytest

from bandit.counters import Outcome
from bandit.decision import ORIGIN_BYTES_MAX
from bandit.engine import Engine
from bandit.frames import FRAME_BYTES
from bandit.gate import GATE, Look, Verdict
from bandit.limits import (
    ACTOR_BYTES_MAX,
    CATEGORY_BYTES_MAX,
    FEATURES_MAX,
    NAME_BYTES_MAX,
    POLICIES_MAX,
    REASON_BYTES_MAX,
    SENTENCE_BYTES_MAX,
)
from bandit.placement import PlacementState
from bandit.ramp import RampStatus
from bandit.record_codec import encode
from bandit.records import Configured, Decided, Exposed, GateLooked, RampMoved, Record, Rewarded, Started
from bandit.sequences import Interval
from server.store import RECORD_BYTES_MAX
from tests.core.world import DAY, KEYS, NOW, START, Document, Kept, config

EVENT = "e" * NAME_BYTES_MAX
PLACEMENT = "p" * NAME_BYTES_MAX
BEGIN_US = NOW + DAY
"""When the ramp begins: before, overlaps are less than 1, and stand in each decision."""


class Tight(Kept):
    """A journal that has room for one call's records, and no more."""

    left = 0

    def __call__(self, record: Record, packed: bytes | None = None) -> None:
        """Keep one. What changes a configuration asks for its own room."""
        super().__call__(record, packed)
        if not isinstance(record, Configured | Started):
            self.left -= FRAME_BYTES + len(encode(record, packed))
            assert self.left >= 0


def name(number: int) -> str:
    """A name as long as may be."""
    return f"{number:0>{NAME_BYTES_MAX}}"


def longest() -> Document:
    """Names of the longest, as many policies and features as may be, and a gate."""
    policies = {name(number): {"kind": "uniform"} for number in range(POLICIES_MAX - 1)}
    return {
        "arms": {name(1): {"weight": 1}, name(2): {"weight": 0}},
        "features": {name(number): {"kind": "hashed", "buckets": 1} for number in range(FEATURES_MAX)},
        "reward": {"values": {EVENT: 1.0}, "window": "24h", "repeatable": [EVENT]},
        "policies": policies,
        "ramp": {
            "policies": dict.fromkeys(policies, 1 / len(policies)),
            "from": 0.1,
            "start": "2027-01-16T08:00:00Z",
            "gate": {},
        },
    }


@pytest.fixture
def journal() -> Tight:
    """The journal of `engine`."""
    return Tight()


@pytest.fixture
def engine(journal: Tight) -> Engine:
    """An engine whose name is the longest, over that placement."""
    placements = {PLACEMENT: longest()}
    origin = "o" * ORIGIN_BYTES_MAX
    return Engine(config(**placements), KEYS, origin=origin, start_id=START, now_us=NOW, journal=journal)


def kinds(journal: Tight) -> list[type[Record]]:
    """The kinds of what was recorded since, and room for one call again."""
    found = [type(record) for record in journal]
    journal.clear()
    journal.left = RECORD_BYTES_MAX
    return found


def test_calls_fit(engine: Engine, journal: Tight) -> None:
    """A stratum and a decision, its exposure, its reward, an operator's move."""
    kinds(journal)
    categories = {name(number): "c" * CATEGORY_BYTES_MAX for number in range(FEATURES_MAX)}
    token = engine.choose(PLACEMENT, "u", categories, {}, (), True, NOW).decision_id
    decided = journal[-1]
    assert isinstance(decided, Decided)
    assert len(decided.decision.overlaps) == POLICIES_MAX
    assert len(decided.decision.x) == 6 * (FEATURES_MAX + 1)
    assert len(kinds(journal)) == 2
    assert engine.reward(token, "exposure", 1.0, "", NOW) is Outcome.APPLIED
    assert kinds(journal) == [Exposed]
    assert engine.reward(token, EVENT, 1.0, "id", NOW) is Outcome.APPLIED
    assert kinds(journal) == [Rewarded]
    reason, actor = "r" * REASON_BYTES_MAX, "a" * ACTOR_BYTES_MAX
    assert engine.move_ramp(PLACEMENT, RampStatus.HELD, reason, actor, NOW)
    assert kinds(journal) == [RampMoved]


@pytest.mark.parametrize("verdict", Verdict)
def test_a_gates_look_and_its_move_fit(
    engine: Engine, journal: Tight, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it finds and however much it says, it holds, lets go on or takes back."""
    now_us = BEGIN_US + 2 * DAY
    seen = Interval(0.0, -1.0, 1.0)
    look = Look(now_us, 2**62, 0.5, 1.0, seen, seen, "s" * SENTENCE_BYTES_MAX)
    monkeypatch.setattr(PlacementState, "judged", lambda *_: (verdict, look))
    if verdict is Verdict.GO_ON:
        kinds(journal)
        engine.state.placements[PLACEMENT].ramp_clock.status = RampStatus.WAITING
    kinds(journal)
    found = engine.look(PLACEMENT, now_us)
    assert found is not None
    assert found.moved is not None
    moved, looked = journal
    assert isinstance(moved, RampMoved)
    assert (moved.move.actor, moved.move.reason) == (GATE, look.sentence)
    assert looked == GateLooked(PLACEMENT, look)
