"""A thin, synchronous gRPC client of the sidecar, for the tools that drive a running one.

One channel, one call at a time, a deadline on each. Nothing is retried: a retried Choose would count its
exposure twice. A refusal becomes a `CallError`, which keeps the reason of `google.rpc.ErrorInfo`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2

from server.channel import Security, open_channel
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc

Q = TypeVar("Q")
A = TypeVar("A")

SERVICE = pb.DESCRIPTOR.services_by_name["BanditService"].full_name
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
_SERVING = health_pb2.HealthCheckResponse.SERVING


class CallError(Exception):
    """A call, or one item of a batch, that the sidecar refused or never answered.

    `code` is the status name (INVALID_ARGUMENT), `reason` the ErrorInfo reason ("" without one),
    `metadata` its facts. The text is fit to be shown to a person.
    """

    def __init__(
        self, code: str, message: str, reason: str = "", metadata: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{reason or code}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = metadata or {}


class Caller(Protocol):
    """What simulate and replay need of a client; tests put a stand-in here."""

    def choose_batch(self, requests: Sequence[pb.ChooseRequest]) -> list[pb.ChooseResponse | CallError]:
        """Answers in the order of `requests`; a refused item is its CallError."""

    def reward_batch(self, requests: Sequence[pb.RewardRequest]) -> list[str | CallError]:
        """Outcomes, as `outcome_name` spells them, in the order of `requests`; as above."""


@dataclass(slots=True)
class Client:
    """Calls one sidecar at `target`, `host:port` or `unix:PATH`. Use it as a context manager.

    `deadline_s` bounds every call. `security` None means plain text.
    """

    target: str
    deadline_s: float = 10.0
    security: Security | None = None
    _channel: grpc.Channel = field(init=False, repr=False)
    _stub: pb_grpc.BanditServiceStub = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._channel = open_channel(self.target, self.security)
        self._stub = pb_grpc.BanditServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel; calls after this fail."""
        self._channel.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Return once the sidecar serves: it may still be starting. Raises CallError after `timeout_s`."""
        watch: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(HEALTH_WATCH)
        request = health_pb2.HealthCheckRequest(service=SERVICE).SerializeToString()
        try:
            for answer in watch(request, timeout=timeout_s, wait_for_ready=True):
                if health_pb2.HealthCheckResponse.FromString(answer).status == _SERVING:
                    return
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise call_error(error, self.target) from None
        raise CallError("UNAVAILABLE", nobody_there(self.target))

    def choose(self, request: pb.ChooseRequest) -> pb.ChooseResponse:
        """One decision. Raises CallError."""
        reply: pb.ChooseResponse = self._call(self._stub.Choose, request)
        return reply

    def reward(self, request: pb.RewardRequest) -> str:
        """One event; what became of it, as `outcome_name` spells it. Raises CallError."""
        return outcome_name(self._call(self._stub.Reward, request).outcome)

    def choose_batch(self, requests: Sequence[pb.ChooseRequest]) -> list[pb.ChooseResponse | CallError]:
        """At most 256 decisions. Raises CallError when the call as a whole is refused."""
        reply = self._call(self._stub.ChooseBatch, pb.ChooseBatchRequest(requests=requests))
        return [
            item_error(item.error) if item.WhichOneof("result") == "error" else item.response
            for item in reply.results
        ]

    def reward_batch(self, requests: Sequence[pb.RewardRequest]) -> list[str | CallError]:
        """At most 256 events. Raises CallError when the call as a whole is refused."""
        reply = self._call(self._stub.RewardBatch, pb.RewardBatchRequest(requests=requests))
        return [
            item_error(item.error)
            if item.WhichOneof("result") == "error"
            else outcome_name(item.response.outcome)
            for item in reply.results
        ]

    def _call(self, method: Callable[..., A], request: Q) -> A:
        try:
            return method(request, timeout=self.deadline_s)
        except grpc.RpcError as error:
            raise call_error(error, self.target) from None


def unwrap(item: A | CallError) -> A:
    """An item of a batch's answers, or its refusal raised."""
    if isinstance(item, CallError):
        raise item
    return item


def outcome_name(outcome: int) -> str:
    """applied, duplicate, late or unrecorded; a number that a newer sidecar may send, as its digits."""
    known = pb.RewardOutcome.DESCRIPTOR.values_by_number.get(outcome)
    return known.name.removeprefix("REWARD_OUTCOME_").lower() if known else str(outcome)


def call_error(error: grpc.RpcError, target: str) -> CallError:
    """A failed RPC as a CallError, with the details of its trailers where there are any."""
    code = error.code()
    trailers = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    for key, value in trailers:
        if key == "grpc-status-details-bin":
            status = status_pb2.Status()
            status.ParseFromString(value)
            return item_error(status)
    if code is grpc.StatusCode.UNAVAILABLE:
        return CallError(code.name, f"{nobody_there(target)} ({error.details()})")
    return CallError(code.name, str(error.details()))


def item_error(status: status_pb2.Status) -> CallError:
    """A `google.rpc.Status`, of a whole call or of an item of a batch, as a CallError."""
    code = _CODE_NAMES.get(status.code, str(status.code))
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return CallError(code, status.message, info.reason, dict(info.metadata))
    return CallError(code, status.message)


def nobody_there(target: str) -> str:
    """What to tell a person when no sidecar answers at `target`."""
    return f"no sidecar answers at {target}; start one with `banditd serve`, or name another with --target"


_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
