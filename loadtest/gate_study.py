"""Does a gate keep its word: no bearable ramp taken back, no harmful one let go on, no good one held up?

    python -m loadtest.gate_study
    python -m loadtest.gate_study --quick

Each cell is a kind of campaign (loadtest/gate_world.py) of 10,000 decisions a day, whose ramp (5 % to 90 % in
60 days) is driven by the gate of the core with its defaults. Learned policies

    bearable   lose exactly what is allowed, 5 %, at every time: at most 5 % of ramps may be taken back
    harm       lose more, from the beginning: at least 90 % are taken back within 60 days
    late       gain 10 % for 40 days, then lose as much: at least 90 % are taken back within 30 days
    good       gain 10 %: at least 90 % arrive within 100 days

Exits with 1 unless all cells with a bar pass. Days are the campaign's; those of `late` since harm began.
"""

import sys
import time
from dataclasses import dataclass

import click
import numpy as np

from loadtest.gate_world import ARMS, Campaign, Outcome, run

RAMP = {"from": 0.05, "to": 0.9, "over": "60d", "gate": {}}
TRAFFIC = 10_000
STATICS = {"uniform": np.full(ARMS, 1.0 / ARMS), "single arm": np.eye(ARMS)[0]}
RATES = (0.1, 0.01)
VISITS = (1, 10)
ALLOWED, GAIN, LATE_DAY = 0.05, -0.1, 40
DAYS = {"bearable": 60, "harm": 60, "late": LATE_DAY + 30, "good": 100}
HARM = {0.1: 0.2, 0.01: 0.4}
"""What a harmful policy loses, by reward rate: rarer rewards take longer to tell."""
BACK_MAX, CAUGHT_MIN, ARRIVED_MIN = 0.05, 0.9, 0.9
QUICK_RUNS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of campaign. `barred`: it has a bar to pass."""

    name: str
    static: str
    rate: float
    visits: int
    loss: float
    barred: bool = True

    @property
    def campaign(self) -> Campaign:
        """What is simulated."""
        losses = ((0, GAIN), (LATE_DAY, self.loss)) if self.name == "late" else ((0, self.loss),)
        static = STATICS[self.static]
        return Campaign(static, self.rate, self.visits, TRAFFIC, DAYS[self.name], losses, self.name == "good")


def cells() -> list[Cell]:
    """Every cell, in the order of the table."""
    kinds = [(static, rate, visits) for static in STATICS for rate in RATES for visits in VISITS]
    return [
        *(Cell("bearable", *kind, ALLOWED) for kind in kinds),
        *(Cell("harm", *kind, HARM[kind[1]]) for kind in kinds),
        *(Cell("harm", static, 0.01, 10, 0.2, barred=False) for static in STATICS),
        *(Cell("late", *kind, HARM[kind[1]]) for kind in kinds),
        *(Cell("good", *kind, GAIN) for kind in kinds),
    ]


@dataclass(frozen=True, slots=True)
class Figures:
    """A cell's runs."""

    cell: Cell
    outcomes: tuple[Outcome, ...]

    @property
    def back(self) -> list[float]:
        """The days on which ramps were taken back; those of `late` since the harm began."""
        since = LATE_DAY if self.cell.name == "late" else 0
        return [outcome.back - since for outcome in self.outcomes if outcome.back is not None]

    @property
    def arrived(self) -> list[float]:
        """The days on which ramps arrived."""
        return [outcome.arrived for outcome in self.outcomes if outcome.arrived is not None]

    @property
    def passes(self) -> bool:
        """Whether the gate keeps its word, or gives none."""
        runs, back = len(self.outcomes), self.back
        match self.cell.name:
            case "bearable":
                good = len(back) <= BACK_MAX * runs
            case "good":
                good = len(self.arrived) >= ARRIVED_MIN * runs
            case _:  # of late harm, what came too early is none that was caught
                good = sum(day > 0 for day in back) >= CAUGHT_MIN * runs
        return good or not self.cell.barred

    def row(self) -> str:
        """The cell as a line of the table."""
        cell, runs = self.cell, len(self.outcomes)
        share = np.mean([outcome.share for outcome in self.outcomes])
        verdict = ("PASS" if self.passes else "BELOW") if cell.barred else "-"
        return (
            f"| {cell.name} | {-cell.loss:+.0%} | {cell.static} | {cell.rate:.0%} | {cell.visits} "
            f"| {len(self.back) / runs:.1%} | {_days(self.back)} "
            f"| {len(self.arrived) / runs:.1%} | {_days(self.arrived)} | {share:.0%} | {verdict} |"
        )


def _days(days: list[float]) -> str:
    """The median day and the ninetieth of a hundred, each column of its own."""
    if not days:
        return "- | -"
    median, late = np.quantile(days, [0.5, 0.9], method="higher")
    return f"{median:.0f} | {late:.0f}"


HEADINGS = (
    "campaign", "learned earn", "static", "reward rate", "visits", "taken back", "median day", "90 %",
    "arrived", "median day", "90 %", "share at the end", "",
)  # fmt: skip


@click.command(help=__doc__)
@click.option("--runs", type=click.IntRange(2), default=1000, show_default=True, help="Of each cell.")
@click.option("--quick", is_flag=True, help=f"{QUICK_RUNS} runs of each: to see that it works.")
def main(*, runs: int, quick: bool) -> None:
    """Print the table; exit with 1 when a cell does not pass."""
    runs = QUICK_RUNS if quick else runs
    print(f"{runs} runs a cell, {TRAFFIC:,} decisions a day\n")
    print(f"| {' | '.join(HEADINGS)} |\n{'|---' * len(HEADINGS)}|", flush=True)
    good, began = True, time.perf_counter()
    for cell in cells():
        figures = Figures(cell, tuple(run(seed, cell.campaign, RAMP) for seed in range(runs)))
        print(figures.row(), flush=True)
        good = good and figures.passes
    print(f"\n{'PASS' if good else 'BELOW'} in {time.perf_counter() - began:.0f} s", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
