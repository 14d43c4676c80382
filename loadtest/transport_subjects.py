"""The servers that loadtest/transport_bench.py compares, each a process of its own on one core."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from loadtest.bench_subjects import ARMS, FEATURES, PLACEMENT, POLICY, contexts
from loadtest.sidecar import running
from loadtest.transport_load import CHOOSE
from server.client import Client
from server.pb import bandit_pb2 as pb

ROOT = Path(__file__).parents[1]
START_S = 60.0
"""Seconds until a sidecar that has started must say that it serves."""
STOP_S = 10.0
"""Seconds until a no-op server must have ended after its input did."""

CPUCLOCK_SCHED = 2
"""Which of a process's clocks: all of its CPU time, as the scheduler counts it (Linux)."""

ARM_IDS = [f"arm-{k}" for k in range(ARMS)]
BATCH = 250
"""Choices or rewards in one call while it is taught."""

CONFIG: dict[str, object] = {
    "version": 1,
    "placements": {
        PLACEMENT: {
            "arms": {arm: {} for arm in ARM_IDS},
            "features": FEATURES,
            "reward": {"values": {"click": 1.0}, "max": 1.0},
            "policies": {POLICY: {"kind": "linear_thompson"}},
            "ramp": {"policies": {POLICY: 1.0}, "from": 1.0},
        }
    },
}
"""10 arms, 32 columns; the learned policy serves everyone from the start."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs: where it takes calls, its process, and how many Chooses it has answered OK."""

    target: str
    pid: int
    answered: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Subject:
    """A server that can be started. `noop`: arguments of loadtest.transport_noop; else a sidecar's."""

    name: str
    arguments: tuple[str, ...]
    noop: bool = True

    def serving(self, folder: Path, reply: Path, core: int) -> AbstractContextManager[Server]:
        """Run it on one core until the block ends."""
        return _noop(self.arguments, reply, core) if self.noop else sidecar(folder, self.arguments, core)


def request() -> bytes:
    """The ChooseRequest that everyone gets: 7 features, 8 columns set."""
    categories, numbers = contexts()[0]
    message = pb.ChooseRequest(placement=PLACEMENT, unit="unit-1", categories=categories, numbers=numbers)
    return message.SerializeToString()


def reply(target: str) -> bytes:
    """What a sidecar answers to it, once: no-op servers answer with the same bytes."""
    with Client(target) as client:
        return _answers(client, [pb.ChooseRequest.FromString(request())])[0].SerializeToString()


def teach(target: str) -> None:
    """Let it decide for many visitors and learn from some: before its first reward a model has no opinion.

    Then its pmf is uniform, and costs less than in service.
    """
    luck = random.Random(7)
    with Client(target) as client:
        client.wait_ready(START_S)
        visitors = [
            pb.ChooseRequest(placement=PLACEMENT, unit=f"visitor-{number}", categories=words, numbers=numbers)
            for number, (words, numbers) in enumerate(contexts())
        ]
        for batch in (visitors[at : at + BATCH] for at in range(0, len(visitors), BATCH)):
            answers = _answers(client, batch)
            client.reward_batch(
                [
                    pb.RewardRequest(decision_id=answer.decision_id, event="click")
                    for answer in answers
                    if luck.random() < 0.1 + 0.02 * (ARM_IDS.index(answer.arm))
                ]
            )
        propensities = [answer.propensity for answer in _answers(client, visitors[:BATCH])]
    assert len(set(propensities)) > 1, "it has not learned"


def _answers(client: Client, requests: list[pb.ChooseRequest]) -> list[pb.ChooseResponse]:
    """Answers to all of them, each by the learned policy."""
    answers = client.choose_batch(requests)
    found = [
        answer for answer in answers if isinstance(answer, pb.ChooseResponse) and answer.policy == POLICY
    ]
    assert len(found) == len(requests), f"the learned policy should have answered all: {answers[0]}"
    return found


@contextmanager
def sidecar(
    folder: Path, options: tuple[str, ...], core: int | None = None, program: Sequence[str] = ("server",)
) -> Iterator[Server]:
    """A sidecar that has learned a little, with its data in `folder`, on one core (None: on any)."""
    with ExitStack() as stack:
        with nullcontext() if core is None else on_core(core):
            process = stack.enter_context(running(folder, CONFIG, options, program))
        teach(process.target)
        yield Server(process.target, process.pid, lambda: ok_calls(metrics(process.http)))


def metrics(http: str) -> str:
    """The page /metrics of a sidecar on this machine."""
    with urlopen(f"http://{http}/metrics", timeout=5) as page:
        text: str = page.read().decode()
    return text


def ok_calls(page: str) -> int:
    """Chooses that were answered OK, by a page of metrics."""
    labels = {"method": CHOOSE, "code": "OK"}
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "banditd_requests_total" and sample.labels == labels
    )


def cpu_ns(pid: int) -> int:
    """CPU nanoseconds of a process so far, all of its threads, ended ones too.

    The kernel's own clock of that process, exact to the microsecond, where utime and stime of /proc come in
    steps of 10 ms. Its number is made as clock_getcpuclockid(3) does.
    """
    return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)


def busy_ns(core: int) -> int:
    """Nanoseconds that a core was busy with anything, in steps of a clock tick (10 ms)."""
    with Path("/proc/stat").open() as lines:
        (row,) = (line.split()[1:] for line in lines if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, row[:8])
    ticks = user + nice + system + irq + softirq + steal
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The server's core and the load generator's; the same where there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[0]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Stay on one core within the block, with every process that is started in it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _noop(arguments: tuple[str, ...], reply: Path, core: int) -> Iterator[Server]:
    command = [sys.executable, "-m", "loadtest.transport_noop", *arguments, "--reply", str(reply)]
    with on_core(core):
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
    ours, theirs = process.stdin, process.stdout
    assert ours is not None
    assert theirs is not None

    def answered() -> int:
        ours.write("\n")
        return int(theirs.readline())

    try:
        target = theirs.readline().strip()
        if not target:
            raise RuntimeError(f"the no-op server did not start: {' '.join(command)}")
        yield Server(target, process.pid, answered)
    finally:
        ours.close()  # which ends it
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        theirs.close()
