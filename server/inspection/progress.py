"""How far the replay of a long journal is, on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from server import recovery


@contextmanager
def replaying() -> Iterator[recovery.Progress]:
    """Show a bar on standard error, if that is a terminal, as soon as the yielded function is called."""
    columns = (TextColumn("records replayed"), BarColumn(bar_width=40), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("records", total=None, visible=False)
        yield lambda done, at_least: bar.update(task, completed=done, total=at_least, visible=True)
