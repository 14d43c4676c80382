"""`banditd replay`: logged decisions are replayed through a running sidecar."""

import json
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bandit.config import ConfigError
from server.client import Client
from server.commands.driving import DriveError, batch_option, connection_options, driving, output_console
from server.exit_codes import ExitCode
from server.replays.drive import Replay
from server.replays.mapping import Mapping, read_mapping
from server.replays.rows import LogError, Row, read_rows, shuffled
from server.replays.statistics import Sums
from server.replays.view import show_report

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True, readable=True)


@click.command("replay")
@click.argument("log", type=_FILE)
@click.option("--mapping", "mapping_path", type=_FILE, required=True, help="Which column is what (YAML).")
@click.option("--placement", required=True, help="The placement that is driven. Use one that is fresh.")
@connection_options
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the rows' order.")
@click.option("--limit", type=click.IntRange(1), help="Replay so many rows of the shuffled log.")
@batch_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to stderr.")
def replay(
    *,
    connect: Callable[[], Client],
    log: Path,
    mapping_path: Path,
    placement: str,
    seed: int,
    limit: int | None,
    batch: int,
    as_json: bool,
) -> None:
    """Replay LOG, a CSV file (also .csv.gz), through a running sidecar, which learns from it.

    A row counts when the arm chosen is the logged one (Li et al. 2011): unbiased where the log chose its
    arms uniformly at random. See docs/replay.md.
    """
    client = connect()
    mapping, rows = _load(log, mapping_path, seed, limit)
    console = output_console(as_json=as_json)
    run = Replay(placement, rows, client, batch)
    with driving(client):
        try:
            run.check_arms(mapping.arm_column)
        except LogError as error:
            raise DriveError(f"{log}: {error}") from None
        finished = _drive(run, console)
    report = run.report()
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        show_report(console, report)
    if not finished:
        raise DriveError(f"interrupted after {report.rows} of {len(rows)} rows")


def _load(log: Path, mapping_path: Path, seed: int, limit: int | None) -> tuple[Mapping, list[Row]]:
    try:
        mapping = read_mapping(mapping_path)
        return mapping, shuffled(read_rows(log, mapping), seed, limit)
    except ConfigError as error:
        raise DriveError(str(error), ExitCode.CONFIG) from None
    except LogError as error:
        raise DriveError(str(error)) from None


def _drive(run: Replay, console: Console) -> bool:
    """Run to the end, or to Ctrl-C: then False, and the report holds what was done."""
    columns = (TextColumn("rows"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("rows", total=len(run.rows))

        def show(done: int, matched: Sums) -> None:
            bar.update(task, completed=done, description=f"{matched.count} matched")

        run.progress = show
        try:
            run.run()
        except KeyboardInterrupt:
            return False
    return True
