"""Hostile peers on sockets: what they do, and how the server ended it."""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtest.sidecar import Sidecar
from server import limits
from server.codes import Code
from server.pb import bandit_pb2 as pb
from tests.hostile import frames
from tests.hostile.attacks import Attack
from tests.transport.http2_client import Http2Client, connect

READ_BYTES = 65_536

WAIT_S = 20.0
"""Seconds that a well-behaved client waits for an answer: far more than one takes on a busy machine."""

PACE_S = 0.005
"""Seconds between its calls."""

DEMO_CHOOSE: bytes = pb.ChooseRequest(
    placement="home-hero", unit="someone", categories={"device": "phone"}, numbers={"spend": 20.0}
).SerializeToString()
"""A Choose that the embedded example answers."""

ANY_BYTES = 2**62
"""No bound on memory."""

DEAF_BUFFER_BYTES = 4_096
"""What the kernel takes in for a peer that never reads: little, so that the server notices soon."""

RECEIVED_BYTES_MAX = 2**22
"""Bytes of a server's answers that are kept: its GOAWAY is looked for in them."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attack went: whether the server closed the connection, with which GOAWAY, after how much.

    `watched` is the largest of what was watched meanwhile.
    """

    closed: bool
    code: int | None
    sent_bytes: int
    seconds: float
    watched: int = 0

    def __str__(self) -> str:
        how = "closed" if self.closed else "still open"
        code = "" if self.code is None else f", GOAWAY {self.code}"
        return f"{how}{code} after {self.sent_bytes / 1_000:,.0f} KB, {self.seconds * 1_000:,.0f} ms"


def flood(
    target: str,
    attack: Attack,
    seconds_max: float,
    bytes_max: int = 2**26,
    watch: Callable[[], int] = lambda: 0,
) -> Ending:
    """Attack until the server ends the connection, `seconds_max` have passed or `bytes_max` are sent.

    The last two leave the ending "still open". An attack whose step is empty has said all and waits.
    """
    watched = sent = turn = 0
    began_s = time.monotonic()
    received = bytearray()
    closed = False
    with connect(target, receive_buffer_bytes=DEAF_BUFFER_BYTES if attack.deaf else None) as peer:
        peer.setblocking(False)
        left = memoryview(attack.opening)
        while not closed and sent < bytes_max and time.monotonic() - began_s < seconds_max:
            if not left:
                time.sleep(attack.pace_s)
                left = memoryview(attack.step(turn))
                turn += 1
            done = _send(peer, left)
            if done <= 0:
                watched = max(watched, watch())
                _pause(peer, deaf=attack.deaf, full=len(left) > 0)
            left = left[max(done, 0) :]
            sent += max(done, 0)
            closed = done < 0 or (_hung_up(peer) if attack.deaf else _take(peer, received))
        _take(peer, received)
    seconds = time.monotonic() - began_s
    return Ending(closed, frames.goaway_code(bytes(received)), sent, seconds, watched)


def _send(peer: socket.socket, data: memoryview) -> int:
    """How many bytes could be sent; -1 when the server has closed the connection."""
    try:
        return peer.send(data) if data else 0
    except BlockingIOError:
        return 0
    except OSError:
        return -1


def _pause(peer: socket.socket, *, deaf: bool, full: bool) -> None:
    """Wait a moment for something to read, if anybody reads, or for room to write, if it is `full`."""
    waiting = select.poll()
    waiting.register(peer, select.POLLIN * (not deaf) | select.POLLOUT * full | select.POLLRDHUP)
    waiting.poll(20)


def _hung_up(peer: socket.socket) -> bool:
    """Whether the server has closed the connection, without a look at what it said."""
    waiting = select.poll()
    waiting.register(peer, select.POLLRDHUP)
    return bool(waiting.poll(0))


def _take(peer: socket.socket, received: bytearray) -> bool:
    """Read what there is; True when the server has closed the connection."""
    try:
        while True:
            data = peer.recv(READ_BYTES)
            if not data:
                return True
            if len(received) < RECEIVED_BYTES_MAX:
                received += data
    except BlockingIOError:
        return False
    except OSError:
        return True


def told(target: str, data: bytes, wait_s: float) -> tuple[bool, bytes]:
    """Send `data` and read until the server closes or `wait_s` passed: whether it closed, what it sent."""
    end_s = time.monotonic() + wait_s
    received = bytearray()
    with connect(target) as peer:
        with suppress(OSError):
            peer.sendall(data)
        while (left_s := end_s - time.monotonic()) > 0:
            peer.settimeout(left_s)
            try:
                found = peer.recv(READ_BYTES)
            except TimeoutError:
                break
            except OSError:
                found = b""
            if not found:
                return True, bytes(received)
            received += found
    return False, bytes(received)


