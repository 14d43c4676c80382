"""The journal on file systems that fail: short writes are finished, full disks mend, all else is final.

(Faults 1, 6, 7 and 8, on the journal alone.)
"""

import errno
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bandit.files import Files
from bandit.frames import CorruptJournal, Torn, name_of
from bandit.journal import AHEAD, Journal, JournalFull
from bandit.journal_reader import cut_tail, read
from tests.core.journals import PAYLOADS, SEGMENT, Faulty, Stopped, allocate, write


def full_run(folder: Path, files: Files, acknowledged: list[int]) -> None:
    """Append, flush each third frame, sync, allocate and rotate now and then, close.

    `acknowledged` ends with the last flushed.
    """
    journal = Journal(folder, sequence=1, chain=0, boot=b"boot", segment_bytes=SEGMENT, files=files)
    for index, payload in enumerate(PAYLOADS):
        journal.append(payload)
        if index % 5 == 4:
            allocate(journal)
        if index % 3 == 2:
            acknowledged.append(journal.flush())
        if index % 10 == 9:
            journal.sync()
        if index == 20:
            journal.rotate()
    allocate(journal)
    journal.close()
    acknowledged.append(len(PAYLOADS))


def append_all(journal: Journal, payloads: list[bytes], taken: list[bytes]) -> None:
    """Append each; `taken` gets those that were."""
    for payload in payloads:
        journal.append(payload)
        taken.append(payload)


def recovered(folder: Path) -> list[bytes]:
    """What a start finds, a torn tail cut off; the journal can then go on, and all is read back."""
    reader = read(folder, 0)
    found = [payload for _, payload in reader]
    if reader.torn is not None:
        cut_tail(reader.torn)
    sequence, chain = reader.position
    journal = Journal(folder, sequence=sequence, chain=chain, segment_bytes=SEGMENT)
    journal.append(b"after")
    journal.close()
    assert [payload for _, payload in read(folder, 0)] == [*found, b"after"]
    return found


def test_short_and_interrupted_writes_are_finished(tmp_path: Path) -> None:
    """One byte at a time, with EINTR before each: the same bytes."""

    def fault(name: str, number: int, arguments: tuple[Any, ...]) -> int | None:
        if name != "write":
            return None
        if number % 2:
            raise InterruptedError(errno.EINTR, "interrupted")
        descriptor, data, offset = arguments
        return os.pwrite(descriptor, data[:1], offset)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    full_run(tmp_path / "a", Faulty(fault), [])
    full_run(tmp_path / "b", Files(), [])
    names = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_write_of_nothing_is_an_error(tmp_path: Path) -> None:
    """It is not tried for ever."""
    files = Faulty(lambda name, *_: 0 if name == "write" else None)
    with pytest.raises(OSError, match="a write wrote nothing"):
        Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT, files=files)


