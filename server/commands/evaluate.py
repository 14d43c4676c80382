"""`banditd evaluate`: what the policies of a candidate would have earned, from logged decisions."""

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bandit.config import Config, ConfigError, Placement
from server.commands.export import INSTALL
from server.config_files import load
from server.exit_codes import ExitCode, StartError
from server.replays.mapping import read_mapping
from server.replays.rows import LogError

if TYPE_CHECKING:
    from server.evaluating.logs import Loaded

CSV = (".csv", ".csv.gz")


@click.command("evaluate")
@click.argument("log", type=click.Path(path_type=Path, exists=True, readable=True))
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="CANDIDATE.yaml",
    help="The candidate: a configuration, a file or a directory.",
)
@click.option("--placement", help="The placement.  [default: the candidate's only one]")
@click.option(
    "--mapping",
    "mapping_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For a CSV log: which column is what (YAML).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def evaluate(
    *, log: Path, config_path: Path, placement: str | None, mapping_path: Path | None, as_json: bool
) -> None:
    """Estimate from LOG what the policies of a candidate placement would earn: docs/evaluate.md.

    LOG is a file of `banditd export`, a data directory with a kept journal, or a CSV file with --mapping.
    """
    try:
        candidate = _placement(load(config_path), placement)
        loaded = _load(log, candidate, mapping_path)
    except ConfigError as error:
        raise StartError(ExitCode.CONFIG, str(error)) from None
    except LogError as error:
        raise StartError(ExitCode.FAILURE, str(error)) from None
    from server.evaluating.report import evaluate as evaluated
    from server.evaluating.view import show_report

    report = evaluated(str(log), candidate, loaded)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        show_report(Console(), report)


def _placement(config: Config, name: str | None) -> Placement:
    known = ", ".join(config.placements)
    if name is None and len(config.placements) == 1:
        return next(iter(config.placements.values()))
    if name is None:
        raise click.UsageError(f"the candidate has several placements: name one with --placement ({known})")
    if name not in config.placements:
        raise click.BadParameter(
            f"the candidate has no placement {name!r}, but {known}", param_hint="--placement"
        )
    return config.placements[name]


def _load(log: Path, placement: Placement, mapping: Path | None) -> "Loaded":
    if log.name.endswith(CSV):
        if mapping is None:
            raise click.UsageError(
                "a CSV log needs --mapping FILE, which says what its columns are: docs/replay.md"
            )
        from server.evaluating import rows

        return rows.load(log, read_mapping(mapping), placement)
    if mapping is not None:
        raise click.UsageError(
            "--mapping is for a CSV log (.csv, .csv.gz): the columns of an export have names"
        )
    try:
        from server.evaluating import exported
        from server.exporting import run
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise StartError(ExitCode.FAILURE, f"evaluate needs pyarrow to read exports: {INSTALL}") from None
    if not log.is_dir():
        return exported.load(str(log), log, placement)
    file = BytesIO()
    summary = run.export_to(log, file, run.Selection(placement.name))
    loaded = exported.load(str(log), file, placement)
    if summary.nameless:
        loaded.notes.append(
            f"{summary.nameless} decisions of a configuration that is not known are not in here"
        )
    return loaded
