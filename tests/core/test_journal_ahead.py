"""Segments that are allocated ahead, in whichever thread, and rotation on demand (fault 6)."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.frames import HEADER_BYTES, name_of
from bandit.journal import AHEAD, Journal, JournalFull
from bandit.journal_reader import SYNCED, segments
from tests.core.journals import PAYLOADS, SEGMENT, Faulty, allocate, payloads_of

ROOM = SEGMENT - HEADER_BYTES
"""Bytes of frames in a segment."""


class Disk:
    """Whether there is space, what is asked of the disk, and the Files that say so."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.files = Faulty(self._fault)

    def _fault(self, name: str, *_: Any) -> None:
        if self.error is not None and name == "fallocate":
            raise self.error

    def fill(self) -> None:
        """From now on there is no space."""
        self.error = OSError(errno.ENOSPC, "no space left")


def journal_on(disk: Disk, folder: Path) -> Journal:
    """An empty journal."""
    return Journal(folder, sequence=1, chain=0, segment_bytes=SEGMENT, files=disk.files)


def ahead_in(folder: Path) -> list[str]:
    """The segments that have no name yet."""
    return sorted(path.name for path in folder.iterdir() if path.name in AHEAD)


def test_room_is_what_this_segment_and_the_next_have(tmp_path: Path) -> None:
    """To the byte, with a segment ahead and without."""
    journal = journal_on(Disk(), tmp_path)
    assert journal.room(ROOM)
    assert not journal.room(ROOM + 1)
    journal.append(bytes(52))
    assert journal.room(ROOM)  # in the next
    journal.append(bytes(52))
    journal.append(bytes([1]) * 42)
    left = ROOM - 50
    assert not journal.ahead
    assert journal.room(left)
    assert not journal.room(left + 1)
    allocate(journal)
    assert journal.room(ROOM)
    assert not journal.room(ROOM + 1)


STEP = st.one_of(
    st.integers(1, ROOM - 8).map(lambda size: ("append", size)),
    st.sampled_from(["flush", "rotate", "begin", "run", "sync", "full", "space"]).map(lambda name: (name, 0)),
)


