"""The one function that samples. Policies say how probable an arm is; only here is one drawn."""

from typing import NamedTuple

import numpy as np

from bandit.kernels.jit import Arguments, kernel
from bandit.tally import Floats


class Draw(NamedTuple):
    """An arm and its interval [low, high) of the CDF, in which the uniform fell."""

    arm: int
    low: float
    high: float


def sample(pmf: Floats, u: float) -> Draw:
    """Invert the CDF of `pmf` (arms,), in arm order, at u in [0, 1).

    An arm of probability 0 is never drawn; if rounding leaves Σp below u, the last possible arm is.
    """
    return Draw(*_invert(pmf, u))


def _example() -> Arguments:
    return np.ones(1), 0.5


@kernel(_example)
def _invert(pmf: Floats, u: float) -> tuple[int, float, float]:
    arm, low, high, cumulated = -1, 0.0, 0.0, 0.0
    for k in range(pmf.size):
        if pmf[k] > 0.0:
            arm, low = k, cumulated
            cumulated += pmf[k]
            high = cumulated
            if u < cumulated:
                break
    return arm, low, high
