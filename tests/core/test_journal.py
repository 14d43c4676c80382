"""The journal's files: what is appended is read back; torn tails are cut, damage is named, faults are final.

One in-memory reference, docs/format.md in plain Python, says what the bytes are. (Faults 1-3, 6-8.)
"""

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import frames
from bandit.corruption import NewerFormat
from bandit.frames import CorruptJournal, Position, frame, name_of, sealed
from bandit.journal import AHEAD, Journal
from bandit.journal_reader import cut_tail, read, segments
from bandit.kernels import crc, jit
from tests.core.journals import PAYLOADS, SEGMENT, hex_of_the_page, payloads_of, slow_crc32c, write
from tests.goldens import FOLDER, check_golden


def segment(sequence: int, chain: int, payloads: list[bytes]) -> bytes:
    """A segment's used part, written down from docs/format.md."""
    data = b"BANDITJ\x01" + struct.pack("<QI8x", sequence, chain)
    data += struct.pack("<I", slow_crc32c(data))
    for payload in payloads:
        length = struct.pack("<I", len(payload))
        chain = slow_crc32c(struct.pack("<I", chain) + length + payload)
        data += length + struct.pack("<I", chain) + payload
    return data


def paths_of(folder: Path) -> list[Path]:
    """The segments in order."""
    return [segment.path for segment in segments(folder)]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, 180, 1000])
def test_crc32c_is_what_the_polynomial_says(size: int) -> None:
    """At every length modulo eight; the check value; a frame's CRC covers what is before it."""
    data = np.random.default_rng(size).bytes(size)
    assert crc.crc32c(np.frombuffer(data, np.uint8)) == slow_crc32c(data)
    assert crc.crc32c(np.frombuffer(b"123456789", np.uint8)) == 0xE3069283
    before = slow_crc32c(b"before")
    assert crc.continued(before, np.frombuffer(data, np.uint8)) == slow_crc32c(b"before" + data)
    expected = slow_crc32c(struct.pack("<II", before, size) + data)
    assert frame(data, before) == (struct.pack("<II", size, expected), expected)


def test_frames_are_sealed_at_once_as_one_by_one() -> None:
    """The same bytes and the same CRC, whatever the lengths."""
    payloads = [bytes([size % 251]) * size for size in (1, 7, 8, 300, 2**18, 2**19 + 5, 2)]
    expected, chain = b"", 0x12345678
    for payload in payloads:
        head, chain = frame(payload, chain)
        expected += head + payload
    frames, last = sealed(payloads, 0x12345678)
    assert (bytes(frames), last) == (expected, chain)


def test_the_journal_gives_its_kernels_one_type_each(tmp_path: Path) -> None:
    """Writing, reading and the search behind a torn tail use what `compile_all` made ready."""
    path, data, _ = torn_folder(tmp_path)
    path.write_bytes(data + b"torn" * 8)
    assert len(payloads_of(tmp_path)) == 6
    kernels = [entry for name, entry in jit._registry.items() if name.startswith("crc.")]
    for entry in kernels:
        entry.dispatcher(*entry.example())
    assert kernels
    assert {len(entry.dispatcher.signatures) for entry in kernels} == {1}


def test_the_page_shows_the_bytes(tmp_path: Path) -> None:
    """The example of docs/format.md is what is written, and is read."""
    page = hex_of_the_page("## Segments")
    write(tmp_path, [b"home-hero", b"\x01"], len(page))
    assert (tmp_path / name_of(1)).read_bytes() == page
    assert payloads_of(tmp_path) == [b"home-hero", b"\x01"]


def test_golden_journal(tmp_path: Path) -> None:
    """The bytes of a small journal over three segments never change."""
    write(tmp_path, [b"one", b"two" * 9, b"three" * 5, b"four"], 80)
    check_golden("journal.txt", [f"{path.name} {path.read_bytes().hex()}" for path in paths_of(tmp_path)])


