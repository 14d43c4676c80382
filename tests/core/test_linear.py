"""Ridge regression per arm: kernels and model against numpy.linalg, over thousands of updates."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bandit.features import entries
from bandit.kernels.decide import score
from bandit.kernels.linear import (
    FIT,
    REFACTOR_EVERY,
    SCALE_TICK,
    UPDATES,
    rank_one,
    refactor,
    shift_mean,
)
from bandit.model import LinearModel, LinearModels
from bandit.strata import Stratum
from bandit.tally import Tally
from tests.core.world import DAY, HOUR, NOW, Scores, World, placement_state, simple, sparse

Floats = NDArray[np.float64]


def contexts(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    """Return random sparse contexts, exact in float32, with a bias."""
    x = rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.4)
    x[:, 0] = 1.0
    return x.astype(np.float32).astype(np.float64)


def ridge(x: Floats, r: Floats, prior: float, at: Floats) -> tuple[Floats, Floats, float]:
    """Return θ, the widths at `at` and Σ(r - xθ)² + λ|θ|² of a ridge regression, by numpy.linalg.solve."""
    precision = x.T @ x + prior * np.eye(x.shape[1])
    theta = np.linalg.solve(precision, x.T @ r)
    width = np.sqrt(np.einsum("ij,ij->i", at, np.linalg.solve(precision, at.T).T))
    return theta.astype(np.float64), width, float(((r - x @ theta) ** 2).sum() + prior * theta @ theta)


def test_a_rank_one_update_by_hand() -> None:
    """I + x xᵀ with x = (1, 1): the inverse is I - x xᵀ / 3, and θ goes from (1, 0) to (2, -1) / 3."""
    inverse, theta, b = np.eye(2), np.array([1.0, 0.0]), np.array([1.0, 0.0])
    fit = rank_one(inverse, theta, b, *entries(sparse(np.ones(2))), 1.0)
    assert np.allclose(inverse, np.array([[2.0, -1.0], [-1.0, 2.0]]) / 3.0, atol=1e-15)
    assert np.allclose(theta, [2.0 / 3.0, -1.0 / 3.0], atol=1e-15)
    assert fit == pytest.approx(2.0 / 3.0)


def test_a_shift_by_hand() -> None:
    """θ moves by change · inverse x: half of (2, 1) times x = (1, 0)."""
    inverse, theta = np.array([[2.0, 1.0], [1.0, 1.0]]), np.zeros(2)
    fit = shift_mean(inverse, theta, np.array([0.5, 0.0]), *entries(sparse(np.array([1.0, 0.0]))), 0.5)
    assert theta.tolist() == [1.0, 0.5]
    assert fit == 0.5


@pytest.mark.parametrize("d", [1, 2, 7, 32])
def test_refactor_equals_numpy(d: int) -> None:
    """(scale A + λI)⁻¹ and θ by Cholesky equal numpy.linalg's; the inverse is symmetric to the bit."""
    rng = np.random.default_rng(d)
    x = contexts(rng, 200, d)
    A, b, inverse, theta = x.T @ x, x.T @ rng.normal(size=200), np.eye(d), np.zeros(d)
    drift = refactor(A, b, 0.25, 2.0, inverse, theta)
    expected = np.linalg.inv(0.25 * A + 2.0 * np.eye(d))
    assert np.allclose(inverse, expected, rtol=1e-11, atol=1e-15)
    assert np.array_equal(inverse, inverse.T)
    assert np.allclose(theta, expected @ b * 0.25, rtol=1e-9, atol=1e-12)
    assert drift == pytest.approx(np.abs(expected - np.eye(d)).max() / np.abs(expected).max(), rel=1e-9)
    assert refactor(A, b, 0.25, 2.0, inverse, theta) == 0.0


@pytest.mark.parametrize("fault", [-3.0, math.nan, math.inf, -1.0])
def test_refactor_leaves_a_bad_precision_alone(fault: float) -> None:
    """Not positive definite or not finite: NaN, and neither the inverse nor θ is touched."""
    inverse, theta = np.eye(2), np.ones(2)
    assert math.isnan(refactor(np.diag([1.0, fault]), np.ones(2), 1.0, 1.0, inverse, theta))
    assert np.array_equal(inverse, np.eye(2))
    assert np.array_equal(theta, np.ones(2))


