"""Off-policy estimators against tables worked by hand, obp's definitions, and worlds of known value."""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bandit.estimators import (
    Estimate,
    Floats,
    Label,
    Scores,
    dm,
    dr,
    interval,
    ips,
    replay,
    snips,
    weights,
)

Z = NormalDist().inv_cdf(0.975)

# Four decisions among two arms, worked by hand:
#
#   a   R   μ(a)   π(0)  π(1)   q(0)  q(1)  |  w      w R   Σ π q                        w (R - q(a))
#   0   1   1/2    1/4   3/4    0.4   0.2   |  1/2    1/2   0.1 + 0.15 = 0.25            1/2 · 0.6   =  0.3
#   1   0   1/2    1/4   3/4    0.4   0.2   |  3/2    0     0.1 + 0.15 = 0.25            3/2 · -0.2  = -0.3
#   1   1   1/4    1/2   1/2    0.6   0.4   |  2      2     0.3 + 0.2  = 0.5             2 · 0.6     =  1.2
#   0   0   4/5    1     0      0.1   0.9   |  5/4    0     0.1                          5/4 · -0.1  = -0.125
#                                    sums   |  21/4   5/2   1.1                                         1.075
REWARD = np.array([1.0, 0.0, 1.0, 0.0])
PROPENSITY = np.array([1 / 2, 1 / 2, 1 / 4, 4 / 5])
CHOSEN = np.array([1 / 4, 3 / 4, 1 / 2, 1.0])
WEIGHT = CHOSEN / PROPENSITY
PREDICTED = np.array([0.4, 0.2, 0.4, 0.1])
EXPECTED = np.array([0.25, 0.25, 0.5, 0.1])

BY_HAND = {
    "ips": (ips(REWARD, WEIGHT), (5 / 2) / 4),
    "snips": (snips(REWARD, WEIGHT), (5 / 2) / (21 / 4)),
    "dm": (dm(EXPECTED), 1.1 / 4),
    "dr": (dr(REWARD, WEIGHT, PREDICTED, EXPECTED), (1.1 + 1.075) / 4),
    "replay": (replay(REWARD, np.array([True, True, False, False])), (1 + 0) / 2),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_are_those_of_the_table(name: str) -> None:
    """Each estimator gives what its formula gives by hand, to 1e-12; its influence is centred."""
    scores, value = BY_HAND[name]
    assert scores.value == pytest.approx(value, rel=0, abs=1e-12)
    assert scores.influence.sum() == pytest.approx(0.0, abs=1e-12)


def test_the_interval_of_the_table() -> None:
    """ips: the w R - 0.625 are -1/8, -5/8, 11/8, -5/8, their squares sum to 172/64, V = 4/3 · 172/64 / 16."""
    margin = Z * math.sqrt(4 / 3 * 172 / 64 / 16)
    assert interval(BY_HAND["ips"][0]) == pytest.approx((0.625, 0.625 - margin, 0.625 + margin), abs=1e-12)


def test_the_clustered_interval_of_the_table() -> None:
    """With clusters {0, 1}, {2, 3} the sums are -3/4 and 3/4: V = 2/1 · 2 · 9/16 / 16 = 9/64."""
    found = interval(BY_HAND["ips"][0], np.array([0, 0, 1, 1]))
    assert found == pytest.approx((0.625, 0.625 - Z * 3 / 8, 0.625 + Z * 3 / 8), abs=1e-12)


def test_the_floor_of_the_table() -> None:
    """Two heavy decisions without a reward: by hand V₀ is larger than V, and is taken.

    R = 1, 0, 0, 1 and w = 1/2, 3/2, 3/2, 1/2: R̄ = 1/2, Var R = 1/4, w̄ = 1, ips = 1/4. The influences are all
    ±1/4: Σ of squares 1/4, V = 4/3 · 1/4 / 16 = 1/48. V₀ = (Σ (w - w̄)² R̄² + Var R Σ w²) / 16
    = (1 · 1/4 + 1/4 · 5) / 16 = 3/32.
    """
    scores = ips(np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.5, 1.5, 1.5, 0.5]))
    margin = Z * math.sqrt(3 / 32)
    assert interval(scores) == pytest.approx((1 / 4, 1 / 4 - margin, 1 / 4 + margin), abs=1e-12)


