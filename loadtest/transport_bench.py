"""What does a whole Choose cost over the wire, beside servers that do nothing?

    python -m loadtest.transport_bench

Each server alone on one core, in turn, started afresh each round; h2load on the other core sends all of them
the same request. Calls a second are h2load's, CPU time is the server's own, from the kernel's account of its
process. A ratio is of two servers within a round; the median of the rounds' ratios is what is held to the
bar. Machines differ and are shared: compare ratios. Linux only. Exits with 1 if a bar is missed, with 2 where
h2load is not installed.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import click

from loadtest.transport_load import Shape, frame, need_h2load, run
from loadtest.transport_subjects import (
    Server,
    Subject,
    busy_ns,
    cores,
    cpu_ns,
    on_core,
    reply,
    request,
    sidecar,
)

MANY, PLAIN, SINGLE = Shape(16, 20), Shape(16, 1), Shape(1, 1)
SHAPES = (MANY, PLAIN, SINGLE)
WARM_UP_CALLS = {MANY: 3200, PLAIN: 1600, SINGLE: 500}
TIMED_S = 1.0
"""Seconds that a timed run takes, about: as many calls as the warm-up says."""
REPEATS_MAX = 3
"""Times that a run is repeated at most."""
FULL = 0.95
"""Part of a core from which on it is the bottleneck."""
QUIET = 0.05
"""Part of the server's core that others may take before a run counts as disturbed."""

SYNC, AIO = "grpcio sync, no-op", "grpcio aio, no-op"
NOOP, CHOOSE, ON_GRPCIO = "our engine, no-op", "our engine, Choose", "Choose on grpcio"


@dataclass(frozen=True, slots=True)
class Measured:
    """One timed run: calls a second, the server's CPU µs a call, p50 in µs where it was logged.

    `server` and `others` are parts of the server's core, `client` is h2load's part of the other one.
    `repeated`: how often it was run again.
    """

    calls_per_s: float
    cpu_us: float
    p50_us: float | None = None
    server: float = 1.0
    others: float = 0.0
    client: float = 0.0
    repeated: int = 0

    @property
    def client_bound(self) -> bool:
        """Whether h2load was the bottleneck: the server could have done more."""
        return self.client >= FULL > self.server


Runs = Mapping[tuple[str, Shape], Sequence[Measured]]
"""Every round's run, by subject and shape."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio of two servers' figures has to be: at least `bound`, or at most if it is below one."""

    figure: str
    shape: Shape
    peers: tuple[str, ...]
    bound: float
    at_most: bool = False

    def ratios(self, runs: Runs) -> tuple[str, list[float]]:
        """Our figure over that of the best peer, round by round; and which peer that is."""
        best = (max if self._more_is_better else min)(
            (peer for peer in self.peers if (peer, self.shape) in runs),
            key=lambda peer: statistics.median(self._figures(runs, peer)),
        )
        pairs = zip(self._figures(runs, CHOOSE), self._figures(runs, best), strict=True)
        return best, [ours / theirs for ours, theirs in pairs]

    def met(self, ratio: float) -> bool:
        """Whether a ratio is on the right side."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    @property
    def _more_is_better(self) -> bool:
        return self.figure == "calls a second"

    def _figures(self, runs: Runs, name: str) -> list[float]:
        measured = runs[name, self.shape]
        if self.figure == "calls a second":
            return [one.calls_per_s for one in measured]
        if self.figure == "CPU time a call":
            return [one.cpu_us for one in measured]
        return [one.p50_us for one in measured if one.p50_us is not None]


GRPCIO = (SYNC, AIO)
BARS = (
    Bar("calls a second", MANY, GRPCIO, 4.0),
    Bar("CPU time a call", MANY, GRPCIO, 0.25, at_most=True),
    Bar("calls a second", PLAIN, GRPCIO, 2.5),
    Bar("p50", SINGLE, GRPCIO, 0.5, at_most=True),
    Bar("calls a second", MANY, (NOOP,), 0.35),
)


class Bench:
    """Where things run and with what bytes."""

    def __init__(self, folder: Path, server_core: int, client_core: int) -> None:
        self.server_core, self.client_core = server_core, client_core
        self._folder = folder
        self._request = folder / "request.bin"
        self._reply = folder / "reply.bin"
        self._request.write_bytes(frame(request()))
        with sidecar(folder / "first", (), self.server_core) as server:  # also fills the cache of kernels
            self._reply.write_bytes(reply(server.target))

    def describe(self) -> str:
        """What the run is about, in a paragraph."""
        sizes = f"request {len(request())} bytes, reply {self._reply.stat().st_size}"
        alone = (
            f"server on core {self.server_core}, h2load on core {self.client_core}"
            if self.server_core != self.client_core
            else "ONE CORE ONLY: server and h2load share it, and calls a second and p50 say little"
        )
        names = ", ".join(f"{name} {version(name)}" for name in ("grpcio", "ngh2", "uvloop"))
        return f"Python {sys.version.split()[0]}, {names}; {sizes}; {alone}"

    def better_sync(self) -> Subject:
        """The threaded server of grpcio: one or four of them, whichever is faster here with many calls."""
        rates = {}
        for workers in (1, 4):
            subject = Subject(SYNC, ("sync", "--workers", str(workers)))
            with subject.serving(self._folder, self._reply, self.server_core) as server:
                rates[subject] = self.measure(server, MANY).calls_per_s
        return max(rates, key=lambda subject: rates[subject])

    def round(self, subject: Subject, shapes: Sequence[Shape]) -> dict[Shape, Measured]:
        """Start a server, measure it in each shape, end it."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with subject.serving(folder, self._reply, self.server_core) as server:
            return {shape: self.measure(server, shape) for shape in shapes}

    def measure(self, server: Server, shape: Shape) -> Measured:
        """Warm up, then a timed run, repeated a few times if others disturbed it or calls were refused in it.

        A server that was held up for 50 ms refuses the calls that waited, as it should; such a run does not
        count. Of the others the least disturbed does.
        """
        warm = run(server.target, self._request, shape, shape.calls(WARM_UP_CALLS[shape]))
        calls = shape.calls(warm.calls_per_s * TIMED_S)
        good: list[Measured] = []
        runs = 0
        while runs <= REPEATS_MAX:
            runs += 1
            answered = server.answered()
            measured = self._timed(server, shape, calls)
            if server.answered() - answered == calls:
                good.append(measured)
                if measured.others <= QUIET:
                    break
        if not good:
            raise RuntimeError(f"not all of {calls} calls were answered OK in any of {runs} runs")
        return replace(min(good, key=lambda one: one.others), repeated=runs - 1)

    def _timed(self, server: Server, shape: Shape, calls: int) -> Measured:
        log = self._folder / "calls.log" if shape == SINGLE else None
        busy, used = busy_ns(self.server_core), cpu_ns(server.pid)
        load = run(server.target, self._request, shape, calls, log)
        used, busy = cpu_ns(server.pid) - used, busy_ns(self.server_core) - busy
        wall_ns = load.wall_s * 1e9
        return Measured(
            load.calls_per_s,
            used / 1000.0 / calls,
            load.p50_us,
            server=used / wall_ns,
            others=max(0.0, (busy - used) / wall_ns),
            client=load.client_cpu_s / load.wall_s,
        )


