"""A gRPC server whose Choose does nothing: what a transport costs by itself.

    python -m loadtest.transport_noop ngh2 --reply reply.bin

Takes raw bytes and answers each call with those of a file. Its first line says where it listens; for each
line that it reads it says how many calls were answered OK so far; it ends when its input does.
"""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import grpc
import grpc.aio
import uvloop

from loadtest.transport_load import CHOOSE
from server.addresses import Address
from server.codes import Code
from server.counts import Counts
from server.failures import Failures
from server.handlers import SERVICE
from server.methods import Methods
from server.ngh2_engine import Ngh2Engine

LISTEN = "127.0.0.1:0"


def converse(target: str, answered: Callable[[], int]) -> None:
    """Say where we listen, then how much was answered, once for each line of input, until it ends."""
    print(target, flush=True)
    for _ in sys.stdin:
        print(answered(), flush=True)


def handlers(call: Callable[..., bytes] | Callable[..., Awaitable[bytes]]) -> grpc.GenericRpcHandler:
    """The method on raw bytes, as grpcio takes it."""
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(call)
    return grpc.method_handlers_generic_handler(SERVICE, {CHOOSE.rpartition("/")[2]: method})


def sync(reply: bytes, workers: int) -> None:
    """The server of grpcio with threads."""
    calls = 0
    lock = threading.Lock()

    def call(request: bytes, context: grpc.ServicerContext) -> bytes:
        nonlocal calls
        del request, context
        with lock:
            calls += 1
        return reply

    server = grpc.server(ThreadPoolExecutor(workers))
    server.add_generic_rpc_handlers((handlers(call),))
    port = server.add_insecure_port(LISTEN)
    server.start()
    converse(f"127.0.0.1:{port}", lambda: calls)
    server.stop(None).wait()


async def aio(reply: bytes) -> None:
    """The server of grpcio on asyncio."""
    calls = 0

    async def call(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        nonlocal calls
        del request, context
        calls += 1
        return reply

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(call),))
    port = server.add_insecure_port(LISTEN)
    await server.start()
    await asyncio.to_thread(converse, f"127.0.0.1:{port}", lambda: calls)
    await server.stop(None)


async def ngh2(reply: bytes) -> None:
    """Our own engine, without the service."""
    counts = Counts()
    server = Ngh2Engine(Methods(unary={CHOOSE: lambda _: reply}), counts, Failures(counts))
    address = server.listen(Address(host="127.0.0.1", port=0), None)
    await server.start()
    await asyncio.to_thread(converse, str(address), lambda: counts.methods[CHOOSE].codes[Code.OK])
    await server.stop(0)


@click.command(help=__doc__)
@click.argument("kind", type=click.Choice(["sync", "aio", "ngh2"]))
@click.option("--reply", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--workers", default=1, show_default=True, help="Threads of `sync`.")
def main(kind: str, reply: Path, workers: int) -> None:
    """Serve until the input ends."""
    body = reply.read_bytes()
    if kind == "sync":
        sync(body, workers)
    elif kind == "aio":
        asyncio.run(aio(body))
    else:
        uvloop.run(ngh2(body))


if __name__ == "__main__":
    main()
