"""P(best) of Betas against a slow oracle, Monte Carlo, closed forms, and its symmetries."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import betainc as cdf
from scipy.special import betaln, expit, log_expit
from scipy.stats import beta as distribution

from bandit.kernels import decide
from bandit.kernels.beta import best_probability

Floats = NDArray[np.float64]
ARMS = (2, 3, 10, 50)
DRAWS = 1_000_000
WORLDS = [
    "few observations",
    "rare rewards",
    "a million observations",
    "very different counts",
    "extreme skew",
]


def best(a: Floats, b: Floats, eligible: list[int] | None = None, slack: float = 2e-5) -> Floats:
    """The kernel's answer, with the sum before normalising checked to `slack`."""
    out = np.full(len(a), 7.0)
    arms = np.arange(len(a)) if eligible is None else np.array(eligible, np.int64)
    total = best_probability(np.asarray(a, float), np.asarray(b, float), arms, out)
    assert total == pytest.approx(1.0, abs=slack)
    return out


def oracle(a: Floats, b: Floats, arm: int) -> float:
    """P(arm is best) by adaptive quadrature in log-odds with the incomplete beta function."""
    others = np.arange(len(a)) != arm
    spread = np.sqrt(1.0 / a + 1.0 / b)

    def integrand(y: float) -> float:
        log_density = a[arm] * log_expit(y) + b[arm] * log_expit(-y) - betaln(a[arm], b[arm])
        return float(np.exp(log_density) * np.prod(cdf(a[others], b[others], expit(y))))

    breaks = (np.log(a / b) + spread * np.array([[-8], [-4], [-2], [0], [2], [4]])).ravel()
    low, high = math.log(a[arm] / b[arm]) - 25 * spread[arm], math.log(a[arm] / b[arm]) + 25 * spread[arm]
    edges = np.concatenate([[low], np.unique(breaks[(breaks > low) & (breaks < high)]), [high]])
    parts = (quad(integrand, start, end, epsabs=1e-11, limit=200)[0] for start, end in pairwise(edges))
    return math.fsum(parts)


def world(name: str, arms: int) -> tuple[Floats, Floats]:
    """Shapes of the given kind, the same on every run."""
    rng = np.random.default_rng([arms, WORLDS.index(name)])
    a, b = _shapes(name, arms, rng)
    return np.asarray(a, np.float64), np.asarray(b, np.float64)


def _shapes(name: str, arms: int, rng: np.random.Generator) -> tuple[Any, Any]:
    match name:
        case "few observations":
            return 1.0 + rng.integers(0, 4, arms), 1.0 + rng.integers(0, 6, arms)
        case "rare rewards":
            shown = rng.integers(500, 3000, arms)
            return 1.0 + rng.binomial(shown, 0.004), 1.0 + shown
        case "a million observations":
            wins = rng.binomial(1_000_000, 0.05, arms)
            return 1.0 + wins, 1_000_001.0 - wins
        case "very different counts":
            counts = 10.0 ** rng.uniform(0.5, 6.5, arms)  # widths differ by a factor of 1,000
            return 1.0 + 0.05 * counts, 1.0 + 0.95 * counts
        case _:
            return 1.0 + 2.0 * rng.random(arms), 10.0 ** rng.uniform(0.0, 6.0, arms)


def test_example_by_hand() -> None:
    """Beta(2, 1) has density 2x, so it exceeds a uniform with ∫ 2x · x dx = 2/3; equal arms share alike."""
    assert best(np.array([2.0, 1.0]), np.array([1.0, 1.0])) == pytest.approx([2 / 3, 1 / 3], abs=1e-6)
    assert best(np.ones(4), np.ones(4)) == pytest.approx(0.25, abs=1e-9)


def test_power_laws_have_a_closed_form() -> None:
    """Beta(a, 1) has CDF x^a, so P(k is best) = a_k / Σ a; Beta(1, b) mirrors to the smallest of two."""
    a = np.array([1.0, 2.0, 40.0, 1e4, 3e4])
    assert best(a, np.ones(5)) == pytest.approx(a / a.sum(), abs=1e-6)
    for b in (1.0, 10.0, 1e3, 1e6):
        assert best(np.ones(2), np.array([1.0, b]))[1] == pytest.approx(1.0 / (1.0 + b), abs=1e-6)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("arms", ARMS)
def test_equals_adaptive_quadrature(name: str, arms: int) -> None:
    """Every arm to 1e-6 of an adaptive quadrature; of 50 arms, the five most probable ones."""
    a, b = world(name, arms)
    got = best(a, b)
    for arm in np.argsort(got)[-5:] if arms == 50 else range(arms):
        assert got[arm] == pytest.approx(oracle(a, b, int(arm)), abs=1e-6)


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("arms", ARMS)
def test_agrees_with_monte_carlo(name: str, arms: int) -> None:
    """Within 4 standard errors + 1e-5 of counting the largest of 10⁶ draws, every arm.

    Fixed seeds; 4 standard errors leave a chance of 6e-5 an arm, 2 % over all arms of all cases.
    """
    a, b = world(name, arms)
    rng = np.random.default_rng(7)
    largest = np.full(DRAWS, -1.0)
    winner = np.zeros(DRAWS, np.int64)
    for arm in range(arms):
        draws = rng.beta(a[arm], b[arm], DRAWS)
        winner[draws > largest] = arm
        np.maximum(largest, draws, out=largest)
    frequency = np.bincount(winner, minlength=arms) / DRAWS
    got = best(a, b)
    error = np.sqrt(got * (1.0 - got) / DRAWS)
    assert np.all(np.abs(frequency - got) <= 4.0 * error + 1e-5)


