"""What a warm start is worth: the first visitors of a policy that was trained on part of a log, or on none.

    python -m loadtest.warm_study --log hillstrom.csv.gz --config examples/train/hillstrom.yaml \
        --mapping examples/replay/hillstrom-mapping.yaml --policy best --policy personal

For each seed the log is shuffled. Its first rows are the campaign that `banditd train` learns from; others,
the same for every start, visit an engine that starts from what was written and serves one policy to everyone,
by the replay method (Li et al. 2011): a row counts, and is learned, where the engine chose what was logged.
Prints the mean R of the first visitors that count. The log has to be a uniform one.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev

import click
import numpy as np
import yaml

from bandit.config import EXPOSURE, Config, Placement, parse
from bandit.engine import Engine
from bandit.state import State
from bandit.token import Keys
from server.logged import rows as logged
from server.logged.logs import Loaded
from server.recovery import recover
from server.replays.mapping import read_mapping
from server.replays.rows import Row, read_rows
from server.training import directory
from server.training.learning import learned

NOW_US = 1_800_000_000_000_000
VISIT_US = 1_000_000
LEDGER_BYTES = 2**26
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def serving(config: Path, policy: str) -> Placement:
    """Return the only placement of a configuration, with one policy for everyone."""
    document = yaml.safe_load(config.read_text("utf-8"))
    (placement,) = document["placements"].values()
    placement["policies"] = {policy: placement["policies"][policy]}
    placement["ramp"] = {"policies": {policy: 1.0}, "from": 1.0}
    (parsed,) = parse(document).placements.values()
    return parsed


def started(placement: Placement, campaign: Loaded | None) -> State:
    """Return what an engine starts from: what a start finds in the directory that training has written."""
    if campaign is None:
        return State(LEDGER_BYTES)
    state, _ = learned(campaign, placement, NOW_US, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        directory.write(Path(folder), state)
        found = recover(Path(folder), ledger_bytes_max=LEDGER_BYTES).state
    found.derive()
    return found


def counted(placement: Placement, state: State, visitors: Sequence[Row], seed: int) -> Iterator[float]:
    """Yield R of each visitor for whom the engine chose what was logged."""
    keys, start = Keys.derive(bytes(range(32))), seed.to_bytes(16, "little")
    config = Config({placement.name: placement})
    engine = Engine(config, keys, origin="study", start_id=start, now_us=NOW_US, state=state)
    for number, row in enumerate(visitors):
        now_us = NOW_US + number * VISIT_US
        choice = engine.choose(placement.name, "", row.categories, row.numbers, (), True, now_us)
        if choice.arm != row.arm:
            continue
        engine.reward(choice.decision_id, EXPOSURE, 1.0, "", now_us)
        for event, value in row.events:
            engine.reward(choice.decision_id, event, value, "", now_us)
        yield row.reward


def subset(loaded: Loaded, rows: Sequence[int]) -> Loaded:
    """Return some rows of a log."""
    kept = np.zeros(loaded.log.arm.size, np.bool_)
    kept[rows] = True
    return loaded.without("another part of the study", ~kept)


@click.command()
@click.option("--log", type=FILE, required=True, help="A uniform log, CSV or CSV.gz.")
@click.option("--config", type=FILE, required=True, help="A configuration with one placement.")
@click.option("--mapping", type=FILE, required=True, help="Mapping of the log.")
@click.option("--policy", "policies", multiple=True, required=True, help="A policy; may be repeated.")
@click.option("--seeds", type=click.IntRange(2), default=120, show_default=True, help="Runs of each.")
@click.option("--first", "firsts", type=int, multiple=True, default=(300, 1000, 2000), help="Visitors.")
@click.option("--campaign", "sizes", type=int, multiple=True, default=(0, 1000, 10_000), help="Rows.")
def main(
    *, log: Path, config: Path, mapping: Path, policies: Sequence[str], seeds: int, firsts: Sequence[int],
    sizes: Sequence[int],
) -> None:  # fmt: skip
    """Print the table."""
    read = read_mapping(mapping)
    visitors = read_rows(log, read)
    print(f"| policy | trained on | {' | '.join(f'first {n}' for n in firsts)} |")
    print("|---" * (2 + len(firsts)) + "|")
    for policy in policies:
        served = serving(config, policy)
        loaded = logged.load(log, read, served, NOW_US)
        visits = 4 * max(firsts) * len(served.arms) // 3  # of which one in so many counts
        for size in sizes:
            runs = []
            for seed in range(1, seeds + 1):
                order = np.random.default_rng(seed).permutation(len(visitors))
                part = subset(loaded, order[:size].tolist()) if size else None
                came = [visitors[i] for i in order[max(sizes) : max(sizes) + visits].tolist()]
                runs.append(list(counted(served, started(served, part), came, seed)))
            cells = []
            for n in firsts:
                earned = [fmean(run[:n]) for run in runs]
                cells.append(f"{fmean(earned):.4f} ± {stdev(earned) / seeds**0.5:.4f}")
            print(f"| {policy} | {size or 'nothing'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
