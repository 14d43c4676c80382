"""Policies: every one gives a pmf over the eligible arms; who is likely, and what degrades."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandit.kernels.decide import sample
from bandit.placement import PlacementState
from bandit.strata import Stratum
from tests.core.world import DAY, NOW, Scores, World, placement_state, simple, sparse

Floats = NDArray[np.float64]
X = sparse(np.ones(1))
KINDS = ("static", "even", "best", "linear", "ucb")
POLICIES: dict[str, dict[str, Any]] = {
    "even": {"kind": "uniform"},
    "best": {"kind": "thompson", "explore": 0.1},
    "linear": {"kind": "linear_thompson", "explore": 0.1},
    "ucb": {"kind": "linucb", "explore": 0.1},
}


def opened(state: PlacementState, mask: int) -> Stratum:
    """Open a stratum."""
    stratum = Stratum(state.config, state.strata.next_index, mask, in_scope=True)
    state.strata.open(stratum)
    return stratum


def pmfs(state: PlacementState, stratum: Stratum, now_us: int = NOW + DAY) -> dict[str, Floats]:
    """Return every policy's pmf by name."""
    state.draw(stratum, X, 0, 1.0, 0.5, now_us)
    return {policy.name: stratum.pmfs[j].copy() for j, policy in enumerate(state.config.policies)}


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.sampled_from([0.0, 1e-9, 0.5, 3.0, 1e9]), min_size=5, max_size=5),
    mask=st.integers(1, 31),
    rewards=st.lists(st.tuples(st.integers(0, 4), st.floats(-1e6, 1e6)), max_size=30),
    maximum=st.sampled_from([None, 1.0, 1e6]),
    explore=st.sampled_from([0.0, 0.01, 1.0]),
)
def test_every_pmf_is_one(
    weights: list[float],
    mask: int,
    rewards: list[tuple[int, float]],
    maximum: float | None,
    explore: float,
) -> None:
    """Non-negative, 0 on ineligible arms, sum 1 to 1e-9, whatever was learned; at least ε / E if learned."""
    arms = {f"arm{i}": {"weight": weight} for i, weight in enumerate(weights)}
    policies = {name: dict(policy) for name, policy in POLICIES.items()}
    for name in ("best", "linear", "ucb"):
        policies[name]["explore"] = explore
    reward = {"values": {"click": 1}} | ({"max": maximum} if maximum else {})
    state = placement_state(simple(arms=arms, policies=policies, reward=reward))
    everyone, some = opened(state, 31), opened(state, mask) if mask < 31 else None
    for arm, value in rewards:
        for stratum in (everyone, some):
            if stratum is not None and stratum.mask >> arm & 1:
                state.expose(arm, stratum, X, NOW)
                state.credit(arm, stratum, X, NOW, (0.0, min(max(value, 0.0), maximum or math.inf)))
    for stratum in (everyone, some or everyone):
        eligible = np.array([stratum.mask >> k & 1 for k in range(5)], bool)
        for name, pmf in pmfs(state, stratum).items():
            assert (pmf >= 0.0).all()
            assert not pmf[~eligible].any()
            assert pmf.sum() == pytest.approx(1.0, abs=1e-9)
            if name in ("best", "linear", "ucb"):
                assert pmf[eligible].min() >= explore / eligible.sum() * (1 - 1e-12)
    assert state.counters.degraded.sum() == 0


def test_static_is_the_weights_and_uniform_if_they_are_zero() -> None:
    """Weights 1 : 0 : 3 as 0.25, 0, 0.75; among arms of weight 0 alone, each alike."""
    state = placement_state(
        simple(arms={"a": {"weight": 1}, "b": {"weight": 0}, "c": {"weight": 3}, "d": {"weight": 0}})
    )
    assert pmfs(state, opened(state, 0b0111))["static"].tolist() == [0.25, 0.0, 0.75, 0.0]
    assert pmfs(state, opened(state, 0b1010))["static"].tolist() == [0.0, 0.5, 0.0, 0.5]


def test_before_any_reward() -> None:
    """Thompson of unshown arms and linear_thompson are uniform; linucb takes the least shown arm."""
    state = placement_state(simple("a", "b", "c", policies=POLICIES))
    stratum = opened(state, 0b111)
    first = pmfs(state, stratum)
    assert np.allclose([first["best"], first["linear"]], 1 / 3)
    assert first["ucb"] == pytest.approx([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])
    for arm in (0, 0, 1, 2):
        state.expose(arm, stratum, X, NOW)
    second = pmfs(state, stratum)
    assert np.allclose(second["linear"], 1 / 3)
    assert int(np.argmax(second["ucb"])) == 1


def test_linucb_by_hand() -> None:
    """Score r1 / (n + λ) + α σ / √(n + λ) with σ² pooled; α = 0 takes the best mean, a large α the other."""
    for alpha, best in ((0.0, 0), (10.0, 1)):
        policies = {"m": {"kind": "linucb", "alpha": alpha, "explore": 0.0}}
        state = placement_state(simple("a", "b", policies=policies))
        stratum = opened(state, 0b11)
        for arm, rewards in ((0, [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]), (1, [0.0, 1.0])):
            for reward in rewards:
                state.expose(arm, stratum, X, NOW)
                state.credit(arm, stratum, X, NOW, (0.0, reward))
        assert pmfs(state, stratum)["m"].tolist() == [1.0 - best, float(best)]
        (model,) = state.models.by_prior.values()
        means = np.array([4 / 7, 1 / 3])
        squares = sum(
            ((np.array(r) - m) ** 2).sum() + m * m
            for r, m in zip(([1, 0, 1, 1, 0, 1], [0, 1]), means, strict=True)
        )
        scores = Scores(model, state.tally, X)
        assert np.allclose(scores.mean, means)
        assert np.allclose(scores.width, [1 / math.sqrt(7), 1 / math.sqrt(3)])
        guess = 5 / 8  # the mean squared reward, worth as many observations as there are columns: one
        assert scores.sigma == pytest.approx(math.sqrt((squares + guess) / (8 + 1)))


