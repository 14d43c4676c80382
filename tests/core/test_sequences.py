"""Confidence sequences: widths by hand, and that they hold at all times at once."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bandit.sequences import AHEAD, Sequence, all_time, halfwidth, of_week, reach, tuned

Floats = NDArray[np.float64]


def test_widths_by_hand() -> None:
    """With n = 100, ρ = ½, α = 0.05: √(1/100 · 26/25 · (ln 26 - 2 ln 0.05)) = √(0.0104 · 9.249561)."""
    assert float(halfwidth(100.0, 1.0, 0.05, 0.5)) == pytest.approx(0.3101539, rel=1e-6)
    assert float(halfwidth(100.0, 4.0, 0.05, 0.5)) == pytest.approx(2.0 * 0.3101539, rel=1e-6)
    low, high = Sequence(0.05, 0.5).interval(100.0, 7.0, 1.0)
    assert (low, high) == pytest.approx((7.0 - 0.3101539, 7.0 + 0.3101539), rel=1e-6)


@pytest.mark.parametrize("n", [1.0, 37.0, 1e6])
@pytest.mark.parametrize("sigma", [1e-3, 1.0, 50.0])
def test_both_of_the_papers_forms(n: float, sigma: float) -> None:
    """Theorem 2.2 as it is printed, and Proposition 2.5 with its ρ in units of 1 / σ."""
    alpha, rho = 0.01, 0.03
    theorem = sigma * math.sqrt(
        2.0 * (n * rho**2 + 1.0) / (n**2 * rho**2) * math.log(math.sqrt(n * rho**2 + 1.0) / alpha)
    )
    scaled = rho / sigma
    grown = n * sigma**2 * scaled**2 + 1.0
    proposition = math.sqrt(grown / (n**2 * scaled**2) * math.log(grown / alpha**2))
    assert float(halfwidth(n, sigma**2, alpha, rho)) == pytest.approx(theorem, rel=1e-12)
    assert float(halfwidth(n, sigma**2, alpha, rho)) == pytest.approx(proposition, rel=1e-12)


def test_arrays_are_taken_element_by_element() -> None:
    """As the study does: one call for all looks."""
    n, variance = np.array([10.0, 1000.0]), np.array([1.0, 2.0])
    alone = [float(halfwidth(n[i], variance[i], 0.05, 0.1)) for i in range(2)]
    assert halfwidth(n, variance, 0.05, 0.1).tolist() == alone


@pytest.mark.parametrize("alpha", [0.1, 0.05, 1e-3, 1e-6])
def test_rho_is_tuned(alpha: float) -> None:
    """At the planned n no ρ of a fine grid is more than 0.2 % narrower; far from it others are."""
    planned = 20_000.0
    rho = tuned(planned, alpha)
    grid = rho * np.exp(np.linspace(-3.0, 3.0, 2001))
    widths = [float(halfwidth(planned, 1.0, alpha, other)) for other in grid]
    assert float(halfwidth(planned, 1.0, alpha, rho)) <= 1.002 * min(widths)
    assert float(halfwidth(1e8, 1.0, alpha, rho)) > float(halfwidth(1e8, 1.0, alpha, tuned(1e8, alpha)))
    assert Sequence.planned(alpha, 2000) == Sequence(alpha, tuned(AHEAD * 2000, alpha))


def test_one_side_is_less_than_two() -> None:
    """With n = 100, ρ = ½, α = 0.05: √(0.02 · 1.04 · ln(1 + √26 / 0.1)). More than two sides of 2 α each."""
    assert reach(100.0, 1.0, 0.05, 0.5) == pytest.approx(0.2866739, rel=1e-6)
    assert reach(100.0, 4.0, 0.05, 0.5) == pytest.approx(2.0 * 0.2866739, rel=1e-6)
    assert Sequence(0.05, 0.5).bounds(100.0, 7.0, 1.0) == pytest.approx((6.7133261, 7.2866739))
    for n in (1.0, 100.0, 1e6):
        two, wider = (float(halfwidth(n, 1.0, alpha, 0.01)) for alpha in (0.1, 0.05))
        assert two < reach(n, 1.0, 0.05, 0.01) < wider


def test_alpha_is_spent_once() -> None:
    """All time has half of α, the weeks k together Σ α / (2 k (k + 1)) = α / 2 · K / (K + 1)."""
    assert all_time(0.05, 2000).alpha == 0.025
    weeks = [of_week(0.05, week, 2000).alpha for week in range(1, 1001)]
    assert weeks[:3] == pytest.approx([0.05 / 4, 0.05 / 12, 0.05 / 24])
    assert sum(weeks) == pytest.approx(0.025 * 1000 / 1001)


def walks(runs: int, steps: int, seed: int) -> tuple[Floats, Floats]:
    """Sums of skewed observations less their conditional means, and of their variances (runs, steps).

    The scale moves with the past, up to threefold: what a martingale may do and independence may not.
    """
    rng = np.random.default_rng(seed)
    total, spent, scale = np.zeros(runs), np.zeros(runs), np.ones(runs)
    totals, variances = np.empty((runs, steps)), np.empty((runs, steps))
    for step in range(steps):
        noise = scale * (rng.exponential(size=runs) - 1.0)
        total, spent = total + noise, spent + scale**2
        totals[:, step], variances[:, step] = total, spent
        scale = np.where(noise > 0.0, np.minimum(1.7, scale * 1.1), np.maximum(0.6, scale * 0.97))
    return totals, variances


def test_holds_at_all_times_at_once() -> None:
    """2,000 runs of 3,000 steps, looked at after every step from 100 on, α = 0.1.

    Sequences miss in at most α of the runs (plus three standard errors), fixed-time intervals in over half.
    """
    totals, variances = walks(2000, 3000, 5)
    n = np.arange(1.0, 3001.0)
    rho = tuned(AHEAD * 100, 0.1)
    off, variance = np.abs(totals) / n, variances / n
    missed = (off > halfwidth(n, variance, 0.1, rho))[:, 99:].any(axis=1).mean()
    fixed = (off > 1.645 * np.sqrt(variance / n))[:, 99:].any(axis=1).mean()
    assert 0.01 < missed < 0.1 + 3.0 * math.sqrt(0.1 * 0.9 / 2000)
    assert fixed > 0.5


def test_one_side_holds_at_all_times_at_once() -> None:
    """As above, of either side by itself."""
    totals, variances = walks(2000, 1500, 7)
    n, rho = np.arange(1.0, 1501.0), tuned(AHEAD * 100, 0.1)
    far = np.vectorize(reach)(n[99:], (variances / n)[:, 99:], 0.1, rho)
    for side in (totals, -totals):
        missed = ((side / n)[:, 99:] > far).any(axis=1).mean()
        assert 0.01 < missed < 0.1 + 3.0 * math.sqrt(0.1 * 0.9 / 2000)


def test_weeks_and_all_time_hold_together() -> None:
    """Ten weeks of 300 steps, each with its own sequence beside that over all: α covers all of them."""
    totals, variances = walks(2000, 3000, 6)
    n = np.arange(1.0, 3001.0)
    everything = all_time(0.1, 50)
    off = np.abs(totals) / n > halfwidth(n, variances / n, everything.alpha, everything.rho)
    missed = off[:, 49:].any(axis=1)
    for week in range(1, 11):
        start, end = 300 * (week - 1), 300 * week
        since = [
            sums[:, start:end] - (sums[:, [start - 1]] if start else 0.0) for sums in (totals, variances)
        ]
        own, m = of_week(0.1, week, 50), np.arange(1.0, 301.0)
        off = np.abs(since[0]) / m > halfwidth(m, since[1] / m, own.alpha, own.rho)
        missed |= off[:, 49:].any(axis=1)
    assert 0.01 < missed.mean() < 0.1 + 3.0 * math.sqrt(0.1 * 0.9 / 2000)
