"""A gRPC call as it comes in: what was asked, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from server import limits
from server.codes import Code
from server.counts import MethodCounts
from server.errors import Failure, overloaded
from server.http2.messages import MessageReader
from server.methods import CallError, Stream, Unary


@dataclass(frozen=True, slots=True)
class Route:
    """A served method: exactly one of `unary` and `stream` is set.

    A `vital` one is answered ahead of all others, however many wait.
    """

    path: str
    counts: MethodCounts
    unary: Unary | None = None
    stream: Stream | None = None
    vital: bool = False


class Budget:
    """Bytes that may be held, counted; shared by all who hold some."""

    __slots__ = ("bytes_max", "held")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held = 0

    def change(self, difference: int) -> None:
        """Hold more, or less. Raises ShellError OVERLOADED, changing nothing, for more than there may be."""
        if difference > 0 and self.held + difference > self.bytes_max:
            raise overloaded()
        self.held += difference


class Line(Protocol):
    """What a call is heard and answered through."""

    def next(self, call: Call) -> bytes:
        """Take the first of the messages that a call has said, inflated."""

    def reply(self, call: Call, message: bytes) -> None:
        """Answer an open unary call."""

    def send(self, call: Call, message: bytes) -> None:
        """Send one of an open streaming call's messages."""

    def finish(self, call: Call) -> None:
        """End an open streaming call well."""

    def fail(self, call: Call, failure: Failure) -> None:
        """End an open call with a failure."""


class Call:
    """One call of a `session`, its stream's id there, and its route.

    Times are nanoseconds of one monotonic clock: `arrived_ns` when it was read, `deadline_ns` when its client
    gives up (0: never). `untouched` while nothing of a unary call's body has come; `ended` when the client
    has said all; `offered` once it was returned as one that can be answered; `begun` when an answer's
    headers are on their way; `open` until it is answered, its client resets it, or the connection goes.
    `messages` are what it has said; `held` what of it weighs on the session's budget; `error` is set when it
    is to be refused for how it was said. A streaming call's `on_input` is called when any of this changes.
    """

    __slots__ = (
        "_reader", "arrived_ns", "begun", "deadline_ns", "ended", "error", "gzip", "held", "messages",
        "offered", "on_input", "open", "route", "session", "stream_id", "untouched",
    )  # fmt: skip

    def __init__(self, session: Line, stream_id: int, route: Route, arrived_ns: int) -> None:
        self.session = session
        self.stream_id = stream_id
        self.route = route
        self.arrived_ns = arrived_ns
        self.deadline_ns = 0
        self.gzip = False
        self.held = 0
        self.offered = False
        self.open = True
        self.begun = False
        self.ended = False
        self.untouched = route.unary is not None
        self.messages: list[bytes] = []
        self.error: Exception | None = None
        self.on_input: Callable[[], None] | None = None
        self._reader: MessageReader | None = None

    @property
    def weight(self) -> int:
        """Bytes it has said whose turn cannot come yet: a unary call's are counted elsewhere once it ends."""
        if self.ended and self.route.unary is not None:
            return 0
        return sum(map(len, self.messages)) + (0 if self._reader is None else self._reader.held)

    def let_go(self) -> None:
        """Forget what weighs."""
        if self.weight:
            self.messages = []
        self._reader = None

    def take(self, data: bytes, bytes_max: int) -> None:
        """Take in bytes of the body; `ended` says whether they are the last.

        Raises what `MessageReader.feed` raises; CallError UNIMPLEMENTED for a unary call that has not exactly
        one message (the status codes' "request cardinality violation"), INTERNAL for half a message.
        """
        if self._reader is None:
            self._reader = MessageReader(bytes_max, gzip=self.gzip)
        self.messages += self._reader.feed(data)
        if len(self.messages) > limits.MESSAGES_AHEAD_MAX:
            raise CallError(Code.RESOURCE_EXHAUSTED, "messages come faster than they are answered")
        if self.ended and self._reader.held:
            raise CallError(Code.INTERNAL, "the call ended in the middle of a message")
        if self.route.unary is not None and (
            len(self.messages) != 1 if self.ended else len(self.messages) > 1
        ):
            raise CallError(
                Code.UNIMPLEMENTED, f"{len(self.messages)} messages in a call that takes exactly one"
            )
