"""What has not arrived yet: corrects estimates for exposures whose reward is still on its way.

An exposure counts at once, its reward only when it comes: until then every estimate is too low, most of all
that of a new arm, whose exposures are all recent. So beside the tally of all exposures one of the recent ones
is kept, and an arm's n is taken as n - Σ over its recent exposures of (1 - F(age)), the reward that is still
expected of them; likewise A. F, the fraction that has arrived by an age, is learned as well (`delays`).

Time moves in steps: an exposure counts as F of the next step's ages says, and at each step all are looked at
again. So a step is a function of the records, and replay takes the same ones.
"""

import numpy as np

from bandit.config import Placement
from bandit.delays import Curve, Delays
from bandit.policies.linear import priors
from bandit.recent import Recent
from bandit.strata import Strata
from bandit.tally import Floats, Tally

STEPS = 256
"""Steps a window."""
STEP_US_MIN = 30_000_000
"""A step factorises every arm's model anew: with a thousand placements, no more than 3 % of the time."""


class Arrivals:
    """What is still expected of one placement's recent exposures, and how fast rewards arrive there.

    `others` are the recent exposures of no stratum; those of strata are in these. `moments` (arms, columns,
    columns) is the part of the tally's A whose reward has not arrived, Σ (1 - F) x xᵀ, as of the last step;
    without columns where no policy has a linear model. `fresh` is the part of a new exposure's reward that
    arrives within a step, None while no delay is known; `late` follows from it: what an exposure adds to
    `moments` for each x xᵀ. From `due_us` on a step is due.
    """

    __slots__ = ("delays", "due_us", "fresh", "late", "moments", "others", "step_us")

    def __init__(self, arms: int, columns: int, delays: Delays) -> None:
        self.others = Recent(arms, delays.window_us)
        self.delays = delays
        self.moments: Floats = np.zeros((arms, columns, columns))
        self.take(None)
        self.step_us = max(delays.window_us // STEPS, STEP_US_MIN)
        self.due_us = 0

    @classmethod
    def of(cls, config: Placement, tally: Tally, now_us: int) -> "Arrivals | None":
        """Return what begins beside a tally at `now_us`; None where rewards are not waited for."""
        if not config.reward.delayed:
            return None
        arms, columns = tally.b.shape
        delays = Delays(config.reward.window_us, now_us, float(tally.n.sum()))
        return cls(arms, columns if priors(config) else 0, delays)

    @property
    def known(self) -> bool:
        """Whether anything is corrected."""
        return self.fresh is not None

    def take(self, fresh: float | None) -> None:
        """Set `fresh`, and what follows from it."""
        self.fresh = fresh
        self.late = 1.0 - (fresh or 0.0) if self.moments.shape[1] else 0.0

    def step(self, now_us: int, tally: Tally, strata: Strata, maximum: float, scale: float) -> None:
        """Look at all recent exposures again, as of `now_us`. Of a new one F is that within the next step."""
        self.due_us = (now_us // self.step_us + 1) * self.step_us
        curve = self._learn(now_us, tally, strata, scale)
        self.take(None if curve is None else curve.mean_to(self.step_us))
        expected = self._look(now_us, strata, curve)
        if curve is None or not self.moments.shape[1]:
            return
        self._rescale(np.minimum(expected, np.maximum(tally.n - tally.r1 / maximum, 0.0)), tally.A)

    def _rescale(self, expected: Floats, whole: Floats) -> None:
        """Make `moments` those of so many exposures (arms,): by less of them, or by more of the tally's rest.

        A part of the rest is taken for them alike, so that what is left of `whole`, the tally's A, is never
        less than positive semi-definite.
        """
        held = self.moments[:, 0, 0].copy()  # the first column is always 1
        rest = whole[:, 0, 0] - held
        grows = (expected > held) & (rest > 0.0)
        left = np.divide(expected, held, out=np.ones_like(held), where=held > expected)
        more = np.divide(expected - held, rest, out=np.zeros_like(held), where=grows)
        more = np.clip(more, 0.0, 1.0)
        self.moments *= np.where(grows, 1.0 - more, left)[:, None, None]
        for arm in np.flatnonzero(more):
            self.moments[arm] += more[arm] * whole[arm]

    def derive(self, now_us: int, tally: Tally, strata: Strata, scale: float) -> None:
        """Derive what strata are to know, as of `now_us`, after a restart."""
        if self.known:
            self._look(now_us, strata, self._learn(now_us, tally, strata, scale))

    def _learn(self, now_us: int, tally: Tally, strata: Strata, scale: float) -> Curve | None:
        """Return F, from what is known now."""
        rings = [self.others, *(stratum.recent for stratum in strata if stratum.recent is not None)]
        held = [ring.rows[:2].sum(axis=2, keepdims=True) for ring in rings]
        ages = [ring.ages_us(n, t, now_us) for ring, (n, t) in zip(rings, held, strict=True)]
        low_us, high_us = np.concatenate(ages, axis=1)[:, :, 0]
        recent = np.concatenate([n for n, _ in held])[:, 0]
        at_risk = self.delays.at_risk(float(tally.n.sum()), recent, low_us, high_us)
        return self.delays.curve(at_risk, scale)

    def _look(self, now_us: int, strata: Strata, curve: Curve | None) -> Floats:
        """Tell the strata what is missing in each (arms,); return that of all exposures."""
        if curve is None:
            for stratum in strata:
                stratum.look(np.zeros(self.others.arms), 0.0)
            return np.zeros(self.others.arms)
        total = curve.missing(self.others, now_us)
        for stratum in strata:
            if stratum.recent is not None:
                missing = curve.missing(stratum.recent, now_us)
                stratum.look(missing, 1.0 - curve.mean_to(self.step_us))
                total += missing
        return total

    def scale(self, factor: float) -> None:
        """Multiply all sums, as the tally's are."""
        self.others.scale(factor)
        self.delays.scale(factor)
        np.multiply(self.moments, factor, out=self.moments)

    def rearranged(
        self, arms: list[int], columns: list[int], before: Strata, after: Strata, lost: float
    ) -> "Arrivals":
        """Return what remains of this: arm i is its `arms[i]`, column j its `columns[j]`; -1: empty.

        What was recent in strata `before` and is not in those `after` is among the others. `lost` exposures
        were of arms that were removed.
        """
        result = Arrivals(len(arms), len(columns), self.delays.less(lost))
        result.take(self.fresh)
        result.due_us = self.due_us
        result.others = self.others.rearranged(arms)
        for stratum in before:
            if stratum.recent is not None:
                result.others.add(stratum.recent.rearranged(arms))
        for stratum in after:
            if stratum.recent is not None:
                result.others.remove(stratum.recent)
        if self.moments.shape[1]:
            held = np.pad(self.moments, ((0, 1), (0, 1), (0, 1)))  # -1 is the empty last one
            result.moments = np.ascontiguousarray(held[np.ix_(arms, columns, columns)])
        return result
