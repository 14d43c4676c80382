"""Damage to what lies in a data directory, as a whole start meets it: cut, fallen back from, or refused.

What each kind of file makes of each flipped bit is for tests/core; here the start says what it did or why it
refuses, and a refusal has changed nothing.
"""

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from bandit import frames, ledger_reader, snapshot
from bandit.frames import HEADER_BYTES
from bandit.journal_reader import segments
from bandit.kernels.crc import crc32c
from bandit.snapshot import snapshots
from server.exit_codes import ExitCode, StartError
from tests.core.journals import Stopped
from tests.crash.course import AFTER, History, Process, check_recovered, course, go_on, store
from tests.crash.disk import Disk


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A data directory with two snapshots, segments behind the older one, ledger files; killed under load."""
    made = History(tmp_path / "data")
    disk = Disk()
    course(made, disk)
    disk.close_all()
    Process(made, disk, served=AFTER).traffic()
    disk.close_all()
    return made


def copied(history: History, folder: Path) -> History:
    """The same directory once more, with a history of its own."""
    shutil.copytree(history.folder, folder)
    return history.copied(folder)


def refusal(history: History) -> str:
    """Why a start is refused; it has changed nothing."""
    before = contents(history.folder)
    disk = Disk()
    with pytest.raises(StartError) as caught:
        store(history.folder, disk)
    disk.close_all()
    assert caught.value.code is ExitCode.DATA
    assert contents(history.folder) == before
    return str(caught.value)


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file and what it holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_frames(history: History) -> list[Path]:
    """The segments that have frames, in order."""
    paths = [segment.path for segment in segments(history.folder / "journal")]
    return [path for path in paths if path.read_bytes()[HEADER_BYTES:].strip(b"\0")]


def flip(path: Path, bit: int) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_torn_tail_at_every_byte_is_cut(history: History, tmp_path: Path) -> None:
    """Fault 2: what is before it is recovered bit for bit; the tail is kept aside. Zeros are none."""
    name = with_frames(history)[-1].name
    whole = with_frames(history)[-1].read_bytes()
    used = len(whole.rstrip(b"\0"))
    torn = 0
    for end in range(HEADER_BYTES, used + 1):
        cut = copied(history, tmp_path / f"{end}")
        path = cut.folder / "journal" / name
        path.write_bytes(whole[:end].ljust(len(whole), b"\0"))
        disk = Disk()
        found = store(cut.folder, disk)
        check_recovered(cut, found, least=0)
        disk.close_all()
        if found.recovered.aside:
            (aside,) = found.recovered.aside
            (problem,) = found.recovered.problems
            assert whole[:end].rstrip(b"\0").endswith(aside.read_bytes())
            assert str(path) in problem
            torn += 1
    frames = len(history.records) - int(name.removesuffix(".journal")) + 1
    assert used - HEADER_BYTES - 4 * frames < torn <= used - HEADER_BYTES - frames + 1


def test_a_flipped_bit_in_the_journal_is_refused(history: History, tmp_path: Path) -> None:
    """Fault 3: in whatever is needed and not the very end: file, byte and command are named."""
    newest = snapshots(history.folder / "snapshots")[0]
    needed = [path for path in with_frames(history)[:-1] if path.stem > newest.stem]
    assert needed
    rng = random.Random(3)
    for path in needed:
        used = len(path.read_bytes().rstrip(b"\0"))
        for bit in sorted(rng.sample(range(8 * used), 40)):
            damaged = copied(history, tmp_path / f"{path.stem} {bit}")
            flip(damaged.folder / "journal" / path.name, bit)
            said = refusal(damaged)
            assert re.search(rf"{path.name}: byte [0-9]+: expected ", said), said
            assert "`banditd verify`" in said
            assert "`banditd repair`" in said


def test_a_damaged_snapshot_is_no_end(history: History, tmp_path: Path) -> None:
    """Fault 4: the one before it and a longer journal give the same state; without one it is refused."""
    newest, older = snapshots(history.folder / "snapshots")
    rng = random.Random(4)
    for bit in [*range(64), *rng.sample(range(64, 8 * newest.stat().st_size), 60)]:
        damaged = copied(history, tmp_path / f"{bit}")
        flip(damaged.folder / "snapshots" / newest.name, bit)
        disk = Disk()
        found = store(damaged.folder, disk)
        disk.close_all()
        assert found.recovered.base is not None
        assert found.recovered.base.path.name == older.name
        assert [path.name for path in found.recovered.aside] == [f"{newest.name}.broken"]
        assert newest.name in found.recovered.problems[0]
        go_on(damaged)
    for path in (newest, older):
        flip(path, 8 * path.stat().st_size // 2)
    said = refusal(history)
    assert "no snapshot can be read" in said
    assert newest.name in said
    assert older.name in said
    assert "banditd repair" in said


@pytest.mark.parametrize(
    ("folder", "newest"),
    [("snapshots", snapshot.VERSION), ("journal", frames.VERSION), ("ledger", ledger_reader.VERSION)],
)
def test_a_newer_format_is_refused(history: History, folder: str, newest: int) -> None:
    """Fault 5: a file of the version after ours, in good order: which version it is, and what to do."""
    for path in (history.folder / folder).glob("*.[jls]*"):
        content = bytearray(path.read_bytes())
        content[7] = newest + 1
        content[28:32] = crc32c(np.frombuffer(bytes(content[:28]), np.uint8)).to_bytes(4, "little")
        path.write_bytes(content)
    said = refusal(history)
    assert re.search(f"version {newest + 1}|version of banditd", said), said


def test_a_recovery_may_be_killed_anywhere(history: History, tmp_path: Path) -> None:
    """Fault 1: a start that cuts a tail and sets a snapshot aside, killed before each call, and half-way.

    The next one does the same.
    """
    newest = snapshots(history.folder / "snapshots")[0]
    flip(newest, 8 * newest.stat().st_size // 2)
    path = with_frames(history)[-1]
    whole = path.read_bytes()
    torn = whole.rstrip(b"\0") + b"\x09\0\0\0torn"
    path.write_bytes(torn.ljust(len(whole), b"\0"))
    for half in (False, True):
        stop, kills = 0, 0
        while kills == stop:
            stop += 1
            found = copied(history, tmp_path / f"{stop} {half}")
            disk = Disk(stop, half=half)
            try:
                store(found.folder, disk)
            except Stopped:
                kills += 1
            disk.close_all()
            go_on(found)
            assert (found.folder / "snapshots" / f"{newest.name}.broken").exists()
            aside = {path.read_bytes() for path in (found.folder / "journal").glob("*.torn")}
            assert aside == {b"\x09\0\0\0torn"}  # twice, if the first copy was not the end of it
        assert kills > 20
