"""Carries methods over gRPC with grpcio's asyncio server: the reference transport.

Generic handlers on raw bytes: grpcio sees no protobuf, so the same table can be carried by another engine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any, cast

import grpc
import grpc.aio

from server import limits
from server.addresses import Address, clear_socket_file
from server.codes import Code
from server.counts import Counts, MethodCounts
from server.errors import STATUS_DETAILS_KEY, Failure, ShellError, ShellReason, overloaded, status
from server.exit_codes import ExitCode, StartError
from server.failures import Failures
from server.methods import Methods, Stream, Unary
from server.tls import Tls

Context = grpc.aio.ServicerContext[bytes, bytes]

STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


def channel_options(message_bytes_max: int, streams_max: int) -> list[tuple[str, int]]:
    """Options of the server; the constants are explained in `server/limits.py`."""
    return [
        ("grpc.so_reuseport", 0),  # two servers must not share a port without knowing
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", -1),  # a batch of our own answers is as large as it is
        ("grpc.max_metadata_size", limits.METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", limits.METADATA_BYTES_MAX),
        ("grpc.max_concurrent_streams", streams_max),
        ("grpc.http2.min_ping_interval_without_data_ms", limits.KEEPALIVE_MIN_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", limits.KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", limits.KEEPALIVE_TIMEOUT_S * 1000),
    ]


class GrpcioEngine:
    """One gRPC server with its listeners. Make it, `listen`, `start`, `stop`; all on one event loop."""

    def __init__(
        self,
        methods: Methods,
        counts: Counts,
        failures: Failures,
        message_bytes_max: int = limits.MESSAGE_BYTES_MAX,
        streams_max: int = limits.STREAMS_MAX,
        calls_max: int = limits.CALLS_MAX,
        commit: Callable[[], None] = lambda: None,
    ) -> None:
        counts.track([*methods.unary, *methods.streams])
        self._failures = failures
        self._commit = commit
        self._closing = asyncio.Event()
        self._server = grpc.aio.server(options=channel_options(message_bytes_max, streams_max))
        handlers = self._handlers(methods, counts)
        refusals = {
            path: _unary_handler(path, _overloaded, counts.methods[path], failures, commit)
            for path in methods.unary.keys() - methods.vital
        }
        self._server.add_generic_rpc_handlers((_Router(handlers, refusals, calls_max),))
        self._sockets: list[Path] = []
        self._tls: Tls | None = None

    def listen(self, address: Address, tls: Tls | None, *, private: bool = False) -> Address:
        """Bind an address; return it with its port, where a free one was asked for.

        Unix sockets are never encrypted; `private` ones are open to their owner alone. Raises `StartError`.
        """
        if address.path:
            clear_socket_file(Path(address.path))
        umask = os.umask(0o177) if private and address.path else None
        try:
            if tls is None or address.path:
                port = self._server.add_insecure_port(str(address))
            else:
                port = self._server.add_secure_port(str(address), self._credentials(tls))
        except RuntimeError as error:
            raise StartError(
                ExitCode.LISTEN,
                f"cannot listen on {address}: it is in use, not an address of this machine, or not "
                "permitted; stop the other server, or give another address",
            ) from error
        finally:
            if umask is not None:
                os.umask(umask)
        if address.path:
            self._sockets.append(Path(address.path))
            return address
        return Address(host=address.host, port=port)

    async def renew_tls(self, tls: Tls) -> None:
        """Show this pair, and ask its client CA, in handshakes from now on; connections that stand stay."""
        self._tls = tls

    async def start(self) -> None:
        """Take calls from now on."""
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, wait up to `grace_s` seconds for those under way, cut the rest off."""
        self._closing.set()
        await self._server.stop(grace_s)
        for path in self._sockets:
            path.unlink(missing_ok=True)

    def _credentials(self, tls: Tls) -> grpc.ServerCredentials:
        """Credentials of one listener: they remember what it was given last, so each has its own."""
        given = self._tls = tls

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """What is new; gRPC asks before each handshake, one at a time, in threads of its own."""
            nonlocal given
            newest = self._tls
            if newest is None or newest is given:
                return None
            given = newest
            return _certificates(newest)

        return grpc.dynamic_ssl_server_credentials(
            _certificates(tls),
            fetch,  # type: ignore[arg-type]  # the stubs leave out None: no change
            require_client_authentication=tls.client_ca is not None,
        )

    def _handlers(self, methods: Methods, counts: Counts) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for path, unary in methods.unary.items():
            handlers[path] = _unary_handler(path, unary, counts.methods[path], self._failures, self._commit)
        for path, stream in methods.streams.items():
            call: Any = _stream(path, stream, counts.methods[path], self._failures, self._closing)
            handlers[path] = grpc.stream_stream_rpc_method_handler(call)
        return handlers


