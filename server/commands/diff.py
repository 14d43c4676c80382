"""`banditd diff`: what changed between two snapshots, or two data directories."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from server.exit_codes import ExitCode
from server.inspection.comparison import compare
from server.inspection.comparison_view import show_comparison
from server.inspection.progress import replaying
from server.inspection.reading import read
from server.inspection.view import console

_PATH = click.Path(path_type=Path, exists=True)


@click.command("diff")
@click.argument("old", type=_PATH)
@click.argument("new", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON; docs/inspect.md names the keys.")
def diff(*, old: Path, new: Path, as_json: bool) -> None:
    """Show what changed from OLD to NEW, each a snapshot or a data directory.

    Placements, arms and features that came and went; what was chosen and earned between. Exits with 6 if
    something is damaged.
    """
    with replaying() as progress:
        found = compare(read(old, progress=progress), read(new, progress=progress))
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        show_comparison(console(), found)
    if found.old.problems or found.new.problems:
        raise SystemExit(ExitCode.DATA)
