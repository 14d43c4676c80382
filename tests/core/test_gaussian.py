"""P(best) of Gaussians against a slow oracle, Monte Carlo, a closed form, and its symmetries."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr

from bandit.kernels.decide import best_probability

Floats = NDArray[np.float64]
ARMS = (2, 3, 10, 50)
DRAWS = 1_000_000

# (name, spread of the means in typical widths, decades over which the widths range, scale of everything)
WORLDS = [
    ("similar widths", 1.0, 0.3, 1.0),
    ("a million observations an arm", 1.0, 0.1, 1e-3),
    ("widths to 1 : 1,000", 0.05, 3.0, 1.0),
    ("widths to 1 : 1,000, far apart", 0.5, 3.0, 1.0),
]


def best(mean: Floats, sd: Floats, eligible: list[int] | None = None) -> Floats:
    """The kernel's answer, with the sum before normalising checked."""
    out = np.full(len(mean), 7.0)
    arms = np.arange(len(mean)) if eligible is None else np.array(eligible, np.int64)
    total = best_probability(np.asarray(mean, float), np.asarray(sd, float), arms, 0.0, out)
    assert total == pytest.approx(1.0, abs=2e-5)
    return out


def oracle(mean: Floats, sd: Floats, arm: int) -> float:
    """P(arm is best) by adaptive quadrature over its own density, broken where any arm begins or ends."""
    others = np.arange(len(mean)) != arm

    def integrand(z: float) -> float:
        x = mean[arm] + sd[arm] * z
        return math.exp(-0.5 * z * z + log_ndtr((x - mean[others]) / sd[others]).sum()) / math.sqrt(
            2 * math.pi
        )

    breaks = ((mean + sd * np.array([[-6], [-3], [0], [3], [6]]) - mean[arm]) / sd[arm]).ravel()
    edges = np.concatenate([[-9.0], np.unique(breaks[np.abs(breaks) < 9.0]), [9.0]])
    parts = (quad(integrand, low, high, epsabs=1e-11, limit=200)[0] for low, high in pairwise(edges))
    return math.fsum(parts)


def world(name: str, spread: float, decades: float, scale: float, arms: int) -> tuple[Floats, Floats]:
    """Means and widths of the given kind, the same on every run."""
    rng = np.random.default_rng([arms, len(name)])
    sd = 10.0 ** rng.uniform(-decades, 0.0, arms)
    return scale * spread * rng.standard_normal(arms), scale * sd


