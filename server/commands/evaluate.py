"""`banditd evaluate`: what the policies of a candidate would have earned, from logged decisions."""

import json
from pathlib import Path

import click
from rich.console import Console

from bandit.config import ConfigError
from server.config_files import load
from server.evaluating.judging import judging
from server.evaluating.report import evaluate as evaluated
from server.evaluating.view import show_report
from server.exit_codes import ExitCode, StartError
from server.logged.opening import opened, placement_of
from server.replays.rows import LogError


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
    help="For a CSV log, or Parquet of another program: which column is what (YAML).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def evaluate(
    *, log: Path, config_path: Path, placement: str | None, mapping_path: Path | None, as_json: bool
) -> None:
    """Estimate from LOG what the policies of a candidate placement would earn: docs/evaluate.md.

    LOG is a file of `banditd export`, a data directory with a kept journal, or, with --mapping, a CSV or
    Parquet file.
    """
    try:
        candidate = placement_of(load(config_path), placement, "the candidate")
        loaded = judging(opened(log, candidate, mapping_path), candidate)
    except ConfigError as error:
        raise StartError(ExitCode.CONFIG, str(error)) from None
    except LogError as error:
        raise StartError(ExitCode.FAILURE, str(error)) from None
    report = evaluated(str(log), candidate, loaded)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        show_report(Console(), report)
