"""No descriptor is left: what is on the connections that stand goes on, journal and snapshots with it."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import pytest

from bandit.files import Files
from server.acceptor import Acceptor
from server.descriptors import RESERVED, ReservedFiles
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.crash.served import Served, check_data, served
from tests.server.running import WAIT_S


class Owner:
    """Lets every client in, and makes nothing of it."""

    has_room = staticmethod(lambda: True)
    connection = asyncio.Protocol
    not_greeted = staticmethod(lambda: None)


@contextmanager
def none_free() -> Iterator[None]:
    """Take every descriptor of this process that is free."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    numbers = (int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(numbers) + 1, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(taken[0]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


def test_a_descriptor_that_changes_hands_is_not_taken_by_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients wait to be accepted, and are just when one of the reserve is closed to be opened anew."""
    files = ReservedFiles()
    opened, closed = Files.open, Files.close

    async def meet(listener: socket.socket) -> int:
        acceptor = Acceptor([listener], None, Owner())

        def open_meanwhile(self: Files, path: Path, flags: int) -> int:
            acceptor._accept(listener)
            return opened(self, path, flags)

        def close_meanwhile(self: Files, descriptor: int) -> None:
            closed(self, descriptor)
            acceptor._accept(listener)

        monkeypatch.setattr(Files, "open", open_meanwhile)
        monkeypatch.setattr(Files, "close", close_meanwhile)
        with none_free():
            descriptor = files.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
            left = len(files._reserve)
            files.close(descriptor)
        assert acceptor.greeted == 0
        acceptor.close()
        return left

    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.setblocking(False)
        listener.bind(str(tmp_path / "listener"))
        listener.listen(2 * RESERVED)
        for _ in range(2 * RESERVED):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / "listener"))
        assert asyncio.run(meet(listener)) == RESERVED - 1
        assert len(files._reserve) == RESERVED
    monkeypatch.undo()
    while files._reserve:
        os.close(files._reserve.pop())


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
