"""A server whose capacity is known: one method that takes 0.5 ms of the event loop, so 2,000 calls/s at most.

    python -m loadtest.overload_server ngh2

It prints its address and serves until its standard input ends. The real transport with its queue of calls,
health beside the method; no sidecar.
"""

import asyncio
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

WORK_NS = 500_000
"""Nanoseconds of processor time that a call holds the event loop."""

CAPACITY = 1_000_000_000 // WORK_NS

LOOK_STEPS = 200
"""Steps between two looks at the clock, a few microseconds."""


def work(request: bytes) -> bytes:
    """Hold the event loop for WORK_NS, however fast the processor is just now."""
    end_ns = time.thread_time_ns() + WORK_NS
    while time.thread_time_ns() < end_ns:
        for _ in range(LOOK_STEPS):
            pass
    return request


async def serve(transport: str) -> None:
    """Serve until standard input ends."""
    counts = Counts()
    health = Health([])
    health.set_serving()
    methods = Methods(unary={PATH: work}) | health.methods()
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
