"""What is taken away from a journal: segments that a snapshot holds, and what stands behind damage."""

import errno
from pathlib import Path
from typing import Any

import pytest

from bandit.frames import CorruptJournal, name_of
from bandit.journal import Journal, trim
from bandit.journal_reader import SYNCED, Segment, cut, read, segments
from tests.core.journals import PAYLOADS, SEGMENT, Faulty, Stopped, payloads_of, write


def failing(number: int, error: BaseException) -> Faulty:
    """Files of which one call raises."""

    def fault(_name: str, at: int, _arguments: tuple[Any, ...]) -> None:
        if at == number:
            raise error

    return Faulty(fault)


def test_segments_are_listed(tmp_path: Path) -> None:
    """In order, with their lengths; files of other names are none."""
    write(tmp_path, PAYLOADS[:12])
    found = segments(tmp_path)
    assert found[0] == Segment(1, tmp_path / name_of(1), (tmp_path / name_of(1)).stat().st_size)
    assert found[0].bytes <= SEGMENT == found[-1].bytes
    assert [segment.path for segment in found] == sorted(tmp_path.glob("*.journal"))
    assert [name_of(segment.first) for segment in found] == [segment.path.name for segment in found]
    (tmp_path / "copy.journal").write_bytes(b"a copy")
    assert segments(tmp_path) == found
    assert payloads_of(tmp_path) == PAYLOADS[:12]


@pytest.mark.parametrize("through", range(len(PAYLOADS) + 3))
def test_what_a_snapshot_holds_is_removed(tmp_path: Path, through: int) -> None:
    """Segments without a frame above it, but for the last: the rest is read from there on."""
    write(tmp_path, PAYLOADS)
    before = segments(tmp_path)
    removed = trim(tmp_path, through)
    left = segments(tmp_path)
    assert removed + left == before
    assert left[0] == before[-1] or left[1].first > through + 1
    assert not removed or left[0].first <= through + 1
    held = min(through, len(PAYLOADS))
    assert payloads_of(tmp_path, held) == PAYLOADS[held:]
    assert trim(tmp_path, through) == []


def test_an_empty_last_segment_lets_all_others_go(tmp_path: Path) -> None:
    """A snapshot begins with a rotation: nothing before it has to stay."""
    journal = Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    for payload in PAYLOADS:
        journal.append(payload)
    journal.rotate()
    trim(tmp_path, len(PAYLOADS))
    assert [segment.first for segment in segments(tmp_path)] == [len(PAYLOADS) + 1]
    journal.append(b"after")
    journal.close()
    assert payloads_of(tmp_path, len(PAYLOADS)) == [b"after"]


def test_what_is_to_be_kept_stays_with_all_behind_it(tmp_path: Path) -> None:
    """Removal ends at the first segment that is spared: no gap."""
    write(tmp_path, PAYLOADS)
    before = segments(tmp_path)
    assert trim(tmp_path, 30, spare=lambda path: path == before[2].path) == before[:2]
    assert segments(tmp_path) == before[2:]
    after = before[2].first - 1
    assert payloads_of(tmp_path, after) == PAYLOADS[after:]


@pytest.mark.parametrize("error", [Stopped(), OSError(errno.EIO, "the disk is broken")])
def test_trimming_may_stop_or_fail_anywhere(tmp_path: Path, error: BaseException) -> None:
    """Killed before each call, or EIO from it: no gap, and a second attempt finishes."""
    (tmp_path / "0").mkdir()
    write(tmp_path / "0", PAYLOADS)
    files = failing(0, error)
    count = len(trim(tmp_path / "0", 30, files=files))
    assert files.calls == ["unlink"] * count + ["fsync_dir"]
    for number in range(1, count + 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, PAYLOADS)
        with pytest.raises(type(error)):
            trim(folder, 30, files=failing(number, error))
        first = segments(folder)[0].first
        assert payloads_of(folder, first - 1) == PAYLOADS[first - 1 :]
        assert len(trim(folder, 30)) == count + 1 - number
        assert payloads_of(folder, 30) == PAYLOADS[30:]


# Cutting where it is damaged


def damaged(folder: Path, byte: int) -> CorruptJournal:
    """A journal whose second segment is damaged at a byte, and what a reader says of it."""
    folder.mkdir()
    write(folder, PAYLOADS)
    path = segments(folder)[1].path
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptJournal) as caught:
        list(read(folder, 0))
    assert caught.value.path == str(path)
    return caught.value


def contents(folder: Path) -> bytes:
    """All bytes of segments and of what was kept aside that are not zero, in order of their names."""
    paths = sorted([*folder.glob("*.journal"), *folder.glob("*.broken")])
    return b"".join(path.read_bytes() for path in paths).replace(b"\0", b"")


@pytest.mark.parametrize("byte", [3, 20, 33, 45, 60])
def test_what_stands_behind_damage_is_set_aside(tmp_path: Path, byte: int) -> None:
    """In a header or a frame of an earlier segment: the prefix stays, later segments go aside whole."""
    folder = tmp_path / "journal"
    corrupt = damaged(folder, byte)
    path, later = Path(corrupt.path), segments(folder)[2:]
    before = contents(folder)
    aside = cut(path, corrupt.offset)
    names = [f"{path.name}.{corrupt.offset if corrupt.offset >= 32 else 0}.broken"]
    assert [file.name for file in aside] == names + [f"{segment.path.name}.0.broken" for segment in later]
    assert contents(folder) == before
    reader = read(folder, 0)
    found = [payload for _, payload in reader]
    assert found == PAYLOADS[: len(found)]
    assert len(found) >= segments(folder)[0].first
    assert reader.torn is None
    sequence, chain = reader.position
    journal = Journal(folder, sequence=sequence, chain=chain, segment_bytes=SEGMENT)
    journal.append(b"after")
    journal.close()
    assert payloads_of(folder) == [*found, b"after"]


def test_nothing_that_was_set_aside_is_replaced(tmp_path: Path) -> None:
    """The same place is cut a second time: both are kept."""
    write(tmp_path, PAYLOADS)
    first = tmp_path / name_of(1)
    kept = []
    for _ in range(3):
        (aside,) = cut(first, 0)[:1]
        kept.append(aside.name)
        for path in tmp_path.glob("*.journal"):
            path.unlink()
        (tmp_path / SYNCED).unlink()
        write(tmp_path, PAYLOADS)
    assert kept == [f"{first.name}.0.broken", f"{first.name}.0.2.broken", f"{first.name}.0.3.broken"]
    assert all((tmp_path / name).exists() for name in kept)


@pytest.mark.parametrize("byte", [3, 33])
def test_cutting_damage_may_be_interrupted_anywhere(tmp_path: Path, byte: int) -> None:
    """Killed before each call: what is wrong is still there, or it is done. Nothing is lost on the way."""
    files = failing(0, Stopped())
    corrupt = damaged(tmp_path / "0", byte)
    cut(Path(corrupt.path), corrupt.offset, files)
    assert "rename" in files.calls
    for stop in range(1, len(files.calls) + 1):
        folder = tmp_path / str(stop)
        corrupt = damaged(folder, byte)
        path = Path(corrupt.path)
        with pytest.raises(Stopped):
            cut(path, corrupt.offset, failing(stop, Stopped()))
        if path.exists():
            cut(path, corrupt.offset)
        kept = contents(folder)
        assert [payload for payload in PAYLOADS if payload not in kept] == []
        reader = read(folder, 0)
        found = [payload for _, payload in reader]
        assert found == PAYLOADS[: len(found)]
        assert len(found) == len(payloads_of(tmp_path / "0"))
        assert reader.torn is None
