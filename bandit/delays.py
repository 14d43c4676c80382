"""How long rewards take: the fraction of them that has arrived by an exposure's age, learned as they come.

For each event, reward credited by its delay after the decision, over the exposures that have reached that
age: the exposures at risk (Vernade et al. 2020, as survival analysis does). Divided by its sum over the
window that is the event's delay distribution, whatever its shape, and whatever the traffic did.

Ages that few exposures have reached, and few rewards, lean on a prior: exponential delays (Chapelle 2014),
their mean anything from half the window to a 4,096th of it, weighted by how well each explains what was seen.
A window is chosen to hold the rewards, so shorter means are likelier beforehand: what errs, errs towards
correcting too little. It is worth a few rewards. Before the first reward nothing is assumed or corrected.
"""

from array import array
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from bandit.limits import EVENTS_MAX
from bandit.recent import Recent
from bandit.tally import Floats

EDGES = np.concatenate([[0.0], 2.0 ** (np.arange(-24, 1) / 2)])
"""Ends of the bins of delay, in windows: half octaves from a 4,096th of it."""
DELAY_BINS = EDGES.size - 1

PRIOR_REWARDS = 5.0
"""What the exponential shape is worth: bins with more rewards than that follow what was seen."""

_CANCELLED = 1e-9
"""A sum that is this part of its terms is rounding."""
_FORGOTTEN = 1e-9
"""Rewards, or exposures, that weigh no more than this together say nothing, and less divides to nothing."""

_MEANS = 2.0 ** np.arange(-1, -13, -1)[:, None]
_SHAPES = np.maximum(np.exp(-EDGES[:-1] / _MEANS) - np.exp(-EDGES[1:] / _MEANS), 1e-9)
_SHAPES /= _SHAPES.sum(axis=1, keepdims=True)
_LOG_SHAPES, _LOG_MEANS = np.log(_SHAPES), np.log(_MEANS[:, 0])


@dataclass(frozen=True, slots=True)
class Curve:
    """F(age), the fraction of an exposure's reward that has arrived by that age, on average.

    `edges_us`, `arrived`, its integral `area` (DELAY_BINS + 1,): F is linear between, 1 from the window on.
    """

    edges_us: Floats
    arrived: Floats
    area: Floats

    @classmethod
    def of(cls, rates: Floats, window_us: int) -> "Curve":
        """Return the curve of reward per exposure by bin of delay (DELAY_BINS,), whose sum is above 0."""
        edges_us = EDGES * window_us
        arrived = np.clip(np.concatenate([[0.0], np.cumsum(rates) / rates.sum()]), 0.0, 1.0)
        arrived[-1] = 1.0
        area = np.concatenate([[0.0], np.cumsum(np.diff(edges_us) * (arrived[1:] + arrived[:-1]) / 2.0)])
        return cls(edges_us, arrived, area)

    def mean_to(self, age_us: int) -> float:
        """Return the mean of F over ages up to this one."""
        return float(self.mean(np.zeros(1), np.array([float(age_us)]))[0])

    def missing(self, recent: Recent, now_us: int) -> Floats:
        """Return Σ (1 - F(age)) over each arm's recent exposures (arms,)."""
        n, t = recent.rows[:2]
        return np.asarray((n * (1.0 - self.mean(*recent.ages_us(n, t, now_us)))).sum(axis=0))

    def mean(self, low_us: Floats, high_us: Floats) -> Floats:
        """Return the mean of F over ages spread evenly between these."""
        width = high_us - low_us
        spread = self._integral(high_us) - self._integral(low_us)
        at = np.interp((low_us + high_us) / 2.0, self.edges_us, self.arrived)
        mean = np.divide(spread, width, out=at, where=width > 1.0)
        return np.asarray(np.clip(mean, 0.0, 1.0))  # a difference of integrals may round to just above 1

    def _integral(self, age_us: Floats) -> Floats:
        k = np.searchsorted(self.edges_us, age_us, side="right") - 1
        at = np.interp(age_us, self.edges_us, self.arrived)
        return np.asarray(self.area[k] + (age_us - self.edges_us[k]) * (self.arrived[k] + at) / 2.0)


