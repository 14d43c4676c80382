"""Snapshots as files: read back whole, or refused with the place; half of one never has a snapshot's name."""

import errno
import os
import struct
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from bandit.apply import apply
from bandit.corruption import NewerFormat
from bandit.footer import Footer, Listed
from bandit.head import pack_head
from bandit.records import Configured, Decided, Rewarded, Started, StratumOpened
from bandit.sections import pack_placement, unpack_placement
from bandit.snapshot import (
    VERSION,
    CorruptSnapshot,
    SnapshotWriter,
    name_of,
    read_footer,
    read_snapshot,
    sequence_of,
    snapshots,
)
from bandit.state import State
from tests.core.journals import Faulty, Stopped, hex_of_the_page, slow_crc32c
from tests.core.snapshots import described, migrated, state_of, write_snapshot
from tests.core.world import NOW, SECOND, START, config, decision, simple, snapshot
from tests.goldens import FOLDER, check_golden

KEPT = sorted(FOLDER.glob("snapshots-v*/*.snapshot"))


def small() -> State:
    """The state of the page's example: two arms, of which the second was shown once and clicked.

    Without what is measured, which takes more bytes than a page has.
    """
    configured = config(home=simple(features={"returning": {"kind": "boolean"}}))
    (schema,) = configured.placements.values()
    made = decision(
        schema_id=schema.schema_id, time_us=NOW + SECOND, arm=1, policy=0, stratum=0, propensity=0.5,
        probabilities=(0.5,), overlaps=(), x=struct.pack("<2H2f", 0, 1, 1.0, 1.0), deferred=False,
        in_scope=False,
    )  # fmt: skip
    state = State(2**20, replaying=True)
    apply(state, Configured(configured, NOW))
    apply(state, Started(START, NOW))
    apply(state, StratumOpened("home", 0b11, in_scope=True))
    apply(state, Decided(made, 0.5, 1.0))
    apply(state, Rewarded(made, "click", 1.0, 0, NOW + 2 * SECOND))
    return state


def payloads(state: State) -> list[bytes]:
    """A snapshot's payloads, after record 5, without the ledger's files."""
    sections = [pack_placement(placement, 5) for placement in state.placements.values()]
    footer = Footer(len(sections), 5, closed=True, ledger=())
    return [pack_head(state, sequence=5, origin="host-1"), *sections, footer.pack()]


def file_of(payloads: list[bytes], version: int = VERSION, sequence: int = 5) -> bytes:
    """A snapshot's bytes, written down from docs/format.md."""
    data = b"BANDITS" + bytes([version]) + struct.pack("<Q12x", sequence)
    chain = slow_crc32c(data)
    data += struct.pack("<I", chain)
    for payload in payloads:
        length = struct.pack("<I", len(payload))
        chain = slow_crc32c(struct.pack("<I", chain) + length + payload)
        data += length + struct.pack("<I", chain) + payload
    return data


def refusal(path: Path) -> CorruptSnapshot:
    """What reading a snapshot raises."""
    with pytest.raises(CorruptSnapshot) as refused:
        read_snapshot(path)
    assert str(refused.value).startswith(f"{path}: byte {refused.value.offset}: expected ")
    assert str(refused.value).endswith(
        "; `banditd verify` lists what is wrong, `banditd repair` sets it aside"
    )
    return refused.value


def refusal_of(folder: Path, data: bytes, sequence: int = 5) -> CorruptSnapshot:
    """What reading these bytes raises."""
    path = folder / name_of(sequence)
    path.write_bytes(data)
    return refusal(path)


def test_the_page_says_what_is_written(tmp_path: Path) -> None:
    """The worked bytes of docs/format.md are those of the writer, and are read back."""
    state = small()
    writer = SnapshotWriter(tmp_path, 5)
    for payload in payloads(state)[:-1]:
        writer.add(payload)
    path = writer.finish(Footer(1, 5, True, (Listed("00000000000000000005-37.ledger", 145, 0x12345678),)))
    assert path == tmp_path / "00000000000000000005.snapshot"
    assert path.read_bytes() == hex_of_the_page("### A snapshot in full")
    found = read_snapshot(path)
    assert snapshot(state_of(found, state.ledger)) == snapshot(state)
    assert (found.head.sequence, found.head.origin) == (5, "host-1")
    assert found.footer == Footer(1, 5, True, (Listed("00000000000000000005-37.ledger", 145, 0x12345678),))


