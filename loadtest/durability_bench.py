"""What does durability cost: the journal in a Choose, a snapshot in its p99, a start in seconds?

    python -m loadtest.durability_bench

As in transport_bench, the server is alone on one core and what calls it on the other; what is compared takes
turns. A ratio is of two runs within a round, and the median of the rounds' ratios is what is held to the bar.
Machines differ and are shared: compare ratios. Linux only. Exits with 1 if a bar is missed, with 2 where
h2load is not installed.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from bandit.kernels.jit import compile_all
from loadtest.durability_replay import replay_round
from loadtest.durability_season import section_after_a_season
from loadtest.durability_snapshots import Quantiles, Snapshots, config, logged
from loadtest.transport_bench import MANY, SHAPES, WARM_UP_CALLS, Bench, Measured
from loadtest.transport_load import frame, need_h2load, run
from loadtest.transport_subjects import cores, on_core, request, sidecar

INTERVAL = ("--fsync", "interval")
JOURNALED, UNJOURNALED = ("server",), ("loadtest.durability_unjournaled",)
REPLAYS, LOADS = 3, 5
"""Rounds of what needs fewer: its spread is small, or it takes seconds."""
MEGABYTE = 1_000_000
SEASON = {"from": 0.2, "over": "60d", "gate": {"min_exposures": 100}}
"""A ramp that has somewhere to go."""
TIMED_S = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure, round by round, and what its median has to be: at least `bound`, or at most."""

    figure: str
    values: Sequence[float]
    bound: float
    at_most: bool

    @property
    def met(self) -> bool:
        """Whether it is on the right side."""
        middle = statistics.median(self.values)
        return middle <= self.bound if self.at_most else middle >= self.bound

    def __str__(self) -> str:
        """A row of the table."""
        sign = ("≤" if self.met else "ABOVE") if self.at_most else "≥" if self.met else "BELOW"
        return (
            f"| {self.figure} | {statistics.median(self.values):,.2f} | {min(self.values):,.2f} "
            f"| {max(self.values):,.2f} | {sign} {self.bound:,g} |"
        )


def journal(bench: Bench, folder: Path, rounds: int) -> Iterator[Verdict]:
    """CPU time of a Choose with and without the journal."""
    taken: dict[tuple[str, ...], list[Measured]] = {JOURNALED: [], UNJOURNALED: []}
    for _ in range(rounds):
        for program, measured in taken.items():
            own = Path(tempfile.mkdtemp(dir=folder))
            with sidecar(own, INTERVAL, bench.server_core, program) as server:
                measured.append(bench.measure(server, MANY))
    print("\n| Choose, 16 × 20 | CPU µs | lowest | highest | calls/s | others on its core |")
    print("|---|---|---|---|---|---|")
    for name, program in [("without a journal", UNJOURNALED), ("with it, `--fsync interval`", JOURNALED)]:
        cpu_us = [one.cpu_us for one in taken[program]]
        rate = statistics.median(one.calls_per_s for one in taken[program])
        others = max(one.others for one in taken[program])
        print(
            f"| {name} | {statistics.median(cpu_us):.1f} | {min(cpu_us):.1f} | {max(cpu_us):.1f} "
            f"| {rate:,.0f} | {others:.0%} |"
        )
    pairs = zip(taken[JOURNALED], taken[UNJOURNALED], strict=True)
    ratios = [with_it.cpu_us / without.cpu_us for with_it, without in pairs]
    yield Verdict("CPU time of a Choose with the journal ÷ without", ratios, 1.1, at_most=True)


