"""A campaign whose rewards take their time: the real engine, a clock of its own, and what will have come.

Visitors of three segments come at random times. An arm is added half-way. Every choice's reward and its delay
are drawn before any policy acts, from the seed alone, so runs of one seed differ by what they chose.
"""

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bandit.config import Config, parse
from bandit.engine import Engine
from bandit.features import entries
from bandit.kernels.decide import score
from bandit.kernels.linear import MISSING
from bandit.placement import PlacementState
from bandit.token import Keys

Floats = NDArray[np.float64]

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
BEGIN_US = 1_800_000_000 * SECOND_US
WINDOW_H = 24.0
SEGMENTS = ("u", "v", "w")
RATES = {"a": (0.12, 0.08, 0.10), "b": (0.09, 0.15, 0.12), "c": (0.07, 0.09, 0.08), "z": (0.18, 0.12, 0.15)}
"""Chance that a visitor of each segment responds to an arm. `z` is added, and is the best on the whole."""
NEW = "z"


@dataclass(frozen=True, slots=True)
class Scenario:
    """How rewards are late, and who comes when.

    A response is one event for each of `events`: (worth, mean delay in hours); 0: at once. `mix` is each
    segment's part of the traffic, `mix_later` that of the last `shift_h` hours before the new arm, and after.
    `barred`: at most a third of the bias may be left.
    """

    name: str
    events: tuple[tuple[float, float], ...] = ((1.0, 6.0),)
    mix: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    mix_later: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    shift_h: float = 0.0
    barred: bool = True
    new_h: float = 36.0
    hours: float = 66.0
    looks_h: tuple[float, ...] = (2, 4, 8, 12, 18, 30, 38, 40, 44, 52, 60)
    """When estimates are compared: after the start, and 2, 4, 8, 16 and 24 hours after the new arm."""


@dataclass(slots=True)
class Look:
    """What is thought at one time of each arm in each segment, all (arms, segments).

    `estimate` is the policy's, `factor` what one factor for each arm gives instead, `settled` what the same
    policy would think had all rewards of the same exposures come; `shown` counts these.
    """

    estimate: Floats
    factor: Floats
    settled: Floats
    shown: Floats


@dataclass(slots=True)
class Run:
    """One campaign: `regret` is the value of the best arm less that of the chosen one, over all visitors."""

    regret: float = 0.0
    looks: list[Look] = field(default_factory=list)


def run(scenario: Scenario, kind: str, seed: int, per_hour: int, *, delayed: bool) -> Run:
    """Run one campaign under one policy."""
    rng = np.random.default_rng(seed)
    size = int(per_hour * scenario.hours)
    hours = np.sort(rng.uniform(0.0, scenario.hours, size))
    later = hours > scenario.new_h - scenario.shift_h
    segment = np.where(later, rng.choice(3, size, p=scenario.mix_later), rng.choice(3, size, p=scenario.mix))
    luck = rng.random(size)
    delays_h = [mean * rng.exponential(1.0, size) for _, mean in scenario.events]
    campaign = _Campaign(scenario, kind, delayed=delayed)
    result, looks = Run(), list(scenario.looks_h)
    for i in range(size):
        while looks and hours[i] >= looks[0]:
            result.looks.append(campaign.look(looks.pop(0)))
        late = [float(delay[i]) for delay in delays_h]
        result.regret += campaign.visit(float(hours[i]), int(segment[i]), float(luck[i]), late)
    return result