def dripped(target: str, opening: bytes, rest: bytes, pace_s: float, wait_s: float) -> Ending:
    """Send `opening`, then `rest` a byte every `pace_s`, over again when it is at its end, up to `wait_s`."""
    began_s = time.monotonic()
    received = bytearray()
    sent = 0
    with connect(target) as peer:
        if opening:
            peer.sendall(opening)
        while (passed_s := time.monotonic() - began_s) < wait_s:
            peer.settimeout(pace_s)
            closed = False
            try:
                data = peer.recv(READ_BYTES)
                received += data
                closed = not data
            except TimeoutError:
                pass
            except OSError:
                closed = True
            if closed:
                return Ending(True, frames.goaway_code(bytes(received)), sent, passed_s)
            if rest:
                with suppress(OSError):
                    peer.send(rest[sent % len(rest) :][:1])
                    sent += 1
    return Ending(False, frames.goaway_code(bytes(received)), sent, time.monotonic() - began_s)


@contextmanager
def crowd(target: str, count: int, opening: bytes) -> Iterator[Sequence[socket.socket]]:
    """`count` connections, each with its opening sent; closed at the end, by then most may be dead."""
    with ExitStack() as stack:
        peers = []
        for _ in range(count):
            with suppress(OSError):
                peer = stack.enter_context(connect(target))
                peers.append(peer)
                peer.setblocking(False)
                peer.send(opening)
        yield peers


def alive(peer: socket.socket) -> bool:
    """Whether the server has not closed this connection so far. Reads what there is."""
    return not _take(peer, bytearray())


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds."""

    descriptors: int
    resident_bytes: int


def usage(pid: int) -> Usage:
    """What process `pid` holds now."""
    process = Path("/proc") / str(pid)
    pages = int((process / "statm").read_text().split()[1])
    return Usage(len(list((process / "fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE"))


def settled(pid: int, before: Usage, wait_s: float, growth_bytes: int = ANY_BYTES) -> Usage:
    """The usage when it is back to that `before` and `growth_bytes` of memory, or after `wait_s`."""
    end_s = time.monotonic() + wait_s
    while True:
        found = usage(pid)
        back = found.resident_bytes <= before.resident_bytes + growth_bytes
        if (found.descriptors <= before.descriptors and back) or time.monotonic() > end_s:
            return found
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that the event loop's thread of a process has worked, and waited for a processor."""

    worked_s: float
    waited_s: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """So far."""
        worked_ns, waited_ns, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
        return cls(int(worked_ns) / 1e9, int(waited_ns) / 1e9)


HELD_UP_S = 0.8 * limits.WAIT_MAX_S
"""Processor time of the server in which it may have done so much for others that a call was refused."""


class Beside:
    """A well-behaved client of `victim` in a thread: one call after another, each to be answered OK.

    `took_s` are the calls' seconds. Up to `refused_max` calls may be refused for overload, as it may happen
    while the event loop is held up. Not counted are those before which it waited for a processor for long,
    and did little itself: that is the machine's doing. Enter it before an attack begins; its exit raises what
    went wrong.
    """

    def __init__(self, victim: Sidecar, refused_max: int = 0) -> None:
        self.took_s: list[float] = []
        self._victim = victim
        self._left = refused_max
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="well-behaved")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(WAIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            assert self._failed is None, (len(self.took_s), self._failed)
            assert self.took_s

    def _run(self) -> None:
        try:
            with Http2Client(self._victim.target, wait_s=WAIT_S) as client:
                while not self._stop.wait(PACE_S):
                    began_s, before = time.monotonic(), Spent.of(self._victim.pid)
                    response = client.call(body=DEMO_CHOOSE)
                    if response.grpc_status == Code.RESOURCE_EXHAUSTED:
                        self._refused(before, Spent.of(self._victim.pid))
                    else:
                        assert response.grpc_status == 0, response
                    self.took_s.append(time.monotonic() - began_s)
                    self._begun.set()
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self._failed = error
        finally:
            self._begun.set()

    def _refused(self, before: Spent, after: Spent) -> None:
        """Count a refusal by what the server did meanwhile."""
        worked_s, waited_s = after.worked_s - before.worked_s, after.waited_s - before.waited_s
        if worked_s < HELD_UP_S < worked_s + waited_s:
            return
        self._left -= 1
        assert self._left >= 0, (worked_s, waited_s)