@pytest.mark.parametrize("half", [False, True])
def test_a_stop_at_any_call_loses_nothing_acknowledged(tmp_path: Path, half: bool) -> None:
    """Killed before each call, or half-way through each write: a prefix, with all that was flushed."""
    files = Faulty(lambda *_: None)
    (tmp_path / "0").mkdir()
    full_run(tmp_path / "0", files, [])
    assert {"rename", "fsync", "fallocate", "truncate", "duplicate", "unlink"} <= set(files.calls)
    for stop in range(1, len(files.calls) + 1):
        if half and files.calls[stop - 1] != "write":
            continue

        def fault(_name: str, number: int, arguments: tuple[Any, ...], stop: int = stop) -> None:
            if number == stop:
                if half:
                    descriptor, data, offset = arguments
                    os.pwrite(descriptor, data[: len(data) // 2], offset)
                raise Stopped

        folder = tmp_path / str(stop)
        folder.mkdir()
        acknowledged = [0]
        with pytest.raises(Stopped):
            full_run(folder, Faulty(fault), acknowledged)
        found = recovered(folder)
        assert found == PAYLOADS[: len(found)]
        assert len(found) >= acknowledged[-1]


def test_an_error_at_any_call_is_final(tmp_path: Path) -> None:
    """EIO from every single call is raised, nothing is taken after it, and a start finds what was flushed."""
    files = Faulty(lambda *_: None)
    (tmp_path / "0").mkdir()
    full_run(tmp_path / "0", files, [])
    for bad in range(1, len(files.calls) + 1):

        def fault(_name: str, number: int, _arguments: tuple[Any, ...], bad: int = bad) -> None:
            if number == bad:
                raise OSError(errno.EIO, "the disk is broken")

        folder = tmp_path / str(bad)
        folder.mkdir()
        acknowledged = [0]
        with pytest.raises(OSError, match="the disk is broken"):
            full_run(folder, Faulty(fault), acknowledged)
        found = recovered(folder)
        assert found == PAYLOADS[: len(found)]
        assert len(found) >= acknowledged[-1]


@pytest.mark.parametrize("error", [Stopped(), OSError(errno.EIO, "the disk is broken")])
def test_a_start_may_stop_or_fail_anywhere(tmp_path: Path, error: BaseException) -> None:
    """Behind a killed process, at each call: what that one flushed is there, and the next start goes on."""

    def start(folder: Path, bad: int) -> Faulty:
        def fault(_name: str, number: int, _arguments: tuple[Any, ...]) -> None:
            if number == bad:
                raise error

        end = write(folder, PAYLOADS)
        files = Faulty(fault)
        with pytest.raises(type(error)) if bad else nullcontext():
            Journal(folder, sequence=end.sequence, chain=end.chain, segment_bytes=SEGMENT, files=files)
        return files

    (tmp_path / "0").mkdir()
    calls = start(tmp_path / "0", 0).calls
    assert {"unlink", "fallocate", "fsync", "write", "rename", "fsync_dir"} <= set(calls)
    for bad in range(1, len(calls) + 1):
        folder = tmp_path / str(bad)
        folder.mkdir()
        start(folder, bad)
        assert recovered(folder) == PAYLOADS


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_after_an_error_nothing_is_tried_again(tmp_path: Path, failing: str) -> None:
    """A second fsync may say that all is well when it is not: the journal refuses instead."""
    broken: list[int] = []

    def fault(name: str, *_: Any) -> None:
        if broken and name == failing:
            raise OSError(errno.ENOSPC if failing == "write" else errno.EIO, "the disk is broken")

    files = Faulty(fault)
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT, files=files)
    journal.append(b"one")
    broken.append(1)
    with pytest.raises(OSError, match="the disk is broken"):
        journal.flush() and journal.sync()
    broken.clear()
    calls = len(files.calls)
    for again in (journal.flush, journal.sync, journal.close, lambda: journal.reserve(9)):
        with pytest.raises(OSError, match="the journal failed before, or was closed; start again"):
            again()
    with pytest.raises(OSError, match="the journal failed before"):
        append_all(journal, PAYLOADS, [])
    assert len(files.calls) == calls


@pytest.mark.parametrize("failing", ["open", "fallocate", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_seen_before_anything_is_written(tmp_path: Path, failing: str, number: int) -> None:
    """The segments are filled; then JournalFull, until there is space again: no half record."""
    full: list[int] = []
    files = Faulty(lambda *_: None)

    def fault(name: str, *_: Any) -> None:
        # an fsync right behind fallocate is the allocation's own
        if full and name == failing and (name != "fsync" or files.calls[-2] == "fallocate"):
            raise OSError(number, os.strerror(number))

    files = Faulty(fault)
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT, files=files)
    full.append(1)
    taken: list[bytes] = []
    with pytest.raises(JournalFull, match=f"no space for {SEGMENT} bytes"):
        append_all(journal, PAYLOADS, taken)
    assert not journal.ahead
    assert not (tmp_path / AHEAD[0]).exists() or failing == "open"
    assert len(list(tmp_path.glob("*.journal"))) == 2
    before = journal.position
    for _ in range(3):
        with pytest.raises(JournalFull):
            journal.append(bytes(120))
        with pytest.raises(JournalFull):
            journal.reserve(SEGMENT - 32)
    assert journal.position == before
    assert journal.flush() == len(taken)
    assert [payload for _, payload in read(tmp_path, 0)] == taken
    full.clear()
    append_all(journal, PAYLOADS[len(taken) :], [])
    journal.close()
    assert [payload for _, payload in read(tmp_path, 0)] == PAYLOADS


def test_what_was_reserved_can_be_appended(tmp_path: Path) -> None:
    """With no space beyond, frames that `reserve` accepted fit; more than a segment is never promised."""
    full: list[int] = []

    def fault(name: str, *_: Any) -> None:
        if full and name == "fallocate":
            raise OSError(errno.ENOSPC, "full")

    for used in range(1, SEGMENT - 40):
        full.clear()
        folder = tmp_path / str(used)
        folder.mkdir()
        journal = Journal(folder, sequence=1, chain=0, segment_bytes=SEGMENT, files=Faulty(fault))
        full.append(1)
        journal.append(bytes([1]) * used)
        journal.reserve(SEGMENT - 32)
        for _ in range(8):
            journal.append(b"eight of")
        with pytest.raises(ValueError, match="at most a segment"):
            journal.reserve(SEGMENT - 31)
        journal.close()


LIMITED = """
import resource, sys
from pathlib import Path
from bandit.journal import Journal, JournalFull
from bandit.journal_reader import read

folder = Path(sys.argv[1])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
journal = Journal(folder, sequence=1, chain=0, segment_bytes=1 << 16)
resource.setrlimit(resource.RLIMIT_FSIZE, ((1 << 16) - 1, most))
taken = 0
try:
    while True:
        journal.append(bytes([1]) * 100)
        taken += 1
except JournalFull:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
assert not journal.ahead
journal.append(bytes([2]) * 100)
journal.close()
print(taken, len(list(read(folder, 0))))
"""


def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    """RLIMIT_FSIZE below a segment: no next segment is made; with the limit gone it goes on."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    per_segment = ((1 << 16) - 32) // 108
    assert done.stdout.split() == [str(2 * per_segment), str(2 * per_segment + 1)]


def test_a_sync_in_another_thread_outlives_its_segment(tmp_path: Path) -> None:
    """It was begun before the journal went on to other segments: it still syncs its own, and says how far."""
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    journal.append(b"one")
    journal.append(b"two")
    journal.flush()
    journal.append(b"three")
    pending = journal.begin_sync()
    for payload in PAYLOADS:
        journal.append(payload)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(pending.run()))
    thread.start()
    thread.join()
    assert done == [pending.through] == [2]
    assert journal.flush() == journal.sync() == 3 + len(PAYLOADS)


def test_payloads_have_a_size(tmp_path: Path) -> None:
    """Empty ones, and ones that fit into no segment, are refused; the largest fits."""
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    for size in (0, SEGMENT - 39):
        with pytest.raises(ValueError, match=f"a payload of {size} bytes; expected 1 to {SEGMENT - 40}"):
            journal.append(bytes(size))
    assert journal.append(bytes(SEGMENT - 40)) == 1
    with pytest.raises(ValueError, match="segment_bytes: expected more than 40, got 40"):
        Journal(tmp_path, sequence=1, chain=0, segment_bytes=40)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """The folder is the caller's to make."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Journal(tmp_path / "nowhere", sequence=1, chain=0, segment_bytes=SEGMENT)


def test_without_fallocate_zeros_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems that lack the call the space is taken all the same."""
    monkeypatch.delattr(os, "posix_fallocate")
    Journal(tmp_path, sequence=1, chain=0, segment_bytes=3_000_000)
    assert (tmp_path / AHEAD[0]).stat().st_blocks * 512 >= 3_000_000
    assert (tmp_path / AHEAD[0]).stat().st_size == (tmp_path / name_of(1)).stat().st_size == 3_000_000


def test_cutting_may_be_interrupted_anywhere(tmp_path: Path) -> None:
    """Stopped before each of its calls: the tail is found again or is gone, and it is aside by then."""
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    journal.append(b"good")
    journal.flush()
    path = tmp_path / name_of(1)
    torn_bytes = path.read_bytes().rstrip(b"\0") + b"\x09\0\0\0torn"
    torn = Torn(str(path), 44, 8)
    for stop in range(1, 100):
        path.write_bytes(torn_bytes)

        def fault(_name: str, number: int, _arguments: tuple[Any, ...], stop: int = stop) -> None:
            if number == stop:
                raise Stopped

        try:
            aside = cut_tail(torn, Faulty(fault))
        except Stopped:
            reader = read(tmp_path, 0)
            assert [payload for _, payload in reader] == [b"good"]
            assert reader.torn in (torn, None)
            assert reader.torn is not None or aside_of(path).read_bytes() == torn_bytes[44:]
        else:
            assert aside.read_bytes() == torn_bytes[44:]
            break
    assert path.read_bytes() == torn_bytes[:44]
    assert aside_of(path).read_bytes() == torn_bytes[44:]
    with pytest.raises(CorruptJournal):
        list(read(tmp_path, 1 + 1))


def aside_of(path: Path) -> Path:
    """Where the tail that was cut off at byte 44 is kept."""
    return path.with_name(f"{path.name}.44.torn")
