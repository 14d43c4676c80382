"""Does a sidecar's memory stay flat? Two million Chooses, its resident memory after every 100,000.

    python -m loadtest.transport_memory

Each portion is one h2load on a few connections with many calls, and several that open many connections for a
few calls each. A line is fitted to what comes after the warm-up. Exits with 1 if it grows by more than the
bar, with 2 where h2load is not installed. Linux only; two or three minutes.
"""

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from loadtest.transport_load import Shape, frame, need_h2load, run
from loadtest.transport_subjects import Server, request, sidecar

STEADY = Shape(16, 5)
CHURN = Shape(50, 1)
CHURN_RUNS = 10
CHURN_CALLS = 1000
"""Calls of one h2load of the churn: 20 on each of its connections."""
PORTION = 100_000
REFUSED_MAX = 0.1
"""Part of the calls that may be refused: a server that was held up for 50 ms refuses those that waited."""
WARM_UP = 200_000
GROWTH_PART = 0.01
GROWTH_BYTES = 2**20
"""Memory may grow over the run by such a part of what it is, or by so many bytes, whichever is more."""


@dataclass(frozen=True, slots=True)
class Point:
    """Resident bytes after so many calls."""

    calls: int
    resident: int


def resident(status: str) -> int:
    """Resident bytes in the text of /proc/PID/status."""
    (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kib) * 1024


def growth(points: list[Point]) -> tuple[float, float]:
    """Bytes that the fitted line grows by from the first point to the last, and how many it may."""
    line = statistics.linear_regression(
        [point.calls for point in points], [point.resident for point in points]
    )
    grown = line.slope * (points[-1].calls - points[0].calls)
    return grown, max(GROWTH_PART * points[0].resident, GROWTH_BYTES)


def portion(server: Server, frames: Path, calls: int) -> int:
    """Make about so many calls, a tenth of them on new connections; return how many."""
    before = server.answered()
    parts = [(CHURN, CHURN_CALLS)] * min(CHURN_RUNS, calls // (10 * CHURN_CALLS))
    parts.append((STEADY, STEADY.calls(calls - CHURN_CALLS * len(parts))))
    for shape, part in parts:
        run(server.target, frames, shape, part)
    made = sum(part for _, part in parts)
    refused = made - (server.answered() - before)
    if refused > REFUSED_MAX * made:
        raise RuntimeError(f"the server refused {refused} calls of {made}")
    return made


def measure(server: Server, frames: Path, calls: int) -> list[Point]:
    """Call until `calls` are made; the resident memory after each portion, printed as it comes."""
    print("| calls | resident, MB |\n|---|---|")
    points, made = [], 0
    while made < calls:
        made += portion(server, frames, min(PORTION, calls))
        points.append(Point(made, resident(Path(f"/proc/{server.pid}/status").read_text())))
        print(f"| {made:,} | {points[-1].resident / 1e6:.2f} |", flush=True)
    return points


def verdict(points: list[Point], warm_up: int) -> tuple[str, bool]:
    """What came of it after the warm-up, in a sentence, and whether the bar is met."""
    rest = [point for point in points if point.calls >= warm_up]
    grown, bound = growth(rest)
    good = grown <= bound
    text = (
        f"From {rest[0].calls:,} to {rest[-1].calls:,} calls the fitted line grows by {grown / 1e6:.2f} MB "
        f"({grown / rest[0].resident:.2%}): {'≤' if good else 'ABOVE'} {bound / 1e6:.2f} MB"
    )
    return text, good


@click.command(help=__doc__)
@click.option("--calls", default=2_000_000, show_default=True, type=click.IntRange(4 * PORTION))
@click.option("--transport", default="ngh2", show_default=True, type=click.Choice(["ngh2", "grpcio"]))
def main(calls: int, transport: str) -> None:
    """Run it."""
    need_h2load()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        frames = folder / "request.bin"
        frames.write_bytes(frame(request()))
        with sidecar(folder, ("--transport", transport)) as server:
            points = measure(server, frames, calls)
    text, good = verdict(points, WARM_UP)
    print(f"\n{text}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