def test_the_writer_writes_what_the_page_says_for_any_payloads(tmp_path: Path) -> None:
    """Header and frames are those of a plain reference; the file is its owner's alone."""
    state = migrated().engine.state
    path = write_snapshot(tmp_path, state, 5)
    found = read_snapshot(path)
    head = pack_head(state, sequence=5, origin="test")
    assert path.read_bytes() == file_of([head, *found.sections, found.footer.pack()])
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_newest_comes_first_and_other_names_are_none(tmp_path: Path) -> None:
    """By the number in the name, up to the largest."""
    state = small()
    paths = [write_snapshot(tmp_path, state, sequence) for sequence in (9, 10, 2**63 - 1)]
    others = ["9.snapshot", f"{9:020}.snapshot.broken", f"{9:020}.snapshot.tmp", "notes"]
    for name in others:
        (tmp_path / name).write_text("other")
    assert snapshots(tmp_path) == paths[::-1]
    assert [sequence_of(path) for path in snapshots(tmp_path)] == [2**63 - 1, 10, 9]
    assert write_snapshot(tmp_path, state, 11) == paths[2].with_name(name_of(11))
    assert not (tmp_path / others[2]).exists()  # what an earlier process left goes with the next one
    assert all((tmp_path / name).exists() for name in ("9.snapshot", others[1], "notes"))


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Wherever it is, and the frame that holds it is named."""
    data = file_of(payloads(small()))
    starts = [0, 32]
    while starts[-1] < len(data):
        starts.append(starts[-1] + 8 + struct.unpack_from("<I", data, starts[-1])[0])
    path = tmp_path / name_of(5)
    path.write_bytes(data)
    with path.open("r+b", buffering=0) as file:
        for at in range(len(data)):
            inside = max(start for start in starts if start <= at)
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([data[at] ^ 1 << bit]), at)
                assert refusal(path).offset == inside
            os.pwrite(file.fileno(), data[at : at + 1], at)
    read_snapshot(path)


def test_every_other_length_is_noticed(tmp_path: Path) -> None:
    """A file that was cut anywhere, also between frames, or has more behind it."""
    data = file_of(payloads(small()))
    for more in (b"\0", bytes(64), data[32:]):
        assert refusal_of(tmp_path, data + more).offset == len(data)
    for size in reversed(range(len(data))):
        os.truncate(tmp_path / name_of(5), size)
        refusal(tmp_path / name_of(5))


def test_a_footer_is_read_alone(tmp_path: Path) -> None:
    """The same as with all before it. Damage to it, and any other length of the file, is noticed."""
    path = write_snapshot(tmp_path, migrated().engine.state)
    assert read_footer(path) == read_snapshot(path).footer
    path = tmp_path / name_of(5)
    data = file_of(payloads(small()))
    footer = range(len(data) - len(payloads(small())[-1]) - 8, len(data))
    wrong = [data[:size] for size in range(len(data))]
    wrong += [data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :] for at in footer]
    wrong += [data + bytes(8), data + b"\xff" * 8, data[:32] + bytes(8), file_of([b"\xc0"])]
    for damaged in wrong:
        path.write_bytes(damaged)
        with pytest.raises(CorruptSnapshot, match=str(path)):
            read_footer(path)
    path.write_bytes(file_of([b"who knows"], version=VERSION + 1))
    with pytest.raises(NewerFormat):
        read_footer(path)


def test_every_other_order_is_noticed(tmp_path: Path) -> None:
    """With right CRCs: frames missing, repeated, exchanged, none at all."""
    head, section, footer = payloads(small())
    for wrong in (
        [], [head], [footer], [head, footer], [head, section], [section, footer], [section, head, footer],
        [head, section, section, footer], [head, section, footer, footer], [head, footer, section],
        [b"\xc0", section, footer], [head, section, b"\xc0"],
    ):  # fmt: skip
        refusal_of(tmp_path, file_of(wrong))
    assert "1 sections as in the head, 1 as in the footer, found 2" in str(
        refusal_of(tmp_path, file_of([head, section, section, footer]))
    )
    assert (
        "the footer as its last frame, found the footer: kind: expected 'footer', found 'placement'"
        in str(refusal_of(tmp_path, file_of([head, section])))
    )


def test_a_header_of_another_file_is_noticed(tmp_path: Path) -> None:
    """Under another name, with a head of another number, before another's frames."""
    whole = file_of(payloads(small()))
    assert refusal_of(tmp_path, whole, 6).offset == 8
    assert refusal_of(tmp_path, file_of(payloads(small()), sequence=6), 6).offset == 32
    assert refusal_of(tmp_path, file_of([], sequence=6) + whole[32:], 6).offset == 32


def test_a_newer_version_is_said_to_be_newer(tmp_path: Path) -> None:
    """Its header has a right CRC. A version that never was is damage."""
    path = tmp_path / name_of(5)
    path.write_bytes(file_of([b"who knows"], version=3))
    with pytest.raises(NewerFormat) as newer:
        read_snapshot(path)
    assert (newer.value.path, newer.value.version) == (str(path), 3)
    assert "version 3 of the snapshot's format, this program knows 2: start the version of" in str(
        newer.value
    )
    assert refusal_of(tmp_path, file_of([b"who knows"], version=0)).offset == 7


