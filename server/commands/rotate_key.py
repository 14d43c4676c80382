"""`banditd rotate-key`: other keys for tokens, while earlier ones still open."""

from pathlib import Path

import click

from server import keys
from server.key_file import KeyFile


@click.command("rotate-key")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="The data directory whose key is meant.",
)
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key file.  [default: secret.key in the data directory]",
)
@click.option("--prepare", is_flag=True, help="Add a key that only opens tokens; the next call has it seal.")
@click.option("--retire", type=click.IntRange(1), metavar="ID", help="Drop a key: its tokens open no more.")
def rotate_key(*, data_dir: Path, key_file: Path | None, prepare: bool, retire: int | None) -> None:
    """Add a key to the key file, which seals tokens from the next SIGHUP on. Visitors stay where they are."""
    if prepare and retire is not None:
        raise click.UsageError("--prepare and --retire are two steps")
    path = keys.key_path(key_file, data_dir)

    def change(before: KeyFile) -> KeyFile:
        if retire is not None:
            return before.retiring(retire)
        fresh = keys.fresh_secret()
        return before.preparing(fresh) if prepare else before.rotated(fresh)

    after = keys.rewrite(path, change)
    _say(path, after, retire)


def _say(path: Path, after: KeyFile, retired: int | None) -> None:
    """What the file says now, and what to do next."""
    click.echo(f"{path}: key {after.current} seals; keys {_listed(after)} open tokens")
    click.echo("1. copy the file to every sidecar that shares it, then send each SIGHUP, or restart it")
    if retired is not None:
        return
    if after.prepared is not None:
        click.echo(
            f"2. when all have taken it over (`keys taken over` in the log), `banditd rotate-key` has key "
            f"{after.prepared} seal"
        )
        return
    old = [key_id for key_id in after.secrets if key_id != after.current]
    click.echo(
        "2. when the longest reward window has passed since, earlier keys may go: "
        + ", ".join(f"`banditd rotate-key --retire {key_id}`" for key_id in old)
    )


def _listed(file: KeyFile) -> str:
    return ", ".join(map(str, file.secrets))