def test_weights_of_the_table() -> None:
    """(21/4)² / (129/16) = 147/43 effective decisions; the heaviest holds 2 of 21/4; too few to be used."""
    found = weights(WEIGHT, 0.0)
    assert found.effective == pytest.approx(147 / 43, abs=1e-12)
    assert (found.largest, found.mean.value, found.label) == (2.0, 21 / 16, Label.UNUSABLE)
    assert found.top == pytest.approx(8 / 21, abs=1e-12)


class Feedback(NamedTuple):
    """Arrays as obp names them: a log of lists of three positions, one of which a round is about."""

    reward: Floats
    action: NDArray[np.int64]
    position: NDArray[np.int64]
    pscore: Floats
    action_dist: Floats
    """(n_rounds, n_actions, 3)"""
    estimated_rewards_by_reg_model: Floats
    """of the same shape"""


def _feedback(seed: int, rounds: int = 500, actions: int = 7) -> Feedback:
    rng = np.random.default_rng(seed)
    action, position = rng.integers(actions, size=rounds), rng.integers(3, size=rounds)
    action_dist = rng.dirichlet(np.ones(actions), (rounds, 3)).transpose(0, 2, 1)
    return Feedback(
        rng.exponential(size=rounds),
        action,
        position,
        rng.uniform(0.01, 1.0, rounds),
        action_dist,
        rng.normal(size=action_dist.shape),
    )


# The definitions of obp (Open Bandit Pipeline, obp/ope/estimators.py), from its formulae:
# V_IPW = E[w r], V_SNIPW = E[w r] / E[w], V_DM = E[q(x, π)], V_DR = E[q(x, π) + w (r - q(x, a))],
# V_RM = E[1{π(x) = a} r] / E[1{π(x) = a}], with w = π(a|x) / pscore at the round's position.


def _at(of: Floats, log: Feedback) -> Floats:
    values: Floats = of[np.arange(log.action.size), log.action, log.position]
    return values


def _over_actions(log: Feedback) -> Floats:
    rounds = np.arange(log.action.size)
    q, pi = (
        table[rounds, :, log.position] for table in (log.estimated_rewards_by_reg_model, log.action_dist)
    )
    average: Floats = np.average(q, weights=pi, axis=1)
    return average


def _obp_ipw(log: Feedback) -> float:
    return float((_at(log.action_dist, log) / log.pscore * log.reward).mean())


def _obp_snipw(log: Feedback) -> float:
    iw = _at(log.action_dist, log) / log.pscore
    return float((log.reward * iw / iw.mean()).mean())


def _obp_dm(log: Feedback) -> float:
    return float(_over_actions(log).mean())


def _obp_dr(log: Feedback) -> float:
    iw = _at(log.action_dist, log) / log.pscore
    residual = log.reward - _at(log.estimated_rewards_by_reg_model, log)
    return float((iw * residual + _over_actions(log)).mean())


def _expected(log: Feedback) -> Floats:
    rounds = np.arange(log.action.size)
    product = log.action_dist * log.estimated_rewards_by_reg_model
    summed: Floats = product[rounds, :, log.position].sum(axis=1)
    return summed


Ours = Callable[[Feedback, Floats], Scores]

