"""What happened, counted: plain numbers that the shell turns into metrics when it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class Outcome(IntEnum):
    """What became of a reward. The numbers are those of the protocol."""

    APPLIED = 1
    DUPLICATE = 2
    LATE = 3
    UNRECORDED = 4


@dataclass(slots=True, eq=False)
class Counters:
    """Counts of one placement.

    `chosen` by policy and arm, `exposures` and `reward_sum` by arm are those of the records: a restart goes
    on with them. The others count since the process started: `rewards` (events, 5) by outcome, `degraded`
    (policies,), `unrecorded` decisions. Lists where every decision or reward counts: an array's element costs
    four times as much.
    """

    chosen: list[list[int]]
    exposures: list[int]
    rewards: dict[str, list[int]]
    reward_sum: list[float]
    degraded: Counts
    unrecorded: int = 0
    unknown_features: int = 0
    unknown_arms: int = 0
    strata_overflow: int = 0

    @property
    def decisions(self) -> Counts:
        """`chosen` as an array (policies, arms)."""
        return np.array(self.chosen, np.int64)

    def count_reward(self, event: str, outcome: Outcome) -> None:
        """Count what became of an event; it may be one that is not configured any more."""
        if event not in self.rewards:
            self.rewards[event] = [0] * (len(Outcome) + 1)
        self.rewards[event][outcome] += 1

    @classmethod
    def zeros(cls, policies: int, arms: int, events: Sequence[tuple[str, float]]) -> "Counters":
        """Return counters of nothing yet; the reserved event `exposure` is counted beside the others."""
        return cls(
            chosen=[[0] * arms for _ in range(policies)],
            exposures=[0] * arms,
            rewards={event: [0] * (len(Outcome) + 1) for event in ("exposure", *dict(events))},
            reward_sum=[0.0] * arms,
            degraded=np.zeros(policies, np.int64),
        )
