"""The study of docs/measurement.md in small: its world is right, and intervals hold in it."""

import numpy as np
import pytest
from click.testing import CliRunner

from loadtest.measurement_study import ALPHA, UPLIFTS, Cell, Figures, main, study
from loadtest.measurement_world import (
    BETWEEN,
    CONTRASTS,
    FLOOR,
    LEARNED,
    SQUARES,
    TICK,
    TICKS_A_DAY,
    TOTAL,
    TRUTH,
    N,
)

MIN_EXPOSURES = 2000


def test_intervals_hold_where_it_is_hardest() -> None:
    """A single arm, rare rewards, 30 runs of 10 days: sequences hold; the variance's parts alone are smaller.

    Runs are seeded; at α = 0.05, and less than that in truth, four misses of 30 would have a probability
    below 6 %. Estimates have no bias: their mean distance from the truth is within four standard errors.
    """
    runs, days = 30, 10
    figures = study(Cell("single arm", 0.01, 10), runs, days, MIN_EXPOSURES)
    last = figures.looks[:, -1]
    assert (last[..., N] == days * TICKS_A_DAY * TICK).all()
    assert (figures.coverage(figures.variance)[UPLIFTS] >= 0.9).all()
    assert (figures.width > 1.4).all()
    assert (figures.width < 2.5).all()
    assert (figures.coverage(figures.looks[..., BETWEEN]) <= figures.coverage(figures.variance)).all()
    z = (last[..., TOTAL] - last[..., TRUTH]) / np.sqrt(figures.variance[:, -1])
    assert np.abs(z.mean(axis=0)).max() < 4.0 / np.sqrt(runs)
    assert (last[:, 0, LEARNED] > MIN_EXPOSURES).all()
    again = study(Cell("single arm", 0.01, 10), 2, days, MIN_EXPOSURES)
    assert np.array_equal(again.looks, figures.looks[:2])


def test_returning_units_are_not_independent() -> None:
    """Units that return 50 times: the variance of independent decisions is far too small, buckets see it."""
    figures = study(Cell("single arm", 0.1, 50), 10, 10, MIN_EXPOSURES)
    ratio = (figures.variance / figures.per_decision)[:, -1, UPLIFTS].mean()
    assert ratio > 1.5
    assert (figures.width[UPLIFTS] < 2.5).all()


def looked(off: list[float], learned: list[float]) -> Figures:
    """One run whose estimates lie `off` the truth, with unit variance per decision, after 10⁴ decisions."""
    looks = np.zeros((1, len(off), len(CONTRASTS), LEARNED + 1))
    looks[..., N], looks[..., BETWEEN], looks[..., FLOOR], looks[..., SQUARES] = 1e4, 1e4, 0.25e4, 1e4
    looks[0, :, :, TOTAL] = 1e4 * np.array(off)[:, None]
    looks[0, :, :, LEARNED] = np.array(learned)[:, None]
    return Figures(Cell("uniform", 0.1, 1), MIN_EXPOSURES, looks, np.full((1, len(CONTRASTS)), 1e4))


def test_coverage_by_hand() -> None:
    """One look beyond the interval is a miss, if it came after min_exposures. α = 0.05 at half of ρ's n."""
    half = 0.01 * np.sqrt((1 + 1 / 3.968) * (np.log(1 + 3.968) - 2 * np.log(ALPHA)))
    inside, outside = 0.99 * half, 1.01 * half
    enough = float(MIN_EXPOSURES)
    for off, learned, held in (
        ([0.0, inside], [enough, enough], 1.0),
        ([outside, 0.0], [enough, enough], 0.0),
        ([outside, 0.0], [enough - 1.0, enough], 1.0),
    ):
        figures = looked(off, learned)
        assert figures.coverage(figures.variance).tolist() == [held] * len(CONTRASTS)
    narrow = looked([0.0], [enough])
    assert narrow.width == pytest.approx(half / 0.0196, rel=1e-3)
    assert narrow.passes
    assert not looked([outside], [enough]).passes


def test_the_command_prints_every_cell() -> None:
    """Two runs of each cell: eighteen lines and a verdict, which is the exit code."""
    done = CliRunner().invoke(main, ["--runs", "2"])
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| uniform", "| single"))]
    assert len(rows) == 18
    assert rows[0].startswith("| uniform | 10.0% | 1 |")
    verdict = done.stdout.splitlines()[-1].split()[0]
    assert (done.exit_code, verdict) in {(0, "PASS"), (1, "BELOW")}
    assert "2 runs a cell, 40 days" in done.stdout
