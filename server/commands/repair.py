"""`banditd repair`: makes a damaged data directory startable again, keeping what it takes out of the way."""

from pathlib import Path

import click

from bandit.files import Files
from server import data_dir
from server.exit_codes import ExitCode, StartError
from server.inspection.outlook import outlook, require_state
from server.inspection.progress import replaying
from server.repairs.plan import Plan, plan

ROUNDS = 8
"""Plans that are carried out at most: one repair may bring to light what is wrong behind it."""


@click.command("repair")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--yes",
    is_flag=True,
    allow_from_autoenv=False,
    help="Do it. Without, it is only said what would be done.",
)
def repair(*, directory: Path, yes: bool) -> None:
    """Say what would make the data directory DIR startable again, and what that loses; with --yes, do it.

    Nothing is deleted: what is taken out of the way is kept under names that end in .broken. No server may
    run. Exits with 0 if a start works now, with 6 if not.
    """
    require_state(directory)
    repaired = False
    try:
        with data_dir.held(directory), replaying() as progress:
            for _ in range(ROUNDS):
                found = plan(directory, progress)
                _say(found)
                if not found.steps or not yes:
                    break
                repaired = True
                for step in found.steps:
                    step.run(Files())
                    click.echo(f"done: {step.what}")
            said, starts = outlook(directory, None, progress)
    except OSError as error:
        raise StartError(ExitCode.FILES, f"{error.filename or directory}: {error.strerror}") from error
    if found.steps and not yes:
        click.echo("nothing was changed: --yes does it; copy the directory first if you can")
    elif starts:
        click.echo(f"{'repaired' if repaired else 'nothing to repair'}: {said}")
    raise SystemExit(ExitCode.OK if starts else ExitCode.DATA)


def _say(found: Plan) -> None:
    if found.wrong:
        click.echo(f"wrong: {found.wrong}")
    for step in found.steps:
        click.echo(f"to do: {step.what}")
    for loss in found.lost:
        click.echo(f"lost: {loss}")
