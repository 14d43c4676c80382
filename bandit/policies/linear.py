"""The policies that look at the context: linear Thompson sampling and LinUCB, over one linear model."""

import numpy as np
from numpy.typing import NDArray

from bandit.kernels import gaussian
from bandit.kernels.jit import Arguments, kernel
from bandit.model import LinearModel
from bandit.policies.base import SUM_TOLERANCE, mix_explore
from bandit.strata import Stratum
from bandit.tally import Floats


class LinearThompson:
    """P(arm is best in this context) when each arm's mean is N(θᵀx, c² σ² xᵀ(A + λI)⁻¹x).

    Agrawal & Goyal 2013, with c = `kernels.linear.NARROWING`.

    Uniform until the first reward, since σ is not known before.
    """

    context_free = False

    def __init__(self, name: str, explore: float, model: LinearModel) -> None:
        self.name = name
        self._explore = explore
        self._model = model

    def pmf(self, stratum: Stratum, now_us: int, out: Floats) -> bool:
        """See `Policy.pmf`."""
        del now_us
        model = self._model
        if model.sigma > 0.0:
            total = gaussian.best_probability(model.mean, model.sd, stratum.eligible, self._explore, out)
            return abs(total - 1.0) < SUM_TOLERANCE
        out[:] = stratum.uniform
        return model.usable


class LinUCB:
    """Disjoint LinUCB (Li et al. 2010, algorithm 1): the largest θᵀx + α σ √(xᵀ(A + λI)⁻¹x).

    α is in units of σ; before the first reward σ counts as 1, so that the least shown arm is shown. Ties go
    to the first arm by id. The pmf is 1 for that arm, before `explore`.
    """

    context_free = False

    def __init__(self, name: str, explore: float, alpha: float, model: LinearModel) -> None:
        self.name = name
        self._explore = explore
        self._alpha = alpha
        self._model = model

    def pmf(self, stratum: Stratum, now_us: int, out: Floats) -> bool:
        """See `Policy.pmf`."""
        del now_us
        model = self._model
        if not model.usable:
            return False
        _upper_bound_best(model.mean, model.width, self._alpha * (model.sigma or 1.0), stratum.eligible, out)
        mix_explore(out, stratum.eligible, self._explore)
        return True


def _example() -> Arguments:
    return np.zeros(2), np.ones(2), 1.0, np.arange(2, dtype=np.int64), np.zeros(2)


@kernel(_example)
def _upper_bound_best(
    mean: Floats, width: Floats, alpha: float, eligible: NDArray[np.int64], out: Floats
) -> None:
    """Set `out` to 1 at the first eligible arm of the largest mean + alpha · width, 0 elsewhere."""
    out[:] = 0.0
    best = eligible[0]
    for k in eligible:
        if mean[k] + alpha * width[k] > mean[best] + alpha * width[best]:
            best = k
    out[best] = 1.0
