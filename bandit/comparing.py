"""Comparing arms without looking at x, by a log that chose them by looking: weights, and where it cannot be.

An arm that a log showed to those who buy anyway looks better than it is. Where the propensity p(a|x) of what
was shown is known, Σ w R / Σ w with w = 1 / p is the mean of the arm over the whole audience (Hájek 1971). It
is as good as (Σ w)² / Σ w² decisions (Kish 1965), so that many is what an arm's decisions count in all: where
p is the same in all of them, each counts 1.

A linear model needs no weights: it says what an arm earns in context x, however often x was shown the arm.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.estimators import Scores, interval
from bandit.features import entries
from bandit.logged import Audience, Log
from bandit.tally import Floats

FALSE_ALARMS = 1e-3
"""In how many logs in order anything at all is found that is not."""

MEAN_TOLERANCE = 0.02
"""By how much the mean of 1 / p may miss 1: propensities are written with few digits."""

DEPENDENCE_MIN = 0.1
"""Standard deviations by which a column's mean among an arm's decisions differs before it matters."""

EXPECTED_MIN = 25.0
"""Decisions of an arm that set a column, if all arms were alike, before its mean is near enough to normal."""


class Unfit(NamedTuple):
    """An arm that cannot be compared in an audience: the mean of 1 / p where it was shown, else 0, is not 1.

    Surely below 1: there are contexts in which it could not be shown. Surely above: p is not the log's.
    """

    audience: Audience
    arm: int
    mean: float


class Compared(NamedTuple):
    """An arm in an audience: its decisions, how many they are worth, what it earns from that audience."""

    audience: Audience
    arm: int
    rows: int
    effective: float
    """0: nothing is learned about it there"""
    mean: float | None


class Dependence(NamedTuple):
    """A column whose mean among the decisions that an arm got is not that among all."""

    arm: int
    column: int
    among: float
    mean: float


def inverse_weights(propensity: Floats) -> Floats:
    """Return what decisions of one arm and audience count (n ≥ 1,): ∝ 1 / p, Σ = (Σ 1/p)² / Σ 1/p².

    Exactly 1 where all propensities are equal.
    """
    weight = propensity.min() / propensity
    return np.asarray(weight * (weight.sum() / (weight**2).sum()))


def weighed(log: Log) -> tuple[Log, list[Unfit]]:
    """Return a log whose decisions weigh so that arms can be compared, and where they cannot: 0 there."""
    comparable, unfit = np.zeros(log.arm.size), []
    audiences = log.audiences
    alpha = FALSE_ALARMS / sum(mask.bit_count() for mask, _ in audiences)
    for audience in audiences:
        rows = log.of(audience)
        for arm in _arms(audience):
            own = log.arm[rows] == arm
            if not own.any():
                continue
            inverse = np.where(own, 1.0 / log.propensity[rows], 0.0)
            if _is_one(inverse, log.cluster if log.cluster is None else log.cluster[rows], alpha):
                comparable[rows[own]] = inverse_weights(log.propensity[rows[own]])
            else:
                unfit.append(Unfit(audience, arm, float(inverse.mean())))
    return replace(log, comparable=comparable), unfit


def compared(log: Log, audiences: Iterable[Audience]) -> list[Compared]:
    """Return each arm of each of these audiences."""
    found = []
    for audience in audiences:
        rows = log.of(audience)
        for arm in _arms(audience):
            own = rows[log.arm[rows] == arm]
            weight = log.comparable[own]
            total = float(weight.sum())
            effective = total**2 / float((weight**2).sum()) if total else 0.0
            mean = float((weight * log.reward[own]).sum()) / total if total else None
            found.append(Compared(audience, arm, own.size, effective, mean))
    return found


def dependences(log: Log, columns: int) -> list[Dependence]:
    """Return the columns of x, of so many, by which the log chose its arms, the worst of each audience first.

    Under randomisation the mean of a column among an arm's n of N decisions varies by s² (1/n - 1/N), s² that
    column's variance among all (Cochran 1977, theorem 2.2).
    """
    found = []
    for audience in log.audiences:
        worst = _worst(log, log.of(audience), columns)
        if worst is not None:
            found.append(worst)
    return found


def _worst(log: Log, rows: NDArray[np.int64], columns: int) -> Dependence | None:
    """Return the column and arm that are furthest apart, in standard errors, if that is no chance."""
    arms = np.unique(log.arm[rows], return_inverse=True)
    number, code = arms[0].size, arms[1]
    cells = [entries(log.x[i]) for i in rows.tolist()]
    sizes = [index.size for index, _ in cells]
    index = np.concatenate([index for index, _ in cells]).astype(np.int64)
    value = np.concatenate([value for _, value in cells]).astype(np.float64)
    at = np.repeat(code, sizes) * columns + index
    sums = np.bincount(at, value, number * columns).reshape(number, columns)
    total, squares = sums.sum(axis=0), np.bincount(index, value**2, columns)
    n, all_of = np.bincount(code)[:, None], rows.size
    mean = total / all_of
    spread = np.sqrt(np.maximum(squares / all_of - mean**2, 0.0))
    apart = np.abs(sums / n - mean)
    set_of = np.bincount(index, minlength=columns) / all_of
    looked_at = (n * np.minimum(set_of, np.maximum(1.0 - mean, 0.0)) >= EXPECTED_MIN) & (spread > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(looked_at, apart / (spread * np.sqrt(1.0 / n - 1.0 / all_of)), 0.0)
    z[~(apart > DEPENDENCE_MIN * spread)] = 0.0
    arm, column = np.unravel_index(int(z.argmax()), z.shape)
    surely = NormalDist().inv_cdf(1.0 - FALSE_ALARMS / (2 * max(1, int(looked_at.sum()))))
    if z[arm, column] <= surely:
        return None
    among = float(sums[arm, column] / n[arm, 0])
    return Dependence(int(arms[0][arm]), int(column), among, float(mean[column]))


def _arms(audience: Audience) -> list[int]:
    mask = audience[0]
    return [arm for arm in range(mask.bit_length()) if mask >> arm & 1]


def _is_one(inverse: Floats, cluster: NDArray[np.int64] | None, alpha: float) -> bool:
    """Whether the mean of weights in [0, M] may be 1: it is further off with a probability below `alpha`.

    By Chernoff's bound, exp(-(n / M) (m ln m - m + 1)) for a mean of m, since a normal interval is wrong
    where few decisions weigh much; and where visitors return by the interval between clusters as well.
    """
    mean = float(inverse.mean())
    bound = inverse.size / float(inverse.max()) * (mean * math.log(mean) - mean + 1.0)
    if abs(mean - 1.0) <= MEAN_TOLERANCE or bound <= math.log(2.0 / alpha):
        return True
    if cluster is None:
        return False
    zeros = np.zeros_like(inverse)
    estimate = interval(Scores(mean, inverse - mean, zeros, zeros, 0.0), cluster, 1.0 - alpha)
    return estimate.low is None or estimate.high is None or estimate.low <= 1.0 <= estimate.high
