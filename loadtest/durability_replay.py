"""A journal as it comes from a server at its limit, and how fast a start replays it."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bandit.limits import LEDGER_BYTES_MAX
from loadtest.bench_subjects import PLACEMENT, contexts
from loadtest.durability_client import shop
from loadtest.transport_bench import MANY
from loadtest.transport_subjects import cpu_ns, on_core, sidecar
from server.pb import bandit_pb2 as pb
from server.recovery import Folders, survey

LOAD_S = 3.0


@dataclass(frozen=True, slots=True)
class Replay:
    """How many records a second were taken in, and are replayed: of CPU time, and by the clock."""

    taken_per_cpu_s: float
    taken_per_s: float
    replayed_per_cpu_s: float
    replayed_per_s: float


def replay_round(folder: Path, core: int, options: tuple[str, ...], seconds: float = LOAD_S) -> Replay:
    """Load a server on one core, then replay its whole journal on the same one, without its snapshots."""
    requests = [
        pb.ChooseRequest(
            placement=PLACEMENT, unit=f"visitor-{number}", categories=words, numbers=numbers
        ).SerializeToString()
        for number, (words, numbers) in enumerate(contexts())
    ]
    with sidecar(folder, (*options, "--snapshot-interval", "0s"), core) as server:
        used_ns = cpu_ns(server.pid)
        taken = shop(server.target, requests, MANY, seconds)
        used_ns = cpu_ns(server.pid) - used_ns
    folders = Folders.of(folder / "data")
    for left in (folders.snapshots, folders.ledger):  # of the stop
        shutil.rmtree(left)
        left.mkdir()
    with on_core(core):
        began_s, used_s = time.perf_counter(), time.process_time()
        found = survey(folder / "data", ledger_bytes_max=LEDGER_BYTES_MAX)
        used_s, took_s = time.process_time() - used_s, time.perf_counter() - began_s
    calls = taken.chosen + taken.rewarded
    assert found.records > calls, f"{calls} calls were answered, {found.records} records are in the journal"
    return Replay(calls / used_ns * 1e9, taken.per_s, found.records / used_s, found.records / took_s)
