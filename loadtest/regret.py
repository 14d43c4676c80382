"""How fast do our linear policies learn? Their regret against MABWiser's, side by side.

    python -m loadtest.regret --seeds 20 --steps 20000
    python -m loadtest.regret --report

Each (environment, seed, learner) is a run; finished runs are appended to a file of JSON lines and not run
again, so a long study can be stopped and resumed. Prints a table: mean regret over the seeds, the ratio of
the means, and the upper end of its 95 % interval (bootstrap over seeds, pairs kept together). Exits with 1 if
that exceeds the bar anywhere.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices of 20 columns: threads only get in the way
os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from loadtest.environments import ARMS, ENVIRONMENTS
from loadtest.learners import LEARNERS, PAIRS

BAR = 1.05
RESAMPLES = 20_000
ROWS_OF_DIGITS = 1797

Run = tuple[str, int, int, str]
"""Environment, steps, seed, learner."""
Regrets = dict[Run, float]


def play(run: Run) -> tuple[Run, float, float]:
    """Let one learner act through one episode; return the run, its regret and the seconds it took."""
    environment, steps, seed, name = run
    episode = ENVIRONMENTS[environment](seed, steps)
    learner = LEARNERS[name](ARMS, episode.contexts.shape[1], seed)
    arms = np.zeros(len(episode.contexts), np.int64)
    began = time.perf_counter()
    for step, x in enumerate(episode.contexts):
        arm = learner.choose(x)
        learner.learn(x, arm, float(episode.rewards[step, arm]))
        arms[step] = arm
    return run, episode.regret(arms), time.perf_counter() - began


def runs_of(environments: list[str], seeds: int, steps: int) -> Iterator[Run]:
    """Every run of the study, a seed at a time, so that an unfinished one compares like with like."""
    for seed in range(seeds):
        for environment in environments:
            length = min(steps, ROWS_OF_DIGITS) if environment == "digits" else steps
            for name in LEARNERS:
                yield environment, length, seed, name


def read(results: Path) -> Regrets:
    """Read the finished runs."""
    if not results.exists():
        return {}
    lines = map(json.loads, results.read_text().splitlines())
    return {(r["environment"], r["steps"], r["seed"], r["learner"]): r["regret"] for r in lines}


def study(runs: list[Run], results: Path, jobs: int) -> None:
    """Play what is not finished yet, appending each result as it comes."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs) as pool, results.open("a") as file:
        for done, (run, regret, seconds) in enumerate(pool.map(play, runs), 1):
            names = dict(zip(("environment", "steps", "seed", "learner"), run, strict=True))
            file.write(json.dumps({**names, "regret": regret, "seconds": round(seconds, 2)}) + "\n")
            file.flush()
            print(f"{done}/{len(runs)} {run}: regret {regret:.1f} in {seconds:.1f} s", file=sys.stderr)


def ratio_bound(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Upper end of the 95 % percentile-bootstrap interval of mean(ours) / mean(theirs), seeds resampled."""
    picks = np.random.default_rng(0).integers(ours.size, size=(RESAMPLES, ours.size))
    return float(np.quantile(ours[picks].mean(axis=1) / theirs[picks].mean(axis=1), 0.975))


def report(regrets: Regrets, runs: list[Run]) -> bool:
    """Print the table of the given runs' results; return whether every bound is within the bar."""
    print("| environment | seeds | ours | mean regret | MABWiser's | mean regret | ratio | 95 % bound | |")
    print("|---|---|---|---|---|---|---|---|---|")
    good = True
    worlds = list(dict.fromkeys((environment, steps) for environment, steps, _, _ in runs))
    seeds = sorted({seed for _, _, seed, _ in runs})
    for environment, steps in worlds:
        for ours, theirs in PAIRS:
            keys = [((environment, steps, seed, ours), (environment, steps, seed, theirs)) for seed in seeds]
            pairs = np.array([(regrets[a], regrets[b]) for a, b in keys if a in regrets and b in regrets])
            if not len(pairs):
                continue
            mine, peer = pairs.mean(axis=0)
            bound = ratio_bound(pairs[:, 0], pairs[:, 1])
            good = good and bound <= BAR
            verdict = f"{'≤' if bound <= BAR else 'above'} {BAR}"
            print(
                f"| {environment}, {steps:,} steps | {len(pairs)} | {ours} | {mine:.1f} "
                f"| {theirs} | {peer:.1f} | {mine / peer:.3f} | {bound:.3f} | {verdict} |"
            )
    return good


@click.command(help=__doc__)
@click.option("--environment", "environments", multiple=True, type=click.Choice(list(ENVIRONMENTS)))
@click.option("--seeds", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--steps", default=20_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option(
    "--results", default=Path("data/regret.jsonl"), show_default=True, type=click.Path(path_type=Path)
)
@click.option("--report", "only_report", is_flag=True, help="Print what is finished; run nothing.")
def main(
    environments: tuple[str, ...], seeds: int, steps: int, jobs: int, results: Path, only_report: bool
) -> None:
    """Run the study and print its table."""
    runs = list(runs_of(list(environments or ENVIRONMENTS), seeds, steps))
    if not only_report:
        finished = read(results)
        study([run for run in runs if run not in finished], results, jobs)
    print(f"MABWiser {version('mabwiser')}, NumPy {version('numpy')}, numba {version('numba')}\n")
    sys.exit(0 if report(read(results), runs) else 1)


if __name__ == "__main__":
    main()
