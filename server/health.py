"""grpc.health.v1 without a transport: Check, List and Watch over bytes.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from server import limits
from server.codes import Code
from server.methods import CallError, Methods

SERVICE = "grpc.health.v1.Health"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Whether we serve: one answer for the process, under its own name ("") and every service's.

    It belongs to the event loop; nothing here may be called from another thread, except `serving`.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset(("", *services))
        self.serving = False
        self._closing = False
        self._changed = asyncio.Event()
        self._watches = 0

    def set_serving(self) -> None:
        """Answer SERVING from now on."""
        self._set(serving=True)

    def drain(self) -> None:
        """Answer NOT_SERVING from now on; watches learn it and end, so that they do not hold up the stop."""
        self._closing = True
        self._set(serving=False)

    def methods(self) -> Methods:
        """The service's methods by path."""
        unary = {f"/{SERVICE}/Check": self.check, f"/{SERVICE}/List": self.list}
        return Methods(unary, streams={f"/{SERVICE}/Watch": self.watch}, vital=frozenset(unary))

    def check(self, request: bytes) -> bytes:
        """HealthCheckRequest → HealthCheckResponse. NOT_FOUND for a service that is not here."""
        service = _service(request)
        if service not in self._services:
            raise CallError(Code.NOT_FOUND, "unknown service")
        return _response(self._status(service))

    def list(self, request: bytes) -> bytes:
        """HealthListRequest → HealthListResponse with every service."""
        del request  # it has no fields
        response = health_pb2.HealthListResponse()
        for service in sorted(self._services):
            response.statuses[service].status = self._status(service)
        reply: bytes = response.SerializeToString()
        return reply

    async def watch(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """HealthCheckRequest → a HealthCheckResponse now and at every change."""
        if self._watches >= limits.HEALTH_WATCHES_MAX:
            raise CallError(Code.RESOURCE_EXHAUSTED, f"more than {limits.HEALTH_WATCHES_MAX} health watches")
        self._watches += 1
        try:
            async for request in requests:
                service = _service(request)
                while True:
                    changed = self._changed
                    yield _response(self._status(service))
                    if self._closing:
                        return
                    await changed.wait()
        finally:
            self._watches -= 1

    def _set(self, *, serving: bool) -> None:
        self.serving = serving
        self._changed.set()
        self._changed = asyncio.Event()

    def _status(self, service: str) -> int:
        if service not in self._services:
            return int(SERVICE_UNKNOWN)
        status: int = SERVING if self.serving else NOT_SERVING
        return status


def _service(request: bytes) -> str:
    try:
        service: str = health_pb2.HealthCheckRequest.FromString(request).service
    except DecodeError as error:
        raise CallError(Code.INVALID_ARGUMENT, "the message is no HealthCheckRequest") from error
    return service


def _response(status: int) -> bytes:
    reply: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    return reply
