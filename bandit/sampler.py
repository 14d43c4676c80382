"""The one function that samples. Policies say how probable an arm is; only here is one drawn."""

import numpy as np

from bandit.kernels.jit import Arguments, kernel
from bandit.tally import Floats


def _example() -> Arguments:
    return np.ones(1), 0.5


@kernel(_example)
def sample(pmf: Floats, u: float) -> tuple[int, float, float]:
    """Invert the CDF of `pmf` (arms,), in arm order, at u in [0, 1).

    Returns the arm and its interval [low, high) of the CDF, in which u fell. An arm of probability 0 is never
    drawn; if rounding leaves Σp below u, the last possible arm is.
    """
    arm, low, high, cumulated = -1, 0.0, 0.0, 0.0
    for k in range(pmf.size):
        if pmf[k] > 0.0:
            arm, low = k, cumulated
            cumulated += pmf[k]
            high = cumulated
            if u < cumulated:
                break
    return arm, low, high