def test_the_golden_journal_is_read(tmp_path: Path) -> None:
    """What this version wrote, later ones read."""
    for line in (FOLDER / "journal.txt").read_text("utf-8").splitlines():
        name, _, data = line.partition(" ")
        (tmp_path / name).write_bytes(bytes.fromhex(data))
    assert payloads_of(tmp_path) == [b"one", b"two" * 9, b"three" * 5, b"four"]


def test_segments_are_what_the_page_says(tmp_path: Path) -> None:
    """Written by the reference and by the journal, over rotations: the same bytes, zeros behind the last."""
    write(tmp_path, PAYLOADS)
    rest, position = list(PAYLOADS), Position(1, 0)
    assert len(paths_of(tmp_path)) > 5
    for path in paths_of(tmp_path):
        data = path.read_bytes()
        found = frames.Frames(str(path), data)
        count = len(list(found))
        expected = segment(*position, rest[:count])
        assert data == (expected if path != paths_of(tmp_path)[-1] else expected.ljust(SEGMENT, b"\0"))
        rest, position = rest[count:], found.position
    assert rest == []
    assert (tmp_path / AHEAD[0]).read_bytes() == bytes(SEGMENT)


def test_reading_goes_on_from_any_number(tmp_path: Path) -> None:
    """From every number on; a number beyond the end is damage, for a snapshot knew more."""
    end = write(tmp_path, PAYLOADS)
    for after in range(len(PAYLOADS) + 1):
        reader = read(tmp_path, after)
        assert [payload for _, payload in reader] == PAYLOADS[after:]
        assert (reader.position, reader.torn) == (end, None)
    with pytest.raises(CorruptJournal, match="expected frames up to 40, found the end at 39"):
        list(read(tmp_path, 40))


def test_an_empty_folder_is_a_beginning(tmp_path: Path) -> None:
    """Nothing there: number 1 comes next. With a snapshot that holds some, the journal is missing."""
    reader = read(tmp_path, 0)
    assert list(reader) == []
    assert reader.position == Position(1, 0)
    with pytest.raises(CorruptJournal, match="a segment with frame 8, found no segment"):
        list(read(tmp_path, 7))


def test_each_start_goes_on(tmp_path: Path) -> None:
    """Killed or closed, with frames or none: the next start's segment continues the chain."""
    expected: list[bytes] = []
    for start in range(8):
        reader = read(tmp_path, 0)
        assert [payload for _, payload in reader] == expected
        sequence, chain = reader.position
        journal = Journal(tmp_path, sequence=sequence, chain=chain, segment_bytes=SEGMENT)
        for payload in PAYLOADS[: 5 * (start % 3)]:
            journal.append(payload)
            expected.append(payload)
        if start % 2:
            journal.close()
            assert not (tmp_path / AHEAD[0]).exists()
            assert not paths_of(tmp_path)[-1].read_bytes().endswith(b"\0")
        else:
            journal.flush()


