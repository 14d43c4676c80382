"""No descriptor is left: what is on the connections that stand goes on, journal and snapshots with it."""

import asyncio
import errno
import os
import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


class Table:
    """The descriptors of a process: none is free but those that are given back."""

    def __init__(self) -> None:
        self.free = 0

    def take(self, *_: object) -> int:
        """Open something."""
        if not self.free:
            raise OSError(errno.EMFILE, "Too many open files")
        self.free -= 1
        return 0

    def give(self, *_: object) -> None:
        """Close something."""
        self.free += 1


class Wanted(socket.socket):
    """A listener at which there is always another client."""

    table: Table

    def accept(self) -> tuple[socket.socket, Any]:
        """The client, if there is a descriptor for it."""
        self.table.take()
        return socket.socket(), None


def test_a_descriptor_that_changes_hands_is_not_taken_by_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client waits to be accepted just when one of the reserve is closed, and another is to be opened."""
    table, files = Table(), ReservedFiles()
    for descriptor in files._reserve:
        os.close(descriptor)
    system = SimpleNamespace(**{**vars(os), "open": table.take, "close": table.give})
    monkeypatch.setattr("server.descriptors.os", system)

    async def meet(listener: Wanted) -> None:
        listener.table = table
        acceptor = Acceptor([listener], None, Owner())

        def open_meanwhile(*_: object) -> int:
            acceptor._accept(listener)
            return table.take()

        def close_meanwhile(*_: object) -> None:
            table.give()
            acceptor._accept(listener)

        monkeypatch.setattr(Files, "open", open_meanwhile)
        monkeypatch.setattr(Files, "close", close_meanwhile)
        descriptor = files.open(tmp_path / "file", os.O_RDWR)
        assert len(files._reserve) == RESERVED - 1
        files.close(descriptor)
        assert len(files._reserve) == RESERVED
        assert acceptor.greeted == 0
        acceptor.close()

    with Wanted(socket.AF_UNIX) as listener:
        asyncio.run(meet(listener))


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