def test_score_by_hand() -> None:
    """Mean θᵀx, width √(xᵀ M x), σ² = (Σ residual + d v) / (Σ n + d); 0 before a reward, NaN if unusable."""
    posterior = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]], [[4.0, 0.0], [0.0, 4.0], [0.0, -1.0]]])
    upkeep, sums, scores = np.zeros((2, 6)), np.zeros((3, 2)), np.zeros((3, 2))
    mean, width, sd = scores
    x = entries(sparse(np.array([1.0, 0.5])))
    sums[:] = [1.0, 1.0], [0.0, 0.0], [6.0, 2.0]
    upkeep[:, FIT] = sums[2] - [3.0, 5.0]  # (8 + 2 · 4) / (2 + 2)
    assert score(sums, posterior, upkeep, *x, scores) == 2.0
    assert mean.tolist() == [2.0, -0.5]
    assert np.allclose(width, [math.sqrt(1.25), math.sqrt(5.0)])
    assert sd.tolist() == (0.5 * 2.0 * width).tolist()
    empty = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert score(empty, posterior, np.zeros((2, 6)), *x, scores) == 0.0
    posterior[1, :2] *= -1.0
    assert math.isnan(score(sums, posterior, upkeep, *x, scores))


def test_the_model_equals_numpy_linalg_solve() -> None:
    """Means, widths and σ of every arm equal ridge regression by numpy.linalg.solve to 1e-9.

    Over 6,000 exposures, three quarters of them rewarded later and in two steps, for two prior precisions.
    """
    rng = np.random.default_rng(11)
    arms, d, steps = 4, 12, 6_000
    x, arm, at = contexts(rng, steps, d), rng.integers(0, arms, steps), contexts(rng, 20, d)
    reward = rng.normal(size=steps) + x @ rng.normal(size=d)
    counted = np.zeros(steps)
    tally = Tally.zeros(arms, d)
    models = LinearModels((1.0, 0.05), tally, 1.0)

    def credit(i: int, value: float) -> None:
        models.credit(int(arm[i]), sparse(x[i]), 1.0, (float(counted[i]), value))
        counted[i] = value

    for i in range(steps):
        models.expose(int(arm[i]), sparse(x[i]), 1.0, 1.0)
        if i >= 10 and i % 4:
            credit(i - 10, 0.5 * float(reward[i - 10]))
            credit(i - 10, float(reward[i - 10]))
        if i in (30, 700, steps - 1):
            seen = slice(0, i + 1)
            for prior, model in models.by_prior.items():
                check_against_ridge(model, prior, tally, (x[seen], arm[seen], counted[seen]), at)
    assert max(model.drift for model in models.by_prior.values()) < 1e-12


def check_against_ridge(
    model: LinearModel,
    prior: float,
    tally: Tally,
    data: tuple[Floats, NDArray[np.int64], Floats],
    at: Floats,
) -> None:
    """Compare a model's scores at some contexts with ridge regression of each arm's rows."""
    x, arm, reward = data
    fits = [ridge(x[arm == k], reward[arm == k], prior, at) for k in range(tally.n.size)]
    d, guess = x.shape[1], float((reward**2).mean())
    sigma = math.sqrt((sum(fit[2] for fit in fits) + d * guess) / (len(x) + d))
    for i, context in enumerate(at):
        scores = Scores(model, tally, sparse(context))
        assert scores.sigma == pytest.approx(sigma, rel=1e-9)
        assert np.allclose(scores.mean, [context @ theta for theta, _, _ in fits], rtol=1e-9, atol=1e-9)
        assert np.allclose(scores.width, [width[i] for _, width, _ in fits], rtol=1e-9, atol=0.0)