def test_two_arms_of_linear_thompson_are_a_normal_tail() -> None:
    """P(a beats b) = Φ(Δ / √(σ₁² + σ₂²)) of the posteriors at half width, to 1e-5, mixed with explore."""
    state = placement_state(simple("a", "b", policies=POLICIES))
    stratum = opened(state, 0b11)
    rng = np.random.default_rng(1)
    for i in range(400):
        state.expose(i % 2, stratum, X, NOW)
        state.credit(i % 2, stratum, X, NOW, (0.0, float(rng.normal(1.0 + 0.1 * (i % 2)))))
    pmf = pmfs(state, stratum)["linear"]
    (model,) = state.models.by_prior.values()
    scores = Scores(model, state.tally, X)
    z = (scores.mean[0] - scores.mean[1]) / (0.5 * scores.sigma * math.hypot(*scores.width))
    expected = 0.5 * math.erfc(-z / math.sqrt(2.0))
    assert pmf[0] == pytest.approx(0.9 * expected + 0.05, abs=1e-5)


@pytest.mark.parametrize("maximum", [2.0, None])
def test_thompson_by_monte_carlo(maximum: float | None) -> None:
    """Beta and Normal pmfs agree with 10⁶ draws of the posteriors within 5 standard errors."""
    reward = {"values": {"click": 1}} | ({"max": maximum} if maximum else {})
    state = placement_state(
        simple("a", "b", "c", policies={"t": {"kind": "thompson", "explore": 0}}, reward=reward)
    )
    stratum = opened(state, 0b111)
    rng = np.random.default_rng(2)
    for i in range(90):
        state.expose(i % 3, stratum, X, NOW)
        if rng.random() < 0.2 + 0.05 * (i % 3):
            state.credit(i % 3, stratum, X, NOW, (0.0, 2.0))
    n, r1, r2 = stratum.tally.n, stratum.tally.r1, stratum.tally.r2
    if maximum:
        draws = rng.beta(1 + r1 / 2, 1 + n - r1 / 2, (10**6, 3))
    else:
        centre = r1.sum() / n.sum()
        mean = (centre + r1) / (1 + n)
        squares = (r2 - 2 * mean * r1 + n * mean**2 + (mean - centre) ** 2).sum()
        draws = rng.normal(mean, np.sqrt(squares / n.sum() / (1 + n)), (10**6, 3))
    expected = np.bincount(draws.argmax(axis=1), minlength=3) / 10**6
    error = 5 * np.sqrt(expected * (1 - expected) / 10**6) + 1e-5
    assert (np.abs(pmfs(state, stratum)["t"] - expected) < error).all()


@pytest.mark.parametrize("maximum", [1.0, None])
@pytest.mark.parametrize("array", ["n", "r1"])
def test_a_posterior_that_cannot_be_used_degrades_to_static(array: str, maximum: float | None) -> None:
    """NaN in the stratum's tally: thompson answers as static, with a true propensity, counted."""
    reward = {"values": {"click": 1}} | ({"max": maximum} if maximum else {})
    document = simple(
        arms={"a": {"weight": 1}, "b": {"weight": 4}},
        policies={"t": {"kind": "thompson"}},
        ramp={"policies": {"t": 1.0}, "from": 1.0},
        reward=reward,
    )
    world = World(p=document)
    world.reward(world.choose())
    (stratum,) = world.state().strata
    getattr(stratum.tally, array)[0] = math.nan
    world.now += DAY
    for _ in range(3):
        choice = world.choose()
        assert choice.propensity == {"a": 0.2, "b": 0.8}[choice.arm]
    assert world.state().counters.degraded.tolist() == [0, 3]


def test_sampling_inverts_the_cdf() -> None:
    """Arms in order, intervals half open; probability 0 is never drawn, rounding never runs past the end."""
    pmf = np.array([0.0, 0.25, 0.0, 0.75, 0.0])
    assert sample(pmf, 0.0) == (1, 0.0, 0.25)
    assert sample(pmf, 0.25 - 2**-54) == (1, 0.0, 0.25)
    assert sample(pmf, 0.25) == (3, 0.25, 1.0)
    assert sample(pmf, 1.0 - 2**-53) == (3, 0.25, 1.0)
    assert sample(np.array([0.3, 0.3, 0.0]), 0.9)[0] == 1


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12), st.floats(0.0, 1.0, exclude_max=True))
def test_the_interval_holds_the_draw(parts: list[float], u: float) -> None:
    """Low ≤ u < high wherever the pmf's sum exceeds u, and high - low is the arm's probability."""
    pmf = np.array(parts)
    if pmf.sum() == 0.0:
        return
    pmf /= pmf.sum()
    arm, low, high = sample(pmf, u)
    assert pmf[arm] > 0.0
    assert high - low == pytest.approx(pmf[arm], abs=1e-15)
    assert low <= u
    assert u < high or high == pytest.approx(1.0, abs=1e-12)