class _Router(grpc.GenericRpcHandler):
    """Finds the handler of a path; grpcio answers UNIMPLEMENTED where there is none.

    Of the calls that `refusals` names no more than `calls_max` are in flight; others are refused by these.
    gRPC's own bound would refuse health checks too. How long a call has waited it does not say.
    """

    def __init__(
        self,
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]],
        refusals: dict[str, grpc.RpcMethodHandler[bytes, bytes]],
        calls_max: int,
    ) -> None:
        self._handlers = handlers
        self._refusals = refusals
        self._calls_max = calls_max
        self._in_flight = 0

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        path = handler_call_details.method
        refusal = self._refusals.get(path)
        task = asyncio.current_task()
        if refusal is not None and task is not None:
            if self._in_flight >= self._calls_max:
                return refusal
            self._in_flight += 1
            task.add_done_callback(self._ended)  # gRPC's task of this call ends however the call does
        return self._handlers.get(path)

    def _ended(self, _: object) -> None:
        self._in_flight -= 1


def _overloaded(_: bytes) -> bytes:
    raise overloaded()


def _unary_handler(
    path: str, handler: Unary, counts: MethodCounts, failures: Failures, commit: Callable[[], None]
) -> grpc.RpcMethodHandler[bytes, bytes]:
    call: Any = _unary(path, handler, counts, failures, commit)
    return grpc.unary_unary_rpc_method_handler(call)


def _unary(
    path: str, handler: Unary, counts: MethodCounts, failures: Failures, commit: Callable[[], None]
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def call(request: bytes, context: Context) -> bytes:
        started_ns = perf_counter_ns()
        try:
            _check_deadline(context)
            try:
                pending = handler(request)
            finally:
                commit()  # before a refusal too: a record that could not be written is no reply's reason
            reply = pending if isinstance(pending, bytes) else await pending
        except asyncio.CancelledError:
            counts.observe(Code.CANCELLED, perf_counter_ns() - started_ns)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and we go on
            found = failures.of(error, path)
            counts.observe(found.code, perf_counter_ns() - started_ns)
            await _abort(context, found)
        counts.observe(Code.OK, perf_counter_ns() - started_ns)
        return reply

    return call


def _stream(
    path: str, handler: Stream, counts: MethodCounts, failures: Failures, closing: asyncio.Event
) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]:
    async def call(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        started_ns = perf_counter_ns()
        try:
            async for reply in handler(_until(requests, closing)):
                yield reply
        except asyncio.CancelledError:
            counts.observe(Code.CANCELLED, perf_counter_ns() - started_ns)
            raise
        except Exception as error:  # noqa: BLE001 - as in a unary call
            found = failures.of(error, path)
            counts.observe(found.code, perf_counter_ns() - started_ns)
            await _abort(context, found)
        counts.observe(Code.OK, perf_counter_ns() - started_ns)

    return call


async def _until(requests: AsyncIterator[bytes], closing: asyncio.Event) -> AsyncIterator[bytes]:
    """The requests, up to their end or ours: an idle stream must not hold up the stop."""
    closed = asyncio.ensure_future(closing.wait())
    try:
        while True:
            following = asyncio.ensure_future(anext(requests, None))
            await asyncio.wait((following, closed), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                return
            request = following.result()
            if request is None:
                return
            yield request
    finally:
        closed.cancel()


def _check_deadline(context: Context) -> None:
    """Refuse a call whose deadline has passed: nobody waits for its answer, so nothing is applied."""
    remaining_s = cast("float | None", context.time_remaining())  # None: the client set no deadline
    if remaining_s is not None and remaining_s <= 0:
        raise ShellError(
            ShellReason.DEADLINE_PASSED,
            "the deadline passed before the call was looked at; nothing was applied",
        )


async def _abort(context: Context, found: Failure) -> None:
    """End a call with a failure; what has a reason carries its ErrorInfo in the trailers."""
    trailers: tuple[tuple[str, str | bytes], ...] = ()
    if found.reason:
        trailers = ((STATUS_DETAILS_KEY, status(found).SerializeToString()),)
    await context.abort(STATUS_CODES[found.code], found.message, trailers)


def _certificates(tls: Tls) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.cert)], tls.client_ca)