def snapshots(folder: Path, server_core: int, rounds: int) -> Iterator[Verdict]:
    """p99 of Choose while a snapshot is written, its size, and how fast it loads."""
    subject = Snapshots(folder / "snapshots")
    with subject.serving(server_core):
        print(f"\n| Choose beside {subject.placements:,} placements, ms | p50 | p90 | p99 | p99.9 | max |")
        print("|---|---|---|---|---|---|")
        for name, measure in [
            ("2,000 calls/s", subject.open_loop),
            ("16 × 1, closed loop", subject.closed_loop),
        ]:
            rows: dict[bool, list[Quantiles]] = {False: [], True: []}
            for _ in range(rounds):
                for written, measured in rows.items():
                    with subject.taken(written):
                        measured.append(measure())
            for written, measured in rows.items():
                print(f"| {name}{', snapshots written' if written else ''} {_row(measured)}")
            ratios = [w.p99 / without.p99 for without, w in zip(rows[False], rows[True], strict=True)]
            yield Verdict(f"p99 while a snapshot is written ÷ without, {name}", ratios, 2.0, at_most=True)
        print(
            f"\nEach of {len(subject.seconds)} snapshots took {statistics.median(subject.seconds):.1f} s and "
            f"{subject.bytes / MEGABYTE:.1f} MB."
        )
    yield Verdict("MB of that snapshot", [subject.bytes / MEGABYTE], 150.0, at_most=True)
    grown = section_after_a_season(config(1, **SEASON)) * subject.placements / MEGABYTE
    yield Verdict("MB of as many sections after 100 days under a gate", [grown], 150.0, at_most=True)
    with on_core(server_core):
        rates = [subject.loaded_per_s() for _ in range(LOADS)]
    yield Verdict("placements loaded a second", rates, 200.0, at_most=False)


def replay(folder: Path, server_core: int) -> Iterator[Verdict]:
    """How fast a journal is replayed, beside how fast it was taken in."""
    rounds = [replay_round(Path(tempfile.mkdtemp(dir=folder)), server_core, INTERVAL) for _ in range(REPLAYS)]
    print("\n| records a second of CPU time | median | lowest | highest | by the clock |")
    print("|---|---|---|---|---|")
    for name, cpu, clock in [
        ("taken in: Chooses, every fifth rewarded, 16 × 20",
         [one.taken_per_cpu_s for one in rounds], [one.taken_per_s for one in rounds]),
        ("replayed", [one.replayed_per_cpu_s for one in rounds], [one.replayed_per_s for one in rounds]),
    ]:  # fmt: skip
        print(
            f"| {name} | {statistics.median(cpu):,.0f} | {min(cpu):,.0f} | {max(cpu):,.0f} "
            f"| {statistics.median(clock):,.0f} |"
        )
    ratios = [one.replayed_per_cpu_s / one.taken_per_cpu_s for one in rounds]
    yield Verdict("records replayed a second ÷ taken in", ratios, 3.0, at_most=False)


def modes(folder: Path, server_core: int) -> None:
    """Print what an answer that waits for its fsync costs, beside the others. There is no bar."""
    body, log = folder / "body", folder / "calls.log"
    body.write_bytes(frame(request()))
    print("\n| `--fsync` | shape | calls/s | p50 ms | p90 | p99 | p99.9 | max |")
    print("|---|---|---|---|---|---|---|---|")
    for mode in ("never", "interval", "always"):
        with sidecar(Path(tempfile.mkdtemp(dir=folder)), ("--fsync", mode), server_core) as server:
            for shape in SHAPES:
                warm = run(server.target, body, shape, shape.calls(WARM_UP_CALLS[shape]))
                calls = shape.calls(warm.calls_per_s * TIMED_S)
                rate = run(server.target, body, shape, calls, log).calls_per_s
                print(f"| {mode} | {shape} | {rate:,.0f} {_row([logged(log)])}")


def _row(measured: Sequence[Quantiles]) -> str:
    """The medians of some rounds' quantiles."""
    return "| " + " | ".join(f"{figure:.2f}" for figure in np.median(measured, axis=0)) + " |"


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100))
def main(rounds: int) -> None:
    """Run the benchmark."""
    need_h2load()
    compile_all()
    server_core, client_core = cores()
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as temporary, on_core(client_core):
        folder = Path(temporary)
        bench = Bench(folder, server_core, client_core)
        print(f"{bench.describe()}; {rounds} rounds")
        verdicts += journal(bench, folder, rounds)
        verdicts += snapshots(folder, server_core, rounds)
        verdicts += replay(folder, server_core)
        modes(folder, server_core)
    print("\n| figure | median of rounds | lowest | highest | bar |\n|---|---|---|---|---|")
    print("\n".join(map(str, verdicts)))
    sys.exit(0 if all(verdict.met for verdict in verdicts) else 1)


if __name__ == "__main__":
    main()
