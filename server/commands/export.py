"""`banditd export`: the kept journal's decisions, with what became of them, for notebooks."""

from pathlib import Path

import click

from bandit.config.units import TIME_FORM, parse_time
from server.exit_codes import ExitCode, StartError
from server.exporting import INSTALL


class TimeType(click.ParamType[int]):
    """A time, in microseconds since 1970."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The time in a flag's text; a usage error when it is none."""
        time_us = parse_time(str(value))
        if time_us is None:
            self.fail(f"{value!r} is no time: expected {TIME_FORM}", param, ctx)
        return time_us


@click.command("export")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="The data directory. A server may be running on it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE.parquet",
    help="Where to write; a file that is there is replaced.",
)
@click.option("--placement", help="Only decisions of this placement.")
@click.option("--since", type=TimeType(), help=f"Only decisions from then on: {TIME_FORM}.")
@click.option("--until", type=TimeType(), help="Only decisions before then.")
def export(*, data_dir: Path, out: Path, placement: str | None, since: int | None, until: int | None) -> None:
    """Write the journal's decisions, joined with their rewards, to a Parquet file: docs/export.md.

    The journal holds what came after the last snapshots, and with `serve --journal-keep` what was before.
    """
    try:
        from server.exporting import run
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise StartError(ExitCode.FAILURE, f"export needs pyarrow: {INSTALL}") from None
    summary = run.export(data_dir, out, run.Selection(placement, since, until))
    if placement is not None and placement not in summary.placements:
        known = ", ".join(sorted(summary.placements)) or "none"
        click.echo(f"warning: no placement {placement!r} is known there, but {known}", err=True)
    if summary.nameless:
        click.echo(
            f"warning: {summary.nameless} decisions are left out: their configuration is not known any more",
            err=True,
        )
    if not summary.decisions:
        click.echo(
            "warning: the journal has no such decision; `serve --journal-keep 7d` keeps them", err=True
        )
    click.echo(
        f"{out}: {summary.decisions} decisions, {summary.rewarded} of them rewarded, from records "
        f"{summary.first} to {summary.last}"
    )
