"""How fast is `simulate --days` beside the core alone? A million visitors of examples/campaign in sixty days.

    python -m loadtest.days_bench

The calls of the first 100,000 visits are noted, then made again on an engine of their own, in a bare loop:
that is the core's own speed, with the same placement, the same clock and the same rewards. It is taken before
and after the whole campaign, with its drawing and its scoring, as the command runs it; the faster one counts,
by CPU time. Exits with 1 if the campaign makes visits at less than a fifth of the core's own rate, or does
not end at the configured share.
"""

import gc
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from bandit.kernels.jit import compile_all
from loadtest.held import held_bytes
from server.config_files import load
from server.simulation.campaign import Campaign
from server.simulation.scenario_file import read_scenario
from server.simulation.scores import Scores

BAR = 0.2
DAYS = 60
TENTHS = 10
EXAMPLE = Path(__file__).parents[1] / "examples" / "campaign"

Call = tuple[str, tuple[object, ...]]
"""A method of the engine, and what it is given."""


def campaign(shoppers: int) -> Campaign:
    """The example, visited by so many."""
    return Campaign(
        read_scenario(EXAMPLE / "scenario.yaml"), load(EXAMPLE / "config.yaml"), DAYS, shoppers, 1
    )


def noted(shoppers: int, visits: int) -> list[Call]:
    """What the engine is asked by the first `visits` of a campaign of `shoppers`."""
    run, calls = campaign(shoppers), list[Call]()

    def noting(name: str, method: Callable[..., object], *arguments: object) -> object:
        calls.append((name, arguments))
        return method(*arguments)

    def enough(scores: Scores) -> None:
        if len(scores) >= visits:
            raise KeyboardInterrupt  # as a person ends one

    for name in ("choose", "reward", "look"):
        setattr(run.engine, name, partial(noting, name, getattr(run.engine, name)))
    run.progress = enough
    with suppress(KeyboardInterrupt):
        run.run()
    return calls


def alone(shoppers: int, calls: list[Call]) -> float:
    """Visits a second of an engine that does nothing else; its decision_ids are those of the first time."""
    engine = campaign(shoppers).engine
    methods = [(getattr(engine, name), arguments) for name, arguments in calls]
    began_s = time.process_time()
    for method, arguments in methods:
        method(*arguments)
    return sum(name == "choose" for name, _ in calls) / (time.process_time() - began_s)


def whole(run: Campaign) -> tuple[float, list[int]]:
    """Visits a second of a whole campaign, and the bytes that its engine holds after each tenth."""
    held: list[int] = []

    def weigh(scores: Scores) -> None:
        if len(scores) * TENTHS >= (len(held) + 1) * run.shoppers:
            held.append(held_bytes(run.engine))

    run.progress = weigh
    began_s = time.process_time()
    run.run()
    return run.shoppers / (time.process_time() - began_s), held


@click.command(help=__doc__)
@click.option("--shoppers", default=1_000_000, show_default=True, type=click.IntRange(1000))
@click.option("--alone-for", default=100_000, show_default=True, type=click.IntRange(100))
def main(shoppers: int, alone_for: int) -> None:
    """Run both."""
    compile_all()
    calls = noted(shoppers, alone_for)
    gc.collect()
    gc.freeze()  # the collector would go through them again and again
    before_per_s = alone(shoppers, calls)
    run = campaign(shoppers)
    per_s, held = whole(run)
    core_per_s = max(before_per_s, alone(shoppers, calls))
    ratio, share = per_s / core_per_s, run.learned_share
    ramp = run.state.config.ramp
    arrived = ramp is not None and share == ramp.share_to
    print("| | visits a second |\n|---|---|")
    print(f"| the core alone, {alone_for:,} visits | {core_per_s:,.0f} |")
    print(f"| {DAYS} days of {shoppers:,} visits | {per_s:,.0f} |")
    print(f"\n{ratio:.2f} of the core's own speed: {'≥' if ratio >= BAR else 'BELOW'} {BAR}")
    print(f"learned policies serve {share:.1%} at the end: {'as' if arrived else 'NOT as'} configured")
    kilobytes = ", ".join(f"{size / 1000:,.0f}" for size in held)
    print(f"the engine holds, after each tenth, kB: {kilobytes}")
    sys.exit(0 if ratio >= BAR and arrived else 1)


if __name__ == "__main__":
    main()
