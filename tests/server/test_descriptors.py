"""No descriptor is left: what is on the connections that stand goes on, journal and snapshots with it."""

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.crash.served import Served, check_data, served
from tests.server.running import WAIT_S


def take_all(server: Served, target: str, stack: ExitStack) -> None:
    """Lower the limit of the server's descriptors to those it has, and take what is free among them."""
    folder = Path(f"/proc/{server.pid}/fd")
    limit = max(int(path.name) for path in folder.iterdir()) + 1
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
    end_s = time.monotonic() + WAIT_S
    while len(list(folder.iterdir())) < limit:
        assert time.monotonic() < end_s
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.settimeout(WAIT_S)
        client.connect(target.removeprefix("unix:"))
        time.sleep(0.01)


@pytest.mark.parametrize("fsync", ["always", "interval"])
def test_who_takes_all_descriptors_stops_nothing(tmp_path: Path, fsync: str) -> None:
    """Choices and rewards are journaled and synced, a segment begins, a snapshot is taken."""
    target = f"unix:{tmp_path}/data.sock"
    flags = ("--fsync", fsync, "--snapshot-interval", "0s")
    with (
        ExitStack() as stack,
        served(tmp_path, *flags) as server,
        grpc.insecure_channel(f"unix:{tmp_path}/data/operator.sock") as channel,
    ):
        operator: pb_grpc.OperatorServiceStub = pb_grpc.OperatorServiceStub(channel)
        operator.ListPlacements(pb.ListPlacementsRequest(), timeout=WAIT_S)
        token = server.choose()
        take_all(server, target, stack)
        for _ in range(20):  # two segments and more
            server.choose_many()
        assert server.reward(token) == "applied"
        time.sleep(1.5)  # in which it looks after what is not synced, and the next segment
        before = operator.TakeSnapshot(pb.TakeSnapshotRequest(), timeout=WAIT_S).sequence
        assert before > 5000
        assert server.reward(token) == "duplicate"
        server.server.process.kill()
        server.server.end()
    check_data(tmp_path / "data")