def test_a_fresh_model_equals_the_kept_one() -> None:
    """Derived anew from the tally, as after a restart, a model scores as one that followed each update."""
    rng = np.random.default_rng(12)
    state = placement_state(simple("a", "b", policies={"m": {"kind": "linucb"}}))
    x = sparse(np.ones(1))
    for i in range(2_000):
        state.expose(i % 2, None, x, NOW + i)
        state.credit(i % 2, None, x, NOW + i, (0.0, float(rng.normal())))
    derived = LinearModels((1.0,), state.tally, 1.0)
    kept, fresh = (Scores(models.by_prior[1.0], state.tally, x) for models in (state.models, derived))
    assert np.allclose(kept.mean, fresh.mean, rtol=1e-9)
    assert np.allclose(kept.width, fresh.width, rtol=1e-12)
    assert kept.sigma == pytest.approx(fresh.sigma, rel=1e-9)


@pytest.mark.parametrize(
    ("scale", "collinear", "updates"), [(1.0, False, 10**6), (1.0, True, 10**7), (1e-12, True, 10**6)]
)
def test_millions_of_updates_stay_positive_definite_and_near_a_fresh_solve(
    scale: float, updates: int, *, collinear: bool
) -> None:
    """Up to 10⁷ updates, collinear and scaled to 1e-12: drift below 1e-6, the inverse positive definite.

    They come 500 at a time between factorisations, as in production.
    """
    rng = np.random.default_rng(13)
    d = 8
    base = contexts(rng, 64, d)
    if collinear:
        base = np.outer(base[:, 1], np.arange(1.0, d + 1.0)).astype(np.float32).astype(np.float64)
    rows = [entries(sparse(row * scale)) for row in base]
    outer = [np.outer(row, row) for row in (base * scale).astype(np.float32).astype(np.float64)]
    A, b, inverse, theta = np.zeros((d, d)), np.zeros(d), np.eye(d), np.zeros(d)
    drift = 0.0
    for block in rng.integers(0, 64, (updates // 500, 500)):
        for index, value in map(rows.__getitem__, block.tolist()):
            rank_one(inverse, theta, b, index, value, 1.0)
        for pick, times in enumerate(np.bincount(block, minlength=64)):
            A += times * outer[pick]
        drift = max(drift, refactor(A, b, 1.0, 1.0, inverse, theta))
    assert drift < 1e-6
    assert np.linalg.eigvalsh(inverse).min() > 0.0
    assert np.allclose(inverse @ (A + np.eye(d)), np.eye(d), atol=1e-7)


def test_maintenance_looks_at_one_arm_a_time() -> None:
    """Once 512 updates are due an arm is factorised within as many exposures as there are arms."""
    tally = Tally.zeros(3, 1)
    models = LinearModels((1.0,), tally, 1.0)
    x = sparse(np.ones(1))
    for _ in range(REFACTOR_EVERY + 3):
        models.expose(1, x, 1.0, 1.0)
    assert models.by_prior[1.0].upkeep[1, UPDATES] < 4


def test_with_a_half_life_the_model_follows_the_scaled_tally() -> None:
    """Means and widths stay those of a ridge regression on the tally as it weighs now, within 1 % ticks.

    Over fourteen half-lives with pauses of one; after a pause once each arm had its turn.
    """
    rng = np.random.default_rng(14)
    state = placement_state(simple("a", "b", half_life="1d", policies={"m": {"kind": "linucb"}}))
    (model,) = state.models.by_prior.values()
    x, now = sparse(np.ones(1)), NOW
    for i in range(4_000):
        now += int(rng.exponential(DAY / 400)) + (DAY if i % 1_000 == 999 else 0)
        state.expose(i % 2, None, x, now)
        state.credit(i % 2, None, x, now, (0.0, 2.0 + float(rng.normal())))
        if i % 50 == 25:
            scores = Scores(model, state.tally, x)
            scale = state.forgetting.scale(now)
            n, r1 = scale * state.tally.n, scale * state.tally.r1
            assert np.allclose(scores.width**2, 1.0 / (1.0 + n), rtol=2 * (SCALE_TICK - 1.0))
            assert np.allclose(scores.mean, r1 / (1.0 + n), rtol=2 * (SCALE_TICK - 1.0))


def test_deferred_exposures_do_not_take_the_scale_back() -> None:
    """Confirmations of old decisions leave the model at today's scale: the prior is not thinned out."""
    state = placement_state(simple("a", half_life="1h", policies={"m": {"kind": "linucb"}}))
    (model,) = state.models.by_prior.values()
    x, now = sparse(np.ones(1)), NOW + 10 * HOUR
    for i in range(100):
        state.expose(0, None, x, now - (i % 2) * 9 * HOUR)
    scores = Scores(model, state.tally, x)
    n = state.forgetting.scale(now) * state.tally.n[0]
    assert scores.width[0] ** 2 == pytest.approx(1.0 / (1.0 + n), rel=0.02)


@pytest.mark.parametrize("poison", ["A", "b", "inverse", "r2"])
def test_a_model_that_cannot_be_used_degrades_to_static(poison: str) -> None:
    """NaN in the tally or the inverse: linear policies answer as static, with the true propensity.

    It is counted, the other policies go on, and the decision tells the same in every probability.
    """
    policies = {"a": {"kind": "linear_thompson"}, "b": {"kind": "linucb"}, "c": {"kind": "uniform"}}
    arms = {"x": {"weight": 3}, "y": {"weight": 1}}
    ramp = {"policies": {"a": 1.0}, "from": 1.0}
    world = World(p=simple(arms=arms, policies=policies, ramp=ramp))
    for i in range(5):
        world.reward(world.choose(), "click", float(i))
    state = world.state()
    (model,) = state.models.by_prior.values()
    if poison == "inverse":
        model.inverse[0] = math.nan
    elif poison == "r2":
        state.tally.r2[0] = math.inf
    else:
        getattr(state.tally, poison)[0] = math.nan
        model.refresh(state.tally, 0, 1.0)
    before = state.counters.degraded.copy()
    choice = world.choose()
    assert (state.counters.degraded - before).tolist() == [0, 1, 1, 0]
    assert choice.propensity == {"x": 0.75, "y": 0.25}[choice.arm]
    probabilities = world.engine._sealer.open(choice.decision_id).probabilities
    assert probabilities == (choice.propensity, choice.propensity, choice.propensity, 0.5)


def test_a_mended_model_is_used_again() -> None:
    """Once a factorisation succeeds on a sound tally, an inverse that held NaN is replaced."""
    tally = Tally.zeros(1, 2)
    model = LinearModels((1.0,), tally, 1.0).by_prior[1.0]
    model.inverse[0] = math.nan
    model.refresh(tally, 0, 1.0)
    assert math.isfinite(Scores(model, tally, sparse(np.ones(2))).sigma)
    assert np.array_equal(model.inverse[0], np.eye(2))


@pytest.mark.parametrize("unit", [1e-12, 1e6])
@pytest.mark.parametrize("kind", ["linear_thompson", "linucb", "thompson"])
def test_the_unit_of_rewards_does_not_matter(kind: str, unit: float) -> None:
    """Rewards in cents or in millions give the same pmfs, to 1e-6 relative: variances come from the tally."""
    rng = np.random.default_rng(15)
    one, other = (placement_state(simple("a", "b", "c", policies={"m": {"kind": kind}})) for _ in range(2))
    x = sparse(np.ones(1))
    pmfs = []
    rewards = rng.gamma(1.0, 2.0, 300)
    for state, scale in ((one, 1.0), (other, unit)):
        stratum = Stratum(state.config, 0, 0b111, in_scope=True)
        for i, reward in enumerate(rewards.tolist()):
            state.expose(i % 3, stratum, x, NOW + i)
            state.credit(i % 3, stratum, x, NOW + i, (0.0, reward * scale * (1.0 + 0.1 * (i % 3))))
        state.draw(stratum, x, 1, 1.0, 0.5, NOW + DAY)
        pmfs.append(stratum.pmfs[1])
    assert np.allclose(pmfs[0], pmfs[1], rtol=1e-6)
    assert 0.011 < pmfs[0].max() < 1.0
