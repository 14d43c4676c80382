"""The linear models: what a tally says about θ, kept ready for the next score.

Per arm θ ~ N(mean, σ² (A + λI)⁻¹) (Bayesian ridge regression; Agrawal & Goyal 2013). Everything here is
derived from the placement's tally and may be thrown away: it is never stored, and after a merge or a restart
it is factorised afresh.
"""

from collections.abc import Iterable

import numpy as np

from bandit.kernels.jit import bind
from bandit.kernels.linear import DRIFT, FIT, MISSING, PRIOR, SCALE, credit, expose, refresh
from bandit.tally import Floats, Tally

_SCALE_MAX = 2.0**20
"""Of an arm that was not looked at over several pauses: it is stale anyway, and must stay finite."""
_NOTHING = np.zeros((0, 0))
_FOLLOW_OPERATIONS = 2**19
"""Of factorising arms within one exposure: a millisecond."""


class LinearModel:
    """Posterior means and inverse precisions of every arm for one prior precision λ.

    `inverse` (arms, d, d), `theta` (arms, d) float64. `posterior` and `upkeep` are this model's part of
    `LinearModels`: see `kernels.linear`.
    """

    __slots__ = ("inverse", "posterior", "theta", "upkeep")

    def __init__(self, posterior: Floats, upkeep: Floats) -> None:
        self.posterior = posterior
        self.upkeep = upkeep
        self.inverse, self.theta = posterior[:, :-1], posterior[:, -1]

    @property
    def drift(self) -> float:
        """The largest relative error that a refactorisation has found so far."""
        return float(self.upkeep[:, DRIFT].max())

    def refresh(self, tally: Tally, arm: int, scale: float, awaited: Floats | None = None) -> None:
        """Factorise one arm afresh, without what is `awaited` (d, d): see `kernels.linear.refresh`."""
        less, corrected = (_NOTHING, False) if awaited is None else (awaited, True)
        refresh(tally.moments[arm], self.posterior[arm], self.upkeep[arm], scale, less, corrected)


class LinearModels:
    """The models of one tally by prior precision: none, one or several. They learn as the tally does.

    `posterior` (models, arms, d + 1, d) and `upkeep` (models, arms, 6) hold all, in the order of `by_prior`.
    `awaited` (arms, d, d) is the part of A whose reward is still expected: what is `corrected` goes without.
    """

    __slots__ = (
        "_credit", "_due", "_expose", "_tally", "_turn", "awaited", "by_prior", "corrected", "posterior",
        "upkeep",
    )  # fmt: skip

    def __init__(
        self, priors: Iterable[float], tally: Tally, scale: float, awaited: Floats | None = None,
        *, corrected: bool = False,
    ) -> None:  # fmt: skip
        priors = sorted(set(priors))
        arms, columns = tally.b.shape
        self._tally = tally
        self.posterior = np.zeros((len(priors), arms, columns + 1, columns))
        self.upkeep = np.zeros((len(priors), arms, 6))
        self.upkeep[..., SCALE] = scale
        self._turn = 0
        self._due: list[int] = []
        self.awaited = np.zeros((arms, 0, 0)) if awaited is None else awaited
        self.corrected = corrected
        self.by_prior: dict[float, LinearModel] = {}
        for prior, posterior, upkeep in zip(priors, self.posterior, self.upkeep, strict=True):
            model = self.by_prior[prior] = LinearModel(posterior, upkeep)
            model.inverse[:] = np.eye(columns) / prior
            upkeep[:, PRIOR] = prior
            for arm in np.flatnonzero(tally.n):  # an arm never shown is at its prior already
                model.refresh(tally, int(arm), scale, self._awaited_of(int(arm)))
        self.upkeep[..., DRIFT] = 0.0  # the first factorisation replaces the prior: that is not drift
        arrays = tally.sums, tally.moments, self.posterior, self.upkeep
        self._expose, self._credit = bind(expose, *arrays, self.awaited), bind(credit, *arrays)

    def expose(self, arm: int, x: bytes, weight: float, scale: float, late: float = 0.0) -> None:
        """Count an exposure of `arm` to x in the tally and the models: see `kernels.linear.expose`."""
        self._turn = self._expose(arm, x, weight, scale, late, self.corrected, self._turn)
        if self._due:
            self._follow()

    def correct(self, *, corrected: bool) -> None:
        """Follow a change of `awaited`, over the next exposures."""
        if self.by_prior and (corrected or self.corrected):
            self._due = list(range(len(self.awaited)))
        self.corrected = corrected

    def _follow(self) -> None:
        """Factorise some arms that are due: few of them where that takes long."""
        for _ in range(max(1, _FOLLOW_OPERATIONS // self._tally.b.shape[1] ** 3)):
            if not self._due:
                return
            arm = self._due.pop()
            for model in self.by_prior.values():
                scale = float(model.upkeep[arm, SCALE])
                model.refresh(self._tally, arm, scale, self._awaited_of(arm))

    def _awaited_of(self, arm: int) -> Floats | None:
        return self.awaited[arm] if self.corrected else None

    def credit(self, arm: int, x: bytes, weight: float, reward: tuple[float, float]) -> None:
        """Move a decision's R from `reward[0]` to `reward[1]`, in the tally and the models."""
        self._credit(arm, x, weight, *reward)

    def rescale(self, factor: float) -> None:
        """Follow `tally.scale`: the tally shrank by `factor`, so the scale that multiplies it grows."""
        self.upkeep[..., SCALE] = np.minimum(self.upkeep[..., SCALE], _SCALE_MAX) / factor
        self.upkeep[..., FIT] *= factor
        self.upkeep[..., MISSING] *= factor
