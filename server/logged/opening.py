"""Opening a log for the commands that read one: which kind it is, and of which placement."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import click

from bandit.config import Config, Placement
from server.exit_codes import ExitCode, StartError
from server.exporting import INSTALL
from server.logged import rows
from server.logged.logs import Loaded, listed
from server.recovery import Folders
from server.replays.mapping import read_mapping
from server.replays.rows import LogError


def placement_of(config: Config, name: str | None, called: str) -> Placement:
    """Return a placement of a configuration, which messages call `called`: the named one, or its only one.

    Raises click.UsageError.
    """
    known = ", ".join(config.placements)
    if name is None and len(config.placements) == 1:
        return next(iter(config.placements.values()))
    if name is None:
        raise click.UsageError(f"{called} has several placements: name one with --placement ({known})")
    if name not in config.placements:
        raise click.BadParameter(f"{called} has no placement {name!r}, but {known}", param_hint="--placement")
    return config.placements[name]


def opened(log: Path, placement: Placement, mapping: Path | None, *, now_us: int = 0) -> Loaded:
    """Return a log, read. What has no times counts as of `now_us`.

    Raises LogError, ConfigError for the mapping, click.UsageError, and StartError without pyarrow.
    """
    if mapping is not None and not log.is_dir():
        with _pyarrow("Parquet"):
            return rows.load(log, read_mapping(mapping), placement, now_us)
    if log.name.endswith(rows.CSV):
        raise click.UsageError(
            "a CSV log needs --mapping FILE, which says what its columns are: docs/replay.md"
        )
    if mapping is not None:
        raise click.UsageError(
            "--mapping is for a CSV log, or a Parquet file of another program: a data directory needs none"
        )
    with _pyarrow("exports"):
        from server.exporting import run
        from server.logged import exported
    if not log.is_dir():
        return exported.load(str(log), log, placement)
    file = BytesIO()
    summary = run.export_to(log, file, run.Selection(placement.name))
    if not summary.decisions:
        raise LogError(_nothing(log, placement, summary.placements))
    loaded = exported.load(str(log), file, placement)
    if summary.nameless:
        loaded.notes.append(
            f"{summary.nameless} decisions of a configuration that is not known are not in here"
        )
    return loaded


def _nothing(log: Path, placement: Placement, known: Collection[str]) -> str:
    """Say what a directory has instead of a placement's decisions."""
    if not Folders.of(log).journal.is_dir():
        return f"{log}: is no data directory, since it has no journal; give that of `serve`, or a file"
    name = placement.name
    if name not in known:
        found = f"it knows {listed(sorted(known))}" if known else "it knows none at all"
        return f"{log}: does not know the placement {name!r}: {found}; name another with --placement"
    return (
        f"{log}: its journal has no decision of the placement {name!r}: it holds what came after the last "
        "snapshots, and with `serve --journal-keep 7d` what was before"
    )


@contextmanager
def _pyarrow(what: str) -> Iterator[None]:
    """Say how to get pyarrow if it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        command = click.get_current_context().info_name
        raise StartError(ExitCode.FAILURE, f"{command} needs pyarrow to read {what}: {INSTALL}") from None
