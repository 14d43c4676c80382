"""Does the interval of an uplift hold what it says, at all looks, while policies learn and shares ramp?

    python -m loadtest.measurement_study
    python -m loadtest.measurement_study --quick

Each cell is a kind of placement (loadtest/measurement_world.py): a static campaign, a reward rate, and how
often units return. In each run the 95 % confidence sequences on the uplift of thompson and of a linear
policy are looked at four times a day, from `min_exposures` on, and compared with the running mean of the
conditional uplift, which a simulation knows. A cell passes if they hold at all looks in at least 94 % of
runs, for either policy, and are at the end at most 2.5 times as wide as cluster-robust intervals of a fixed
time. Exits with 1 unless all pass.

The columns further right say what the parts of the variance are for: coverage with the variance between
buckets alone, and with that of independent decisions; how the interval of a policy that serves nobody does,
and that of the routed contrasts.
"""

import sys
import time
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from bandit.sequences import Sequence, halfwidth
from loadtest.measurement_world import (
    ARMS,
    BETWEEN,
    CONTRASTS,
    FLOOR,
    LEARNED,
    LOOKS_A_DAY,
    SQUARES,
    TICK,
    TICKS_A_DAY,
    TOTAL,
    TRUTH,
    N,
    run,
)

ALPHA = 0.05
COVERAGE_MIN, WIDTH_MAX = 0.94, 2.5
FIXED_TIME = 1.959964
"""Standard errors to either side of a 95 % interval of a fixed time."""

STATICS = {"uniform": np.full(ARMS, 1.0 / ARMS), "single arm": np.eye(ARMS)[0]}
RATES = (0.1, 0.01, 0.003)
RETURNS = (1, 10, 50)
UPLIFTS, SHADOW, ROUTED = slice(0, 2), 2, slice(3, 5)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of placement."""

    static: str
    rate: float
    returns: int


@dataclass(frozen=True, slots=True)
class Figures:
    """A cell's runs: their `looks` (runs, looks, contrasts, 7), and what `run` says of their units at the end
    (runs, contrasts).
    """

    cell: Cell
    min_exposures: int
    looks: Floats
    by_unit: Floats

    def coverage(self, variance: Floats) -> Floats:
        """Part of the runs in which a contrast's sequence held at all looks (contrasts,).

        `variance` (runs, looks, contrasts) is that of Σ D.
        """
        n = self.looks[..., N]
        off = np.abs(self.looks[..., TOTAL] - self.looks[..., TRUTH]) / n
        early = self.looks[..., LEARNED] < self.min_exposures
        held = np.all((off <= self._halfwidth(n, variance)) | early, axis=1)
        return np.asarray(np.mean(held, axis=0))

    @property
    def variance(self) -> Floats:
        """The variance that is used (runs, looks, contrasts)."""
        return np.maximum(self.looks[..., BETWEEN], self.looks[..., FLOOR])

    @property
    def per_decision(self) -> Floats:
        """The variance if decisions were independent (runs, looks, contrasts)."""
        return np.subtract(self.looks[..., SQUARES], self.looks[..., TOTAL] ** 2 / self.looks[..., N])

    @property
    def width(self) -> Floats:
        """Mean over the runs of the last interval's width against a cluster-robust one's (contrasts,)."""
        n = self.looks[:, -1, :, N]
        fixed = FIXED_TIME * np.sqrt(self.by_unit) / n
        return np.asarray(np.mean(self._halfwidth(n, self.variance[:, -1]) / fixed, axis=0))

    @property
    def passes(self) -> bool:
        """Whether both uplifts are covered often enough, by intervals that are narrow enough."""
        covered = self.coverage(self.variance)[UPLIFTS]
        return bool((covered >= COVERAGE_MIN).all() and (self.width[UPLIFTS] <= WIDTH_MAX).all())

    def _halfwidth(self, n: Floats, variance: Floats) -> Floats:
        sequence = Sequence.planned(ALPHA, self.min_exposures)
        return halfwidth(n, variance / n, sequence.alpha, sequence.rho)

    def row(self) -> str:
        """The cell as a line of the table."""
        covered, buckets = self.coverage(self.variance), self.coverage(self.looks[..., BETWEEN])
        first = np.argmax(self.looks[:, :, 0, LEARNED] >= self.min_exposures, axis=1).mean() / LOOKS_A_DAY
        return (
            f"| {self.cell.static} | {self.cell.rate:.1%} | {self.cell.returns} "
            f"| {covered[0]:.1%} | {covered[1]:.1%} | {self.width[UPLIFTS].max():.2f} "
            f"| {'PASS' if self.passes else 'BELOW'} "
            f"| {buckets[UPLIFTS].min():.1%} | {self.coverage(self.per_decision)[UPLIFTS].min():.1%} "
            f"| {covered[SHADOW]:.1%} | {covered[ROUTED].min():.1%} | {first:.1f} |"
        )


HEADINGS = (
    "static",
    "reward rate",
    "visits",
    "thompson",
    "linear",
    "width",
    "",
    "buckets alone",
    "by decision",
    "shadow",
    "routed",
    "first look, day",
)


def study(cell: Cell, runs: int, days: int, min_exposures: int) -> Figures:
    """Simulate a cell. A run's seed is its number, so cells see the same ones."""
    looks = np.zeros((runs, days * LOOKS_A_DAY, len(CONTRASTS), LEARNED + 1))
    by_unit = np.zeros((runs, len(CONTRASTS)))
    for number in range(runs):
        rng = np.random.default_rng(number)
        run(rng, STATICS[cell.static], cell.rate, cell.returns, looks[number], by_unit[number])
    return Figures(cell, min_exposures, looks, by_unit)


@click.command(help=__doc__)
@click.option("--runs", type=click.IntRange(2), default=1000, show_default=True, help="Of each cell.")
@click.option("--min-exposures", type=click.IntRange(1), default=2000, show_default=True, help="The gate's.")
@click.option("--quick", is_flag=True, help="40 runs of 10 days instead of 40: to see that it works.")
def main(*, runs: int, min_exposures: int, quick: bool) -> None:
    """Print the table; exit with 1 when a cell does not pass."""
    runs, days = (40, 10) if quick else (runs, 40)
    decisions = days * TICKS_A_DAY * TICK
    print(f"{runs} runs a cell, {days} days, {decisions:,} decisions each, {min_exposures=}\n")
    print(f"| {' | '.join(HEADINGS)} |\n{'|---' * len(HEADINGS)}|", flush=True)
    good, began = True, time.perf_counter()
    for cell in (Cell(s, rate, returns) for s in STATICS for rate in RATES for returns in RETURNS):
        figures = study(cell, runs, days, min_exposures)
        print(figures.row(), flush=True)
        good = good and figures.passes
    print(f"\n{'PASS' if good else 'BELOW'} in {time.perf_counter() - began:.0f} s", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
