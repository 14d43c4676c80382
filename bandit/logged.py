"""Logged decisions in the terms of a placement, and what its tallies learn from them.

What is learned is what would have been had this placement made the decisions: by the same sums, with the same
forgetting. Only its counters, its ramp and its measurement are told nothing, since it did not make them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandit.config import Placement
from bandit.limits import STRATA_MAX
from bandit.placement import PlacementState
from bandit.strata import Stratum
from bandit.tally import Floats, Tally

Audience = tuple[int, bool]
"""Of a stratum: the bits of its arms, and whether the ramp concerns it."""

TRAINED_STRATA_MAX = STRATA_MAX // 2
"""The other places stay free for audiences that come with the traffic."""

_EQUAL = 1e-5
"""Relative difference at which two propensities are the same: logs are written with some six digits."""


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Logged decisions: n ≥ 1 of them.

    `identity` int64 (n,), a hash of each decision's; `cluster` int64 (n,) from 0 up, or None: all are
    independent. `arm` int64 (n,) in the placement's order, -1: one that it does not have. `reward` float64
    (n,); `propensity` float64 (n,), NaN: not known. `comparable` float64 (n,): what a decision weighs where
    arms are compared without looking at x, 0: it was made by looking at x and says nothing there. `x` as
    `features` encodes it; `mask` has the bits of the arms that may be shown, `in_scope` bool (n,) says where
    the placement's ramp concerns the decision.
    """

    identity: NDArray[np.int64]
    cluster: NDArray[np.int64] | None
    time_us: NDArray[np.int64]
    arm: NDArray[np.int64]
    reward: Floats
    propensity: Floats
    comparable: Floats
    in_scope: NDArray[np.bool_]
    x: Sequence[bytes]
    mask: Sequence[int]

    @property
    def audiences(self) -> list[Audience]:
        """Every audience among the decisions, the most frequent first."""
        counted = Counter(zip(self.mask, self.in_scope.tolist(), strict=True))
        return [audience for audience, _ in counted.most_common()]

    @property
    def uniform(self) -> bool:
        """Whether every shown arm had the same propensity 1 / K everywhere: the replay method needs that."""
        arms = 1.0 / self.propensity
        return bool((np.abs(arms / round(arms[0]) - 1.0) <= _EQUAL).all())

    def of(self, audience: Audience) -> NDArray[np.int64]:
        """Return the decisions of an audience."""
        mask, in_scope = audience
        alike = np.array([one == mask for one in self.mask]) & (self.in_scope == in_scope)
        return np.flatnonzero(alike)

    def only(self, kept: NDArray[np.bool_]) -> "Log":
        """Return the decisions where `kept` (n,)."""
        rows = np.flatnonzero(kept).tolist()
        return Log(
            self.identity[kept],
            None if self.cluster is None else self.cluster[kept],
            self.time_us[kept],
            self.arm[kept],
            self.reward[kept],
            self.propensity[kept],
            self.comparable[kept],
            self.in_scope[kept],
            [self.x[i] for i in rows],
            [self.mask[i] for i in rows],
        )


def open_strata(state: PlacementState, audiences: Iterable[Audience]) -> None:
    """Open a stratum for each audience, in this order."""
    for mask, in_scope in audiences:
        state.strata.open(Stratum(state.config, state.strata.next_index, mask, in_scope=in_scope))


def learn(state: PlacementState, log: Log, rows: Iterable[int]) -> None:
    """Add what some decisions teach to the tallies of a state that is replaying; its strata are open.

    Their rewards are all in: nothing of them is recent.
    """
    models, forgetting = state.models, state.forgetting
    compared = {(one.mask, one.in_scope): Tally.zeros(len(state.config.arms)) for one in state.strata}
    for i in rows:
        arm, reward = int(log.arm[i]), float(log.reward[i])
        if arm < 0:
            continue
        weight = forgetting.weight(int(log.time_us[i]))
        models.expose(arm, log.x[i], weight, 1.0)
        if reward:
            models.credit(arm, log.x[i], weight, (0.0, reward))
        sums = compared.get((log.mask[i], bool(log.in_scope[i])))
        if sums is not None and log.comparable[i]:
            weight *= float(log.comparable[i])
            sums.n[arm] += weight
            sums.r1[arm] += weight * reward
            sums.r2[arm] += weight * reward**2
    for stratum in state.strata:
        stratum.add(compared[stratum.mask, stratum.in_scope])


def trained(config: Placement, log: Log, now_us: int, weight: float = 1.0) -> PlacementState:
    """Return the state, replaying, of a placement that has learned from a log and has served nobody yet.

    All that was learned counts `weight`, as if there were so many times the decisions. `now_us` is not before
    any decision.
    """
    state = PlacementState(config, now_us, replaying=True)
    open_strata(state, log.audiences[:TRAINED_STRATA_MAX])
    learn(state, log, range(log.arm.size))
    state.tally.scale(weight)
    for stratum in state.strata:
        stratum.scale(weight)
    return state
