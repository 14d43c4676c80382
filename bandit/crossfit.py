"""Cross-fitting: what a placement's policies would do in each logged decision, had they not learned from it.

A placement is a sum, so it is learned once by fold, and what a fold is judged with is the sum of the others:

    log → a tally and strata for each fold → Σ of the other folds → a state that stands still
        → for each decision of the fold every policy's pmf, and the reward model's prediction for every arm

Decisions of a cluster (visitors who return) stay in one fold: in two, a model would be asked about people it
has met. Everything is a function of the log, so two runs give the same bits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandit.config import Placement, PolicyKind
from bandit.features import entries
from bandit.hashing import uniform
from bandit.kernels.decide import sample
from bandit.limits import STRATA_MAX
from bandit.logged import Audience, Log, learn, open_strata
from bandit.model import LinearModels
from bandit.placement import PlacementState
from bandit.ramp import STATIC_INDEX
from bandit.strata import OVERFLOW, Strata, Stratum
from bandit.tally import Floats, Forgetting, Tally

FOLDS = 5
"""Learning on four fifths is nearly learning on all; more folds cost time and change little."""

INFLATION = 1.0 + FOLDS / (FOLDS - 1)
"""What the variance of a learned policy's estimates is multiplied by (Nadeau & Bengio 2003, section 3.1).

Each decision is judged by policies that it did not teach; but two decisions of different folds have each
taught those that judge the other, so their scores depend on each other. No unbiased estimate of that exists
(Bengio & Grandvalet 2004). It is nothing where one arm is clearly best, most where none is: docs/evaluate.md.
"""

REWARD_PRIOR = 1.0
"""Prior precision λ of the reward model: ridge regression by arm, as the linear policies have it."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What each policy would have done: P policies, the placement's and then `uniform` if it has none.

    `chosen` (P, n): the probability of the logged arm; `expected` (P, n): Σ_b π(b|x) q(x, b); `outside`
    (P, n): the probability of arms that are shown nowhere in the log; `matched` bool (P, n): whether a draw,
    with one uniform for all policies, gave the logged arm. `predicted` (n,): q(x, logged arm). `degraded`
    (P,): in how many decisions a policy's model could not be used, and static answered.
    """

    names: list[str]
    kinds: list[PolicyKind]
    chosen: Floats
    expected: Floats
    outside: Floats
    matched: NDArray[np.bool_]
    predicted: Floats
    degraded: list[int]

    @property
    def inflations(self) -> list[float]:
        """What the variance of each policy's estimates is multiplied by: nothing where it does not learn."""
        still = {PolicyKind.STATIC, PolicyKind.UNIFORM}
        return [1.0 if kind in still else INFLATION for kind in self.kinds]


def folds_of(log: Log) -> NDArray[np.int64]:
    """Return the fold of each decision (n,)."""
    return (log.identity if log.cluster is None else log.cluster) % FOLDS


def cross_fit(config: Placement, log: Log) -> Targets:
    """Learn the placement's policies and a reward model on every four folds, and ask them about the fifth.

    All decisions lie within the ramp's scope, and have their propensities.
    """
    targets = _blank(config, log)
    end_us = int(log.time_us.max())
    audiences, fold_of = log.audiences[:STRATA_MAX], folds_of(log)
    folds = [np.flatnonzero(fold_of == fold).tolist() for fold in range(FOLDS)]
    learned = [_learned(config, log, rows, audiences, end_us) for rows in folds]
    for fold, rows in enumerate(folds):
        state = _summed(config, [part for other, part in enumerate(learned) if other != fold], end_us)
        _ask(state, log, rows, end_us, targets)
    return targets


def _blank(config: Placement, log: Log) -> Targets:
    names = [policy.name for policy in config.policies]
    kinds = [policy.kind for policy in config.policies]
    if PolicyKind.UNIFORM not in kinds:
        names.append(PolicyKind.UNIFORM.value)
        kinds.append(PolicyKind.UNIFORM)
    shape = len(names), log.arm.size
    return Targets(
        names, kinds, np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, np.bool_),
        np.zeros(log.arm.size), [0] * len(names),
    )  # fmt: skip


def _learned(
    config: Placement, log: Log, rows: Iterable[int], audiences: Iterable[Audience], end_us: int
) -> PlacementState:
    """Return the sums of some decisions. Under a half-life all folds weigh them as of the log's end."""
    state = PlacementState(config, end_us, replaying=True)
    open_strata(state, audiences)
    learn(state, log, rows)
    return state


def _summed(config: Placement, parts: Sequence[PlacementState], end_us: int) -> PlacementState:
    """Return the state that has learned what all parts have, with its models."""
    tally = Tally.zeros(*parts[0].tally.b.shape)
    for part in parts:
        tally.add(part.tally)
    strata = Strata()
    for alike in zip(*(part.strata for part in parts), strict=True):
        first = alike[0]
        whole = Stratum(config, first.index, first.mask, in_scope=True)
        for stratum in alike:
            whole.add(stratum.tally)
        strata.open(whole)
    forgetting = Forgetting.starting(config.half_life_us, end_us)
    return PlacementState(config, end_us, tally=tally, strata=strata, forgetting=forgetting)


def _ask(state: PlacementState, log: Log, rows: Iterable[int], end_us: int, into: Targets) -> None:
    """Fill in what the policies of a state would do in some decisions."""
    config = state.config
    scale = state.forgetting.scale(end_us)
    theta = LinearModels([REWARD_PRIOR], state.tally, scale).by_prior[REWARD_PRIOR].theta
    unshown = np.ones(len(config.arms))
    unshown[np.unique(log.arm[log.arm >= 0])] = 0.0
    policies = len(config.policies)
    pmfs = np.zeros((len(into.names), len(config.arms)))
    for i in rows:
        mask, x, arm = log.mask[i], log.x[i], int(log.arm[i])
        stratum = state.strata.get(mask, in_scope=True) or Stratum(config, OVERFLOW, mask, in_scope=True)
        u = uniform(int(log.identity[i]) << 1)
        state.draw(stratum, x, STATIC_INDEX, 0.0, u, end_us)
        pmfs[:policies], pmfs[policies:] = stratum.pmfs, stratum.uniform
        index, value = entries(x)
        q = theta[:, index] @ value
        into.expected[:, i] = pmfs @ q
        into.outside[:, i] = pmfs @ unshown
        if arm >= 0:
            into.chosen[:, i] = pmfs[:, arm]
            into.matched[:, i] = [sample(pmf, u)[0] == arm for pmf in pmfs]
            into.predicted[i] = q[arm]
    for policy, times in enumerate(state.counters.degraded):
        into.degraded[policy] += times
