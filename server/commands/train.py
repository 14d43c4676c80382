"""`banditd train`: a data directory to start from, with what a placement learns from logged decisions."""

import json
import math
import time
from pathlib import Path

import click
from rich.console import Console

from bandit.config import ConfigError
from server.config_files import load
from server.exit_codes import ExitCode, StartError
from server.logged.opening import opened, placement_of
from server.replays.rows import LogError
from server.training import directory
from server.training.learning import learned
from server.training.view import show_learned


@click.command("train")
@click.argument("log", type=click.Path(path_type=Path, exists=True, readable=True))
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE_OR_DIR",
    help="The configuration that will be served.",
)
@click.option("--placement", help="The placement that learns.  [default: the configuration's only one]")
@click.option(
    "--mapping",
    "mapping_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For a CSV log, or Parquet of another program: which column is what (YAML).",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="What is written: a data directory that nobody has served from.",
)
@click.option(
    "--weight",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    default=1.0,
    show_default=True,
    help="How much a logged decision counts, beside one that is served.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(
    *,
    log: Path,
    config_path: Path,
    placement: str | None,
    mapping_path: Path | None,
    data_dir: Path,
    weight: float,
    as_json: bool,
) -> None:
    """Write a data directory from which `banditd serve` starts with what LOG teaches: docs/train.md.

    LOG is a CSV or Parquet file with --mapping, a file of `banditd export`, or a data directory with a kept
    journal.
    """
    if math.isnan(weight):  # which no range holds, nor refuses
        raise click.BadParameter("nan is no number: give one above 0, up to 1", param_hint="--weight")
    now_us = time.time_ns() // 1000
    try:
        configured = placement_of(load(config_path), placement, "the configuration")
        directory.check_unserved(data_dir, configured.name)
        state, found = learned(
            opened(log, configured, mapping_path, now_us=now_us), configured, now_us, weight
        )
    except ConfigError as error:
        raise StartError(ExitCode.CONFIG, str(error)) from None
    except LogError as error:
        raise StartError(ExitCode.FAILURE, str(error)) from None
    snapshot = directory.write(data_dir, state)
    if as_json:
        click.echo(json.dumps(found.as_dict() | {"snapshot": str(snapshot)}, indent=2))
        return
    show_learned(Console(), found)
    click.echo(
        f"{snapshot} is written: `banditd serve --config {config_path} --data-dir {data_dir}` starts from it"
    )
