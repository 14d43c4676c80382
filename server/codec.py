"""Bytes to messages and back. What is malformed or too large is refused here, before anything looks at it."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from bandit.engine import Choice
from bandit.errors import BanditError, Reason
from server.errors import ShellError, ShellReason
from server.pb import bandit_pb2 as pb

M = TypeVar("M", bound=Message)


def decode(kind: type[M], data: bytes, bytes_max: int) -> M:
    """The message of type `kind` in `data`.

    Raises ShellError MESSAGE_TOO_LARGE beyond `bytes_max`, BanditError MESSAGE_MALFORMED for bytes that are
    no such message (a string that is not UTF-8 included).
    """
    if len(data) > bytes_max:
        raise too_large(kind.DESCRIPTOR.name, len(data), bytes_max)
    try:
        return kind.FromString(data)
    except DecodeError:
        # protobuf's own text may quote the bytes, and a unit in them
        raise BanditError(
            Reason.MESSAGE_MALFORMED,
            f"the {len(data)} bytes are no {kind.DESCRIPTOR.full_name}; encode it with "
            "bandit/v1/bandit.proto, strings as UTF-8",
            type=kind.DESCRIPTOR.name,
        ) from None


def too_large(name: str, size: int, bytes_max: int) -> ShellError:
    """The refusal of a message of `size` bytes."""
    return ShellError(
        ShellReason.MESSAGE_TOO_LARGE,
        f"the {name} has {size} bytes; at most {bytes_max} are read: send less context, or smaller batches",
        limit=str(bytes_max),
    )


def encode_choice(choice: Choice) -> pb.ChooseResponse:
    """A decision as its response."""
    decision_id, arm, policy, propensity, payload = choice
    return pb.ChooseResponse(
        decision_id=decision_id, arm=arm, policy=policy, propensity=propensity, payload=payload
    )
