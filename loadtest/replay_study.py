"""Replays a log through a sidecar of its own: many seeds, several policies, a fresh placement for each.

    python -m loadtest.replay_study --config examples/replay/hillstrom.yaml \
        --mapping examples/replay/hillstrom-mapping.yaml --log hillstrom.csv.gz \
        --placement hillstrom-thompson --bar 0.178 --placement hillstrom-linear --bar 0.174

Prints, for each placement, the mean reward of matched rows over the seeds against the logged mean, and in how
many runs the interval holds that mean. Exits with 1 when a placement is below its bar. Runs go one after
another, so they do not share a machine's noise.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from loadtest.sidecar import copies, running
from server.client import Client
from server.replays.drive import Replay, Report
from server.replays.mapping import read_mapping
from server.replays.rows import Row, read_rows, shuffled
from server.replays.statistics import Estimate, summed

SEEDS_MAX = 100
HEADINGS = (
    "placement",
    "matched rows",
    "mean",
    "sd of seeds",
    "range",
    "95 % of a run",
    "second half",
    "holds the log's",
    "bar",
)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Figures:
    """One placement over all seeds: rewards of matched rows, by run; None where nothing matched."""

    placement: str
    bar: float
    matched: list[Estimate]
    second_half: list[Estimate]

    @property
    def mean(self) -> float:
        """Mean over the seeds of the mean reward of matched rows."""
        return statistics.fmean(run.mean or 0.0 for run in self.matched)

    def row(self, logged: float) -> str:
        """The placement as a line of the table."""
        means = [run.mean or 0.0 for run in self.matched]
        spread = statistics.stdev(means) if len(means) > 1 else 0.0
        late = statistics.fmean(run.mean or 0.0 for run in self.second_half)
        rows = statistics.fmean(run.rows for run in self.matched)
        low = statistics.fmean(run.low or 0.0 for run in self.matched)
        high = statistics.fmean(run.high or 0.0 for run in self.matched)
        held = sum((run.low or 0.0) <= logged <= (run.high or 1.0) for run in self.matched)
        verdict = "" if self.bar == 0 else f"≥ {self.bar:g} {'PASS' if self.mean >= self.bar else 'FAIL'}"
        return (
            f"| {self.placement} | {rows:.0f} | {self.mean:.4f} | {spread:.4f} "
            f"| {min(means):.4f}–{max(means):.4f} | {low:.4f}–{high:.4f} | {late:.4f} "
            f"| {held} of {len(means)} | {verdict} |"
        )


def study(
    config: Path, rows: list[Row], placements: Sequence[str], seeds: int, batch: int, limit: int | None
) -> dict[str, list[Report]]:
    """Every run's report, by placement."""
    document = copies(config, placements, range(1, seeds + 1))
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), document) as sidecar,
        Client(sidecar.target) as client,
    ):
        client.wait_ready(60)
        return {
            placement: [
                _run(client, f"{placement}.{seed}", shuffled(rows, seed, limit), batch)
                for seed in range(1, seeds + 1)
            ]
            for placement in placements
        }


def _run(client: Client, placement: str, rows: list[Row], batch: int) -> Report:
    run = Replay(placement, rows, client, batch)
    run.run()
    report = run.report()
    print(f"{placement}: {report.matched}", file=sys.stderr, flush=True)
    return report


@click.command()
@click.option("--config", type=FILE, required=True, help="Configuration with the placements.")
@click.option("--mapping", type=FILE, required=True, help="Mapping of the log.")
@click.option("--log", type=FILE, required=True, help="The log, CSV or CSV.gz.")
@click.option("--placement", "placements", multiple=True, required=True, help="A placement; repeat for more.")
@click.option("--bar", "bars", type=float, multiple=True, help="Its least mean reward, in the same order.")
@click.option(
    "--seeds", type=click.IntRange(1, SEEDS_MAX), default=20, show_default=True, help="Runs of each."
)
@click.option("--batch", type=click.IntRange(1, 256), default=64, show_default=True, help="Choices a call.")
@click.option("--limit", type=click.IntRange(1), help="Rows of each run.")
def main(
    *,
    config: Path,
    mapping: Path,
    log: Path,
    placements: tuple[str, ...],
    bars: tuple[float, ...],
    seeds: int,
    batch: int,
    limit: int | None,
) -> None:
    """Print the table; exit with 1 when a placement is below its bar."""
    if bars and len(bars) != len(placements):
        raise click.UsageError("give --bar once for each --placement, or not at all")
    rows = read_rows(log, read_mapping(mapping))
    logged = summed(row.reward for row in rows).estimate()
    reports = study(config, rows, placements, seeds, batch, limit)
    figures = [
        Figures(name, bar, [run.matched for run in reports[name]], [run.second_half for run in reports[name]])
        for name, bar in zip(placements, bars or [0.0] * len(placements), strict=True)
    ]
    print(f"{log.name}: {logged.rows} rows, logged mean {logged.mean:.4f}; {seeds} seeds, batches of {batch}")
    print(f"\n| {' | '.join(HEADINGS)} |\n{'|---' * len(HEADINGS)}|")
    for figure in figures:
        print(figure.row(logged.mean or 0.0))
    for warning in sorted({warning for runs in reports.values() for run in runs for warning in run.warnings}):
        print(f"warning: {warning}")
    sys.exit(any(figure.mean < figure.bar for figure in figures))


if __name__ == "__main__":
    main()