PAIRS: dict[str, tuple[Callable[[Feedback], float], Ours]] = {
    "ipw": (_obp_ipw, lambda log, w: ips(log.reward, w)),
    "snipw": (_obp_snipw, lambda log, w: snips(log.reward, w)),
    "dm": (_obp_dm, lambda log, _: dm(_expected(log))),
    "dr": (
        _obp_dr,
        lambda log, w: dr(log.reward, w, _at(log.estimated_rewards_by_reg_model, log), _expected(log)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("seed", range(5))
def test_estimators_agree_with_obp(name: str, seed: int) -> None:
    """On the same arrays, to 1e-9, by obp's definitions."""
    log = _feedback(seed)
    theirs, ours = PAIRS[name]
    value = ours(log, _at(log.action_dist, log) / log.pscore).value
    assert value == pytest.approx(theirs(log), rel=1e-9, abs=1e-9)


def test_replay_agrees_with_obp() -> None:
    """E[1{π(x) = a} r] / E[1{π(x) = a}] for a policy that draws one arm for sure."""
    log = _feedback(9)
    match = np.random.default_rng(9).integers(7, size=log.action.size) == log.action
    theirs = float((match * log.reward / match.mean()).mean())
    assert replay(log.reward, match).value == pytest.approx(theirs, rel=1e-9)


class World(NamedTuple):
    """A log of `n` decisions among K arms in two contexts, and the value of the target that it judges."""

    reward: Floats
    weight: Floats
    predicted: Floats
    expected: Floats
    matched: NDArray[np.bool_]
    value: float


LOGGED = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
TARGET = np.array([[0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
RATE = np.array([[0.1, 0.2, 0.4], [0.3, 0.2, 0.1]])
MODEL = np.array([[0.2, 0.2, 0.2], [0.1, 0.4, 0.3]])
"""A reward model that is wrong nearly everywhere."""


def _world(rng: np.random.Generator, n: int, logged: Floats = LOGGED, rate: Floats = RATE) -> World:
    x = rng.integers(2, size=n)
    arm, drawn = ((rng.random((n, 1)) > pmf[x].cumsum(axis=1)).sum(axis=1) for pmf in (logged, TARGET))
    reward = (rng.random(n) < rate[x, arm]).astype(float)
    expected = (TARGET * MODEL).sum(axis=1)[x]
    value = float((TARGET * rate).sum(axis=1).mean())
    weight = TARGET[x, arm] / logged[x, arm]
    return World(reward, weight, MODEL[x, arm], expected, drawn == arm, value)


RUNS, ALPHA = 2000, 1e-3


@pytest.mark.parametrize("name", ["ips", "dr", "replay"])
def test_estimators_are_unbiased(name: str) -> None:
    """The mean of 2,000 runs is within chance of the value; at α = 0.001, over a fixed seed.

    dr with a wrong model, replay on a log that chose uniformly.
    """
    rng = np.random.default_rng(11)
    errors = []
    for _ in range(RUNS):
        world = _world(rng, 200, np.full((2, 3), 1 / 3) if name == "replay" else LOGGED)
        scores = {
            "ips": ips(world.reward, world.weight),
            "dr": dr(world.reward, world.weight, world.predicted, world.expected),
            "replay": replay(world.reward, world.matched),
        }[name]
        errors.append(scores.value - world.value)
    z = np.mean(errors) / (np.std(errors, ddof=1) / math.sqrt(RUNS))
    assert abs(z) < NormalDist().inv_cdf(1 - ALPHA / 2)


def test_dm_is_as_wrong_as_its_model() -> None:
    """Its interval does not hold the value, while that of dr on the same wrong model does."""
    world = _world(np.random.default_rng(12), 20_000)
    direct = interval(dm(world.expected))
    robust = interval(dr(world.reward, world.weight, world.predicted, world.expected))
    assert not _covers(direct, world.value)
    assert _covers(robust, world.value)


def _covers(found: Estimate, value: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= value <= found.high


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "uplift"])
def test_intervals_cover(name: str) -> None:
    """95 % intervals of 600 decisions hold the value in 95 % of 1,000 runs; at α = 0.001, 92.8 % at least.

    `uplift`: that of the target over the arm 0 for all, by dr.
    """
    rng = np.random.default_rng(13)
    covered = 0
    for _ in range(1000):
        world = _world(rng, 600)
        scores = {
            "ips": ips(world.reward, world.weight),
            "snips": snips(world.reward, world.weight),
            "dr": dr(world.reward, world.weight, world.predicted, world.expected),
        }
        value, found = world.value, scores.get(name)
        if found is None:
            ones = np.ones_like(world.reward)
            found = scores["dr"].minus(dr(world.reward, ones, world.predicted, world.predicted))
            value -= float((LOGGED * RATE).sum(axis=1).mean())
        covered += _covers(interval(found), value)
    assert covered / 1000 >= 0.95 - NormalDist().inv_cdf(1 - ALPHA) * math.sqrt(0.95 * 0.05 / 1000)


def test_rare_rewards_need_the_floor() -> None:
    """Where 0.5 % are rewarded and some weights are heavy, the variance of what came covers far too seldom.

    300 logs of 10,000 decisions among ten arms, uniform valued from uneven propensities; usable ones only.
    """
    rng = np.random.default_rng(14)
    runs = floored = bare = 0
    while runs < 300:
        logged = rng.dirichlet(np.full(10, 0.3))
        rate = 0.005 * rng.uniform(0.5, 1.5, 10)
        arm = rng.choice(10, 10_000, p=logged)
        reward = (rng.random(10_000) < rate[arm]).astype(float)
        weight = 0.1 / logged[arm]
        if weights(weight, 0.0).effective < 100 or not reward.any():
            continue
        runs += 1
        scores = ips(reward, weight)
        floored += _covers(interval(scores), float(rate.mean()))
        bare += _covers(interval(scores._replace(leverage=0 * weight, drift=0 * weight)), float(rate.mean()))
    assert bare / runs < 0.75
    assert floored / runs >= 0.95 - NormalDist().inv_cdf(1 - ALPHA) * math.sqrt(0.95 * 0.05 / runs)


def test_visitors_who_return_need_clusters() -> None:
    """Visitors who differ and come twenty times: intervals between clusters cover, those of decisions do not.

    300 runs of 100 visitors whose own rates are 0 or 0.6.
    """
    rng = np.random.default_rng(15)
    clustered = alone = 0
    visitor = np.repeat(np.arange(100), 20)
    for _ in range(300):
        likes = rng.choice([0.0, 0.6], 100)[visitor]
        reward = (rng.random(2000) < likes).astype(float)
        scores = ips(reward, np.where(rng.random(2000) < 0.5, 1.6, 0.4))
        clustered += _covers(interval(scores, visitor), 0.3)
        alone += _covers(interval(scores), 0.3)
    assert alone / 300 < 0.8
    assert clustered / 300 >= 0.95 - NormalDist().inv_cdf(1 - ALPHA) * math.sqrt(0.95 * 0.05 / 300)


def test_inflation_multiplies_the_variance() -> None:
    """By 9/4: intervals of half as much again; the difference of two has the larger of theirs."""
    scores = ips(REWARD, WEIGHT)
    found, plain = interval(scores._replace(inflation=2.25).minus(dm(0 * REWARD))), interval(scores)
    assert found.low is not None
    assert plain.low is not None
    assert scores.value - found.low == pytest.approx(1.5 * (scores.value - plain.low), rel=1e-12)


def test_a_difference_of_equals_is_zero() -> None:
    """A policy's uplift over itself is 0, and its interval knows it."""
    scores = ips(REWARD, WEIGHT)
    assert interval(scores.minus(scores)) == (0.0, 0.0, 0.0)


def test_what_has_no_value_says_so() -> None:
    """No match and no weight: no value. One cluster: no interval."""
    nothing = np.zeros(4, np.bool_)
    assert interval(replay(REWARD, nothing)) == (None, None, None)
    assert interval(snips(REWARD, np.zeros(4)).minus(snips(REWARD, WEIGHT))) == (None, None, None)
    assert interval(ips(REWARD, WEIGHT), np.zeros(4, np.int64)) == (0.625, None, None)
    assert weights(np.ones(1000), 0.0, np.zeros(1000, np.int64)).label is Label.UNUSABLE


@pytest.mark.parametrize(
    ("weight", "outside", "label"),
    [
        (np.ones(100), 0.0, Label.OK),
        (np.ones(99), 0.0, Label.UNUSABLE),
        (np.ones(1000), 0.0011, Label.NO_SUPPORT),
        (np.ones(99), 0.0011, Label.NO_SUPPORT),
        (np.tile([0.0, 1.0], 500), 0.0, Label.NO_SUPPORT),
        (np.tile([0.0, 2.0], 500), 0.0, Label.OK),
        (np.tile([1.0, 2.0], 500), 0.0, Label.UNUSABLE),
        (np.zeros(1000), 0.0, Label.UNUSABLE),
    ],
    ids=[
        "ones",
        "few",
        "unshown",
        "few-unshown",
        "half-elsewhere",
        "one-of-two",
        "wrong-propensities",
        "none",
    ],
)
def test_labels(weight: Floats, outside: float, label: Label) -> None:
    """Too few effective decisions, arms that are never shown, a mean weight that is surely not 1."""
    assert weights(weight, outside).label is label
