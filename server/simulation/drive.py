"""Sends simulated shoppers to a sidecar: Choose for each block, then the events that are due."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from bandit.limits import BATCH_MAX
from server.client import Caller, unwrap
from server.pb import bandit_pb2 as pb
from server.simulation.scenario import Scenario
from server.simulation.scores import Scores
from server.simulation.shoppers import Block, Shoppers, contexts

SHOPPERS_MAX = 2_000_000
"""Visits of one simulation; their choices are kept for the report, about 100 bytes each."""


class SimulationError(Exception):
    """The sidecar's answers do not fit the scenario. The text names both and the remedy."""


def unknown_arm(scenario: Scenario, name: str) -> SimulationError:
    """The error of a placement that serves an arm which the scenario does not know."""
    return SimulationError(
        f"placement {scenario.placement!r} serves the arm {name!r}, which the scenario does not know (it has "
        f"{', '.join(scenario.arms)}); add it there, or name the placement that the scenario is for"
    )


@dataclass(order=True, slots=True)
class _Due:
    """An event that will be reported before visit number `at`; `turn` keeps equal ones in order."""

    at: float
    turn: int
    request: pb.RewardRequest = field(compare=False)


@dataclass(slots=True)
class Simulation:
    """One run. `progress` is called after each block with the scores so far."""

    scenario: Scenario
    caller: Caller
    shoppers: int
    batch: int
    seed: int
    shuffle: bool = False
    progress: Callable[[Scores], None] = lambda _: None
    scores: Scores = field(init=False)
    _pending: list[_Due] = field(init=False, default_factory=list)
    _turn: Iterator[int] = field(init=False, default_factory=count)
    _luck: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        for event in self.scenario.events:
            if event.delay_us:
                raise SimulationError(
                    f"event {event.name!r} has a delay in time, and beside a running sidecar there is no "
                    "clock to go by: use --days, or give the delay as a number of visits"
                )
        self.scores = Scores(self.scenario, self.shoppers)
        self._luck = np.random.default_rng([self.seed, 1])

    def run(self) -> None:
        """Every visit and every event. Raises CallError or SimulationError; `scores` keeps what was done."""
        supply = Shoppers(self.scenario, self.seed, shuffle=self.shuffle)
        for block in supply.blocks(self.shoppers, self.batch):
            self._serve(block)
            self._report_due(block.first + len(block))
            self.progress(self.scores)
        self._report_due(float("inf"))

    def _serve(self, block: Block) -> None:
        replies = self.caller.choose_batch(self._requests(block))
        served = [unwrap(reply) for reply in replies]
        arms = [self._arm(reply.arm) for reply in served]
        self.scores.add(block.truth, block.expected, arms, [reply.policy for reply in served])
        for index, (reply, arm) in enumerate(zip(served, arms, strict=True)):
            self._respond(block, index, reply.decision_id, arm)

    def _requests(self, block: Block) -> list[pb.ChooseRequest]:
        name, sent = self.scenario.placement, contexts(self.scenario, block.sent, len(block))
        return [
            pb.ChooseRequest(placement=name, unit=unit, categories=categories, numbers=numbers)
            for unit, (categories, numbers) in zip(block.units, sent, strict=True)
        ]

    def _arm(self, name: str) -> int:
        if name not in self.scenario.arms:
            raise unknown_arm(self.scenario, name)
        return self.scenario.arms.index(name)

    def _respond(self, block: Block, index: int, decision_id: str, arm: int) -> None:
        visit = block.first + index
        for event in self.scenario.events:
            if block.luck[event.name][index] >= block.chances[event.name][index, arm]:
                continue
            value = float(event.draw_values(self._luck, 1)[0])
            delay = self._luck.exponential(event.delay) if event.delay else 0.0
            request = pb.RewardRequest(decision_id=decision_id, event=event.name, value=value, event_id="1")
            heapq.heappush(self._pending, _Due(visit + delay, next(self._turn), request))
            self.scores.add_reward(visit, event.worth * value)

    def _report_due(self, visit: float) -> None:
        """Send every event due before visit number `visit`."""
        while self._pending and self._pending[0].at < visit:
            requests: list[pb.RewardRequest] = []
            while self._pending and self._pending[0].at < visit and len(requests) < BATCH_MAX:
                requests.append(heapq.heappop(self._pending).request)
            for reply in self.caller.reward_batch(requests):
                self.scores.add_outcome(unwrap(reply))
