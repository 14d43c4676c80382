"""The linear model: what a tally says about θ, kept ready for the next score.

Per arm θ ~ N(mean, σ² (A + λI)⁻¹) (Bayesian ridge regression; Agrawal & Goyal 2013). Everything here is
derived from the placement's tally and may be thrown away: it is never stored, and after a merge or a restart
it is factorised afresh.
"""

import math

import numpy as np

from bandit.kernels.linear import rank_one, refactor, score, shift_mean
from bandit.tally import Indices, Tally, Values

REFACTOR_EVERY = 512
"""Rank-one updates of an arm before its inverse is factorised afresh: at 32 columns 0.15 µs an update."""

SCALE_TICK = 1.01
"""The forgetting scale reaches an arm's precision in ticks of 1 %: smaller ones cost factorisations."""

_SCALE_MAX = 2.0**20
"""Of an arm that was not looked at over several pauses: it is stale anyway, and must stay finite."""


class LinearModel:
    """Posterior means and inverse precisions of every arm for one prior precision λ.

    `inverse` (arms, d, d), `theta` (arms, d) float64. `mean`, `width`, `sd` (arms,) and `sigma` hold the last
    `score`. `drift` is the largest relative error a refactorisation has found so far.
    """

    __slots__ = (
        "_cursor", "_inverses", "_residual", "_scale", "_thetas", "_updates",
        "drift", "inverse", "mean", "prior_precision", "sd", "sigma", "theta", "width",
    )  # fmt: skip

    def __init__(self, prior_precision: float, tally: Tally, scale: float) -> None:
        arms, columns = tally.b.shape
        self.prior_precision = prior_precision
        self.inverse = np.tile(np.eye(columns) / prior_precision, (arms, 1, 1))
        self.theta = np.zeros((arms, columns))
        self._inverses, self._thetas = list(self.inverse), list(self.theta)  # making a view costs 0.1 µs
        self.mean = np.zeros(arms)
        self.width = np.zeros(arms)
        self.sd = np.zeros(arms)
        self.sigma = 0.0
        self.drift = 0.0
        self._residual = np.zeros(arms)
        self._scale = [scale] * arms
        self._updates = [0] * arms
        self._cursor = 0
        for arm in np.flatnonzero(tally.n):  # an arm never shown is at its prior already
            self._refactor(tally, int(arm), scale)
        self.drift = 0.0  # the first factorisation replaces the prior: that difference is not drift

    @property
    def usable(self) -> bool:
        """Whether the last `score` could be computed: finite means, positive widths, a finite σ."""
        return math.isfinite(self.sigma)

    def score(self, tally: Tally, index: Indices, value: Values) -> None:
        """Score every arm in context x into `mean`, `width`, `sd`, `sigma`: see `kernels.linear.score`."""
        self.sigma = score(
            self.inverse,
            self.theta,
            self._residual,
            tally.r2,
            tally.n,
            index,
            value,
            self.mean,
            self.width,
            self.sd,
        )

    def expose(
        self, tally: Tally, arm: int, index: Indices, value: Values, weight: float, scale: float
    ) -> None:
        """Follow `tally.expose`; call it after. `scale` is what makes today's increments weigh 1.

        After a pause `weight` may be large against what this arm's inverse is made of: a rank-one update
        would lose the inverse's digits, so the arm is factorised instead.
        """
        if self._stale(arm, scale):
            self._refactor(tally, arm, scale)
            return
        fit = rank_one(
            self._inverses[arm],
            self._thetas[arm],
            tally.b[arm],
            index,
            value,
            weight * self._scale[arm],
        )
        self._residual[arm] = tally.r2[arm] - fit
        self._updates[arm] += 1

    def credit(self, tally: Tally, arm: int, index: Indices, value: Values, change: float) -> None:
        """Follow `tally.credit` with weighted difference of R `change`; call it after."""
        fit = shift_mean(
            self._inverses[arm],
            self._thetas[arm],
            tally.b[arm],
            index,
            value,
            change * self._scale[arm],
        )
        self._residual[arm] = tally.r2[arm] - fit

    def maintain(self, tally: Tally, scale: float) -> None:
        """Look at one arm, the next in turn, and factorise it afresh if it is due: never all at once."""
        arm = self._cursor
        self._cursor = (arm + 1) % len(self._updates)
        if self._stale(arm, scale) or self._updates[arm] >= REFACTOR_EVERY:
            self._refactor(tally, arm, scale)

    def _stale(self, arm: int, scale: float) -> bool:
        return not 1.0 / SCALE_TICK < scale / self._scale[arm] < SCALE_TICK

    def rescale(self, factor: float) -> None:
        """Follow `tally.scale`: the tally shrank by `factor`, so the scale that multiplies it grows."""
        self._scale = [min(scale, _SCALE_MAX) / factor for scale in self._scale]
        self._residual *= factor

    def _refactor(self, tally: Tally, arm: int, scale: float) -> None:
        drift = refactor(
            tally.A[arm], tally.b[arm], scale, self.prior_precision, self.inverse[arm], self.theta[arm]
        )
        if math.isnan(drift):
            self.inverse[arm] = math.nan  # not positive definite: `score` reports it, the policy degrades
        elif scale == self._scale[arm]:
            self.drift = max(self.drift, drift)
        self._scale[arm] = scale
        self._updates[arm] = 0
        self._residual[arm] = tally.r2[arm] - float(tally.b[arm] @ self.theta[arm])
