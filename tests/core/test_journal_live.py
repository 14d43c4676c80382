"""Reading a journal while a server writes: a prefix, never a false alarm, nothing changed."""

import threading
from pathlib import Path

import pytest

from bandit import frames
from bandit.frames import CorruptJournal, name_of
from bandit.journal import Journal, trim
from bandit.journal_reader import SYNCED, JournalTrimmed, read, segments
from tests.core.journals import PAYLOADS, SEGMENT, allocate, write

LARGE = 400


def half_written(folder: Path, synced: int) -> tuple[Path, bytes, list[int]]:
    """Twelve frames in one segment, the first few synced: its path, its used bytes, where each frame ends."""
    journal = Journal(folder, sequence=1, chain=0, segment_bytes=LARGE)
    ends = [frames.HEADER_BYTES]
    for number, payload in enumerate(PAYLOADS[4:16], start=1):
        journal.append(payload)
        ends.append(ends[-1] + frames.FRAME_BYTES + len(payload))
        if number == synced:
            journal.flush()
            journal.sync()
    journal.flush()
    path = folder / name_of(1)
    return path, path.read_bytes()[: ends[-1]], ends


def live(folder: Path, after: int = 0) -> list[bytes]:
    """All payloads; the end is never torn, and nothing that was synced is missing."""
    reader = read(folder, after, live=True)
    found = [payload for _, payload in reader]
    assert (reader.torn, reader.missing) == (None, 0)
    assert reader.position.sequence == after + len(found) + 1
    return found


def test_a_frame_that_is_half_written_is_the_end(tmp_path: Path) -> None:
    """At every byte behind what is synced."""
    path, data, ends = half_written(tmp_path, 3)
    for at in range(ends[3], ends[-1] + 1):
        path.write_bytes(data[:at].ljust(LARGE, b"\0"))
        assert live(tmp_path) == PAYLOADS[4 : 4 + sum(end <= at for end in ends) - 1]


def test_a_hole_is_the_end_where_nothing_is_synced(tmp_path: Path) -> None:
    """A write that is seen out of order is no damage; the same hole in what was synced is."""
    path, data, ends = half_written(tmp_path, 3)
    for lost in range(11):
        hole = bytearray(data)
        hole[ends[lost] : ends[lost + 1]] = bytes(ends[lost + 1] - ends[lost])
        path.write_bytes(hole)
        if lost >= 3:
            assert live(tmp_path) == PAYLOADS[4 : 4 + lost]
        else:
            with pytest.raises(CorruptJournal, match=f"byte {ends[lost]}: expected frame {lost + 1}"):
                live(tmp_path)


def test_damage_in_an_earlier_segment_is_named(tmp_path: Path) -> None:
    """It was complete before the next one began, though nothing says that it was synced."""
    write(tmp_path, PAYLOADS)
    (tmp_path / SYNCED).unlink()
    first = segments(tmp_path)[0].path
    data = bytearray(first.read_bytes())
    data[40] ^= 1
    first.write_bytes(data)
    with pytest.raises(CorruptJournal, match="byte 32: expected frame 1"):
        live(tmp_path)


def test_what_is_appended_meanwhile_does_no_harm(tmp_path: Path) -> None:
    """Reading has begun when the server appends, rotates and closes: all that was there before is read."""
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    for payload in PAYLOADS[:20]:
        journal.append(payload)
    journal.flush()
    found: list[bytes] = []
    for _, payload in read(tmp_path, 0, live=True):
        found.append(payload)
        if len(found) == 1:
            for more in PAYLOADS[20:]:
                journal.append(more)
            journal.rotate()
            journal.close()
    assert found == PAYLOADS[: len(found)]
    assert len(found) >= 20
    assert live(tmp_path) == PAYLOADS


def test_what_is_removed_meanwhile_is_said(tmp_path: Path) -> None:
    """Before or while it is read; from where the newer snapshot stands, all is there."""
    write(tmp_path, PAYLOADS)
    reader = iter(read(tmp_path, 0, live=True))
    next(reader)
    removed = trim(tmp_path, 30)
    assert len(removed) > 3
    with pytest.raises(JournalTrimmed, match=f"frame {removed[1].first} was removed meanwhile"):
        list(reader)
    with pytest.raises(JournalTrimmed, match="frame 1 was removed meanwhile"):
        live(tmp_path)
    assert live(tmp_path, 30) == PAYLOADS[30:]


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """Torn or not, every file keeps its bytes and its time."""
    path, data, ends = half_written(tmp_path, 3)
    path.write_bytes(data[: ends[-1] - 1])
    before = {entry: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()}
    live(tmp_path)
    list(read(tmp_path, 0))
    assert {entry: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()} == before


def test_beside_a_writer_every_reading_is_a_prefix(tmp_path: Path) -> None:
    """A thread appends, syncs, rotates and trims; each reading holds all that was flushed when it began."""
    payloads = [bytes([number % 255 + 1]) * (number % 61 + 1) for number in range(3000)]
    flushed = [0]
    finished = threading.Event()

    def serve() -> None:
        journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=5000)
        for number, payload in enumerate(payloads, start=1):
            journal.append(payload)
            if number % 7 == 0:
                flushed[0] = journal.flush()
            if number % 50 == 0:
                journal.sync()
                allocate(journal)
        journal.close()
        flushed[0] = len(payloads)
        finished.set()

    thread = threading.Thread(target=serve)
    thread.start()
    readings = 0
    while not finished.is_set() or readings == 0:
        at_least = flushed[0]
        found = live(tmp_path)
        assert found == payloads[: len(found)]
        assert len(found) >= at_least
        readings += 1
    thread.join()
    assert live(tmp_path) == payloads
