"""The power is cut at any call of the file system: everything that was synced is there, and nothing twice.

Fault 1, and what `--fsync` promises. The disk keeps what was not synced, or loses it, or keeps parts of it.
"""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from server.exit_codes import ExitCode, StartError
from server.store import Store
from tests.core.journals import Stopped
from tests.crash.course import AFTER, History, Process, check_recovered, course, go_on, store
from tests.crash.disk import Disk, PowerDisk
from tests.crash.test_failpoints import stops, whole


def killed_at(folder: Path, stop: int) -> tuple[History, PowerDisk]:
    """The course, up to where the process is killed, at call number `stop`."""
    folder.mkdir(parents=True)
    disk = PowerDisk(folder)
    disk.stop = stop
    history = History(folder)
    with pytest.raises(Stopped):
        course(history, disk)
    return history, disk


def another(history: History, disk: PowerDisk, rng: random.Random, boot: bytes) -> None:
    """Another process on the same disk, killed at some call of its own, or not."""
    disk.another_process(rng.randrange(1, 90))
    with suppress(Stopped):
        process = Process(history, disk, served=AFTER, boot=boot, least=history.synced)
        process.traffic()
        process.snapshot()
        process.sync()
        process.traffic()


def after_cut(history: History, disk: PowerDisk, target: Path, rng: random.Random) -> History:
    """The history of what is found in `target` when the power is back."""
    disk.another_process()
    disk.cut(target, rng)
    return history.copied(target)


def test_power_cut_at_each_call(tmp_path: Path) -> None:
    """Fault 1: all that was synced is found after it, bit for bit; also after a second one soon after.

    Events of decisions that it took come to nothing.
    """
    for stop in stops(whole(tmp_path / "whole"), half=False):
        rng = random.Random(stop)
        folder = tmp_path / f"{stop}"
        history = after_cut(*killed_at(folder, stop), folder / "cut", rng)
        disk = PowerDisk(history.folder)
        another(history, disk, rng, b"second")
        history = after_cut(history, disk, folder / "again", rng)
        go_on(history, least=history.synced, boot=b"third")


def test_power_cut_after_a_kill(tmp_path: Path) -> None:
    """Fault 1: what a killed process had flushed is on the disk once the next one has started."""
    for stop in stops(whole(tmp_path / "whole"), half=False):
        rng = random.Random(stop)
        history, disk = killed_at(tmp_path / f"{stop}", stop)
        another(history, disk, rng, b"boot")
        history = after_cut(history, disk, tmp_path / f"{stop}" / "cut", rng)
        go_on(history, least=history.synced, boot=b"second")


def tried(folder: Path) -> tuple[Store | None, str]:
    """A start without an id of the boot, or why it is refused."""
    disk = Disk()
    try:
        return store(folder, disk, b""), ""
    except StartError as error:
        return None, str(error) if error.code is ExitCode.DATA else ""
    finally:
        disk.close_all()


def test_without_an_id_of_the_boot(tmp_path: Path) -> None:
    """Where nobody can tell that the power was cut, a hole is damage: refused, and never taken for the end.

    Whatever is refused is found whole by a start that knows the boot.
    """
    refused = 0
    calls = list(stops(whole(tmp_path / "whole"), half=False))
    for stop in calls:
        rng = random.Random(stop)
        folder = tmp_path / f"{stop}"
        history = after_cut(*killed_at(folder, stop), folder / "cut", rng)
        found, problem = tried(history.folder)
        if found is None:
            assert "banditd repair" in problem
            refused += 1
            go_on(history, least=history.synced, boot=b"second")
        else:
            check_recovered(history, found, history.synced)
    assert 0 < refused < len(calls) / 2
