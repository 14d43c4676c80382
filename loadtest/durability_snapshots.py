"""A sidecar of many placements that have learned, and what its callers feel while a snapshot is written."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.limits import LEDGER_BYTES_MAX
from loadtest.bench_subjects import ARMS, FEATURES, contexts
from loadtest.overload_client import Plan, client
from loadtest.sidecar import Sidecar, running
from loadtest.transport_load import CHOOSE, Shape, frame, run
from loadtest.transport_subjects import START_S, on_core
from server.channel import open_channel
from server.client import Client
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from server.recovery import survey

PLACEMENTS = 1000
DECISIONS = 20
"""For each placement before the clock starts: so many, three in ten rewarded, and every model has learned."""
REWARDED = 0.3
RATE = 2000.0
"""Calls a second of the open loop, a tenth of what the server could answer one at a time."""
CONNECTIONS = 16
OPEN_S = 3.0
CLOSED_CALLS = 60_000
"""Both last two or three seconds, in which a snapshot or two are written."""
SNAPSHOT_S_MAX = 60.0


class Quantiles(NamedTuple):
    """Milliseconds of a call."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


def config(placements: int, **ramp: object) -> dict[str, object]:
    """Placements alike, each with a context-free and a linear policy that serve everyone in turn.

    `ramp` replaces keys of the ramp.
    """
    placement = {
        "arms": {f"arm-{k}": {} for k in range(ARMS)},
        "features": FEATURES,
        "reward": {"values": {"click": 1.0}, "max": 1.0},
        "policies": {"best-arm": {"kind": "thompson"}, "personal": {"kind": "linear_thompson"}},
        "ramp": {"policies": {"best-arm": 0.5, "personal": 0.5}, "from": 0.9} | ramp,
    }
    return {"version": 1, "placements": dict.fromkeys(_names(placements), placement)}


def logged(log: Path) -> Quantiles:
    """What the calls in h2load's log took: lines of start, HTTP status, microseconds."""
    taken_us = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
    return _quantiles(np.array(taken_us) / 1_000)


class Snapshots:
    """The sidecar, with its data in `folder`. While it is `serving`, snapshots are taken only on demand."""

    def __init__(self, folder: Path, placements: int = PLACEMENTS) -> None:
        folder.mkdir()
        self.placements = placements
        self.bytes = 0
        """of the last snapshot"""
        self.seconds: list[float] = []
        """how long each took, until it was on the disk"""
        self._folder = folder
        self._process: Sidecar
        categories, numbers = contexts()[0]
        self._body = pb.ChooseRequest(
            placement=_names(1)[0], unit="unit-1", categories=categories, numbers=numbers
        ).SerializeToString()

    @contextmanager
    def serving(self, core: int) -> Iterator[None]:
        """Run it on one core, and let it learn."""
        with ExitStack() as stack:
            with on_core(core):
                process = running(self._folder, config(self.placements), ("--snapshot-interval", "0s"))
                self._process = stack.enter_context(process)
            self._teach()
            yield

    def _teach(self) -> None:
        luck = random.Random(3)
        visitors = contexts()
        with Client(self._process.target) as caller:
            caller.wait_ready(START_S)
            for name in _names(self.placements):
                drawn = luck.choices(visitors, k=DECISIONS)
                answers = caller.choose_batch(
                    [
                        pb.ChooseRequest(placement=name, unit=f"unit-{n}", categories=words, numbers=numbers)
                        for n, (words, numbers) in enumerate(drawn)
                    ]
                )
                caller.reward_batch(
                    [
                        pb.RewardRequest(decision_id=answer.decision_id, event="click")
                        for answer in answers
                        if isinstance(answer, pb.ChooseResponse) and luck.random() < REWARDED
                    ]
                )

    def open_loop(self) -> Quantiles:
        """What RATE calls a second take that are sent on schedule."""
        plan = Plan(self._process.target, RATE, CHOOSE, self._body, CONNECTIONS, seconds=OPEN_S)
        with client(plan) as calling:
            time.sleep(OPEN_S)
        record = calling.stop()
        return _quantiles(record.took_s[record.code == 0] * 1_000)

    def closed_loop(self) -> Quantiles:
        """What calls take when each connection makes the next once it has its answer."""
        body, log = self._folder / "body", self._folder / "calls.log"
        body.write_bytes(frame(self._body))
        run(self._process.target, body, Shape(CONNECTIONS, 1), CLOSED_CALLS, log)
        return logged(log)

    @contextmanager
    def taken(self, wanted: bool) -> Iterator[None]:
        """Within the block, if `wanted`, take one snapshot after another; at least one is taken."""
        ended = threading.Event()
        taking = threading.Thread(target=self._take, args=(ended,))
        if wanted:
            taking.start()
        try:
            yield
        finally:
            ended.set()
            if wanted:
                taking.join()

    def _take(self, ended: threading.Event) -> None:
        operator = f"unix:{self._folder}/data/operator.sock"
        with open_channel(operator, None) as channel:
            stub = pb_grpc.OperatorServiceStub(channel)
            while not ended.is_set():
                began_s = time.monotonic()
                reply = stub.TakeSnapshot(pb.TakeSnapshotRequest(), timeout=SNAPSHOT_S_MAX)
                self.seconds.append(time.monotonic() - began_s)
                self.bytes = reply.size_bytes

    def loaded_per_s(self) -> float:
        """How many placements a start reads and makes ready in a second, once the sidecar has ended."""
        began_s = time.perf_counter()
        state = survey(self._folder / "data", ledger_bytes_max=LEDGER_BYTES_MAX).base.state
        state.derive()
        taken_s = time.perf_counter() - began_s
        learned = [sum(placement.counters.exposures) for placement in state.placements.values()]
        assert len(learned) == self.placements, "not all of them are in the snapshot"
        assert min(learned) >= DECISIONS, "some of what they learned is not in the snapshot"
        return self.placements / taken_s


def _names(placements: int) -> list[str]:
    return [f"placement-{number}" for number in range(placements)]


def _quantiles(taken_ms: NDArray[np.float64]) -> Quantiles:
    return Quantiles(*np.quantile(taken_ms, [0.5, 0.9, 0.99, 0.999, 1.0]).tolist())
