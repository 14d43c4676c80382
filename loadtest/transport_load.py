"""h2load as a gRPC client: how one request is framed, what is run, what was printed and logged.

h2load sends the same request over and over and counts HTTP statuses alone; gRPC's own status is in trailers
that it does not read. So every run is checked against the server's own count of answers that were OK.
"""

import math
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from server.handlers import SERVICE

CHOOSE = f"/{SERVICE}/Choose"
"""The path of the method that is called."""
RUN_S_MAX = 120.0
"""Seconds after which a run has hung."""
SILENCE_S_MAX = 10
"""Seconds of a connection without an answer, after which h2load gives its calls up."""
TOOL_MISSING = 2
"""Exit code when h2load is not installed."""

_FINISHED = re.compile(r"^finished in \S+, ([0-9.]+) req/s", re.MULTILINE)
_REQUESTS = re.compile(r"^requests: (\d+) total, .* (\d+) succeeded, ", re.MULTILINE)
_STATUSES = re.compile(r"^status codes: (\d+) 2xx, ", re.MULTILINE)


class LoadError(RuntimeError):
    """A run that did not do what it should; the text says what h2load printed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How load is offered: connections, and calls at once on each. All is closed loop, as h2load is."""

    connections: int
    streams: int

    def __str__(self) -> str:
        return f"{self.connections} × {self.streams}"

    def calls(self, about: float) -> int:
        """The next number of calls that gives every stream of every connection the same number."""
        at_once = self.connections * self.streams
        return at_once * max(1, math.ceil(about / at_once))


@dataclass(frozen=True, slots=True)
class Load:
    """One run: calls a second, seconds by the clock and of h2load's CPU, p50 in µs (None: not logged)."""

    calls: int
    calls_per_s: float
    wall_s: float
    client_cpu_s: float
    p50_us: float | None = None


def frame(message: bytes) -> bytes:
    """A gRPC message as it is sent: uncompressed (0), its length in four bytes, itself."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def need_h2load() -> None:
    """Exit with TOOL_MISSING, saying what to install, where there is no h2load."""
    if shutil.which("h2load") is None:
        _missing()


def run(target: str, request: Path, shape: Shape, calls: int, log: Path | None = None) -> Load:
    """Call Choose at `target` (host:port) with the framed request in a file; `log` keeps each call's time.

    Raises LoadError unless every call was answered with HTTP 200.
    """
    command = ["h2load", "-c", str(shape.connections), "-m", str(shape.streams), "-n", str(calls)]
    command += [
        "-N",
        str(SILENCE_S_MAX),
        "-d",
        str(request),
        "-H",
        "content-type: application/grpc",
        "-H",
        "te: trailers",
    ]
    if log is not None:
        log.unlink(missing_ok=True)  # h2load appends
        command += ["--log-file", str(log)]
    before, began_s = _children_cpu_s(), time.monotonic()
    done = subprocess.run(
        [*command, f"http://{target}{CHOOSE}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_S_MAX,
    )
    wall_s, cpu_s = time.monotonic() - began_s, _children_cpu_s() - before
    p50_us = None if log is None else median_us(log.read_text(), calls)
    return Load(calls, calls_per_s(done.stdout + done.stderr, calls), wall_s, cpu_s, p50_us)


def calls_per_s(printed: str, calls: int) -> float:
    """The rate in what h2load printed. Raises LoadError unless all `calls` were answered with HTTP 200."""
    rate, requests, statuses = (form.search(printed) for form in (_FINISHED, _REQUESTS, _STATUSES))
    if not (rate and requests and statuses):
        raise LoadError(f"h2load printed no result:\n{printed}")
    if {int(text) for text in (*requests.groups(), *statuses.groups())} != {calls}:
        raise LoadError(f"expected {calls} answers with HTTP 200:\n{requests[0]}\n{statuses[0]}")
    return float(rate[1])


def median_us(log: str, calls: int) -> float:
    """Median microseconds of a call in h2load's log: lines of start, HTTP status, microseconds.

    Raises LoadError unless it holds `calls` calls that were answered with HTTP 200.
    """
    rows = [line.split("\t") for line in log.splitlines()]
    taken = [int(row[2]) for row in rows if row[1] == "200"]
    if len(taken) != calls:
        raise LoadError(f"h2load's log holds {len(taken)} calls with HTTP 200, expected {calls}")
    return statistics.median(taken)


def _children_cpu_s() -> float:
    """CPU seconds of child processes that have ended, h2load's among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _missing() -> NoReturn:
    print(
        "h2load is not here: it comes with nghttp2, in Debian and Ubuntu `apt-get install nghttp2-client`, "
        "on a Mac `brew install nghttp2`",
        file=sys.stderr,
    )
    sys.exit(TOOL_MISSING)