@given(st.lists(STEP, max_size=60))
def test_what_has_room_asks_for_no_space(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Any order of calls, allocations that finish late, a disk that fills and empties: `room` keeps its word.

    What was taken is read back, and at most two segments wait.
    """
    disk, folder = Disk(), tmp_path_factory.mktemp("journal")
    journal = journal_on(disk, folder)
    taken: list[bytes] = []
    pending = None
    for name, size in steps:
        try:
            if name == "append":
                room, before = journal.room(8 + size), disk.files.calls.count("fallocate")
                journal.append(bytes([1]) * size)
                taken.append(bytes([1]) * size)
                assert not room or disk.files.calls.count("fallocate") == before
            elif name == "begin":
                begun = journal.begin_allocation()
                assert begun is None or (pending is None and not journal.ahead)
                pending = begun or pending
            elif name == "run" and pending is not None:
                allocation, pending = pending, None
                allocation.run()
                assert journal.ahead
            elif name == "full":
                disk.fill()
            elif name == "space":
                disk.error = None
            elif name in ("flush", "rotate", "sync"):
                getattr(journal, name)()
        except JournalFull:
            assert disk.error is not None
        assert len(ahead_in(folder)) <= 2
    if pending is not None:
        disk.error = None
        pending.run()
    journal.close()
    assert ahead_in(folder) == []
    assert payloads_of(folder) == taken


def test_rotating_begins_a_segment_here(tmp_path: Path) -> None:
    """What was appended is flushed and synced, a segment begins behind it, and an empty one stays."""
    disk = Disk()
    journal = journal_on(disk, tmp_path)
    calls = len(disk.files.calls)
    journal.rotate()
    assert len(disk.files.calls) == calls
    journal.append(b"one")
    journal.append(b"two")
    calls = len(disk.files.calls)
    journal.rotate()
    assert disk.files.calls[calls:] == "write truncate fsync close write fsync rename fsync_dir".split()
    assert [segment.first for segment in segments(tmp_path)] == [1, 3]
    assert journal.flush() == 2
    journal.rotate()
    assert [segment.first for segment in segments(tmp_path)] == [1, 3]
    journal.append(b"three")
    journal.close()
    assert payloads_of(tmp_path) == [b"one", b"two", b"three"]


def test_rotating_on_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """With a segment ahead it goes on there; without: JournalFull, and this segment takes more frames."""
    disk = Disk()
    journal = journal_on(disk, tmp_path)
    disk.fill()
    journal.append(b"one")
    journal.rotate()
    journal.append(b"two")
    with pytest.raises(JournalFull, match="no space for 160 bytes: no space left"):
        journal.rotate()
    assert [segment.first for segment in segments(tmp_path)] == [1, 2]
    journal.append(b"three")
    disk.error = None
    journal.rotate()
    journal.close()
    assert [segment.first for segment in segments(tmp_path)] == [1, 2, 4]
    assert payloads_of(tmp_path) == [b"one", b"two", b"three"]


def test_a_frame_need_not_wait_for_an_allocation_elsewhere(tmp_path: Path) -> None:
    """Another thread is still allocating when the segment is full: both succeed, both are used."""
    begun, released = threading.Event(), threading.Event()
    main = threading.current_thread()

    def fault(name: str, *_: Any) -> None:
        if name == "fallocate" and threading.current_thread() is not main:
            begun.set()
            assert released.wait(30)

    files = Faulty(fault)
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT, files=files)
    journal.append(b"one")
    journal.rotate()
    allocation = journal.begin_allocation()
    assert allocation is not None
    thread = threading.Thread(target=allocation.run)
    thread.start()
    assert begun.wait(30)
    assert not journal.ahead
    assert journal.begin_allocation() is None
    for payload in PAYLOADS[:20]:  # several segments, each allocated here
        journal.append(payload)
    journal.reserve(ROOM)
    assert ahead_in(tmp_path) == sorted(AHEAD)
    released.set()
    thread.join()
    assert journal.begin_allocation() is None
    calls = files.calls.count("fallocate")
    journal.rotate()
    assert journal.ahead
    journal.append(b"two")
    journal.rotate()
    assert not journal.ahead
    assert files.calls.count("fallocate") == calls
    journal.close()
    assert ahead_in(tmp_path) == []
    assert payloads_of(tmp_path) == [b"one", *PAYLOADS[:20], b"two"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_an_allocation_that_found_no_space_is_tried_again(tmp_path: Path, number: int) -> None:
    """JournalFull in its thread; nothing is left, nothing has failed, and the next attempt is a new one."""
    disk = Disk()
    journal = journal_on(disk, tmp_path)
    journal.append(b"one")
    journal.rotate()
    disk.error = OSError(number, os.strerror(number))
    for _ in range(3):
        allocation = journal.begin_allocation()
        assert allocation is not None
        with pytest.raises(JournalFull, match=f"no space for {SEGMENT} bytes: {os.strerror(number)}"):
            allocation.run()
        assert ahead_in(tmp_path) == []
        assert not journal.ahead
    disk.error = None
    allocate(journal)
    assert journal.ahead
    journal.close()


def test_an_allocation_that_fails_otherwise_is_final(tmp_path: Path) -> None:
    """EIO in its thread: the journal takes nothing more."""
    disk = Disk()
    journal = journal_on(disk, tmp_path)
    journal.append(b"one")
    journal.rotate()
    allocation = journal.begin_allocation()
    assert allocation is not None
    disk.error = OSError(errno.EIO, "the disk is broken")
    with pytest.raises(OSError, match="the disk is broken"):
        allocation.run()
    journal.append(b"two")
    with pytest.raises(OSError, match="the journal failed before, or was closed; start again"):
        journal.flush()
    with pytest.raises(OSError, match="the journal failed before, or was closed; start again"):
        journal.begin_allocation()


def test_an_allocation_that_never_ran_is_in_nobodys_way(tmp_path: Path) -> None:
    """Its thread was stopped before: frames go on, closing is in order."""
    journal = journal_on(Disk(), tmp_path)
    journal.append(b"one")
    journal.rotate()
    assert journal.begin_allocation() is not None
    for payload in PAYLOADS:
        journal.append(payload)
    journal.close()
    assert payloads_of(tmp_path) == [b"one", *PAYLOADS]


def test_a_start_removes_what_was_allocated_before(tmp_path: Path) -> None:
    """A killed process leaves segments that waited: they hold nothing, and their space is needed."""
    for name in AHEAD:
        (tmp_path / name).write_bytes(b"x" * 1000)
    Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    assert ahead_in(tmp_path) == [AHEAD[0]]
    assert (tmp_path / AHEAD[0]).read_bytes() == bytes(SEGMENT)
    assert (tmp_path / name_of(1)).stat().st_size == SEGMENT


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_is_synced_need_not_be_written_down(tmp_path: Path, number: int) -> None:
    """On a full disk the note stays behind, which does no harm; any other error of it is final."""
    broken: list[int] = []

    def fault(name: str, _number: int, arguments: tuple[Any, ...]) -> None:
        if broken and name == "write" and bytes(arguments[1][:7]) == b"BANDITM":
            raise OSError(number, os.strerror(number))

    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT, files=Faulty(fault))
    broken.append(1)
    before = (tmp_path / SYNCED).read_bytes()
    journal.append(b"one")
    journal.flush()
    if number == errno.ENOSPC:
        assert journal.sync() == 1
        journal.close()
        assert payloads_of(tmp_path) == [b"one"]
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            journal.sync()
        with pytest.raises(OSError, match="failed before"):
            journal.flush()
    assert (tmp_path / SYNCED).read_bytes() == before
