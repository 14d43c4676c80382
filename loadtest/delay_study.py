"""What correcting for delayed rewards is worth: bias and regret with it and without, on the same visitors.

    python -m loadtest.delay_study            # 20 seeds of every scenario, about 40 minutes of one core
    python -m loadtest.delay_study --quick    # 4 seeds of two of them

The bias of an arm's estimate is how far it is, on the mean over seeds, from what the same policy would think
had all rewards of the same exposures come that will come within the window. Of all arms together they are
added up by their exposures, and divided by what they should be. Exits with 1 if, from half a window after
the start on and at every time after the new arm, the corrected bias is above a third of the uncorrected one
where that is above 5 % (with short and very long delays: the larger of both by more than 5 %); or if regret
is larger beyond chance (the 95 % bound of the ratio, seeds resampled, pairs kept together).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
from itertools import chain

import click
import numpy as np

from loadtest.delay_world import Floats, Run, Scenario, run

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("6 h"),
        Scenario("6 h, other contexts", mix=(0.9, 0.05, 0.05), mix_later=(0.05, 0.9, 0.05), shift_h=6.0),
        Scenario("5 min", events=((1.0, 5 / 60),), barred=False),
        Scenario("at once", events=((1.0, 0.0),), barred=False),
        Scenario("24 h", events=((1.0, 24.0),), barred=False),
        Scenario("click and purchase", events=((0.2, 1 / 60), (1.0, 8.0))),
    )
}
KINDS = ("thompson", "linear_thompson", "linucb")
PER_HOUR = 300
BAR = 1 / 3
SMALL = 0.05
"""A bias that nobody would see."""
KNOWN_H = 12.0
"""From when on after the start estimates are held to the bar: before, the longer delays cannot be known."""
RESAMPLES = 20_000


def bias(runs: list[Run], look: int, arms: slice, which: str = "estimate") -> float:
    """Return the bias of some arms' estimates at a look, as a part of what they should be."""
    looks = [run.looks[look] for run in runs]
    error = np.mean([getattr(one, which)[arms] - one.settled[arms] for one in looks], axis=0)
    settled = np.mean([one.settled[arms] for one in looks], axis=0)
    shown = np.mean([one.shown[arms] for one in looks], axis=0)
    return float((shown * np.abs(error)).sum() / (shown * settled).sum())


def regret_ratio(corrected: list[Run], plain: list[Run]) -> tuple[float, float, float]:
    """Return the ratio of the mean regrets and the ends of its one-sided 95 % intervals."""
    ours, theirs = (np.array([run.regret for run in runs]) for runs in (corrected, plain))
    picks = np.random.default_rng(0).integers(ours.size, size=(RESAMPLES, ours.size))
    ratios: Floats = ours[picks].mean(axis=1) / theirs[picks].mean(axis=1)
    low, high = np.quantile(ratios, (0.05, 0.95))
    return float(ours.mean() / theirs.mean()), float(low), float(high)


def study(scenario: Scenario, kind: str, seeds: int) -> bool:
    """Print a table of one scenario and policy; return whether it holds."""
    plain, corrected = (
        [run(scenario, kind, seed, PER_HOUR, delayed=delayed) for seed in range(seeds)]
        for delayed in (False, True)
    )
    ratio, low, high = regret_ratio(corrected, plain)
    good = low <= 1.0
    regrets = [float(np.mean([run.regret for run in runs])) for runs in (plain, corrected)]
    print(f"\n{scenario.name}, {kind}: regret {regrets[0]:.0f} → {regrets[1]:.0f}, ", end="")
    print(f"ratio {ratio:.2f} ({low:.2f} to {high:.2f}){'' if good else '  WORSE'}\n")
    print("| after | arms | uncorrected | corrected | ratio | one factor an arm |")
    print("|---|---|---|---|---|---|")
    for look, hour in enumerate(scenario.looks_h):
        new = hour > scenario.new_h
        for arms, name in ((slice(0, 3), "old"), (slice(3, 4), "new"))[: 1 + new]:
            before, after = (bias(runs, look, arms) for runs in (plain, corrected))
            factor = bias(corrected, look, arms, "factor")
            held = hour >= KNOWN_H and before > SMALL and scenario.barred
            fine = after <= BAR * before if held else after <= before + SMALL or hour < KNOWN_H
            good = good and fine
            when = f"{hour - scenario.new_h:g} h of new arm" if new else f"{hour:g} h"
            compared = f"{after / before:.2f}" if before > SMALL else ""
            verdict = compared + ("" if fine else " ABOVE")
            print(f"| {when} | {name} | {before:.1%} | {after:.1%} | {verdict} | {factor:.1%} |", flush=True)
    return good


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="4 seeds, and only delays of 6 h.")
@click.option("--seeds", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--scenario", "names", multiple=True, type=click.Choice(list(SCENARIOS)))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS))
def main(*, quick: bool, seeds: int, names: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    """See the module's docstring."""
    chosen = names or tuple(SCENARIOS)[: 2 if quick else None]
    pairs = chain.from_iterable([(SCENARIOS[name], kind) for kind in kinds or KINDS] for name in chosen)
    good = [study(scenario, kind, 4 if quick else seeds) for scenario, kind in pairs]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