class Delays:
    """What is known of the delays of one placement's events, by their number in the ledger.

    `credits` (EVENTS_MAX, DELAY_BINS) is the reward by delay, `counts` (EVENTS_MAX,) how often some came, of
    decisions since `since_us`; `uncounted` is the tally's n that is of earlier ones (less what it has lost
    since, with arms that were removed). All are weighted as the tally is.
    """

    __slots__ = ("_ends_us", "_numbers", "counts", "credits", "since_us", "uncounted", "window_us")

    def __init__(self, window_us: int, since_us: int, uncounted: float) -> None:
        self.window_us = window_us
        self.since_us = since_us
        self.uncounted = uncounted
        self._ends_us = (EDGES[1:-1] * window_us).tolist()
        self._numbers = array("d", bytes(8 * EVENTS_MAX * (1 + DELAY_BINS)))  # faster than NumPy one by one
        numbers: Floats = np.frombuffer(self._numbers).reshape(EVENTS_MAX, 1 + DELAY_BINS)
        self.counts, self.credits = numbers[:, 0], numbers[:, 1:]

    def credit(self, event: int, delay_us: int, weight: float, time_us: int, change: float) -> None:
        """Count a change of R that came so long after its decision of `time_us`."""
        if time_us < self.since_us:
            return  # its exposure is not counted here
        at = event * (1 + DELAY_BINS)
        self._numbers[at] += weight
        self._numbers[at + 1 + bisect_right(self._ends_us, delay_us)] += weight * change

    def less(self, exposures: float) -> "Delays":
        """Return the same beside a tally that has so many exposures less, with arms that were removed."""
        result = Delays(self.window_us, self.since_us, self.uncounted - exposures)
        result.counts[:], result.credits[:] = self.counts, self.credits
        return result

    def scale(self, factor: float) -> None:
        """Multiply all sums, as the tally's are."""
        self.uncounted *= factor
        np.multiply(self.counts, factor, out=self.counts)
        np.multiply(self.credits, factor, out=self.credits)

    def at_risk(self, exposures: float, n: Floats, low_us: Floats, high_us: Floats) -> Floats:
        """Return how many exposures have reached each bin of delay (DELAY_BINS,), on average over the bin.

        Of `exposures` in the tally, `n` recent ones (bins,) have ages spread evenly between `low_us` and
        `high_us`; all others are older.
        """
        width = np.maximum(high_us - low_us, 1.0)
        into = np.clip(EDGES[:, None] * self.window_us - low_us, 0.0, None)
        beyond = np.clip(into - width, 0.0, None)
        younger = ((into**2 - beyond**2) / (2.0 * width)) @ n  # the integral of those younger than an age
        counted = exposures - self.uncounted
        return np.maximum(counted - np.diff(younger) / np.diff(EDGES * self.window_us), 0.0)

    def curve(self, at_risk: Floats, scale: float) -> Curve | None:
        """Return F of all events together, each weighing what it is worth, or None while nothing is known.

        `scale` makes today's exposures and rewards weigh 1. Nothing is known either where what arrives is
        worth nothing on the whole, or less.
        """
        rates = np.zeros(DELAY_BINS)
        risk = scale * at_risk
        for event in np.flatnonzero(self.counts):
            total, count = self.credits[event].sum(), self.counts[event]
            weight = scale * count
            known = min(weight, risk.sum()) > _FORGOTTEN
            if known and abs(total) > _CANCELLED * np.abs(self.credits[event]).sum():
                seen = np.maximum(self.credits[event] / total, 0.0) * weight
                rates += _rates(seen, risk) * (total / count)
        return Curve.of(rates, self.window_us) if rates.sum() > 0.0 else None


def _rates(seen: Floats, risk: Floats) -> Floats:
    """Return rewards per exposure by bin of delay, from those `seen` and the exposures at risk.

    With a prior on each bin's rate, Gamma(a s_j, a / v): s the shape, v the rate over all bins, a worth.
    """
    total, expected = seen.sum(), _SHAPES @ risk
    fit = _LOG_SHAPES @ seen - total * np.log(expected) - _LOG_MEANS  # Poisson, the level profiled out
    weight = np.exp(fit - fit.max())
    prior = (weight * total / expected / weight.sum()) @ _SHAPES
    level = prior.sum()
    rates: Floats = (seen + PRIOR_REWARDS * prior / level) / (risk + PRIOR_REWARDS / level)
    return rates
