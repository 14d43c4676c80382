"""How far a journal is synced tells what a power cut left from damage (faults 2 and 3)."""

import errno
import struct
import threading
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bandit import frames
from bandit.files import Files
from bandit.frames import CorruptJournal, Synced, name_of
from bandit.journal import AHEAD, Journal, Sync
from bandit.journal_reader import SYNCED, Reader, cut_tail, read, read_synced
from tests.core.journals import PAYLOADS, SEGMENT, Faulty, allocate, hex_of_the_page, payloads_of, slow_crc32c
from tests.goldens import FOLDER, check_golden

BOOT, NEXT_BOOT = b"boot-1", b"boot-2"
PAGE = 400


def journal_at(folder: Path, boot: bytes, sequence: int = 1, chain: int = 0) -> Journal:
    """A journal of large segments that begins here."""
    return Journal(folder, sequence=sequence, chain=chain, boot=boot, segment_bytes=PAGE)


def hollow(folder: Path, synced: int, boot: bytes = BOOT) -> tuple[Path, list[int]]:
    """Twelve frames in one segment, the first few synced, one behind them lost by a power cut: zeros.

    Returns the segment and where each frame ends.
    """
    journal = journal_at(folder, boot)
    for number, payload in enumerate(PAYLOADS[4:16], start=1):
        journal.append(payload)
        if number == synced:
            journal.flush()
            journal.sync()
    journal.flush()
    path = folder / name_of(1)
    ends = [frames.HEADER_BYTES]
    for payload in PAYLOADS[4:16]:
        ends.append(ends[-1] + frames.FRAME_BYTES + len(payload))
    return path, ends


def zero(path: Path, start: int, stop: int) -> None:
    """Have the bytes from `start` to `stop` never reach the disk."""
    data = bytearray(path.read_bytes())
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)


def outcome(folder: Path, boot: bytes) -> tuple[int, Reader] | None:
    """How many frames are read, and the reader; None: refused as damage."""
    reader = read(folder, 0, boot=boot)
    try:
        return len(list(reader)), reader
    except CorruptJournal:
        return None


def test_the_page_shows_the_bytes(tmp_path: Path) -> None:
    """The example of docs/format.md is what is written, and is read."""
    page = hex_of_the_page("### How far")
    assert page[-4:] == struct.pack("<I", slow_crc32c(page[:-4]))
    assert Synced(7, b"boot-1").packed() == page
    (tmp_path / SYNCED).write_bytes(page)
    assert read_synced(tmp_path) == (7, b"boot-1")


def test_golden_synced() -> None:
    """The bytes never change, and are read."""
    cases = [Synced(0, b""), Synced(1, b"b"), Synced(2**64 - 1, bytes(range(1, 65)))]
    check_golden("synced.txt", [case.packed().hex() for case in cases])
    lines = (FOLDER / "synced.txt").read_text("utf-8").split()
    assert [Synced.of(bytes.fromhex(line)) for line in lines] == cases


