"""Does an ordinary client keep its connection? A third of its calls are cancelled on deadlines, for a minute.

    python -m loadtest.ordinary_peers

Two channels of grpcio's asyncio client to a sidecar of their own. One is busy: many calls at once, each third
with so little time that most of those are cancelled under way. The other is idle but for a keepalive ping
every 10 s, as clients in Go are set up. Exits with 1 if either is disconnected, or if calls end otherwise
than with an answer or on their deadline.
"""

import asyncio
import re
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import grpc
import grpc.aio

from loadtest.sidecar import Sidecar, running
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc

WORKERS = 200
"""Calls at once on the busy channel: enough that each takes some milliseconds on a fast machine too, since a
client's deadlines are no finer than one."""

HURRIED = 3
"""Every how many-th call is given too little time."""

CALM_S = 20.0
"""The deadline of the others; far beyond anything."""

LESS, MORE = 0.8, 1.02
"""A hurried call that was answered leaves the next one so much of its time, one that was not so much more:
then eleven of twelve are cancelled, few of them before they were sent."""

CANCELLED_PART_MIN = 0.2
"""Part of the calls that must have been cancelled for the run to say anything; a third was hurried."""

CLIENT = [("grpc.use_local_subchannel_pool", 1), ("grpc.keepalive_time_ms", 10_000)]
IDLE = [*CLIENT, ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0)]
"""grpcio pings without calls only when told to, and for as long."""

ENDINGS = {"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
"""How calls may end; the last is a server's that was held up by a busy machine."""

ENDED = re.compile(r"^banditd_connections_ended_total{.*} (\S+)", re.MULTILINE)

REQUEST = pb.ChooseRequest(placement="home-hero", unit="visitor")
"""For the embedded example."""


class Watched:
    """A channel that counts how often it was connected, and how often it stopped being so."""

    def __init__(self, name: str, target: str, options: list[tuple[str, int]]) -> None:
        self.name = name
        self.channel = grpc.aio.insecure_channel(target, options)
        self.stub: Any = pb_grpc.BanditServiceStub(self.channel)
        self.states: Counter[grpc.ChannelConnectivity] = Counter()

    async def watch(self) -> None:
        """Count states as they come, until cancelled."""
        state = self.channel.get_state(try_to_connect=True)
        while True:
            self.states[state] += 1
            await self.channel.wait_for_state_change(state)
            state = self.channel.get_state()

    @property
    def disconnections(self) -> int:
        """How often it was connected again, or tried to be in vain."""
        again = max(0, self.states[grpc.ChannelConnectivity.READY] - 1)
        return again + self.states[grpc.ChannelConnectivity.TRANSIENT_FAILURE]


async def call_on(channel: Watched, end_s: float, codes: Counter[str]) -> None:
    """Call without a pause until `end_s` (monotonic), every third call with too little time."""
    hurry_s, number = 0.01, 0
    while time.monotonic() < end_s:
        number += 1
        hurried = number % HURRIED == 0
        try:
            await channel.stub.Choose(REQUEST, timeout=hurry_s if hurried else CALM_S)
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
        codes[code.name] += 1
        if hurried:
            hurry_s *= LESS if code is grpc.StatusCode.OK else MORE


async def measure(server: Sidecar, seconds: float) -> tuple[dict[str, int], Counter[str]]:
    """Both channels for so long: who was disconnected how often, and the calls' codes."""
    channels = [Watched("busy", server.target, CLIENT), Watched("idle", server.target, IDLE)]
    codes: Counter[str] = Counter()
    watches = [asyncio.create_task(channel.watch()) for channel in channels]
    for channel in channels:
        await channel.channel.channel_ready()
    end_s = time.monotonic() + seconds
    await asyncio.gather(*(call_on(channels[0], end_s, codes) for _ in range(WORKERS)))
    await channels[1].stub.Choose(REQUEST, timeout=CALM_S)
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)
    lost = {f"{channel.name} channel": channel.disconnections for channel in channels}
    lost["by the server's own count"] = await asyncio.to_thread(connections_ended, server.http)
    for channel in channels:
        await channel.channel.close()
    return lost, codes


def connections_ended(http: str) -> int:
    """How many connections the server says have ended; 0 where its engine does not count them."""
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=CALM_S) as response:
        page = response.read().decode()
    return sum(int(float(value)) for value in ENDED.findall(page))


def verdict(disconnections: Mapping[str, int], codes: Counter[str]) -> tuple[str, bool]:
    """What came of it in words, and whether it is good."""
    calls = codes.total()
    lines = [f"{calls} calls: " + ", ".join(f"{count} {code}" for code, count in codes.most_common())]
    lines += [f"{what}: {count} disconnections" for what, count in disconnections.items()]
    good = not any(disconnections.values())
    if codes["DEADLINE_EXCEEDED"] < CANCELLED_PART_MIN * calls:
        lines.append("too few calls were cancelled for this to say anything")
        good = False
    if set(codes) - ENDINGS:
        lines.append("calls ended as they never should")
        good = False
    return "\n".join(lines), good


@click.command()
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--transport", type=click.Choice(["ngh2", "grpcio"]), default="ngh2", show_default=True)
def main(seconds: float, transport: str) -> None:
    """Run it."""
    options = ("--transport", transport)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), options=options) as server:
        lost, codes = asyncio.run(measure(server, seconds))
    text, good = verdict(lost, codes)
    print(f"{transport}: {text}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
