"""A server with one method that takes 0.5 ms of the event loop, so 2,000 calls/s at most.

    python -m loadtest.overload_server ngh2

It prints its address and serves until its standard input ends, and tells how much processor time the method
has taken. The real transport with its queue of calls, health beside the method; no sidecar.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
WORKED = "/overload.Service/Worked"

STEPS = 56_000
"""Steps for which a call holds the event loop: half a millisecond here, as many refusals' worth anywhere."""

CAPACITY = 2_000
"""Calls a second that there can be, about: what they really take is measured."""


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

    def worked(self, request: bytes) -> bytes:
        """How many calls there were, and their nanoseconds of processor time."""
        del request
        return json.dumps([self._calls, self._ns]).encode()


async def serve(transport: str) -> None:
    """Serve until standard input ends."""
    counts = Counts()
    health = Health([])
    health.set_serving()
    work = Work()
    methods = Methods(unary={PATH: work.work, WORKED: work.worked}, vital=frozenset({WORKED}))
    methods |= health.methods()
    engine = Ngh2Engine if transport == "ngh2" else GrpcioEngine
    server = engine(methods, counts, Failures(counts))
    address = server.listen(Address(host="127.0.0.1", port=0), None)
    await server.start()
    print(address, flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    await server.stop(1.0)


@contextmanager
def running(transport: str) -> Iterator[tuple[str, int]]:
    """The program above as a child process: its address and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.overload_server", transport],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid
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
