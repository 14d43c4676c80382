"""What a transport carries: methods by path, over bytes. The seam between handlers and engines of gRPC.

A unary method takes the request's bytes and returns the reply's, or an awaitable of them when the answer has
to wait for something (a file, another process); every other one is done before another request is looked
at. A stream takes the requests' bytes and yields the replies'. Either may raise `BanditError`, `ShellError`
or `CallError`; anything else is an internal error.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from server.codes import Code

Unary = Callable[[bytes], bytes | Awaitable[bytes]]
Stream = Callable[[AsyncIterator[bytes]], AsyncGenerator[bytes, None]]


class CallError(Exception):
    """A status of a standard service (health, reflection), which has no reasons of ours."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Methods:
    """Methods by path (`/package.Service/Method`).

    The `vital` ones among the unary are answered ahead of others, however many calls wait.
    """

    unary: Mapping[str, Unary] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
    vital: frozenset[str] = frozenset()

    def settled(self, settle: Callable[[], Awaitable[None]]) -> "Methods":
        """The same methods, whose unary replies wait for `settle`; refusals do not, they changed nothing."""

        def settling(method: Unary) -> Unary:
            async def later(reply: bytes | Awaitable[bytes]) -> bytes:
                answer = reply if isinstance(reply, bytes) else await reply
                await settle()
                return answer

            return lambda request: later(method(request))

        return replace(self, unary={path: settling(method) for path, method in self.unary.items()})

    def __or__(self, other: "Methods") -> "Methods":
        return Methods(
            {**self.unary, **other.unary}, {**self.streams, **other.streams}, self.vital | other.vital
        )
