"""Bytes to messages and back. What is malformed or too large is refused here, before anything looks at it."""

from functools import cache, lru_cache
from struct import Struct
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


def encode_choice(choice: Choice) -> bytes:
    """A decision as the bytes of its ChooseResponse, field by field as protobuf writes them.

    All but decision_id and propensity is the same for every decision of an arm by a policy: kept ready.
    """
    decision_id, arm, policy, propensity, payload = choice[:]  # a plain tuple of them unpacks faster
    arm_and_policy, payload_field = _ready_fields(arm, policy, payload)
    token = decision_id.encode()
    return b"".join(
        (b"\x0a", _length(len(token)), token, arm_and_policy, _PROPENSITY(b"\x21", propensity), payload_field)
    )


_PROPENSITY = Struct("<cd").pack


@lru_cache(maxsize=4096)
def _ready_fields(arm: str, policy: str, payload: str) -> tuple[bytes, bytes]:
    """Fields 2 and 3, and field 5, of a ChooseResponse."""
    return (
        pb.ChooseResponse(arm=arm, policy=policy).SerializeToString(),
        pb.ChooseResponse(payload=payload).SerializeToString(),
    )


@cache
def _length(size: int) -> bytes:
    """The length of a field below 16 KiB, as a varint."""
    return bytes((size,)) if size < 1 << 7 else bytes((size & 0x7F | 0x80, size >> 7))
