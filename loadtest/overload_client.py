"""A client that sends calls on schedule, whatever becomes of them: an open model, in a process of its own.

    python -m loadtest.overload_client 127.0.0.1:50051 --rate 200 --seconds 5

Ordinary clients of gRPC for Python are full at some 2,000 calls/s and would measure themselves. This one
sends over 10,000. It prints `ready`, then runs for `--seconds` or until its standard input ends, and prints
one line of JSON: for each call when it was due (CLOCK_MONOTONIC, seconds), how long its answer took from when
it was sent (seconds; it is sent within a millisecond or so of being due, whatever became of the others), and
the status: a gRPC code, LATE (cancelled at its deadline) or LOST (reset or disconnected).
"""

import asyncio
import base64
import json
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import click
import ngh2
import numpy as np
import uvloop
from numpy.typing import NDArray

LATE = -1
LOST = -2

TICK_S = 0.001
"""Seconds between two looks at the schedule: what is due by then is sent together."""

STOP_WAIT_S = 60.0
"""Seconds that a client may take to report once it was told to end."""

RESETS_UNBOUNDED = (10**9, 10**9)


@dataclass(slots=True)
class Book:
    """What became of every call. `hinted`: whether its details hold a google.rpc.RetryInfo."""

    due_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    code: list[int] = field(default_factory=list)
    hinted: list[bool] = field(default_factory=list)

    def enter(self, due_s: float, took_s: float, code: int, *, hinted: bool = False) -> None:
        """One call's end."""
        self.due_s.append(due_s)
        self.took_s.append(took_s)
        self.code.append(code)
        self.hinted.append(hinted)


class Link(asyncio.Protocol):
    """One connection with the calls under way on it."""

    def __init__(
        self, book: Book, headers: Sequence[tuple[bytes, bytes]], body: bytes, deadline_s: float
    ) -> None:
        self.ready = asyncio.Event()
        self.pending: dict[int, tuple[float, float]] = {}
        self._order: deque[tuple[float, int]] = deque()
        self._book = book
        self._headers = headers
        self._body = b"\0" + len(body).to_bytes(4) + body
        self._deadline_s = deadline_s
        self._transport: asyncio.Transport | None = None
        config = ngh2.Configuration(
            peer_max_concurrent_streams=1_000,
            stream_reset_rate_limit=RESETS_UNBOUNDED,
            max_outbound_ack=10**6,
        )
        self._http = ngh2.Connection(ngh2.Role.CLIENT, config)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing
        self._http.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: 2**20})
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever was under way is lost."""
        del exc
        self._transport = None
        for due_s, sent_s in self.pending.values():
            self._book.enter(due_s, time.monotonic() - sent_s, LOST)
        self.pending.clear()

    def send(self, due_s: float) -> None:
        """One call; it leaves with the next `flush`."""
        if self._transport is None:
            self._book.enter(due_s, 0.0, LOST)
            return
        stream = self._http.send_request(self._headers)
        self._http.send_data(stream, self._body, end_stream=True)
        self.pending[stream] = (due_s, time.monotonic())
        self._order.append((due_s, stream))

    def flush(self) -> None:
        """Hand what is to be sent to the transport."""
        if self._transport is not None and (data := self._http.data_to_send()):
            self._transport.write(data)

    def give_up(self, now_s: float) -> None:
        """Cancel the calls that are past their deadline."""
        while self._order and self._order[0][0] + self._deadline_s < now_s:
            due_s, stream = self._order.popleft()
            if self.pending.pop(stream, None) is not None:
                self._book.enter(due_s, now_s - due_s, LATE)
                if self._transport is not None:
                    self._http.reset_stream(stream)

    def data_received(self, data: bytes) -> None:
        """Take answers."""
        self._http.receive_data(data)
        for event in self._http.events():
            match event:
                case ngh2.TrailersReceived(stream, headers):
                    self._ended(stream, headers)
                case ngh2.ResponseReceived(stream, headers, True):
                    self._ended(stream, headers)
                case ngh2.StreamClosed(stream):
                    call = self.pending.pop(stream, None)
                    if call is not None:
                        self._book.enter(call[0], time.monotonic() - call[1], LOST)
                case ngh2.SettingsReceived():
                    self.ready.set()
                case _:
                    pass
        self.flush()

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.abort()

    def _ended(self, stream: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        call = self.pending.pop(stream, None)
        if call is None:
            return
        due_s, sent_s = call
        found = dict(headers)
        code = int(found.get(b"grpc-status", b"2"))
        details = found.get(b"grpc-status-details-bin", b"")
        hinted = b"google.rpc.RetryInfo" in base64.b64decode(details + b"==")
        self._book.enter(due_s, time.monotonic() - sent_s, code, hinted=hinted)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: `rate` calls a second of `path` with `body`, over so many connections."""

    target: str
    rate: float
    path: str
    body: bytes = b""
    connections: int = 4
    deadline_s: float = 1.0
    seconds: float = 600.0


