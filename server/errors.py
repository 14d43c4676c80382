"""From an exception to what a client sees: one exhaustive table of reasons, one way to build a status.

A status carries google.rpc.Status with a google.rpc.ErrorInfo: domain `bandit.v1`, the reason, its facts.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from google.rpc import error_details_pb2, status_pb2

from bandit.errors import BanditError, Reason
from server import limits
from server.codes import Code

DOMAIN = "bandit.v1"
"""The domain of every ErrorInfo: reasons are unique within it."""

STATUS_DETAILS_KEY = "grpc-status-details-bin"
"""The trailing metadata in which gRPC carries a serialised google.rpc.Status."""


class ShellReason(StrEnum):
    """Why the shell, not the core, refused a call."""

    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    METADATA_TOO_LARGE = "METADATA_TOO_LARGE"
    OVERLOADED = "OVERLOADED"
    DEADLINE_PASSED = "DEADLINE_PASSED"
    STARTING = "STARTING"
    SNAPSHOT_REFUSED = "SNAPSHOT_REFUSED"
    INTERNAL = "INTERNAL"


class ShellError(Exception):
    """A call refused by the shell, with nothing changed. Attributes as in `BanditError`."""

    def __init__(self, reason: ShellReason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata


def overloaded() -> ShellError:
    """The refusal of what comes while more waits than can be answered in time."""
    return ShellError(
        ShellReason.OVERLOADED,
        "more calls wait than can be answered in time; nothing was applied; try again later",
    )


CODES: Mapping[Reason | ShellReason, Code] = {
    Reason.PLACEMENT_UNKNOWN: Code.NOT_FOUND,
    Reason.NO_ELIGIBLE_ARM: Code.FAILED_PRECONDITION,
    Reason.FEATURE_NOT_FINITE: Code.INVALID_ARGUMENT,
    Reason.FEATURE_NOT_BOOLEAN: Code.INVALID_ARGUMENT,
    Reason.CONTEXT_TOO_LARGE: Code.INVALID_ARGUMENT,
    Reason.UNIT_TOO_LONG: Code.INVALID_ARGUMENT,
    Reason.TOKEN_INVALID: Code.INVALID_ARGUMENT,
    Reason.EVENT_UNKNOWN: Code.INVALID_ARGUMENT,
    Reason.EVENT_ID_REQUIRED: Code.INVALID_ARGUMENT,
    Reason.EVENT_ID_TOO_LONG: Code.INVALID_ARGUMENT,
    Reason.VALUE_NOT_FINITE: Code.INVALID_ARGUMENT,
    Reason.VALUE_OUT_OF_RANGE: Code.INVALID_ARGUMENT,
    Reason.REWARD_CONFLICT: Code.ALREADY_EXISTS,
    Reason.LEDGER_FULL: Code.RESOURCE_EXHAUSTED,
    Reason.JOURNAL_FULL: Code.UNAVAILABLE,
    Reason.RAMP_ABSENT: Code.FAILED_PRECONDITION,
    Reason.MOVE_UNEXPLAINED: Code.INVALID_ARGUMENT,
    Reason.BATCH_TOO_LARGE: Code.INVALID_ARGUMENT,
    Reason.MESSAGE_MALFORMED: Code.INVALID_ARGUMENT,
    Reason.CONFIG_INVALID: Code.FAILED_PRECONDITION,
    ShellReason.MESSAGE_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    ShellReason.METADATA_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    ShellReason.OVERLOADED: Code.RESOURCE_EXHAUSTED,
    ShellReason.DEADLINE_PASSED: Code.DEADLINE_EXCEEDED,
    ShellReason.STARTING: Code.UNAVAILABLE,
    ShellReason.SNAPSHOT_REFUSED: Code.UNAVAILABLE,
    ShellReason.INTERNAL: Code.INTERNAL,
}
"""Every reason's gRPC code. A code says what the caller may do: repeat it unchanged, later, or not."""


class Failure(NamedTuple):
    """An error as it goes to the client. `retry_s`: seconds to wait before another attempt (0: not said)."""

    code: Code
    reason: str
    message: str
    metadata: Mapping[str, str]
    retry_s: float = 0.0


def failure(error: BanditError | ShellError) -> Failure:
    """What the client is told of `error`, cut to what fits into trailers."""
    return Failure(
        CODES[error.reason],
        error.reason.value,
        clipped(error.message, limits.REPLY_TEXT_BYTES_MAX),
        {key: clipped(value, limits.METADATA_VALUE_BYTES_MAX) for key, value in error.metadata.items()},
        limits.RETRY_S if error.reason is ShellReason.OVERLOADED else 0.0,
    )


INTERNAL = Failure(
    CODES[ShellReason.INTERNAL],
    ShellReason.INTERNAL.value,
    "the server failed at this call; its log says why",
    {},
)
"""What a client is told of an exception nobody expected: nothing of its text, which may quote anything."""


def status(found: Failure) -> status_pb2.Status:
    """The google.rpc.Status of a failure, with its ErrorInfo, and a RetryInfo where we say when to retry."""
    info = error_details_pb2.ErrorInfo(reason=found.reason, domain=DOMAIN, metadata=found.metadata)
    result = status_pb2.Status(code=int(found.code), message=found.message)
    result.details.add().Pack(info)
    if found.retry_s:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(found.retry_s * 1e9))
        result.details.add().Pack(retry)
    return result


def clipped(text: str, bytes_max: int) -> str:
    """`text`, or its beginning with an ellipsis when it has more than `bytes_max` bytes in UTF-8."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= bytes_max:
        return text
    return encoded[: bytes_max - len("…".encode())].decode(errors="ignore") + "…"