@pytest.mark.parametrize("arms", [50, 256])
@pytest.mark.parametrize("count", [1.0, 1e3, 1e6])
def test_many_arms_without_a_reward(arms: int, count: float) -> None:
    """K - 1 arms at Beta(1, count), where a placement starts, and one with rewards: to 2e-6.

    P(that one) is ∫ f F^(K-1), here by a fine rule in log-odds.
    """
    for wins in (2.0, 6.0):
        a, b = np.ones(arms), np.full(arms, count)
        a[0] = wins
        quantiles = distribution.ppf([1e-13, 1.0 - 1e-13], wins, count)
        y = np.linspace(
            math.log(quantiles[0]) - 1.0, min(40.0, -math.log(1.0 / quantiles[1] - 1.0) + 1.0), 40_001
        )
        density = np.exp(wins * log_expit(y) + count * log_expit(-y) - betaln(wins, count))
        expected = np.trapezoid(density * cdf(1.0, count, expit(y)) ** (arms - 1), y)
        got = best(a, b)
        assert got[0] == pytest.approx(expected, abs=2e-6)
        assert got[1:] == pytest.approx((1.0 - expected) / (arms - 1), abs=1e-7)


def test_large_counts_become_gaussian() -> None:
    """At 10⁹ observations an arm the answer is that of Gaussians with the same moments, to 1e-4.

    Counts beyond 10⁹ of both kinds are treated as 10⁹: equal ones still share alike.
    """
    a = 5e8 + 1e4 * np.array([0.0, 1.0, 2.0])
    b = np.full(3, 5e8)
    mean = a / (a + b)
    out = np.zeros(3)
    decide.best_probability(mean, np.sqrt(mean * (1.0 - mean) / (a + b)), np.arange(3), 0.0, out)
    assert best(a, b) == pytest.approx(out, abs=1e-4)
    assert best(np.full(3, 1e300), np.full(3, 1e300)) == pytest.approx(1 / 3, abs=1e-9)


def test_only_eligible_arms_count() -> None:
    """Arms that are not eligible get 0 and do not matter, not even when they are not finite."""
    got = best(np.array([2.0, math.nan, 1.0, 9.0]), np.array([1.0, math.inf, 1.0, 1.0]), [2, 0])
    assert got == pytest.approx([2 / 3, 0.0, 1 / 3, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (0.5, 1.0), (1.0, -1.0)]
)
def test_unusable_input_is_reported(a: float, b: float) -> None:
    """Not finite, or a shape below 1: nan is returned and no probability is given."""
    out = np.full(2, 7.0)
    assert math.isnan(best_probability(np.array([1.0, a]), np.array([1.0, b]), np.arange(2), out))
    assert out.tolist() == [0.0, 0.0]


shape = st.floats(0.0, 7.0).map(lambda power: 10.0**power)
shapes = st.lists(st.tuples(shape, shape), min_size=1, max_size=10)


@given(st.lists(st.tuples(st.floats(1.0, 1.7e308), st.floats(1.0, 1.7e308)), min_size=1, max_size=10))
def test_any_finite_input_gives_a_pmf(arms: list[tuple[float, float]]) -> None:
    """Whatever the magnitudes: no nan, nothing negative, sum 1 (before normalising to 1e-3)."""
    a, b = np.array(arms).T
    got = best(a.copy(), b.copy(), slack=1e-3)
    assert np.all(got >= 0.0)
    assert got.sum() == pytest.approx(1.0, abs=1e-12)


@given(shapes, st.randoms(use_true_random=False))
def test_order_of_arms_does_not_matter(arms: list[tuple[float, float]], random: object) -> None:
    """Permuted arms have permuted probabilities, to rounding."""
    a, b = np.array(arms).T
    order = list(range(len(arms)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert best(a[order], b[order]) == pytest.approx(best(a.copy(), b.copy())[order], abs=1e-8)


@given(st.tuples(shape, shape), st.tuples(shape, shape))
def test_two_arms_mirror(one: tuple[float, float], two: tuple[float, float]) -> None:
    """X₁ > X₂ exactly when 1 - X₂ > 1 - X₁: exchanging a with b exchanges the two probabilities."""
    a, b = np.array([one, two]).T
    assert best(a.copy(), b.copy()) == pytest.approx(best(b.copy(), a.copy())[::-1], abs=1e-6)
