"""How fast is the core? A decision and its update against peers, and the pieces of a Choose and a Reward.

    python -m loadtest.bench

Subjects take turns, several rounds over, in one process; a ratio is of medians within a round, and the median
of the rounds' ratios is what is held to the bar. Machines differ and are shared: compare ratios, not
microseconds. Exits with 1 if a ratio is below its bar.
"""

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import click
import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import compile_all
from loadtest.bench_pieces import pieces
from loadtest.bench_subjects import CONTEXTS, MABWiser, OurEngine, OurLearner, Subject, VowpalWabbit, reward

Nanoseconds = NDArray[np.int64]

STEPS = {OurLearner: 5000, OurEngine: 5000, VowpalWabbit: 1500, MABWiser: 300}
"""Timed decisions a round: about as long for each."""
BAGGING = "--bag 5"
"""Vowpal Wabbit's Thompson sampling: five models on bootstrap samples."""
BARS = [("Vowpal Wabbit", "banditd's learner", 10.0), ("MABWiser", "banditd's learner, given vectors", 100.0)]


def play(subject: Subject, steps: int, luck: random.Random) -> tuple[Nanoseconds, Nanoseconds]:
    """Let a subject decide and learn; return what each decision and each update took."""
    chose, learned = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    clock = time.perf_counter_ns
    for step in range(steps):
        visitor = luck.randrange(CONTEXTS)
        began = clock()
        arm = subject.choose(visitor)
        decided = clock()
        value = reward(visitor, arm, luck)
        resumed = clock()
        subject.learn(visitor, arm, value)
        ended = clock()
        chose[step], learned[step] = decided - began, ended - resumed
    return chose, learned


def line(name: str, nanoseconds: Nanoseconds) -> str:
    """A row of microseconds: p50, p90, p99, p99.9, max."""
    figures = np.quantile(nanoseconds, [0.5, 0.9, 0.99, 0.999, 1.0]) / 1000.0
    return f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |"


def compare(rounds: int) -> bool:
    """Print the table of subjects and the ratios; return whether every bar is met."""
    makers: list[Callable[[], Subject]] = [
        lambda: OurLearner(encoded=False),
        lambda: OurLearner(encoded=True),
        OurEngine,
        lambda: VowpalWabbit(BAGGING),
        lambda: VowpalWabbit("--epsilon 0.01"),
        MABWiser,
    ]
    subjects = [make() for make in makers]
    luck = random.Random(5)
    for subject in subjects:
        play(subject, STEPS[type(subject)], luck)
    taken: dict[str, list[tuple[Nanoseconds, Nanoseconds]]] = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            taken[subject.name].append(play(subject, STEPS[type(subject)], luck))
    print("| µs | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|")
    for name, timed in taken.items():
        chose = np.concatenate([pair[0] for pair in timed])
        learned = np.concatenate([pair[1] for pair in timed])
        print(line(f"{name}: decision", chose))
        print(line(f"{name}: update", learned))
        print(line(f"{name}: both", chose + learned))
    medians = {
        name: [float(np.median(chose + learned)) for chose, learned in timed] for name, timed in taken.items()
    }
    print("\n| ratio of medians, both | median of rounds | lowest | highest | bar |\n|---|---|---|---|---|")
    good = True
    for peer, ours, bar in BARS:
        for name in (name for name in medians if name.startswith(peer)):
            ratios = [theirs / mine for theirs, mine in zip(medians[name], medians[ours], strict=True)]
            middle = statistics.median(ratios)
            good = good and middle >= bar
            print(
                f"| {name} ÷ {ours} | {middle:.1f} | {min(ratios):.1f} | {max(ratios):.1f} "
                f"| {'≥' if middle >= bar else 'BELOW'} {bar:g} |"
            )
    return good


@click.command(help=__doc__)
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1, 1000))
def main(rounds: int) -> None:
    """Run the benchmark."""
    compile_all()
    names = ("numba", "numpy", "vowpalwabbit", "mabwiser", "cryptography")
    print(
        f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {version(name)}" for name in names) + "\n"
    )
    gc.collect()
    gc.freeze()
    good = compare(rounds)
    print("\nThe pieces, in the order in which they happen:\n")
    print("| µs | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|")
    for name, nanoseconds in pieces():
        print(line(name, nanoseconds))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
