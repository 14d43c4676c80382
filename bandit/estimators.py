"""Off-policy estimators: what a target policy would earn, from decisions that another policy made.

n logged decisions i, of context x, arm a, reward R, propensity μ(a|x) > 0. A target policy π is given by its
weights w = π(a|x) / μ(a|x); a reward model q by `predicted` = q(x, a) and `expected` = Σ_b π(b|x) q(x, b).

    ips     mean of w R                        Horvitz & Thompson 1952; Dudík et al. 2011, eq. 2
    snips   Σ w R / Σ w                        Swaminathan & Joachims 2015, eq. 8
    dm      mean of expected                   Dudík et al. 2011, eq. 1 (direct method)
    dr      mean of expected + w (R - q)       Dudík et al. 2011, eq. 3 (doubly robust)
    replay  Σ m R / Σ m, m: π drew a as well   Li et al. 2011, algorithm 2, for logs with μ = 1 / K

Each returns `Scores`: the value and what each decision contributes to its error. Scores of two policies on
the same log subtract, so that the interval of an uplift is that of the difference, decision by decision.

All arrays are float64 (n,) unless said otherwise.
"""

import math
from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Clusters = NDArray[np.int64]

CONFIDENCE = 0.95

EFFECTIVE_MIN = 100.0
"""Effective sample size below which an estimate is not to be used: a normal interval of so few is a guess."""

OUTSIDE_MAX = 1e-3
"""Share of a target's probability that may lie where the log has nothing: the measurement's 0.999."""

WEIGHT_CONFIDENCE = 0.999
"""Of the interval of the mean weight. It is asked of every policy, and 1 in 20 would cry wolf."""

TOP_SHARE = 0.01
"""Of the decisions, the heaviest: what they hold of all weight says on how few an estimate rests."""


class Scores(NamedTuple):
    """An estimate, and its error to first order: estimate - truth ≈ the mean of `influence`.

    `influence` sums to 0. `leverage` is the derivative of n times the value by each R, `spread` the variance
    of R about what the estimator predicts, and `drift` the influence that is left where each R is as
    predicted: with them `interval` knows how far rewards might have moved the value that did not come.
    `inflation` is what the variance is multiplied by, where decisions depend on each other (see `crossfit`).
    """

    value: float
    influence: Floats
    leverage: Floats
    drift: Floats
    spread: float
    inflation: float = 1.0

    def minus(self, other: "Scores") -> "Scores":
        """Return the scores of the difference of two policies, by the same estimator on the same log."""
        return Scores(
            self.value - other.value,
            self.influence - other.influence,
            self.leverage - other.leverage,
            self.drift - other.drift,
            max(self.spread, other.spread),
            max(self.inflation, other.inflation),
        )


class Estimate(NamedTuple):
    """A value and its interval. None: it does not exist, as that of a mean over nothing."""

    value: float | None
    low: float | None
    high: float | None


class Label(StrEnum):
    """Why a policy's estimates are not to be used."""

    OK = ""
    UNUSABLE = "UNUSABLE"
    """They rest on too few decisions, or the propensities are not those of the log."""
    NO_SUPPORT = "NO_SUPPORT"
    """The target chooses what the log never shows: no number stands for that."""


class Weights(NamedTuple):
    """What a target's weights say of the estimates that are made with them.

    `mean` must be 1 but for chance. `effective` is (Σ w)² / Σ w² (Kish 1965), `largest` max w, `top` the
    share of Σ w in the heaviest hundredth of the decisions, `outside` the target's mean probability of arms
    that the log never shows.
    """

    mean: Estimate
    effective: float
    largest: float
    top: float
    outside: float
    label: Label


def ips(reward: Floats, weight: Floats) -> Scores:
    """Return the mean of w R. Unbiased wherever μ > 0 where π > 0."""
    earned = weight * reward
    value = float(earned.mean())
    drift = (weight - weight.mean()) * reward.mean()
    return Scores(value, earned - value, weight, drift, float(reward.var()))


def snips(reward: Floats, weight: Floats) -> Scores:
    """Return Σ w R / Σ w, a weighted mean: consistent, never outside the rewards. NaN where Σ w = 0."""
    total = float(weight.sum())
    if total == 0.0:
        nothing = np.full_like(reward, math.nan)
        return Scores(math.nan, nothing, nothing, nothing, math.nan)
    value = float((weight * reward).sum()) / total
    share = weight * (weight.size / total)
    return Scores(value, share * (reward - value), share, np.zeros_like(share), float(reward.var()))


