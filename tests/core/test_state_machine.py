"""Any sequence of calls against a model of a few dictionaries: counts, sums and outcomes agree."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bandit.counters import Outcome
from bandit.engine import Choice
from bandit.errors import BanditError, Reason
from tests.core.world import HOUR, SECOND, Document, World, simple

VALUES = {"click": 1.0, "buy": 0.5}
WINDOW = HOUR
MAXIMUM = 4.0


def document(arms: frozenset[str]) -> Document:
    """The placement with these arms active; the others of a, b, c are draining."""
    return simple(
        arms={arm: {"state": "active" if arm in arms else "draining"} for arm in "abc"},
        policies={"t": {"kind": "thompson"}, "m": {"kind": "linucb"}},
        ramp={"policies": {"t": 0.5, "m": 0.5}, "from": 0.5, "gate": {"min_exposures": 2, "max_loss": 0.01}},
        reward={"window": "1h", "values": VALUES, "max": MAXIMUM, "repeatable": ["buy"]},
    )


class Decided:
    """What the model knows of a decision."""

    def __init__(self, choice: Choice, time_us: int, *, deferred: bool) -> None:
        self.choice = choice
        self.time_us = time_us
        self.exposed = not deferred
        self.events: dict[tuple[str, str], float] = {}

    @property
    def reward(self) -> float:
        """R, from the definition."""
        total = sum(VALUES[event] * value for (event, _), value in self.events.items())
        return min(max(total, 0.0), MAXIMUM)


class EngineMachine(RuleBasedStateMachine):
    """Chooses, confirms, rewards, repeats, contradicts, waits, and reloads."""

    decisions: Bundle[Decided] = Bundle("decisions")

    def __init__(self) -> None:
        super().__init__()
        self.arms = frozenset("abc")
        self.world = self.begin(document(self.arms))
        self.all: list[Decided] = []

    def begin(self, placement: Document) -> World:
        """Return the world that all happens in."""
        return World(p=placement)

    @rule(target=decisions, unit=st.sampled_from(["", "u1", "u2", "u3"]), deferred=st.booleans())
    def choose(self, unit: str, *, deferred: bool) -> Decided:
        """A choice is among the active arms and has a propensity."""
        choice = self.world.choose(unit=unit, deferred=deferred)
        assert choice.arm in self.arms
        assert 0.0 < choice.propensity < 1.0 + 1e-12
        decided = Decided(choice, self.world.now, deferred=deferred)
        self.all.append(decided)
        return decided

    @rule(decided=decisions)
    def confirm(self, decided: Decided) -> None:
        """An exposure counts once, within the window."""
        outcome = self.world.reward(decided.choice, "exposure")
        if self.world.now > decided.time_us + WINDOW:
            assert outcome is Outcome.LATE
        else:
            assert outcome is (Outcome.DUPLICATE if decided.exposed else Outcome.APPLIED)
            decided.exposed = True

    @rule(
        decided=decisions,
        event=st.sampled_from(["click", "buy"]),
        event_id=st.sampled_from(["1", "2"]),
        value=st.sampled_from([1.0, 2.0, -1.0, 8.0]),
    )
    def reward(self, decided: Decided, event: str, event_id: str, value: float) -> None:
        """An event counts once (an id, if repeatable), is LATE past the window, a conflict if it differs."""
        key = (event, event_id if event == "buy" else "")
        counted = decided.events.get(key)
        if self.world.now > decided.time_us + WINDOW:
            assert self.world.reward(decided.choice, event, value, event_id) is Outcome.LATE
        elif counted is None:
            assert self.world.reward(decided.choice, event, value, event_id) is Outcome.APPLIED
            decided.events[key] = value
            decided.exposed = True
        elif counted == value:
            assert self.world.reward(decided.choice, event, value, event_id) is Outcome.DUPLICATE
        else:
            try:
                self.world.reward(decided.choice, event, value, event_id)
            except BanditError as error:
                assert error.reason is Reason.REWARD_CONFLICT  # noqa: PT017
            else:
                raise AssertionError

    @rule(seconds=st.sampled_from([0, 1, 1_200, 3_601, 30_000]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.world.now += seconds * SECOND

    @rule()
    def look(self) -> None:
        """The gate looks if it is due, and then not again; it counts what is counted elsewhere."""
        self.world.look()
        assert self.world.look() == []
        gate, measuring = self.world.state().gate, self.world.state().measuring.epoch.measurement
        assert gate is not None
        assert gate.older.decisions + gate.young.decisions <= measuring.decisions
        assert gate.week.decisions <= gate.older.decisions

    @rule(arms=st.sets(st.sampled_from("abc"), min_size=1).map(frozenset))
    def reload(self, arms: frozenset[str]) -> None:
        """Other arms are active, the rest drain."""
        self.arms = arms
        self.world.reload(p=document(arms))

    @invariant()
    def sums_agree(self) -> None:
        """Exposures and Σ R of every arm are those of the model, in the tally as in the counters."""
        state = self.world.state()
        for k, arm in enumerate("abc"):
            mine = [decided for decided in self.all if decided.choice.arm == arm]
            exposures = sum(decided.exposed for decided in mine)
            rewards = sum(decided.reward for decided in mine)
            squares = sum(decided.reward**2 for decided in mine)
            assert state.tally.n[k] == state.tally.A[k, 0, 0] == state.counters.exposures[k] == exposures
            assert state.tally.r1[k] == state.tally.b[k, 0] == state.counters.reward_sum[k] == rewards
            assert state.tally.r2[k] == squares
        assert state.counters.degraded.sum() == 0


EngineMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestEngine = EngineMachine.TestCase