def test_a_damaged_file_says_nothing() -> None:
    """Missing, cut, longer, any bit flipped, a newer version: as if nothing was known."""
    good = Synced(7, BOOT).packed()
    newer = good[:7] + b"\x02" + good[8:-4]
    newer += struct.pack("<I", slow_crc32c(newer))
    flipped = [bytearray(good) for _ in range(8 * len(good))]
    for bit, data in enumerate(flipped):
        data[bit // 8] ^= 1 << bit % 8
    cut = [good[:length] for length in range(len(good))]
    for damaged in [newer, good + b"\0", *cut, *map(bytes, flipped)]:
        assert Synced.of(damaged) == (0, b"")


@pytest.mark.parametrize("boot", [bytes(65), b"boot\0", bytes([1]) * 65])
def test_a_boot_has_an_id_that_fits(boot: bytes) -> None:
    """Not longer than its field, and not ending with what fills that."""
    with pytest.raises(ValueError, match="expected an id of at most 64 bytes"):
        Synced(1, boot).packed()


def test_it_is_written_after_each_sync(tmp_path: Path) -> None:
    """By a start, by each sync that is complete, by closing; a flush alone does not move it."""
    journal = journal_at(tmp_path, BOOT)
    assert read_synced(tmp_path) == (0, BOOT)
    journal.append(b"one")
    journal.append(b"two")
    journal.flush()
    pending = journal.begin_sync()
    journal.append(b"three")
    assert journal.flush() == 3
    assert read_synced(tmp_path) == (0, BOOT)
    pending.run()
    assert read_synced(tmp_path) == (2, BOOT)
    journal.close()
    assert read_synced(tmp_path) == (3, BOOT)
    again = journal_at(tmp_path, NEXT_BOOT, *journal.position)
    assert read_synced(tmp_path) == (3, NEXT_BOOT)
    again.close()


@pytest.mark.parametrize("fails", [False, True])
def test_of_two_syncs_at_once_the_last_to_end_counts(tmp_path: Path, fails: bool) -> None:
    """The first may be told of an error that the second is not told of: its success says nothing yet."""
    begun, released = threading.Event(), threading.Event()
    main = threading.current_thread()

    def fault(name: str, *_: Any) -> None:
        if name == "fsync" and threading.current_thread() is not main:
            begun.set()
            assert released.wait(30)
            if fails:
                raise OSError(errno.EIO, "the disk is broken")

    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT, files=Faulty(fault))
    journal.append(b"one")
    journal.flush()
    done: list[int] = []

    def first() -> None:
        with pytest.raises(OSError, match="broken") if fails else nullcontext():
            done.append(slow.run())

    slow = journal.begin_sync()
    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(30)
    journal.append(b"two")
    journal.flush()
    assert journal.sync() == journal.synced == read_synced(tmp_path).through == 0
    released.set()
    thread.join()
    if fails:
        assert done == []
        with pytest.raises(OSError, match="the journal failed before"):
            journal.sync()
    else:
        assert done == [1]
        assert journal.sync() == journal.synced == read_synced(tmp_path).through == 2


@pytest.mark.parametrize("synced", [0, 3, 7])
def test_a_hole_after_a_power_cut_is_a_torn_tail(tmp_path: Path, synced: int) -> None:
    """Any frame that was not synced: what is before stays, the rest is kept aside and cut off."""
    for lost in range(synced, 10):  # the two frames that prove a hole are behind it
        folder = tmp_path / str(lost)
        folder.mkdir()
        path, ends = hollow(folder, synced)
        zero(path, ends[lost], ends[lost + 1])
        assert outcome(folder, BOOT) is None
        found = outcome(folder, NEXT_BOOT)
        assert found is not None
        count, reader = found
        assert (count, reader.missing) == (lost, 0)
        assert reader.torn == (str(path), ends[lost], ends[-1] - ends[lost])
        rest = path.read_bytes()[ends[lost] : ends[-1]]
        assert cut_tail(reader.torn).read_bytes() == rest
        journal = journal_at(folder, NEXT_BOOT, *reader.position)
        journal.append(b"after")
        journal.close()
        assert payloads_of(folder) == [*PAYLOADS[4 : 4 + lost], b"after"]


def test_damage_to_what_was_synced_is_refused(tmp_path: Path) -> None:
    """A frame up to the last one synced, whatever the boot: refused, with the place."""
    path, ends = hollow(tmp_path, 8)
    whole = path.read_bytes()
    for lost in range(8):
        zero(path, ends[lost], ends[lost + 1])
        reader = read(tmp_path, 0, boot=NEXT_BOOT)
        with pytest.raises(CorruptJournal) as caught:
            list(reader)
        assert (caught.value.path, caught.value.offset) == (str(path), ends[lost])
        path.write_bytes(whole)


