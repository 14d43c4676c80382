"""Our policies and MABWiser's behind one interface, each updated after every step.

Ours are the core's own objects: tally, linear model, policy, sampler; only tokens and ledger are left out.

MABWiser's public `predict` and `partial_fit` spend most of their time on checking arguments and on starting a
pool of one worker. We call what they call: the same objects make the same choices (a test compares them,
choice by choice), three times faster.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from numpy.typing import NDArray

from bandit.config import Placement, parse
from bandit.features import packed
from bandit.kernels.decide import decide
from bandit.model import LinearModels
from bandit.policies.linear import plan
from bandit.ramp import Router
from bandit.strata import Stratum
from bandit.tally import Tally

ALPHAS = (0.5, 1.0, 1.5)
PRIOR_PRECISION = 1.0
"""λ of the ridge prior, the same for both."""

Context = NDArray[np.float32]


class Learner(Protocol):
    """Something that chooses an arm for a context and learns from its reward."""

    def choose(self, x: Context) -> int:
        """Return the arm for context x (columns,)."""

    def learn(self, x: Context, arm: int, reward: float) -> None:
        """Take in the reward of `arm` in context x."""


class Ours:
    """A linear policy of the core with explore 0. `alpha` None: linear_thompson, else linucb."""

    def __init__(self, arms: int, columns: int, alpha: float | None, seed: int) -> None:
        self._tally = Tally.zeros(arms, columns)
        self._models = LinearModels((PRIOR_PRECISION,), self._tally, 1.0)
        config = _placement(arms, alpha)
        self._plan = plan(config, Router(config))
        self._stratum = Stratum(config, 0, (1 << arms) - 1, in_scope=True)
        self._index = np.arange(columns)
        self._rng = np.random.default_rng(seed)

    def choose(self, x: Context) -> int:
        """See `Learner`."""
        models, stratum = self._models, self._stratum
        arm, _, _, _, unusable, _ = decide(
            self._tally.sums, models.posterior, models.upkeep, self._plan, stratum.pmfs,
            stratum.eligible, packed(self._index, x), 1, 1.0, self._rng.random(),
        )  # fmt: skip
        if unusable:
            raise ArithmeticError("the model cannot be used")
        return arm

    def learn(self, x: Context, arm: int, reward: float) -> None:
        """See `Learner`."""
        self._models.expose(arm, packed(self._index, x), 1.0, 1.0)
        self._models.credit(arm, packed(self._index, x), 1.0, (0.0, reward))


class MABWiser:
    """MABWiser's LinTS or LinUCB. It cannot predict before a first fit: the first arm is drawn at random."""

    def __init__(self, arms: int, policy: LearningPolicy, seed: int) -> None:
        self._mab = MAB(list(range(arms)), policy, seed=seed)
        self._first: int | None = int(np.random.default_rng(seed).integers(arms))

    def choose(self, x: Context) -> int:
        """See `Learner`."""
        if self._first is not None:
            return self._first
        return int(self._mab._imp.predict(x[None].astype(np.float64)))  # noqa: SLF001 - see the module's head

    def learn(self, x: Context, arm: int, reward: float) -> None:
        """See `Learner`."""
        context, decision, rewards = x[None].astype(np.float64), np.array([arm]), np.array([reward])
        if self._first is not None:
            self._first = None
            self._mab.fit(decision, rewards, context)
        else:
            self._mab._imp._fit_arm(arm, decision, rewards, context)  # noqa: SLF001 - see the module's head


def _placement(arms: int, alpha: float | None) -> Placement:
    document = {"weight": 1, "payload": ""}
    kind = {"kind": "linear_thompson"} if alpha is None else {"kind": "linucb", "alpha": alpha}
    config = parse({
        "version": 1,
        "owner": "loadtest",
        "placements": {"p": {
            "arms": {f"arm-{k:03}": document for k in range(arms)},
            "reward": {"window": "1h", "values": {"reward": 1.0}},
            "policies": {"ours": kind | {"explore": 0.0, "prior_precision": PRIOR_PRECISION}},
        }},
    })  # fmt: skip
    return config.placements["p"]


Maker = Callable[[int, int, int], Learner]
"""(arms, columns, seed) → a learner that knows nothing yet."""


def _ours(alpha: float | None) -> Maker:
    return lambda arms, columns, seed: Ours(arms, columns, alpha, seed)


def _mabwiser(policy: LearningPolicy) -> Maker:
    return lambda arms, _columns, seed: MABWiser(arms, policy, seed)


LEARNERS: dict[str, Maker] = {
    "linear_thompson": _ours(None),
    **{f"linucb {alpha}": _ours(alpha) for alpha in ALPHAS},
    **{f"LinTS {a}": _mabwiser(LearningPolicy.LinTS(alpha=a, l2_lambda=PRIOR_PRECISION)) for a in ALPHAS},
    **{f"LinUCB {a}": _mabwiser(LearningPolicy.LinUCB(alpha=a, l2_lambda=PRIOR_PRECISION)) for a in ALPHAS},
}
"""Every learner by the name it has in results."""

PAIRS = [("linear_thompson", f"LinTS {alpha}") for alpha in ALPHAS] + [
    (f"linucb {alpha}", f"LinUCB {alpha}") for alpha in ALPHAS
]
"""Which of ours is held against which of theirs."""