def dm(expected: Floats) -> Scores:
    """Return the mean of Σ_b π(b|x) q(x, b). Its interval knows nothing of the error of q itself."""
    value, zeros = float(expected.mean()), np.zeros_like(expected)
    return Scores(value, expected - value, zeros, zeros, 0.0)


def dr(reward: Floats, weight: Floats, predicted: Floats, expected: Floats) -> Scores:
    """Return the mean of Σ_b π(b|x) q(x, b) + w (R - q(x, a)).

    Unbiased by the propensities whatever q is, as long as q was not learned from the decision it is used on
    (cross-fitting: Chernozhukov et al. 2018, definition 3.2); the better q, the narrower.
    """
    residual = reward - predicted
    score = expected + weight * residual
    value = float(score.mean())
    return Scores(value, score - value, weight, np.zeros_like(score), float((residual**2).mean()))


def replay(reward: Floats, matched: NDArray[np.bool_]) -> Scores:
    """Return the mean reward of the decisions where a draw from π gave the logged arm; their number counts.

    Only for logs that chose uniformly: elsewhere decisions match that the log liked. NaN without a match.
    """
    return snips(reward, matched.astype(np.float64))


def interval(scores: Scores, cluster: Clusters | None = None, confidence: float = CONFIDENCE) -> Estimate:
    """Return the asymptotic normal interval of scores.

    `cluster` int64 (n,), from 0 up: decisions of a cluster may depend on each other. The variance is that
    between clusters, V = G / (G - 1) Σ_k (Σ_{i∈k} influence)² / n² (Liang & Zeger 1986), and without clusters
    each decision is one. It is at least V₀ = (Σ_k (Σ_{i∈k} drift)² + spread Σ leverage²) / n², what it would
    be if every decision's reward had the same mean and variance: where rewards are rare, the heavy decisions
    have none yet and V is far too small (docs/evaluate.md).
    """
    n = scores.influence.size
    member = np.arange(n) if cluster is None else cluster
    between, drift = np.bincount(member, scores.influence), np.bincount(member, scores.drift)
    groups = n if cluster is None else np.unique(cluster).size
    if not math.isfinite(scores.value):
        return Estimate(None, None, None)
    if groups < 2:  # noqa: PLR2004 - a variance needs two
        return Estimate(scores.value, None, None)
    variance = groups / (groups - 1) * float((between**2).sum())
    floor = float((drift**2).sum()) + scores.spread * float((scores.leverage**2).sum())
    error = math.sqrt(scores.inflation * max(variance, floor)) / n
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Estimate(scores.value, scores.value - margin, scores.value + margin)


def weights(
    weight: Floats, outside: float, cluster: Clusters | None = None, inflation: float = 1.0
) -> Weights:
    """Return what w says, and the label. `outside`: mean probability of π on arms that the log never shows.

    The mean of w estimates π's probability where μ > 0, so one that is surely below 1 says that π chooses
    where the log could not, in some contexts; above 1, that the propensities are not the log's.
    """
    total, squares = float(weight.sum()), float((weight**2).sum())
    zeros = np.zeros_like(weight)
    mean = float(weight.mean())
    estimate = interval(Scores(mean, weight - mean, zeros, zeros, 0.0, inflation), cluster, WEIGHT_CONFIDENCE)
    effective = total**2 / squares if squares else 0.0
    heaviest = np.sort(weight)[-math.ceil(TOP_SHARE * weight.size) :]
    top = float(heaviest.sum()) / total if total else 0.0
    label = _label(effective, outside, estimate)
    return Weights(estimate, effective, float(weight.max()), top, outside, label)


def _label(effective: float, outside: float, mean: Estimate) -> Label:
    if outside > OUTSIDE_MAX:
        return Label.NO_SUPPORT
    if effective < EFFECTIVE_MIN or mean.low is None or mean.high is None:
        return Label.UNUSABLE
    if mean.high < 1.0 - OUTSIDE_MAX:
        return Label.NO_SUPPORT
    return Label.UNUSABLE if mean.low > 1.0 + OUTSIDE_MAX else Label.OK
