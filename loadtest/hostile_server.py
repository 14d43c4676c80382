"""`banditd` with other limits: what takes a minute by default can be seen in a second, or never.

    python -m loadtest.hostile_server '{"HELLO_S": 1}' serve --listen 127.0.0.1:0

The names are those of `server/limits.py`; they are set before anything else of the server is imported.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtest import sidecar
from server import limits

SHORT: Mapping[str, float] = {
    "HELLO_S": 1.0,
    "REQUEST_S": 1.0,
    "STALL_S": 1.5,
    "KEEPALIVE_S": 1,
    "KEEPALIVE_TIMEOUT_S": 1,
    "RESETS_PER_STREAM": 1,
}
"""Seconds for what takes ten to sixty by default; and so few resets that a slow machine can make more."""

PATIENT: Mapping[str, float] = {"WAIT_MAX_S": 60.0}
"""Calls wait as long as they must: on a machine that others use too, slowness is no overload."""


def program(changes: Mapping[str, float]) -> tuple[str, str]:
    """The module to run, with its argument, before `serve`."""
    return "loadtest.hostile_server", json.dumps(dict(changes))


@contextmanager
def running(
    folder: Path, changes: Mapping[str, float] = SHORT, options: Sequence[str] = ()
) -> Iterator[sidecar.Sidecar]:
    """A sidecar of the embedded example on the ngh2 engine with these limits, as a process of its own."""
    options = ("--transport", "ngh2", *options)
    with sidecar.running(folder, None, options, program(changes)) as made:
        yield made


def main() -> None:
    """Set the limits, then be `banditd`."""
    for name, value in json.loads(sys.argv.pop(1)).items():
        if not hasattr(limits, name):
            raise SystemExit(f"server/limits.py has no {name}")
        setattr(limits, name, value)
    from server.cli import main as command  # noqa: PLC0415 - what it imports reads the limits

    command()


if __name__ == "__main__":
    main()