def test_example_by_hand() -> None:
    """Two arms a width apart: P = Φ(1 / √2) = 0.76025; three equal arms: a third each."""
    assert best(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx([0.76025, 0.23975], abs=1e-5)
    assert best(np.zeros(3), np.ones(3)) == pytest.approx(1 / 3, abs=1e-9)


def test_two_arms_equal_the_closed_form() -> None:
    """P(X₁ > X₂) = Φ(Δ / √(σ₁² + σ₂²)) to 1e-6, over differences and ratios of widths from 1e-6 to 1e6."""
    for ratio in 10.0 ** np.arange(-6.0, 6.5, 0.5):
        for difference in np.linspace(-6.0, 6.0, 49):
            spread = math.hypot(1.0, ratio)
            got = best(np.array([difference * spread, 0.0]), np.array([1.0, ratio]))[0]
            assert got == pytest.approx(ndtr(difference), abs=1e-6), (ratio, difference)


@pytest.mark.parametrize(("name", "spread", "decades", "scale"), WORLDS)
@pytest.mark.parametrize("arms", ARMS)
def test_equals_adaptive_quadrature(
    name: str, spread: float, decades: float, scale: float, arms: int
) -> None:
    """Every arm to 1e-6 of an adaptive quadrature; of 50 arms, the ten most probable ones."""
    mean, sd = world(name, spread, decades, scale, arms)
    got = best(mean, sd)
    for arm in np.argsort(got)[-10:]:
        assert got[arm] == pytest.approx(oracle(mean, sd, int(arm)), abs=1e-6)


@pytest.mark.parametrize(("name", "spread", "decades", "scale"), WORLDS)
@pytest.mark.parametrize("arms", ARMS)
def test_agrees_with_monte_carlo(name: str, spread: float, decades: float, scale: float, arms: int) -> None:
    """Within 4 standard errors + 1e-5 of counting the largest of 10⁶ draws, every arm.

    Fixed seeds; 4 standard errors leave a chance of 6e-5 an arm, 1.6 % over all arms of all cases.
    """
    mean, sd = world(name, spread, decades, scale, arms)
    rng = np.random.default_rng(5)
    largest = np.full(DRAWS, -math.inf)
    winner = np.zeros(DRAWS, np.int64)
    for arm in range(arms):
        draws = rng.normal(mean[arm], sd[arm], DRAWS)
        winner[draws > largest] = arm
        np.maximum(largest, draws, out=largest)
    frequency = np.bincount(winner, minlength=arms) / DRAWS
    got = best(mean, sd)
    error = np.sqrt(got * (1.0 - got) / DRAWS)
    assert np.all(np.abs(frequency - got) <= 4.0 * error + 1e-5)


@pytest.mark.parametrize("arms", [50, 256])
def test_clusters_of_equal_arms(arms: int) -> None:
    """Many equal arms and a few others, the hardest case: still to 2e-6, by symmetry and a closed sum.

    With K - 1 equal arms of CDF Φ and one of its own, P(that one) is ∫ φ₁ Φ^(K-1), here by a fine rule.
    """
    for other_mean, other_sd in [(2.5, 0.3), (2.0, 1.0), (0.0, 5.0), (3.0, 0.01)]:
        mean, sd = np.zeros(arms), np.ones(arms)
        mean[0], sd[0] = other_mean, other_sd
        z = np.linspace(-9.0, 9.0, 40_001)
        density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        expected = np.trapezoid(density * ndtr(other_mean + other_sd * z) ** (arms - 1), z)
        got = best(mean, sd)
        assert got[0] == pytest.approx(expected, abs=2e-6)
        assert got[1:] == pytest.approx((1.0 - expected) / (arms - 1), abs=1e-7)


def test_point_masses() -> None:
    """A width of 0 is a certain value: the highest wins, of equals the lowest index; others may exceed it."""
    zero = np.zeros(3)
    assert best(np.array([1.0, 3.0, 2.0]), zero).tolist() == [0.0, 1.0, 0.0]
    assert best(np.array([1.0, 3.0, 3.0]), zero).tolist() == [0.0, 1.0, 0.0]
    assert best(np.array([1.0, 3.0, 3.0]), zero, [2, 1]).tolist() == [0.0, 1.0, 0.0]
    mixed = best(np.array([0.0, 1.0, 0.5]), np.array([1.0, 0.0, 0.0]))
    assert mixed == pytest.approx([1.0 - ndtr(1.0), ndtr(1.0), 0.0], abs=1e-6)


def test_only_eligible_arms_count() -> None:
    """Arms that are not eligible get 0 and do not matter, not even when they are not finite."""
    mean, sd = np.array([0.0, math.nan, 1.0, 9.0]), np.array([1.0, math.inf, 1.0, 1.0])
    got = best(mean, sd, [2, 0])
    assert got[[1, 3]].tolist() == [0.0, 0.0]
    assert got[2] == pytest.approx(ndtr(1.0 / math.sqrt(2.0)), abs=1e-6)


@pytest.mark.parametrize(("mean", "sd"), [(math.nan, 1.0), (math.inf, 1.0), (0.0, math.nan), (0.0, -1.0)])
def test_unusable_input_is_reported(mean: float, sd: float) -> None:
    """Not finite, or a negative width: nan is returned and no probability is given."""
    out = np.full(2, 7.0)
    total = best_probability(np.array([0.0, mean]), np.array([1.0, sd]), np.arange(2), 0.0, out)
    assert math.isnan(total)
    assert out.tolist() == [0.0, 0.0]


def test_no_arms() -> None:
    """Nothing eligible: the sum is 0, nothing is divided by it."""
    out = np.full(2, 7.0)
    assert best_probability(np.zeros(2), np.ones(2), np.arange(0), 0.0, out) == 0.0
    assert out.tolist() == [0.0, 0.0]


any_mean = st.floats(allow_nan=False, allow_infinity=False)
any_sd = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
tame = st.tuples(st.floats(-10.0, 10.0), st.floats(-3.0, 1.0).map(lambda power: 10.0**power))


@given(st.lists(st.tuples(any_mean, any_sd), min_size=1, max_size=12))
def test_any_finite_input_gives_a_pmf(arms: list[tuple[float, float]]) -> None:
    """Whatever the magnitudes, 5e-324 to 1.8e308: no nan, nothing negative, sum 1."""
    mean, sd = np.array(arms).T
    got = best(mean.copy(), sd.copy())
    assert np.all(got >= 0.0)
    assert got.sum() == pytest.approx(1.0, abs=1e-12)


@given(st.lists(tame, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_of_arms_does_not_matter(arms: list[tuple[float, float]], random: object) -> None:
    """Permuted arms have permuted probabilities, to 1e-7: of equal widths the first decides a panel's end."""
    mean, sd = np.array(arms).T
    order = list(range(len(arms)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert best(mean[order], sd[order]) == pytest.approx(best(mean.copy(), sd.copy())[order], abs=1e-7)


@given(st.lists(tame, min_size=1, max_size=12), st.floats(-100.0, 100.0), st.integers(-40, 40))
def test_zero_and_unit_do_not_matter(arms: list[tuple[float, float]], shift: float, power: int) -> None:
    """Shifted or rescaled rewards leave the probabilities, up to the rounding of the shifted means."""
    mean, sd = np.array(arms).T
    unit = 2.0**power
    assert best(unit * (mean + shift), unit * sd) == pytest.approx(best(mean.copy(), sd.copy()), abs=1e-6)
