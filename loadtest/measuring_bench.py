"""What does it cost to measure three policies on each decision?

    python -m loadtest.measuring_bench

Two engines, ten arms, six features: one computes the served policy alone and measures nothing, the other
computes three, and counts each decision for the report, its days and the gate. They take turns, by CPU time;
exits with 1 if the median of the rounds' ratios is above the bar.
"""

import statistics
import sys
import time

import click

from bandit.config import parse
from bandit.engine import Engine
from bandit.kernels.jit import compile_all
from bandit.placement import PlacementState
from bandit.token import Keys

BAR = 1.5
CHOICES = 10_000
VISITORS = 3_000
NOW_US = 1_800_000_000_000_000
SERVED = {"personal": {"kind": "linear_thompson"}}
ALL = SERVED | {"best-arm": {"kind": "thompson"}, "explorer": {"kind": "linucb"}}


def made(policies: dict[str, dict[str, str]]) -> Engine:
    """An engine whose `personal` serves everyone, after it has learned from some."""
    document = {
        "version": 1,
        "placements": {
            "p": {
                "arms": {f"arm-{i}": {} for i in range(10)},
                "features": {f"feature-{i}": {"kind": "hashed", "buckets": 4} for i in range(6)},
                "reward": {"values": {"click": 1}, "max": 1.0},
                "policies": policies,
                "ramp": {"policies": {"personal": 1.0}, "from": 1.0, "to": 1.0, "gate": {}},
            }
        },
    }
    engine = Engine(
        parse(document), Keys.derive(bytes(32)), origin="bench", start_id=bytes(16), now_us=NOW_US
    )
    for visitor in range(VISITORS):
        token = choose(engine, visitor)
        if visitor % 3 == 0:
            engine.reward(token, "click", 1.0, "", NOW_US)
    return engine


def choose(engine: Engine, visitor: int) -> str:
    """Choose for a visitor, whose context is one of sixty."""
    context = {f"feature-{i}": f"value-{visitor % (3 + i % 3)}" for i in range(6)}
    return engine.choose("p", f"visitor-{visitor}", context, {}, (), False, NOW_US).decision_id


def microseconds(engine: Engine) -> float:
    """CPU time of a choice."""
    began_s = time.process_time()
    for visitor in range(CHOICES):
        choose(engine, visitor)
    return (time.process_time() - began_s) / CHOICES * 1e6


def unmeasured(engine: Engine) -> float:
    """The same without measuring."""
    measure = PlacementState.measure
    PlacementState.measure = lambda *_: None  # type: ignore[method-assign]
    try:
        return microseconds(engine)
    finally:
        PlacementState.measure = measure  # type: ignore[method-assign]


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=9, show_default=True)
def main(rounds: int) -> None:
    """Print both, round by round, and hold the median of their ratios to the bar."""
    compile_all()
    alone, three = made(SERVED), made(ALL)
    ratios = []
    print("| round | served policy alone, µs | three, measured, µs | ratio |\n|---|---|---|---|")
    for number in range(rounds):
        one, all_of_them = unmeasured(alone), microseconds(three)
        ratios.append(all_of_them / one)
        print(f"| {number + 1} | {one:.1f} | {all_of_them:.1f} | {ratios[-1]:.2f} |")
    median = statistics.median(ratios)
    print(f"\nmeasuring three policies on each decision: x {median:.2f} (bar: at most {BAR})")
    sys.exit(median > BAR)


if __name__ == "__main__":
    main()
