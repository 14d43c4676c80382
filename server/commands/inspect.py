"""`banditd inspect`: what was learned, and the files it lies in."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from server.exit_codes import ExitCode
from server.inspection.progress import replaying
from server.inspection.reading import read
from server.inspection.view import console, show_reading


@click.command("inspect")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--placement", help="Show this placement alone.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON; docs/inspect.md names the keys.")
def inspect(*, path: Path, placement: str | None, as_json: bool) -> None:
    """Show what is in PATH, a data directory or a snapshot: placements, arms, what they earned, files.

    Of a data directory the journal is replayed, so the figures are current, a running server's too, which is
    not disturbed: nothing is locked or written. Exits with 6 if something is damaged.
    """
    with replaying() as progress:
        reading = read(path, only=placement, progress=progress)
    if placement is not None and not reading.placements:
        raise click.BadParameter(f"{path} knows no placement {placement!r}", param_hint="--placement")
    if as_json:
        click.echo(json.dumps(asdict(reading), indent=2))
    else:
        show_reading(console(), reading)
    if reading.problems:
        raise SystemExit(ExitCode.DATA)
