"""What a policy is: something that says how probable each arm should be. It never samples."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel
from bandit.strata import Stratum
from bandit.tally import Floats

SUM_TOLERANCE = 1e-3
"""How far from 1 a quadrature's Σp may be before normalising: it keeps within 1e-5, so beyond is a fault."""


class Policy(Protocol):
    """A named way to get a pmf.

    `context_free` policies do not look at x; only their decisions teach `thompson`, since those of the others
    depend on who is asking.
    """

    name: str
    context_free: bool

    def pmf(self, stratum: Stratum, now_us: int, out: Floats) -> bool:
        """Write the pmf over the stratum's eligible arms to `out` (arms,), 0 elsewhere.

        The linear models have been scored for this context before. Returns False, with `out` undefined, when
        the policy's model cannot be used: the caller then serves static in its place.
        """


def _example() -> Arguments:
    return np.ones(2), np.arange(2, dtype=np.int64), 0.01


@kernel(_example)
def mix_explore(pmf: Floats, eligible: NDArray[np.int64], explore: float) -> None:
    """Turn w into (1 - ε) w + ε / E over the E eligible arms: every propensity becomes at least ε / E."""
    for k in eligible:
        pmf[k] = (1.0 - explore) * pmf[k] + explore / eligible.size