class _Campaign:
    """An engine, the events that are on their way, and what will have come of every exposure."""

    def __init__(self, scenario: Scenario, kind: str, *, delayed: bool) -> None:
        self.scenario, self.kind, self.delayed = scenario, kind, delayed
        self.engine = Engine(
            self._config("abc"), Keys.derive(bytes(32)), origin="study", start_id=bytes(16), now_us=BEGIN_US
        )
        self.due: list[tuple[int, int, str, str]] = []
        self.visits = 0
        self.arms = "abc"
        self.moments: dict[str, Floats] = {}
        self.shown = dict.fromkeys(RATES, np.zeros(3))

    def _config(self, arms: str) -> Config:
        events = {f"e{number}": worth for number, (worth, _) in enumerate(self.scenario.events)}
        return parse({"version": 1, "placements": {"p": {
            "arms": {arm: {} for arm in arms},
            "features": {"segment": {"kind": "category", "values": list(SEGMENTS)}},
            "reward": {
                "window": f"{WINDOW_H:g}h", "values": events, "max": sum(events.values()),
                "delayed": self.delayed,
            },
            "policies": {"learned": {"kind": self.kind}},
            "ramp": {"policies": {"learned": 1.0}, "from": 1.0, "to": 1.0},
        }}})  # fmt: skip

    @property
    def state(self) -> PlacementState:
        """The placement's state."""
        return self.engine.state.placements["p"]

    def visit(self, hour: float, segment: int, luck: float, late_h: list[float]) -> float:
        """Choose for a visitor, let the events come that are due; return the regret."""
        now_us = BEGIN_US + int(hour * HOUR_US)
        while self.due and self.due[0][0] <= now_us:
            at_us, _, token, event = heapq.heappop(self.due)
            self.engine.reward(token, event, 1.0, "", at_us)
        if hour >= self.scenario.new_h and NEW not in self.arms:
            self.arms += NEW
            self.engine.reconfigure(self._config(self.arms), now_us)
        choice = self.engine.choose("p", "", {"segment": SEGMENTS[segment]}, {}, (), False, now_us)
        self.visits += 1
        reward, worths = 0.0, [worth for worth, _ in self.scenario.events]
        if luck < RATES[choice.arm][segment]:
            for number, (worth, delay_h) in enumerate(zip(worths, late_h, strict=True)):
                if delay_h < WINDOW_H:
                    reward += worth
                    at_us = now_us + int(delay_h * HOUR_US)
                    heapq.heappush(self.due, (at_us, self.visits, choice.decision_id, f"e{number}"))
        self._settle(choice.arm, segment, reward)
        best = max(RATES[arm][segment] for arm in self.arms)
        return (best - RATES[choice.arm][segment]) * sum(worths)

    def _settle(self, arm: str, segment: int, reward: float) -> None:
        x = self._context(segment)
        held = self.moments.setdefault(arm, np.zeros((x.size + 1, x.size)))
        held[:-1] += np.outer(x, x)
        held[-1] += reward * x
        self.shown[arm] = self.shown[arm] + np.eye(3)[segment]

    def _context(self, segment: int) -> Floats:
        index, value = entries(self._x(segment))
        x = np.zeros(self.state.encoder.columns)
        x[index] = value
        return x

    def _x(self, segment: int) -> bytes:
        return self.state.encoder.encode({"segment": SEGMENTS[segment]}, {})[0]

    def look(self, _hour: float) -> Look:
        """Return what is thought now."""
        arms = [arm.id for arm in self.state.config.arms]
        shown = np.array([self.shown[arm] for arm in arms])
        if self.kind == "thompson":
            estimate, settled = self._rates(arms)
            return Look(estimate, estimate, settled, shown)
        estimate, factor = self._scores()
        settled = np.zeros_like(estimate)
        columns = self.state.encoder.columns
        for k, arm in enumerate(arms):
            held = self.moments.get(arm, np.zeros((columns + 1, columns)))
            theta = np.linalg.solve(held[:-1] + np.eye(columns), held[-1])
            settled[k] = [self._context(segment) @ theta for segment in range(3)]
        return Look(estimate, factor, settled, shown)

    def _rates(self, arms: list[str]) -> tuple[Floats, Floats]:
        """Return thompson's posterior means, and the same had all come; the same in every segment."""
        maximum = self.state.config.reward.maximum
        mask = (1 << len(arms)) - 1
        (stratum,) = [stratum for stratum in self.state.strata if stratum.mask == mask]
        wins = stratum.tally.r1 / maximum
        n = np.maximum(stratum.tally.n - stratum.missing, wins)
        held = [self.moments.get(arm, np.zeros((2, 1))) for arm in arms]
        all_n = np.array([moments[0, 0] for moments in held])
        all_wins = np.array([moments[-1, 0] for moments in held]) / maximum
        estimate, settled = (1.0 + wins) / (2.0 + n), (1.0 + all_wins) / (2.0 + all_n)
        return maximum * np.tile(estimate[:, None], 3), maximum * np.tile(settled[:, None], 3)

    def _scores(self) -> tuple[Floats, Floats]:
        """Return the linear model's means, and those that one factor for each arm would give."""
        state = self.state
        (model,) = state.models.by_prior.values()
        tally, arms = state.tally, len(state.config.arms)
        estimate, factor = np.zeros((arms, 3)), np.zeros((arms, 3))
        n_arrived = tally.n - model.upkeep[:, MISSING]
        for segment in range(3):
            scores = np.zeros((3, arms))
            x = self._x(segment)
            score(tally.sums, model.posterior, model.upkeep, *entries(x), scores)
            estimate[:, segment] = scores[0]
            for k in range(arms):
                theta = np.linalg.solve(tally.A[k] + np.eye(tally.b.shape[1]), tally.b[k])
                plain = self._context(segment) @ theta
                factor[k, segment] = plain * (tally.n[k] + 1.0) / (n_arrived[k] + 1.0)
        return estimate, factor
