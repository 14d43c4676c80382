"""A whole campaign through the engine in this process, by a clock of its own: no sidecar, socket or journal.

Visits come evenly over the days, events after their delays, and each reaches the engine at its time. With
the same seed a campaign is the same, bit for bit: keys, draws and visitors come from it.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from time import perf_counter

import numpy as np

from bandit.config import Config, Placement
from bandit.decision import START_BYTES
from bandit.engine import Engine
from bandit.errors import BanditError
from bandit.placement import PlacementState
from bandit.token import SECRET_BYTES, Keys
from server.simulation.drive import SimulationError, unknown_arm
from server.simulation.scenario import Event, Scenario
from server.simulation.scores import Scores
from server.simulation.shoppers import Block, Shoppers, contexts

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

DAYS_MAX = 1000
"""Days of one campaign: more than anybody plans."""

BLOCK = 2048
"""Visits that are drawn at once: enough for NumPy to cost nothing, and few enough to be no memory."""

BEGIN_US = 1_767_225_600_000_000
"""When campaigns begin whose ramp has no start: 2026-01-01T00:00:00Z."""

_Due = tuple[int, int, int, str, Event, float]
"""An event on its way: when it comes (µs), a number that keeps equal ones in order, its visit's number, the
decision_id, what it is, and its value."""


@dataclass(slots=True)
class Campaign:
    """One campaign of `shoppers` visits in `days` days. `progress` is called after each block of visits.

    `begin_us`: when the first visitor comes; `now_us`: how far it is; `end_us`: when it is over. `core_s`:
    seconds of the real clock that the engine took. Raises SimulationError if the scenario's placement is not
    configured.
    """

    scenario: Scenario
    config: Config
    days: int
    shoppers: int
    seed: int
    shuffle: bool = False
    progress: Callable[[Scores], None] = lambda _: None
    scores: Scores = field(init=False)
    engine: Engine = field(init=False)
    begin_us: int = field(init=False)
    now_us: int = field(init=False)
    _look_us: int = field(init=False)
    core_s: float = field(init=False, default=0.0)
    _pending: list[_Due] = field(init=False, default_factory=list)
    _turn: int = field(init=False, default=0)
    _arms: dict[str, int] = field(init=False)
    _luck: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.scores = Scores(self.scenario, self.shoppers)
        self.begin_us = self.now_us = _begin_us(_placement(self.config, self.scenario))
        self.engine = Engine(
            self.config,
            Keys.derive(_derived(self.seed, "keys", SECRET_BYTES)),
            origin="simulation",
            start_id=_derived(self.seed, "start", START_BYTES),
            now_us=self.begin_us,
        )
        self._look_us = self.begin_us + HOUR_US
        self._arms = {arm: index for index, arm in enumerate(self.scenario.arms)}
        self._luck = np.random.default_rng([self.seed, 1])

    @property
    def end_us(self) -> int:
        """When the last day is over."""
        return self.begin_us + self.days * DAY_US

    @property
    def day(self) -> float:
        """How many days are over."""
        return (self.now_us - self.begin_us) / DAY_US

    @property
    def learned_share(self) -> float:
        """What of the units learned policies serve now, where the ramp is at work."""
        return self.state.share(self.now_us)

    @property
    def spacing_us(self) -> float:
        """From one visit to the next."""
        return self.days * DAY_US / self.shoppers

    @property
    def state(self) -> PlacementState:
        """What the engine has learned."""
        return self.engine.state.placements[self.scenario.placement]

    def run(self) -> None:
        """Every visit, and every event that comes before the last day is over.

        Raises SimulationError where scenario and placement do not fit; `scores` keeps what was done.
        """
        supply = Shoppers(self.scenario, self.seed, shuffle=self.shuffle)
        try:
            for block in supply.blocks(self.shoppers, BLOCK):
                self._serve(block)
                self.progress(self.scores)
            self._pass(self.end_us)
            self.now_us = self.end_us
        except BanditError as error:
            raise SimulationError(f"the engine refuses what the scenario sends: {error}") from None

    def _serve(self, block: Block) -> None:
        """Let a block's visitors come, each after what is due before it."""
        count, name, choose = len(block), self.scenario.placement, self.engine.choose
        times = self.begin_us + (np.arange(block.first, block.first + count) * self.spacing_us).astype(int)
        responses = [self._responses(event, block) for event in self.scenario.events]
        arms: list[int] = []
        policies: list[str] = []
        visits = zip(times.tolist(), block.units, contexts(self.scenario, block.sent, count), strict=True)
        for index, (now_us, unit, (categories, numbers)) in enumerate(visits):
            if now_us >= self._look_us or (self._pending and self._pending[0][0] <= now_us):
                self._pass(now_us)
            began_s = perf_counter()
            choice = choose(name, unit, categories, numbers, (), False, now_us)
            self.core_s += perf_counter() - began_s
            arm = self._arm(choice.arm)
            arms.append(arm)
            policies.append(choice.policy)
            for event, responds, delays_us, values in responses:
                if responds[index][arm]:
                    due = now_us + delays_us[index], self._turn, block.first + index
                    heapq.heappush(self._pending, (*due, choice.decision_id, event, values[index]))
                    self._turn += 1
        self.scores.add(block.truth, block.expected, arms, policies)
        self.now_us = now_us

    def _responses(
        self, event: Event, block: Block
    ) -> tuple[Event, list[list[bool]], list[int], list[float]]:
        """Whether each visitor of a block would respond to each arm, after how many µs, with what value."""
        responds = block.luck[event.name][:, None] < block.chances[event.name]
        mean_us = event.delay_us or event.delay * self.spacing_us
        delays_us = (self._luck.exponential(1.0, len(block)) * mean_us).astype(int)
        values = event.draw_values(self._luck, len(block))
        return event, responds.tolist(), delays_us.tolist(), values.tolist()

    def _arm(self, name: str) -> int:
        if name not in self._arms:
            raise unknown_arm(self.scenario, name)
        return self._arms[name]

    def _pass(self, now_us: int) -> None:
        """Let time pass until `now_us`: events are reported, and gates asked each hour, at their times."""
        while self._look_us <= now_us:
            self._report_due(self._look_us)
            began_s = perf_counter()
            for placement in self.engine.gates_due(self._look_us):
                self.engine.look(placement, self._look_us)
            self.core_s += perf_counter() - began_s
            self._look_us += HOUR_US
        self._report_due(now_us)

    def _report_due(self, now_us: int) -> None:
        """Report every event that comes until `now_us`."""
        while self._pending and self._pending[0][0] <= now_us:
            at_us, _, visit, decision_id, event, value = heapq.heappop(self._pending)
            began_s = perf_counter()
            outcome = self.engine.reward(decision_id, event.name, value, "1", at_us)
            self.core_s += perf_counter() - began_s
            self.scores.add_outcome(outcome.name.lower())
            self.scores.add_reward(visit, event.worth * value)


def _placement(config: Config, scenario: Scenario) -> Placement:
    placement = config.placements.get(scenario.placement)
    if placement is None:
        known = ", ".join(sorted(config.placements))
        raise SimulationError(
            f"the scenario visits the placement {scenario.placement!r}, and the configuration has {known}: "
            "name one with --placement, or give its configuration with --config"
        )
    return placement


def _begin_us(placement: Placement) -> int:
    start_us = placement.ramp.start_us if placement.ramp else None
    return BEGIN_US if start_us is None else start_us


def _derived(seed: int, label: str, size: int) -> bytes:
    """Bytes that only the seed decides: to be told apart, not to be secret."""
    return blake2b(f"{label} of seed {seed}".encode(), digest_size=size).digest()
