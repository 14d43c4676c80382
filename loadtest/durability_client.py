"""A client that keeps a server busy with Chooses and Rewards, as fast as both can: a closed loop.

h2load sends one request over and over; here every decision is another visitor's, and some are rewarded.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import ngh2
import uvloop

from loadtest.transport_load import CHOOSE, Shape, frame
from server.handlers import SERVICE
from server.pb import bandit_pb2 as pb

REWARD = f"/{SERVICE}/Reward"
ANSWER_S = 10.0
"""Seconds after which a call has hung."""
REWARDED = 0.2
"""The part of the decisions that get a reward, at once."""
EVENT = "click"
_APPLIED = pb.RewardResponse(outcome=pb.REWARD_OUTCOME_APPLIED).SerializeToString()
_PREFIX_BYTES = 5
"""Of a gRPC message."""


@dataclass(slots=True)
class Taken:
    """What was answered OK, and how often a call was refused, within how many seconds."""

    chosen: int = 0
    rewarded: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return (self.chosen + self.rewarded) / self.seconds


@dataclass(slots=True)
class _Load:
    """What all connections share."""

    visitors: Sequence[bytes]
    luck: random.Random
    end_s: float
    taken: Taken = field(default_factory=Taken)
    sent: int = 0


class _Link(asyncio.Protocol):
    """One connection. Each answer makes way for the next call, until the time is over."""

    def __init__(self, load: _Load, streams: int, authority: str) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._streams = streams
        self._rewards: dict[int, bool] = {}
        """calls under way: whether it is a Reward"""
        self._headers = {path: _headers(path, authority) for path in (CHOOSE, REWARD)}
        self._http = ngh2.Connection(ngh2.Role.CLIENT, ngh2.Configuration(max_outbound_ack=10**6))
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin all calls."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing
        self._http.initiate_connection({})
        for _ in range(self._streams):
            self._choose()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take answers."""
        self._http.receive_data(data)
        for event in self._http.events():
            match event:
                case ngh2.DataReceived(stream, message):
                    self._answered(message[_PREFIX_BYTES:], rewarded=self._rewards.pop(stream))
                case ngh2.ResponseReceived(stream, _, True):  # nothing but trailers: overload
                    del self._rewards[stream]
                    self._load.taken.refused += 1
                    self._go_on()
                case _:
                    pass
        self._flush()
        if not self._rewards and not self.over.done():
            self._transport.abort()
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing may be under way."""
        if not self.over.done():
            self.over.set_exception(exc or ConnectionError("the server closed the connection"))

    def _answered(self, message: bytes, *, rewarded: bool) -> None:
        load = self._load
        if rewarded:
            load.taken.rewarded += message == _APPLIED
        else:
            load.taken.chosen += 1
            if load.luck.random() < REWARDED:
                decision = pb.ChooseResponse.FromString(message).decision_id
                reward = pb.RewardRequest(decision_id=decision, event=EVENT).SerializeToString()
                self._send(REWARD, frame(reward))
                return
        self._go_on()

    def _go_on(self) -> None:
        if time.perf_counter() < self._load.end_s:
            self._choose()

    def _choose(self) -> None:
        load = self._load
        load.sent += 1
        self._send(CHOOSE, load.visitors[load.sent % len(load.visitors)])

    def _send(self, path: str, message: bytes) -> None:
        stream = self._http.send_request(self._headers[path])
        self._http.send_data(stream, message, end_stream=True)
        self._rewards[stream] = path == REWARD

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self._transport.write(data)


def shop(target: str, requests: Sequence[bytes], shape: Shape, seconds: float) -> Taken:
    """Call for so many seconds. `requests` are ChooseRequests, which take turns.

    Raises ConnectionError, and TimeoutError if answers do not come.
    """
    return uvloop.run(asyncio.wait_for(_shop(target, requests, shape, seconds), seconds + ANSWER_S))


async def _shop(target: str, requests: Sequence[bytes], shape: Shape, seconds: float) -> Taken:
    host, _, port = target.rpartition(":")
    began_s = time.perf_counter()
    load = _Load([frame(request) for request in requests], random.Random(9), began_s + seconds)
    make = partial(_Link, load, shape.streams, target)
    links = [
        (await asyncio.get_running_loop().create_connection(make, host, int(port)))[1]
        for _ in range(shape.connections)
    ]
    await asyncio.gather(*(link.over for link in links))
    load.taken.seconds = time.perf_counter() - began_s
    return load.taken


def _headers(path: str, authority: str) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
