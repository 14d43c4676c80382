"""Starts a sidecar of its own on free loopback ports, for experiments and tests, and stops it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.strict_yaml import Document

START_S = 120.0
"""Seconds a start may take: on a machine that never compiled the kernels, about a minute."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar: where it takes calls, where its metrics are, its process id, its log file."""

    target: str
    http: str
    pid: int
    log: Path


@contextmanager
def running(
    folder: Path,
    config: Mapping[str, object] | None = None,
    options: Sequence[str] = (),
    program: Sequence[str] = ("server",),
) -> Iterator[Sidecar]:
    """Serve `config` (None: the embedded example) with its data in `folder`, until the block ends.

    `options` are further options of `serve`. `program` is the module to run, with arguments before `serve`.

    Raises RuntimeError with its log when it does not get ready, or does not end by itself when told to.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", *program, "serve", "--data-dir", str(folder / "data")]
    command += ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *options]
    if config is not None:
        path = folder / "config.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        command += ["--config", str(path)]
    log = folder / "sidecar.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[1]
        )
    try:
        yield _when_ready(process, log)
    finally:
        _stop(process, log)


def copies(config: Path, placements: Sequence[str], runs: Iterable[object]) -> dict[str, object]:
    """A configuration's document in which each placement stands once a run, as NAME.RUN, so each is fresh."""
    document = Document(config.read_bytes(), str(config)).value
    if not isinstance(document, dict) or not set(placements) <= set(document["placements"]):
        raise ValueError(f"{config} has not all of the placements {', '.join(placements)}")
    every = document["placements"]
    names = [(name, run) for name in placements for run in runs]
    return {**document, "placements": {f"{name}.{run}": every[name] for name, run in names}}


def _when_ready(process: subprocess.Popen[bytes], log: Path) -> Sidecar:
    """Wait for the log to say that it is ready; the addresses are in the log too."""
    listening: dict[str, Any] = {}
    waited = threading.Event()
    for _ in range(int(START_S / 0.1)):
        for line in log.read_text().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "listening":
                listening = event
            elif event.get("event") == "ready":
                return Sidecar(listening["listen"][0], listening["http"], process.pid, log)
        if process.poll() is not None:
            break
        waited.wait(0.1)
    raise RuntimeError(f"the sidecar did not get ready; its log:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes], log: Path) -> None:
    process.terminate()
    try:
        code = process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError(f"the sidecar did not stop; its log:\n{log.read_text()}") from None
    if code != 0:
        raise RuntimeError(f"the sidecar ended with exit code {code}; its log:\n{log.read_text()}")