@pytest.mark.parametrize("written", [BOOT, b""])
@pytest.mark.parametrize("read_under", [BOOT, b""])
def test_without_another_boot_a_hole_is_damage(tmp_path: Path, written: bytes, read_under: bytes) -> None:
    """The same boot, one that is not known now or was not then, or no file: nothing is cut."""
    path, ends = hollow(tmp_path, 3, written)
    zero(path, ends[6], ends[7])
    assert outcome(tmp_path, read_under) is None
    (tmp_path / SYNCED).unlink()
    assert outcome(tmp_path, NEXT_BOOT) is None


def test_earlier_segments_were_synced(tmp_path: Path) -> None:
    """A hole in a segment that is not the last is damage, though the file is behind and the boot another."""
    journal = Journal(tmp_path, sequence=1, chain=0, boot=BOOT, segment_bytes=SEGMENT)
    for payload in PAYLOADS:
        journal.append(payload)
        allocate(journal)
    journal.flush()
    assert read_synced(tmp_path).through == 0
    path = tmp_path / name_of(1)
    zero(path, frames.HEADER_BYTES, frames.HEADER_BYTES + 9)
    with pytest.raises(CorruptJournal) as caught:
        list(read(tmp_path, 0, boot=NEXT_BOOT))
    assert caught.value.path == str(path)


def test_a_start_syncs_what_a_killed_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its segment begins behind frames that were only flushed: they are synced before it has a name."""
    first = journal_at(tmp_path, BOOT)
    first.append(b"one")
    first.flush()
    order: list[str] = []
    names: dict[int, str] = {}
    files = Files()

    def opened(path: Path, flags: int) -> int:
        descriptor = Files.open(files, path, flags)
        names[descriptor] = path.name
        return descriptor

    monkeypatch.setattr(files, "open", opened)
    monkeypatch.setattr(files, "fsync", lambda descriptor: order.append(f"fsync {names[descriptor]}"))
    monkeypatch.setattr(files, "fsync_dir", lambda _: order.append("fsync_dir"))
    sequence, chain = first.position
    Journal(tmp_path, sequence=sequence, chain=chain, boot=BOOT, segment_bytes=PAGE, files=files)
    ahead = f"fsync {AHEAD[0]}"
    assert order == [ahead, f"fsync {name_of(1)}", f"fsync {SYNCED}", ahead, "fsync_dir", ahead]
    assert read_synced(tmp_path) == (1, BOOT)


@pytest.mark.parametrize("boot", [BOOT, NEXT_BOOT])
def test_synced_frames_that_are_missing_are_counted(tmp_path: Path, boot: bytes) -> None:
    """The end is cut off at every byte: the prefix is read, and how many synced frames are gone is said."""
    path, ends = hollow(tmp_path, 9)
    whole = path.read_bytes()
    for at in range(ends[0], ends[-1] + 1):
        path.write_bytes(whole[:at])
        found = outcome(tmp_path, boot)
        assert found is not None
        count, reader = found
        assert count == sum(end <= at for end in ends) - 1
        assert reader.missing == max(0, 9 - count)
    path.unlink()
    found = outcome(tmp_path, boot)
    assert found is not None
    assert (found[0], found[1].missing) == (0, 9)


def test_a_sync_that_failed_is_not_made_up_for_by_another(tmp_path: Path) -> None:
    """The system tells one of two alone that the disk lost something: the other's success proves nothing."""
    calls = count()
    syncs: list[Sync] = []

    def fault(name: str, *_: Any) -> None:
        if name != "fsync" or not syncs:
            return
        if next(calls) == 0:  # within the one, the other runs, and fails
            with pytest.raises(OSError, match="lost"):
                syncs[1].run()
        else:
            raise OSError(errno.EIO, "lost")

    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT, files=Faulty(fault))
    journal.append(b"one")
    journal.flush()
    syncs += journal.begin_sync(), journal.begin_sync()
    assert syncs[0].run() == 0
    assert read_synced(tmp_path).through == 0


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    """Its descriptor's number may be another file's by then."""
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    journal.append(b"one")
    journal.close()
    journal.append(b"two")
    with pytest.raises(OSError, match="failed before, or was closed"):
        journal.flush()
