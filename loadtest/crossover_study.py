"""Does context count? The best arm flips with a feature; policies that see it must come near the oracle,
and must lose that when each request carries another shopper's context.

    python -m loadtest.crossover_study

Exits with 1 unless, over the last half of each run and on average over the seeds, linear_thompson and linucb
earn at least 95 % of the oracle's gain over static, and with shuffled contexts no more than the best single
arm (plus what chance allows).
"""

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from loadtest.sidecar import copies, running
from server.client import Client
from server.simulation.drive import Simulation
from server.simulation.scenario import Scenario
from server.simulation.scenario_file import read_scenario
from server.simulation.scores import Earnings

EXAMPLE = Path(__file__).parents[1] / "examples" / "crossover"
LINEAR = ("flip-linear", "flip-linucb")
POLICIES = (*LINEAR, "flip-thompson")
GAIN_MIN = 0.95
CHANCE = 0.02
"""Of the oracle's gain: how far a mean over five seeds may lie above the best single arm by luck."""


@dataclass(frozen=True, slots=True)
class Run:
    """One simulation: earnings of its last half, where the oracle has something to gain."""

    placement: str
    seed: int
    shuffled: bool
    gain: float
    gain_best_arm: float
    earned: Earnings


def crossover(seeds: int, shoppers: int, batch: int = 64) -> list[Run]:
    """Every placement of the example, with contexts as they are and shuffled, `seeds` times each."""
    scenario = read_scenario(EXAMPLE / "scenario.yaml")
    names = [f"{seed}{suffix}" for seed in range(1, seeds + 1) for suffix in ("", "-shuffled")]
    document = copies(EXAMPLE / "config.yaml", POLICIES, names)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), document) as sidecar,
        Client(sidecar.target) as client,
    ):
        client.wait_ready(60)
        return [
            _run(client, scenario, placement, seed, shoppers, batch, shuffled=shuffled)
            for placement in POLICIES
            for shuffled in (False, True)
            for seed in range(1, seeds + 1)
        ]


def _run(
    client: Client,
    scenario: Scenario,
    placement: str,
    seed: int,
    shoppers: int,
    batch: int,
    *,
    shuffled: bool,
) -> Run:
    name = f"{placement}.{seed}{'-shuffled' if shuffled else ''}"
    there = Scenario(name, scenario.arms, scenario.weights, scenario.features, scenario.events)
    simulation = Simulation(there, client, shoppers, batch, seed, shuffle=shuffled)
    simulation.run()
    earned = simulation.scores.report(seed, shuffled=shuffled).last_half
    assert earned.gain is not None
    assert earned.gain_best_arm is not None
    return Run(placement, seed, shuffled, earned.gain, earned.gain_best_arm, earned)


def verdicts(runs: list[Run]) -> list[str]:
    """What fails; empty when context counts."""
    failures: list[str] = []
    for placement in LINEAR:
        seen = [run.gain for run in runs if run.placement == placement and not run.shuffled]
        blind = [run for run in runs if run.placement == placement and run.shuffled]
        if statistics.fmean(seen) < GAIN_MIN:
            failures.append(
                f"{placement} gains {statistics.fmean(seen):.1%}, at least {GAIN_MIN:.0%} expected"
            )
        excess = statistics.fmean(run.gain - run.gain_best_arm for run in blind)
        if excess > CHANCE:
            failures.append(
                f"{placement} gains {excess:.1%} more than the best single arm without its context"
            )
    return failures


@click.command()
@click.option("--seeds", type=click.IntRange(1, 50), default=5, show_default=True, help="Runs of each.")
@click.option("--shoppers", type=click.IntRange(100), default=20_000, show_default=True, help="Of each run.")
def main(*, seeds: int, shoppers: int) -> None:
    """Print the table; exit with 1 when context does not count."""
    runs = crossover(seeds, shoppers)
    print(f"last half of {shoppers} shoppers, mean of {seeds} seeds; gain is of the oracle's over static\n")
    print("| placement | contexts | static | best arm | served | oracle | gain | range | best arm's gain |")
    print("|---|---|---|---|---|---|---|---|---|")
    for placement in POLICIES:
        for shuffled in (False, True):
            print(_row([run for run in runs if run.placement == placement and run.shuffled == shuffled]))
    failures = verdicts(runs)
    print("\n" + ("\n".join(f"FAIL: {failure}" for failure in failures) or "PASS"))
    sys.exit(bool(failures))


def _row(runs: list[Run]) -> str:
    gains = [run.gain for run in runs]
    earned = [
        statistics.fmean(getattr(run.earned, what) for run in runs)
        for what in ("static", "best_arm", "served", "oracle")
    ]
    return (
        f"| {runs[0].placement} | {'shuffled' if runs[0].shuffled else 'as they are'} | "
        + " | ".join(f"{value:.4f}" for value in earned)
        + f" | {statistics.fmean(gains):.1%} | {min(gains):.1%} to {max(gains):.1%}"
        + f" | {statistics.fmean(run.gain_best_arm for run in runs):.1%} |"
    )


if __name__ == "__main__":
    main()