def test_a_segment_with_frames_is_never_replaced(tmp_path: Path) -> None:
    """A start from a number that is taken is refused, and changes nothing."""
    write(tmp_path, PAYLOADS)
    with pytest.raises(CorruptJournal, match="expected nothing yet"):
        Journal(tmp_path, sequence=1, chain=0, segment_bytes=SEGMENT)
    assert payloads_of(tmp_path) == PAYLOADS


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=120), st.none()), max_size=60), st.integers(1, 5))
def test_any_split_reads_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | None], n: int
) -> None:
    """Any appends, with flushes, syncs and starts (None) between them."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, sequence=1, chain=0, segment_bytes=SEGMENT)
    for index, step in enumerate(steps):
        if step is not None:
            assert journal.append(step) == journal.position.sequence - 1
        elif index % n == 0:
            journal.close()
            sequence, chain = journal.position
            journal = Journal(folder, sequence=sequence, chain=chain, segment_bytes=SEGMENT)
        else:
            assert journal.flush() == journal.sync() == journal.position.sequence - 1
    journal.close()
    reader = read(folder, 0)
    assert [payload for _, payload in reader] == [step for step in steps if step is not None]
    assert reader.position == journal.position


# A tail that was interrupted


def torn_folder(folder: Path) -> tuple[Path, bytes, list[int]]:
    """Six frames in one segment: its path, its used bytes, and where each frame ends."""
    write(folder, PAYLOADS[4:10], 400)
    path = folder / name_of(1)
    ends = [frames.HEADER_BYTES]
    for payload in PAYLOADS[4:10]:
        ends.append(ends[-1] + frames.FRAME_BYTES + len(payload))
    return path, path.read_bytes()[: ends[-1]], ends


@pytest.mark.parametrize("tail", ["cut", "zeros", "garbage", "garbage and zeros"])
def test_a_torn_tail_keeps_the_prefix(tmp_path: Path, tail: str) -> None:
    """At every byte of the last three frames: the frames before stay, the rest is reported and can be cut."""
    path, data, ends = torn_folder(tmp_path)
    garbage = np.random.default_rng(5).integers(1, 256, 60, np.uint8).tobytes()
    behind = {"cut": b"", "zeros": bytes(60), "garbage": garbage, "garbage and zeros": garbage + bytes(60)}
    for at in range(ends[3], ends[-1]):
        path.write_bytes(data[:at] + behind[tail])
        whole = sum(end <= at for end in ends) - 1
        reader = read(tmp_path, 0)
        assert [payload for _, payload in reader] == PAYLOADS[4 : 4 + whole]
        rest = path.read_bytes()[ends[whole] :].rstrip(b"\0")
        assert (reader.torn is not None) == bool(rest)
        if reader.torn is not None:
            assert reader.torn == (str(path), ends[whole], len(rest))
            assert cut_tail(reader.torn).read_bytes() == rest
        again = read(tmp_path, 0)
        assert len(list(again)) == whole
        assert (again.torn, again.position) == (None, reader.position)
        sequence, chain = reader.position
        journal = Journal(tmp_path, sequence=sequence, chain=chain, segment_bytes=SEGMENT)
        journal.append(b"after")
        journal.close()
        assert payloads_of(tmp_path) == [*PAYLOADS[4 : 4 + whole], b"after"]
        (tmp_path / name_of(sequence)).unlink()


def test_a_torn_tail_before_an_empty_segment(tmp_path: Path) -> None:
    """A start that forgot to cut the tail made an empty segment behind it: still a torn tail."""
    path, data, ends = torn_folder(tmp_path)
    path.write_bytes(data[:-1])
    reader = read(tmp_path, 0)
    list(reader)
    Journal(tmp_path, sequence=reader.position.sequence, chain=reader.position.chain, segment_bytes=SEGMENT)
    again = read(tmp_path, 0)
    assert len(list(again)) == 5
    assert again.torn == (str(path), ends[5], len(data) - 1 - ends[5])


# Damage


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path, number: int) -> None:
    """Each bit of a frame that is not the last, header and payload: named by file, byte and remedy.

    But for the length of the last but one, which cannot be told from a torn tail.
    """
    path, data, ends = torn_folder(tmp_path)
    before = ends[number - 1]
    for bit in range(8 * before + (32 if number == 5 else 0), 8 * ends[number]):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        seen: list[tuple[int, bytes]] = []
        with pytest.raises(CorruptJournal) as caught:
            seen.extend(read(tmp_path, 0))
        assert [payload for _, payload in seen] == PAYLOADS[4 : 3 + number]
        assert (caught.value.path, caught.value.offset) == (str(path), before)
        assert f"{path}: byte {before}: expected frame {number}," in str(caught.value)
        assert "`banditd verify`" in str(caught.value)
        assert "`banditd repair`" in str(caught.value)


def test_a_flipped_bit_of_a_header_is_found(tmp_path: Path) -> None:
    """Each bit of a segment's header, of the first segment and of a later one."""
    write(tmp_path, PAYLOADS)
    for path in paths_of(tmp_path)[:2]:
        data = path.read_bytes()
        for bit in range(8 * frames.HEADER_BYTES):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            with pytest.raises(CorruptJournal) as caught:
                list(read(tmp_path, 0))
            assert caught.value.path == str(path)
        path.write_bytes(data)


