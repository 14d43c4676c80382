"""Thompson sampling without context (Thompson 1933; Chapelle & Li 2011), within a stratum.

The pmf is P(arm is best) under independent posteriors, by quadrature: what sampling each posterior once and
taking the largest would do, with the probabilities known.
"""

import numpy as np

from bandit.config import Placement, PolicyKind
from bandit.kernels import beta, decide
from bandit.kernels.decide import SUM_TOLERANCE
from bandit.strata import Stratum
from bandit.tally import Floats, Forgetting


class Thompson:
    """The thompson policies of a placement: Beta posteriors on R / maximum when R is bounded, else Normal.

    They differ in `explore` alone.
    """

    __slots__ = ("_explores", "_forgetting", "_maximum")

    def __init__(self, placement: Placement, forgetting: Forgetting) -> None:
        self._explores = [
            (number, policy.explore)
            for number, policy in enumerate(placement.policies)
            if policy.kind is PolicyKind.THOMPSON
        ]
        self._maximum = placement.reward.maximum
        self._forgetting = forgetting

    def refresh(self, stratum: Stratum, now_us: int) -> None:
        """Compute the pmf again, if it is due, into its policies' rows of the stratum.

        If the posterior cannot be used they get static's row and are told in `stratum.unusable`.
        """
        if not stratum.due(now_us):
            return
        posterior = _beta_best if np.isfinite(self._maximum) else _normal_best
        best = np.zeros_like(stratum.static)
        total = posterior(stratum, self._maximum, self._forgetting.scale(now_us), best)
        usable = abs(total - 1.0) < SUM_TOLERANCE and bool(np.isfinite(best).all())
        stratum.unusable = 0
        arms = stratum.eligible
        for number, explore in self._explores:
            if usable:
                stratum.pmfs[number, arms] = (1.0 - explore) * best[arms] + explore / arms.size
            else:
                stratum.pmfs[number] = stratum.static
                stratum.unusable |= 1 << number


def _beta_best(stratum: Stratum, maximum: float, scale: float, out: Floats) -> float:
    """Posterior Beta(1 + Σ R/max, 1 + Σ (1 - R/max)) of each arm's mean of R / max, from a uniform prior."""
    n, wins = scale * (stratum.tally.n - stratum.missing), scale * stratum.tally.r1 / maximum
    a, b = 1.0 + np.maximum(wins, 0.0), 1.0 + np.maximum(n - wins, 0.0)
    return beta.best_probability(a, b, stratum.eligible, out)


def _normal_best(stratum: Stratum, _maximum: float, scale: float, out: Floats) -> float:
    """Posterior N((m₀ + Σ R) / (1 + n), σ² / (1 + n)) of each arm's mean of R.

    The prior is one observation at the stratum's mean m₀; σ² is pooled over the arms. Both come from the
    tally alone, so that neither the unit nor the zero of R matters. Uniform until rewards differ.
    """
    sums, arms = scale * stratum.tally.sums[:, stratum.eligible], stratum.eligible
    missing = scale * stratum.missing[arms]
    corrected = sums.copy()
    n, r1, _ = corrected
    n[:] = np.maximum(n - missing, 0.0)
    out[:] = stratum.uniform
    if n.sum() == 0.0:
        return 1.0
    mature = corrected
    if missing.any():
        older = scale * stratum.mature[:, arms]
        mature = older if older[0].sum() >= _MATURE_MIN else corrected
    variance = _variance(*mature)
    if variance == 0.0:
        return 1.0
    mean = (r1.sum() / n.sum() + r1) / (1.0 + n)
    centre, sd = np.zeros_like(out), np.zeros_like(out)
    centre[arms], sd[arms] = mean, np.sqrt(variance / (1.0 + n))
    return decide.best_probability(centre, sd, arms, 0.0, out)


def _variance(n: Floats, r1: Floats, r2: Floats) -> float:
    """Return Σ of squares about the arms' posterior means, and of these about m₀, over Σ n; 0: none."""
    total = n.sum()
    prior_mean = r1.sum() / total
    mean = (prior_mean + r1) / (1.0 + n)
    squares = (r2 - 2.0 * mean * r1 + n * mean**2 + (mean - prior_mean) ** 2).sum()
    return 0.0 if squares <= _ROUNDING * r2.sum() else float(squares / total)


_ROUNDING = 1e-12
_MATURE_MIN = 100.0
"""Exposures past their window from which on they alone say how much rewards vary: of a younger one a part
of R may be there, a click before a purchase."""
