"""A process killed at any call of the file system: nothing acknowledged is lost, nothing is counted twice.

What a power cut leaves is for test_power_cut.py.
"""

import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bandit.journal_reader import read
from bandit.snapshot import sequence_of, snapshots
from tests.core.journals import Stopped
from tests.crash.course import AFTER, History, Process, check_recovered, course, go_on, store
from tests.crash.disk import Disk

CHANGES = {"open", "write", "fallocate", "truncate", "rename", "unlink", "fsync", "fsync_dir"}
"""Calls that change a disk: a kill before any other one leaves what a kill before the next of these does."""


def whole(folder: Path) -> list[str]:
    """The names of the calls of the whole course, which ends well."""
    disk = Disk()
    history = History(folder)
    course(history, disk)
    disk.close_all()
    go_on(history)
    return disk.calls


def killed(history: History, disk: Disk) -> None:
    """The course, up to where the disk stops it."""
    with pytest.raises(Stopped):
        course(history, disk)
    disk.close_all()


def stops(calls: list[str], *, half: bool) -> Iterator[int]:
    """The numbers of the calls at which a kill makes a difference of its own."""
    for number, name in enumerate(calls, 1):
        if name in (CHANGES if not half else {"write", "fallocate"}):
            yield number


@pytest.mark.parametrize("half", [False, True])
def test_killed_at_each_call(tmp_path: Path, half: bool) -> None:
    """Fault 1: before each call and half-way through each write: what is found is a prefix of what was made.

    It has all that was acknowledged, its state is bit for bit that of the prefix, and going on from it works.
    """
    calls = whole(tmp_path / "whole")
    assert set(calls) >= CHANGES
    for stop in stops(calls, half=half):
        history = History(tmp_path / f"{stop}")
        killed(history, Disk(stop, half=half))
        go_on(history)


def test_killed_again_while_it_recovers(tmp_path: Path) -> None:
    """Fault 1: a start that is killed at any of its calls leaves what the next one recovers from."""
    calls = whole(tmp_path / "whole")
    for stop in stops(calls, half=True):
        history = History(tmp_path / f"{stop}")
        killed(history, Disk(stop, half=True))
        starting = Disk(1 + stop % 29)
        with suppress(Stopped):
            Process(history, starting, served=AFTER)
        starting.close_all()
        go_on(history)


def test_killed_and_the_newest_snapshot_is_damaged(tmp_path: Path) -> None:
    """Faults 1 and 4: wherever it was killed, the snapshot before and a longer journal give the same state.

    The damaged one is kept aside, and said.
    """
    fell_back = 0
    for stop in stops(whole(tmp_path / "whole"), half=False):
        history = History(tmp_path / f"{stop}")
        killed(history, Disk(stop))
        present = snapshots(tmp_path / f"{stop}" / "snapshots")
        if len(present) > 1:
            content = bytearray(present[0].read_bytes())
            content[stop * 7 % len(content)] ^= 1 << stop % 8
            present[0].write_bytes(content)
            disk = Disk()
            found = store(history.folder, disk)
            check_recovered(history, found)
            assert found.recovered.aside[0].name == f"{present[0].name}.broken"
            assert str(present[0]) in found.recovered.problems[0]
            disk.close_all()
            fell_back += 1
        go_on(history)
    assert fell_back > 100


class StoppedBehind(Disk):
    """Kills the process at the first call behind the one that gives a snapshot its name."""

    def rename(self, source: Path, target: Path) -> None:
        """As Disk."""
        super().rename(source, target)
        if target.suffix == ".snapshot":
            self.stop = len(self.calls) + 1


def test_killed_between_a_snapshot_and_the_trim(tmp_path: Path) -> None:
    """Fault 10: the journal still has what the snapshot holds; nothing of it is applied twice."""
    history = History(tmp_path)
    killed(history, StoppedBehind())
    (newest,) = snapshots(tmp_path / "snapshots")
    assert sequence_of(newest) > 5
    assert next(iter(read(tmp_path / "journal", 0)))[0] == 1
    go_on(history)


class Hesitant(Disk):
    """Every second write is interrupted, and the others write a few bytes each."""

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """As Disk."""
        if len(self.calls) % 2:
            self.calls.append("interrupted")
            raise InterruptedError(errno.EINTR, "interrupted")
        return super().write(descriptor, data[:100], offset)


def test_short_and_interrupted_writes_are_finished(tmp_path: Path) -> None:
    """Fault 8: the same files, byte for byte, as when every write is whole."""
    made = []
    for disk in (Disk(), Hesitant()):
        folder = tmp_path / type(disk).__name__
        course(History(folder), disk)
        disk.close_all()
        files = [path for path in folder.rglob("*") if path.is_file()]
        made.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert "interrupted" in disk.calls
    assert made[0] == made[1]
