"""The command `banditd`. Each subcommand is imported when it is called: `probe` and `--help` stay fast."""

import sys
from importlib import import_module

import click

from server.exit_codes import StartError

COMMANDS = {
    "serve": "Choose and learn: run the sidecar.",
    "check": "Read a configuration and say what is wrong with it, and what it needs.",
    "report": "Say what each policy of a placement earns, or would, and whether going deeper pays.",
    "explain": "Show what a decision_id stands for, and what became of it.",
    "export": "Write the journal's decisions with their rewards to a Parquet file.",
    "evaluate": "Estimate from logged decisions what the policies of a candidate would earn.",
    "train": "Learn from logged decisions, into a data directory to start from.",
    "inspect": "Show what was learned and the files it lies in, beside a running server too.",
    "diff": "Show what changed between two snapshots.",
    "verify": "Check every byte of a data directory, and say what a start would do.",
    "repair": "Make a damaged data directory startable again, keeping what is taken out of the way.",
    "rotate-key": "Add a key that seals tokens from the next reload on, or retire one.",
    "probe": "Ask a running sidecar whether it serves; the exit code is the answer.",
    "simulate": "Drive a running sidecar with simulated shoppers, or a campaign of days without one.",
    "replay": "Drive a running sidecar with logged data.",
}
"""Subcommands with their one line of help; each is `server.commands.NAME.NAME`, `_` for `-`."""

ENV_PREFIX = "BANDITD"
"""Every flag is an environment variable too: --data-dir is BANDITD_DATA_DIR, whatever the subcommand."""


class Commands(click.Group):
    """A group that knows its subcommands' names and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported now; None when there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"server.commands.{name}"), name)
        command.context_settings = {"auto_envvar_prefix": ENV_PREFIX, **command.context_settings}
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="banditd", message="%(prog)s %(version)s")
def cli() -> None:
    """A sidecar that chooses what to show, learns from what happened, and says how much it earned."""


def main() -> None:
    """Run the command line; the process's exit code says how it went (see `server/exit_codes.py`)."""
    try:
        cli(prog_name="banditd")
    except StartError as error:
        click.echo(f"banditd: {error}", err=True)
        sys.exit(error.code)
