"""A server with one method that takes 0.5 ms of the event loop, so 2,000 calls/s at most.

    python -m loadtest.overload_server ngh2

It prints its address and serves until its standard input ends; to each line of that it says how much it has
worked. The real transport with its queue of calls, health beside the method; no sidecar.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import click
import uvloop

from server.addresses import Address
from server.counts import Counts
from server.failures import Failures
from server.grpcio_engine import GrpcioEngine
from server.health import Health
from server.methods import Methods
from server.ngh2_engine import Ngh2Engine

PATH = "/overload.Service/Work"

STEPS = 56_000
"""Steps for which a call holds the event loop: half a millisecond here, as many refusals' worth anywhere."""

CAPACITY = 2_000
"""Calls a second that there can be, about: what they really take is measured."""


class Worked(NamedTuple):
    """What a server did in `seconds`: calls executed, and the processor time that these took.

    Its event loop's thread ran for `ran_s`, and could not for `waited_s`, since other processes did.
    """

    calls: float
    work_s: float
    ran_s: float
    waited_s: float
    seconds: float

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


class Work:
    """The method, and how much processor time its calls took: the same work takes more in bad company."""

    def __init__(self) -> None:
        self._calls = self._ns = 0

    def work(self, request: bytes) -> bytes:
        """Hold the event loop for a fixed number of steps."""
        began_ns = time.thread_time_ns()
        for _ in range(STEPS):
            pass
        self._ns += time.thread_time_ns() - began_ns
        self._calls += 1
        return request

    def so_far(self) -> "Worked":
        """All of it until now."""
        ran_ns, waited_ns, _ = map(int, Path("/proc/self/schedstat").read_text().split())
        return Worked(self._calls, self._ns / 1e9, ran_ns / 1e9, waited_ns / 1e9, time.monotonic())


async def serve(transport: str) -> None:
    """Serve until standard input ends."""
    counts = Counts()
    health = Health([])
    health.set_serving()
    work = Work()
    methods = Methods(unary={PATH: work.work}) | health.methods()
    engine = Ngh2Engine if transport == "ngh2" else GrpcioEngine
    server = engine(methods, counts, Failures(counts))
    address = server.listen(Address(host="127.0.0.1", port=0), None)
    await server.start()
    print(address, flush=True)
    ended = asyncio.Event()

    def asked() -> None:
        if os.read(sys.stdin.fileno(), 1):
            print(json.dumps(work.so_far()), flush=True)
        else:
            ended.set()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), asked)
    await ended.wait()
    await server.stop(1.0)


class Server:
    """The program above as a child process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.target = self._line()

    def worked_over(self, seconds: float) -> Worked:
        """Wait; return what it did meanwhile."""
        before = self._so_far()
        time.sleep(seconds)
        return Worked(*(b - a for a, b in zip(before, self._so_far(), strict=True)))

    def _so_far(self) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return cast("list[float]", json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def running(transport: str) -> Iterator[Server]:
    """Such a server until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.overload_server", transport],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    try:
        yield Server(process)
    finally:
        try:
            process.communicate(timeout=20)  # closes its standard input
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


@click.command(help=__doc__)
@click.argument("transport", type=click.Choice(["ngh2", "grpcio"]))
def main(transport: str) -> None:
    """Run the server."""
    if transport == "ngh2":
        uvloop.run(serve(transport))
    else:
        asyncio.run(serve(transport))


if __name__ == "__main__":
    main()
