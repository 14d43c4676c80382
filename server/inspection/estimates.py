"""An arm's mean R with an interval, from the sums of a tally alone (docs/inspect.md, "The interval")."""

import math
from typing import NamedTuple

from server.replays.statistics import Z, wilson

EXPOSURES_MIN = 30.0
"""Exposures below which no interval is given: it would cover too seldom to be called one."""


class Estimate(NamedTuple):
    """The mean of R over an arm's exposures, and an interval that covers it in 95 of 100 cases.

    None: there is no exposure; for `low` and `high` also: too little is known to say.
    """

    mean: float | None
    low: float | None
    high: float | None


def estimate(n: float, r1: float, r2: float, maximum: float) -> Estimate:
    """Return the estimate from Σ 1, Σ R and Σ R², for R from 0 to `maximum` (inf: unbounded).

    Wilson's score interval for c times a proportion, with c and the proportion such that the two values 0 and
    c have the mean and the variance that were seen; where R is 0 or 1 that is Wilson's own.
    """
    if n <= 0.0:
        return Estimate(None, None, None)
    mean = r1 / n
    if n < EXPOSURES_MIN:
        return Estimate(mean, None, None)
    if r1 <= 0.0 or r2 <= 0.0:
        high = maximum * Z * Z / (n + Z * Z)
        return Estimate(mean, 0.0, high if math.isfinite(high) else None)
    c = r2 / r1
    low, high = wilson(min(r1 / c, n), n)
    return Estimate(mean, c * low, c * high)