def test_a_writer_writes_one_snapshot(tmp_path: Path) -> None:
    """What is missing, or comes after the end, is the caller's mistake."""
    head, section, _ = payloads(small())
    writer = SnapshotWriter(tmp_path, 5)
    assert list(tmp_path.iterdir()) == []
    writer.add(head)
    with pytest.raises(ValueError, match="0 sections were added, the footer says 1"):
        writer.finish(Footer(1, 5, True, ()))
    with pytest.raises(ValueError, match="a payload of 0 bytes"):
        writer.add(b"")
    writer.add(section)
    path = writer.finish(Footer(1, 5, True, ()))
    writer.abandon()
    for late in (lambda: writer.add(section), lambda: writer.finish(Footer(1, 5, True, ()))):
        with pytest.raises(ValueError, match="finished or abandoned"):
            late()
    assert list(tmp_path.iterdir()) == [path]
    other = SnapshotWriter(tmp_path, 6)
    other.add(head)
    assert len(list(tmp_path.iterdir())) == 2
    other.abandon()
    other.abandon()
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="finished or abandoned"):
        other.add(head)


def raised(number: int, *, error: int | None, also_later: bool) -> Callable[..., None]:
    """A fault at a call, and perhaps at all later ones: an error of the file system, or the process's end."""

    def fault(_name: str, at: int, _arguments: object) -> None:
        if at == number or (at > number and also_later):
            raise Stopped if error is None else OSError(error, os.strerror(error))

    return fault


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, None])
@pytest.mark.parametrize("also_later", [False, True])
def test_whatever_fails_the_older_snapshot_stays_and_no_half_one_has_a_name(
    error: int | None, also_later: bool, tmp_path: Path
) -> None:
    """An error at each call in turn, or the process's end: then the next snapshot is written all the same."""
    if error is None and not also_later:
        return  # a process that has ended calls nothing more
    state = small()
    calls = Faulty(lambda *_: None)
    write_snapshot(tmp_path, state, 1, calls)
    assert set(calls.calls[:-4]) == {"open", "write"}
    assert calls.calls[-4:] == ["fsync", "close", "rename", "fsync_dir"]
    for number in range(1, len(calls.calls) + 1):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        old = write_snapshot(folder, state, 1)
        fault = Faulty(raised(number, error=error, also_later=also_later))
        with pytest.raises(Stopped if error is None else OSError):
            write_snapshot(folder, state, 2, fault)
        found = snapshots(folder)
        assert found[-1] == old
        for path in found:
            assert snapshot(state_of(read_snapshot(path), state.ledger)) == snapshot(state)
        if calls.calls[number - 1] != "fsync_dir":
            assert found == [old]
        if not also_later:
            assert list(folder.glob("*.tmp")) == []
        new = write_snapshot(folder, state, 3)
        assert snapshots(folder)[0] == new
        assert list(folder.glob("*.tmp")) == []


def test_what_a_stopped_process_left_is_removed(tmp_path: Path) -> None:
    """If even that fails, it is said, and nothing is written."""
    left = tmp_path / f"{name_of(1)}.tmp"
    left.write_bytes(b"half")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_snapshot(tmp_path, small(), 2, Faulty(raised(1, error=errno.EIO, also_later=False)))
    assert list(tmp_path.iterdir()) == [left]
    path = write_snapshot(tmp_path, small(), 2)
    assert list(tmp_path.iterdir()) == [path]


def test_short_writes_are_finished(tmp_path: Path) -> None:
    """A write that takes a few bytes at a time."""

    def short(name: str, _number: int, arguments: tuple[int, memoryview, int]) -> int | None:
        if name != "write":
            return None
        descriptor, data, offset = arguments
        return os.pwrite(descriptor, data[:7], offset)

    path = write_snapshot(tmp_path, small(), 5, Faulty(short))
    assert path.read_bytes() == write_snapshot(tmp_path, small(), 5).read_bytes()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.parent.name)
def test_snapshots_of_earlier_versions_are_read(path: Path) -> None:
    """To the last bit of what they held when they were written."""
    check_golden(f"{path.parent.name}.txt", described(read_snapshot(path)))


def test_this_version_still_writes_what_it_wrote() -> None:
    """What is read of the kept snapshot of this version is packed to the same bytes."""
    (path,) = [path for path in KEPT if path.parent.name == f"snapshots-v{VERSION}"]
    found = read_snapshot(path)
    for section in found.sections:
        placement, sequence = unpack_placement(section, found.head)
        assert pack_placement(placement, sequence) == section
    digest = blake2b(path.read_bytes(), digest_size=16).hexdigest()
    check_golden(
        "snapshot.txt", [f"{path.parent.name}/{path.name} {path.stat().st_size} bytes, BLAKE2b {digest}"]
    )