async def run(plan: Plan) -> Book:
    """Send until the time is over or standard input ends; wait for the answers still due."""
    book = Book()
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", plan.path.encode()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"grpc-timeout", b"%dm" % round(plan.deadline_s * 1_000)),
    ]
    loop = asyncio.get_running_loop()
    host, _, port = plan.target.rpartition(":")
    links = []
    for _ in range(plan.connections):
        link = Link(book, headers, plan.body, plan.deadline_s)
        await loop.create_connection(lambda link=link: link, host, int(port))  # type: ignore[misc]
        await asyncio.wait_for(link.ready.wait(), 10)
        links.append(link)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nothing is ever written to it: readable means ended
    print("ready", flush=True)
    began_s = time.monotonic()
    sent = 0
    while not ended.is_set() and (passed_s := time.monotonic() - began_s) < plan.seconds:
        while sent < passed_s * plan.rate:
            links[sent % len(links)].send(began_s + sent / plan.rate)
            sent += 1
        _look(links)
        await asyncio.sleep(TICK_S)
    while any(link.pending for link in links):
        _look(links)
        await asyncio.sleep(TICK_S)
    loop.remove_reader(sys.stdin.fileno())
    for link in links:
        link.close()
    return book


def _look(links: Sequence[Link]) -> None:
    now_s = time.monotonic()
    for link in links:
        link.give_up(now_s)
        link.flush()


Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Record:
    """What a client saw, in arrays of one length; times in seconds."""

    due_s: Seconds
    took_s: Seconds
    code: NDArray[np.int64]
    hinted: NDArray[np.bool_]

    def between(self, from_s: float, to_s: float) -> "Record":
        """The calls that were due in this span of CLOCK_MONOTONIC."""
        chosen = (self.due_s >= from_s) & (self.due_s < to_s)
        return Record(self.due_s[chosen], self.took_s[chosen], self.code[chosen], self.hinted[chosen])

    def count(self, code: int) -> int:
        """How many calls ended so."""
        return int((self.code == code).sum())

    def quantile_ms(self, part: float) -> float:
        """A quantile of what answered (OK) calls took, in milliseconds; not a number without any."""
        took_s = self.took_s[self.code == 0]
        return float(np.quantile(took_s, part)) * 1_000 if len(took_s) else float("nan")


class Client:
    """The program above as a child process. `stop` ends it and returns what it saw."""

    def __init__(self, plan: Plan) -> None:
        command = [sys.executable, "-m", "loadtest.overload_client", plan.target, "--path", plan.path]
        command += [
            "--rate",
            str(plan.rate),
            "--connections",
            str(plan.connections),
            "--body",
            plan.body.hex(),
        ]
        command += ["--deadline", str(plan.deadline_s), "--seconds", str(plan.seconds)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        self.record: Record | None = None

    def wait_ready(self) -> None:
        """Return when it is connected and sends."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            raise RuntimeError(f"the client did not start: {line!r}")

    def stop(self) -> Record:
        """End it, if it has not ended by itself, and take its report."""
        if self.record is None:
            output, _ = self.process.communicate(timeout=STOP_WAIT_S)  # closes its standard input
            found = json.loads(output)
            self.record = Record(
                np.array(found["due_s"], np.float64),
                np.array(found["took_s"], np.float64),
                np.array(found["code"], np.int64),
                np.array(found["hinted"], np.bool_),
            )
        return self.record


@contextmanager
def client(plan: Plan) -> Iterator[Client]:
    """A client that sends as planned until the block ends or it is stopped."""
    made = Client(plan)
    try:
        made.wait_ready()
        yield made
        made.stop()
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.communicate()


@click.command(help=__doc__)
@click.argument("target")
@click.option("--rate", default=200.0, show_default=True, help="Calls a second.")
@click.option("--seconds", default=600.0, show_default=True, help="Seconds after which it ends by itself.")
@click.option("--connections", default=4, show_default=True)
@click.option("--path", default="/grpc.health.v1.Health/Check", show_default=True)
@click.option("--body", default="", help="The request, in hex.")
@click.option("--deadline", default=1.0, show_default=True, help="Seconds a call may take.")
def main(
    *, target: str, rate: float, seconds: float, connections: int, path: str, body: str, deadline: float
) -> None:
    """Run the client."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us decides
    plan = Plan(target, rate, path, bytes.fromhex(body), connections, deadline, seconds)
    book = uvloop.run(run(plan))
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:  # unbuffered, print may lose a part
        output.write(json.dumps(asdict(book)).encode())


if __name__ == "__main__":
    main()
