"""A service with no bandit in it: methods that show what a transport does with bytes, errors and time."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from bandit.errors import BanditError, Reason
from server.addresses import Address
from server.codes import Code
from server.counts import Counts
from server.failures import Failures
from server.grpcio_engine import GrpcioEngine
from server.methods import CallError, Methods
from server.ngh2_engine import Ngh2Engine
from server.tls import Tls
from tests.server.running import LOOPBACK, Loop

ECHO = "/stand.In/Echo"
LARGE = "/stand.In/Large"
REFUSE = "/stand.In/Refuse"
PLAIN = "/stand.In/Plain"
BUSY = "/stand.In/Busy"
LATER = "/stand.In/Later"
CHAT = "/stand.In/Chat"

Engine = GrpcioEngine | Ngh2Engine


class StandIn:
    """The methods, and how often each was executed. It lives on the loop; read it between calls."""

    def __init__(self) -> None:
        self.executed: Counter[str] = Counter()
        self.released = asyncio.Event()
        self.counts = Counts()

    def methods(self) -> Methods:
        """The table an engine carries."""
        at_once = {
            ECHO: self.echo,
            LARGE: self.large,
            REFUSE: self.refuse,
            PLAIN: self.plain,
            BUSY: self.busy,
        }
        return Methods(unary=at_once | {LATER: self.later}, streams={CHAT: self.chat})

    def echo(self, data: bytes) -> bytes:
        """The request."""
        self.executed[ECHO] += 1
        return data

    def large(self, data: bytes) -> bytes:
        """As many bytes as the request says in decimal."""
        self.executed[LARGE] += 1
        return bytes(range(256)) * (int(data) // 256) + bytes(int(data) % 256)

    def refuse(self, data: bytes) -> bytes:
        """A refusal with a reason, whose message and fact are the request's text."""
        raise BanditError(Reason.PLACEMENT_UNKNOWN, data.decode(), placement=data.decode())

    def plain(self, data: bytes) -> bytes:
        """A refusal without a reason: the first byte is the code, the rest its message."""
        raise CallError(Code(data[0]), data[1:].decode())

    def busy(self, data: bytes) -> bytes:
        """Nothing, after as many milliseconds as the request says, in which nobody else is served."""
        end_s = time.monotonic() + int(data) / 1_000
        while time.monotonic() < end_s:
            pass
        return b""

    async def later(self, data: bytes) -> bytes:
        """The request, but only once `released` is set."""
        self.executed[LATER] += 1
        await self.released.wait()
        return data

    async def chat(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Every request back as it comes."""
        async for request in requests:
            self.executed[CHAT] += 1
            yield request


class Bare:
    """An engine that carries a stand-in on TCP, a Unix socket and TLS at once."""

    def __init__(self, loop: Loop, kind: str, folder: Path, tls: Tls | None) -> None:
        self.loop = loop
        self.kind = kind
        self.targets: dict[str, str] = {}
        loop.run(self._start(folder, tls))

    async def _start(self, folder: Path, tls: Tls | None) -> None:
        self.service = StandIn()
        self.engine = engine_of(self.kind, self.service.methods(), self.service.counts)
        self.targets["tcp"] = str(self.engine.listen(LOOPBACK, None))
        self.targets["unix"] = str(self.engine.listen(Address(path=str(folder / "stand-in.sock")), None))
        if tls is not None:
            self.targets["tls"] = str(self.engine.listen(LOOPBACK, tls))
        await self.engine.start()

    def executed(self, path: str = ECHO) -> int:
        """How often a method was executed until now."""
        return self.loop.call(lambda: self.service.executed[path])

    def release(self) -> None:
        """Let those go that wait in Later, now and from now on."""
        self.loop.call(self.service.released.set)

    def hold(self) -> None:
        """Let calls of Later wait again."""
        self.loop.call(self.service.released.clear)

    def stop(self, grace_s: float = 1.0) -> None:
        """Drain and stop the engine."""
        self.loop.run(self.engine.stop(grace_s))


def engine_of(kind: str, methods: Methods, counts: Counts) -> Engine:
    """An engine by its name; both have the same interface."""
    if kind == "grpcio":
        return GrpcioEngine(methods, counts, Failures(counts))
    return Ngh2Engine(methods, counts, Failures(counts))
