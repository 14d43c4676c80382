"""Thompson sampling without context (Thompson 1933; Chapelle & Li 2011), within a stratum.

The pmf is P(arm is best) under independent posteriors, by quadrature: what sampling each posterior once and
taking the largest would do, with the probabilities known.
"""

import numpy as np

from bandit.kernels import beta, gaussian
from bandit.policies.base import SUM_TOLERANCE, mix_explore
from bandit.strata import OVERFLOW, Stratum
from bandit.tally import Floats, Forgetting


class Thompson:
    """Beta posteriors on R / maximum when R is bounded, else Normal ones."""

    context_free = True

    def __init__(self, name: str, explore: float, maximum: float, forgetting: Forgetting) -> None:
        self.name = name
        self._explore = explore
        self._maximum = maximum
        self._forgetting = forgetting

    def pmf(self, stratum: Stratum, now_us: int, out: Floats) -> bool:
        """See `Policy.pmf`. A stratum beyond the limit has learned nothing: it is served as static."""
        if stratum.index == OVERFLOW:
            out[:] = stratum.static
            return True
        if stratum.due(now_us):
            best = _beta_best if np.isfinite(self._maximum) else _normal_best
            total = best(stratum, self._maximum, self._forgetting.scale(now_us))
            if not abs(total - 1.0) < SUM_TOLERANCE:
                stratum.thompson[:] = np.nan
        out[:] = stratum.thompson  # as cached, before `explore`
        mix_explore(out, stratum.eligible, self._explore)
        return bool(np.isfinite(out).all())


def _beta_best(stratum: Stratum, maximum: float, scale: float) -> float:
    """Posterior Beta(1 + Σ R/max, 1 + Σ (1 - R/max)) of each arm's mean of R / max, from a uniform prior."""
    n, wins = scale * stratum.tally.n, scale * stratum.tally.r1 / maximum
    a, b = 1.0 + np.maximum(wins, 0.0), 1.0 + np.maximum(n - wins, 0.0)
    return beta.best_probability(a, b, stratum.eligible, stratum.thompson)


def _normal_best(stratum: Stratum, _maximum: float, scale: float) -> float:
    """Posterior N((m₀ + Σ R) / (1 + n), σ² / (1 + n)) of each arm's mean of R.

    The prior is one observation at the stratum's mean m₀; σ² is pooled over the arms (Σ of squares about the
    posterior means, and of these about m₀, over Σ n). Both come from the tally alone, so that neither the
    unit nor the zero of R matters. Uniform until rewards differ.
    """
    tally, arms = stratum.tally, stratum.eligible
    n, r1, r2 = scale * tally.n[arms], scale * tally.r1[arms], scale * tally.r2[arms]
    total = n.sum()
    stratum.thompson[:] = stratum.uniform
    if total == 0.0:
        return 1.0
    prior_mean = r1.sum() / total
    mean = (prior_mean + r1) / (1.0 + n)
    squares = (r2 - 2.0 * mean * r1 + n * mean**2 + (mean - prior_mean) ** 2).sum()
    if squares <= _ROUNDING * r2.sum():
        return 1.0
    centre, sd = np.zeros_like(stratum.thompson), np.zeros_like(stratum.thompson)
    centre[arms], sd[arms] = mean, np.sqrt(squares / total / (1.0 + n))
    return gaussian.best_probability(centre, sd, arms, 0.0, stratum.thompson)


_ROUNDING = 1e-12