def test_a_tail_of_an_earlier_segment_is_damage(tmp_path: Path) -> None:
    """Cut, zeroed or altered: a segment that is not the last with frames has no torn tail."""
    write(tmp_path, PAYLOADS)
    first = paths_of(tmp_path)[0]
    data = first.read_bytes()
    used = data.rstrip(b"\0")
    for damaged in (used[:-1], used[:-1] + bytes(1), used + b"x", used[:-1] + b"x", data[:20], b""):
        first.write_bytes(damaged)
        with pytest.raises(CorruptJournal):
            list(read(tmp_path, 0))


def test_a_missing_segment_is_damage(tmp_path: Path) -> None:
    """Any but the last that is taken away or renamed; the first ones may be gone if a snapshot holds them."""
    write(tmp_path, PAYLOADS)
    paths = paths_of(tmp_path)
    for index, path in enumerate(paths[:-1]):
        for other in ("elsewhere", name_of(1000), "first.journal"):
            path.rename(tmp_path / other)
            with pytest.raises(CorruptJournal):
                list(read(tmp_path, 0))
            (tmp_path / other).rename(path)
        after = int(paths[index + 1].stem) - 1
        path.rename(tmp_path / "elsewhere")
        if index == 0:
            assert payloads_of(tmp_path, after) == PAYLOADS[after:]
            with pytest.raises(CorruptJournal, match=f"a segment with frame {after}, found"):
                list(read(tmp_path, after - 1))
        (tmp_path / "elsewhere").rename(path)


def test_other_versions_are_refused(tmp_path: Path) -> None:
    """A format that is newer is named, not guessed at."""
    write(tmp_path, PAYLOADS[:1])
    path = tmp_path / name_of(1)
    data = bytearray(path.read_bytes())
    data[7] = 2
    path.write_bytes(data)
    with pytest.raises(CorruptJournal, match="expected a header with its CRC"):
        list(read(tmp_path, 0))
    data[28:32] = struct.pack("<I", crc.crc32c(np.frombuffer(bytes(data[:28]), np.uint8)))
    path.write_bytes(data)
    with pytest.raises(NewerFormat, match="version 2 of the journal's format, this program knows 1"):
        list(read(tmp_path, 0))


def test_a_search_that_is_too_long_counts_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be told from damage within the bound is not cut off."""
    path, data, ends = torn_folder(tmp_path)
    path.write_bytes(data[: ends[4]] + (struct.pack("<I", 20) * 100))
    reader = read(tmp_path, 0)
    assert len(list(reader)) == 4
    assert reader.torn is not None
    monkeypatch.setattr("bandit.limits.JOURNAL_PROOF_BYTES_MAX", 1000)
    with pytest.raises(CorruptJournal):
        list(read(tmp_path, 0))


EDIT = st.tuples(st.integers(0, 3), st.integers(0, SEGMENT), st.integers(0, 9), st.binary(max_size=9))
"""Which segment, at which byte, how many are removed, what is put there."""


@given(st.lists(EDIT, max_size=4))
def test_any_edit_leaves_a_prefix_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int, int, bytes]]
) -> None:
    """Bytes replaced, added and removed anywhere: a prefix is read, then comes the end or CorruptJournal."""
    folder = tmp_path_factory.mktemp("journal")
    write(folder, PAYLOADS)
    for number, at, removed, added in edits:
        path = paths_of(folder)[number]
        data = path.read_bytes()
        path.write_bytes(data[:at] + added + data[at + removed :])
    seen: list[bytes] = []
    with suppress(CorruptJournal):
        seen.extend(payload for _, payload in read(folder, 0))
    assert seen == PAYLOADS[: len(seen)]