def subjects(sync: Subject) -> list[Subject]:
    """All that are compared, in the order in which they take turns."""
    return [
        sync,
        Subject(AIO, ("aio",)),
        Subject(NOOP, ("ngh2",)),
        Subject(CHOOSE, ("--transport", "ngh2"), noop=False),
        Subject(ON_GRPCIO, ("--transport", "grpcio"), noop=False),
    ]


def table(runs: Runs) -> str:
    """Every subject in every shape: medians, and how far calls a second went."""
    lines = [
        "| shape | server | calls/s | lowest | highest | CPU µs a call | p50 µs | its core | h2load's core |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, shape), measured in runs.items():
        rates = [one.calls_per_s for one in measured]
        p50s = [one.p50_us for one in measured if one.p50_us is not None]
        bound = ", client-bound" if any(one.client_bound for one in measured) else ""
        lines.append(
            f"| {shape} | {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} | {max(rates):,.0f} "
            f"| {_median(measured, lambda one: one.cpu_us):.1f} "
            f"| {f'{statistics.median(p50s):.0f}' if p50s else ''} "
            f"| {_median(measured, lambda one: one.server):.0%} "
            f"| {_median(measured, lambda one: one.client):.0%}{bound} |"
        )
    return "\n".join(lines)


def verdicts(runs: Runs) -> tuple[str, bool]:
    """The table of ratios, and whether every bar is met."""
    lines = [
        "| our engine, Choose ÷ | shape | figure | median of rounds | lowest | highest | bar |",
        "|---|---|---|---|---|---|---|",
    ]
    good = True
    for bar in BARS:
        peer, ratios = bar.ratios(runs)
        middle = statistics.median(ratios)
        good = good and bar.met(middle)
        sign = ("≤" if bar.met(middle) else "ABOVE") if bar.at_most else "≥" if bar.met(middle) else "BELOW"
        lines.append(
            f"| {peer} | {bar.shape} | {bar.figure} | {middle:.2f} | {min(ratios):.2f} | {max(ratios):.2f} "
            f"| {sign} {bar.bound:g} |"
        )
    return "\n".join(lines), good


def disturbances(runs: Runs) -> str:
    """What was not as it should be: others on the server's core, runs that had to be repeated."""
    every = [one for measured in runs.values() for one in measured]
    disturbed = [one.others for one in every if one.others > QUIET]
    text = ""
    if disturbed:
        text += (
            f"\n\nNOT QUIET: in {len(disturbed)} of {len(every)} runs others took more than {QUIET:.0%} of "
            f"the server's core, {max(disturbed):.0%} at most."
        )
    if repeated := sum(one.repeated for one in every):
        text += f"\n\n{repeated} runs were repeats of disturbed ones, or of ones in which calls were refused."
    return text


def _median(measured: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    return statistics.median(figure(one) for one in measured)


@click.command(help=__doc__)
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1, 100))
def main(rounds: int) -> None:
    """Run the benchmark."""
    need_h2load()
    runs: dict[tuple[str, Shape], list[Measured]] = {}
    server_core, client_core = cores()
    with tempfile.TemporaryDirectory() as folder, on_core(client_core):
        bench = Bench(Path(folder), server_core, client_core)
        sync = bench.better_sync()
        print(f"{bench.describe()}; grpcio sync with {sync.arguments[-1]} thread(s); {rounds} rounds\n")
        for _ in range(rounds):
            for subject in subjects(sync):
                for shape, measured in bench.round(subject, SHAPES).items():
                    runs.setdefault((subject.name, shape), []).append(measured)
    ordered = {key: runs[key] for shape in SHAPES for key in runs if key[1] == shape}
    ratios, good = verdicts(ordered)
    print("Shape: connections × calls at once on each. Medians of the rounds; lowest and highest calls/s.\n")
    print(f"{table(ordered)}\n\n{ratios}{disturbances(ordered)}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
