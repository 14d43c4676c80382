"""`banditd explain`: one decision, from the decision_id that Choose returned."""

import json
from pathlib import Path

import click
from rich.console import Console

from bandit.errors import BanditError
from bandit.token import Sealer
from server import keys
from server.exit_codes import ExitCode, StartError
from server.explaining.facts import explain as explained
from server.explaining.view import show_explanation


@click.command("explain")
@click.argument("decision_id")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="The data directory of the process that decided. It may be running.",
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key file.  [default: secret.key in the data directory]",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def explain(*, decision_id: str, data_dir: Path, key_file: Path | None, as_json: bool) -> None:
    """Show what DECISION_ID stands for: context, probabilities, the draw, and what became of it.

    Exits with 1 when the decision_id does not open with these keys, or the draw does not fit its record.
    """
    path = keys.key_path(key_file, data_dir)
    held = keys.read(path)
    try:
        decision = Sealer(held).open(decision_id)
    except BanditError as error:
        opens = ", ".join(map(str, sorted(held.masters)))
        raise StartError(ExitCode.FAILURE, f"{error.message} ({str(path)!r} has the keys {opens})") from None
    told = explained(data_dir, decision, held)
    if as_json:
        click.echo(json.dumps(told.as_dict(), indent=2))
    else:
        show_explanation(Console(), told)
    if told.draw_fits is False:
        raise SystemExit(ExitCode.FAILURE)
