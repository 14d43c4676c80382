"""What the sidecar's choices were worth, from the true rates: served, static, best single arm, oracle."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from server.simulation.scenario import Category, Floats, Number, Scenario, Shape, Visits


@dataclass(frozen=True, slots=True)
class Earnings:
    """Mean expected reward a visit over one window of visits.

    `best_arm` is the best for all, in hindsight; `oracle` the best of each context. `gain` is
    (served − static) / (oracle − static), `gain_best_arm` the same of the best arm; None where the oracle
    has nothing to gain. `observed` is the mean reward that really came, so it has noise.
    """

    visits: int
    served: float
    static: float
    best_arm: float
    oracle: float
    observed: float
    gain: float | None
    gain_best_arm: float | None


@dataclass(frozen=True, slots=True)
class Segment:
    """Who got what, over the last half: visits where `feature` has `value`; both are "" for all visits.

    `shares` (K,) are the fractions of visits that each arm was served; `best` is the arm that earns most.
    """

    feature: str
    value: str
    visits: int
    shares: dict[str, float]
    best: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a simulation, as `--json` prints it."""

    placement: str
    shuffled: bool
    seed: int
    whole: Earnings
    last_half: Earnings
    policies: dict[str, Earnings]
    """By policy that served somebody in the last half: what each earned on these visits."""
    segments: dict[str, list[Segment]]
    """By the same policies: all visits first, then each value of each category and boolean."""
    outcomes: dict[str, int]
    """What became of the events sent: applied, duplicate, late, unrecorded."""

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


class Scores:
    """Collects a simulation of at most `count` visits; statistics are computed when asked for."""

    def __init__(self, scenario: Scenario, count: int) -> None:
        arms = len(scenario.arms)
        self._scenario = scenario
        self._size = 0
        self._arm: NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        self._policy: NDArray[np.int64] = np.zeros(count, dtype=np.int64)
        self._expected: Floats = np.zeros((count, arms))
        self._observed: Floats = np.zeros(count)
        self._visits: dict[str, Floats] = {feature.name: np.zeros(count) for feature in scenario.features}
        self.policies: list[str] = []
        self.outcomes: dict[str, int] = {}

    def __len__(self) -> int:
        return self._size

    def add(self, truth: Visits, expected: Floats, arms: list[int], policies: list[str]) -> None:
        """Note a block's choices: indices of arms, names of policies."""
        here = slice(self._size, self._size + len(arms))
        self._arm[here] = arms
        self._policy[here] = [self._policy_number(name) for name in policies]
        self._expected[here] = expected
        for name, column in truth.items():
            self._visits[name][here] = column
        self._size += len(arms)

    def add_reward(self, visit: int, reward: float) -> None:
        """Note the reward that an event of visit number `visit` brought."""
        self._observed[visit] += reward

    def add_outcome(self, outcome: str) -> None:
        """Count what became of one event."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def earnings(self, first: int = 0, policy: str | None = None) -> Earnings:
        """Earnings of the visits from number `first` on, of one policy or of all."""
        return self._earnings(self._rows(first, policy))

    def arm_shares(self, first: int = 0) -> dict[str, float]:
        """Fraction of the visits from `first` on that each arm was served."""
        return self._shares(self._arm[first : self._size])

    def segments(self, first: int, policy: str) -> list[Segment]:
        """What a policy served to whom, over its visits from number `first` on."""
        rows = self._rows(first, policy)
        found = [self._segment("", "", rows)]
        for feature in self._scenario.features:
            column = self._visits[feature.name][rows]
            found += [
                self._segment(feature.name, value, rows[column == code]) for code, value in _values(feature)
            ]
        return [segment for segment in found if segment.visits]

    def report(self, seed: int, *, shuffled: bool) -> Report:
        """Everything, once the simulation is over (or was interrupted)."""
        half = self._size // 2
        serving = [name for name in sorted(self.policies) if len(self._rows(half, name))]
        return Report(
            placement=self._scenario.placement,
            shuffled=shuffled,
            seed=seed,
            whole=self.earnings(),
            last_half=self.earnings(half),
            policies={name: self.earnings(half, name) for name in serving},
            segments={name: self.segments(half, name) for name in serving},
            outcomes=dict(sorted(self.outcomes.items())),
        )

    def _rows(self, first: int, policy: str | None) -> NDArray[np.int64]:
        """Numbers of the visits from `first` on, of one policy or of all."""
        rows = np.arange(first, self._size)
        return rows if policy is None else rows[self._policy[rows] == self.policies.index(policy)]

    def _segment(self, feature: str, value: str, rows: NDArray[np.int64]) -> Segment:
        earned = self._expected[rows].sum(axis=0)
        best = self._scenario.arms[int(earned.argmax())]
        return Segment(feature, value, len(rows), self._shares(self._arm[rows]), best)

    def _policy_number(self, name: str) -> int:
        if name not in self.policies:
            self.policies.append(name)
        return self.policies.index(name)

    def _shares(self, arms: NDArray[np.int64]) -> dict[str, float]:
        counts = np.bincount(arms, minlength=len(self._scenario.arms))
        return {arm: float(n) / max(len(arms), 1) for arm, n in zip(self._scenario.arms, counts, strict=True)}

    def _earnings(self, rows: NDArray[np.int64]) -> Earnings:
        if not len(rows):
            return Earnings(0, 0.0, 0.0, 0.0, 0.0, 0.0, None, None)
        expected = self._expected[rows]
        served = float(expected[np.arange(len(rows)), self._arm[rows]].mean())
        static = float((expected @ np.asarray(self._scenario.weights)).mean())
        best_arm = float(expected.mean(axis=0).max())
        oracle = float(expected.max(axis=1).mean())
        room = oracle - static
        return Earnings(
            visits=len(rows),
            served=served,
            static=static,
            best_arm=best_arm,
            oracle=oracle,
            observed=float(self._observed[rows].mean()),
            gain=(served - static) / room if room > 0 else None,
            gain_best_arm=(best_arm - static) / room if room > 0 else None,
        )


def _values(feature: Category | Number) -> list[tuple[int, str]]:
    """(code in a column, name) of each value that splits visits into segments; none for plain numbers."""
    if isinstance(feature, Category):
        return list(enumerate(feature.values))
    return [(0, "0"), (1, "1")] if feature.shape is Shape.BOOLEAN else []
