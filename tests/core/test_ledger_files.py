"""The ledger's files: what a snapshot lists is what is read, and what is not what it lists is named.

(Faults 1, 2 and 8, on the ledger alone.)
"""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import ledger_files
from bandit.corruption import NewerFormat
from bandit.footer import Listed
from bandit.ledger import Ledger, decision_key
from bandit.ledger_files import LedgerFiles
from bandit.ledger_reader import CorruptLedger, readable
from bandit.limits import LEDGER_BYTES_MAX
from tests.core.journals import hex_of_the_page, slow_crc32c
from tests.core.test_ledger_news import GOOD, OPERATIONS, Operation, content, entry, run
from tests.core.world import DAY, HOUR, NOW
from tests.goldens import check_golden

SECOND_FRAME = 32 + 16 + 80
"""Where it stands in the file of `small`."""
PAGE_NAME = "00000000000000000042-37.ledger"
Listing = tuple[Listed, ...]


def loaded(folder: Path, listing: Listing) -> Ledger:
    """What is read of a listing."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    LedgerFiles(folder).load(listing, ledger)
    return ledger


def counting(*counters: int, window_us: int = DAY, ledger: Ledger | None = None) -> Ledger:
    """A ledger that notes, with an event of each of these decisions."""
    ledger = ledger or Ledger(LEDGER_BYTES_MAX, noting=True)
    for counter in counters:
        ledger.count(window_us, NOW, decision_key(0, counter), 1.0, 0)
    return ledger


def written(folder: Path, number: int, bits: int, frames: list[tuple[int, bytes]]) -> Listing:
    """Write a file as docs/format.md says, of (through, entries); list it."""
    data = b"BANDITL\x01" + struct.pack("<QB11x", number, bits)
    chain = slow_crc32c(data)
    data += struct.pack("<I", chain)
    for through, entries in frames:
        payload = struct.pack("<Q", through) + entries
        head = struct.pack("<I", len(payload))
        chain = slow_crc32c(struct.pack("<I", chain) + head + payload)
        data += head + struct.pack("<I", chain) + payload
    name = f"{number:020d}-{bits:02d}.ledger"
    (folder / name).write_bytes(data)
    return (Listed(name, len(data), chain),)


def test_the_page_shows_the_bytes(tmp_path: Path) -> None:
    """The example of docs/format.md is what is written, and is read."""
    time_us = 1_800_000_000_000_000
    ledger = Ledger(LEDGER_BYTES_MAX, noting=True)
    ledger.count(DAY, time_us - DAY - 1, decision_key(1, 70), 1.0, 0)
    ledger.take_news()
    ledger.expire(time_us)
    ledger.show(DAY, time_us, decision_key(1, 65_606))
    ledger.show(DAY, time_us + 1, decision_key(1, 65_607))
    ledger.count(DAY, time_us, decision_key(1, 65_606) | 2, 1.5, int.from_bytes(b"orderaid", "little"))
    listing = LedgerFiles(tmp_path).append(ledger.take_news(), 42)
    page = hex_of_the_page("## Ledger files")
    assert (tmp_path / PAGE_NAME).read_bytes() == page
    assert listing == (Listed(PAGE_NAME, len(page), 0x12E3F9BB),)
    assert content(loaded(tmp_path, listing)) == content(ledger)


def test_files_are_what_the_page_says(tmp_path: Path) -> None:
    """Blocks of several snapshots, written by the plain reference and by us: the same bytes."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ledger, files, frames = Ledger(LEDGER_BYTES_MAX, noting=True), LedgerFiles(tmp_path / "a"), []
    for through in (7, 8, 20):
        news = counting(through, through + 1, ledger=ledger).take_news()
        frames.append((through, bytes(news)))
        listing = files.append(news, through)
    assert listing == written(tmp_path / "b", 7, 37, frames)
    assert (tmp_path / "a" / listing[0].name).read_bytes() == (tmp_path / "b" / listing[0].name).read_bytes()


def test_golden_ledger(tmp_path: Path) -> None:
    """The bytes of the files of three snapshots, with all kinds of entry and two lengths of window."""
    ledger, files = Ledger(LEDGER_BYTES_MAX, noting=True), LedgerFiles(tmp_path)
    for through, after_us in ((3, 0), (9, 2 * HOUR), (11, 2 * HOUR + 1)):
        ledger.expire(NOW + after_us)
        ledger.count(HOUR, NOW + after_us, decision_key(0, through), 0.5, 0)
        ledger.count(DAY, NOW + after_us, decision_key(1, through) | 3, -2.5, 0xFEED)
        ledger.show(DAY, NOW + after_us, decision_key(1, through))
        listing = files.append(ledger.take_news(), through)
    lines = [f"{one.name} {one.bytes} {one.chain:08x}" for one in listing]
    lines += [f"{path.name} {path.read_bytes().hex()}" for path in sorted(tmp_path.iterdir())]
    check_golden("ledger.txt", lines)


@given(st.lists(st.tuples(OPERATIONS, st.integers(0, 3)), min_size=1, max_size=6), st.integers(40, 400))
@settings(max_examples=150)
def test_every_listing_is_the_ledger_of_its_snapshot(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[list[Operation], int]], file_bytes: int
) -> None:
    """Any changes, snapshots, failed snapshots, restarts: what the two newest list is what the ledger was.

    In tiny blocks and files, so that all borders are crossed; after `trim` only what they list is there.
    """
    folder = tmp_path_factory.mktemp("ledger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_files, "_BLOCK_ENTRIES", 3)
        ledger, files = Ledger(LEDGER_BYTES_MAX, noting=True), LedgerFiles(folder, file_bytes=file_bytes)
        kept: list[tuple[Listing, str]] = [((), content(ledger))]
        for through, (operations, then) in enumerate(rounds, 1):
            before = Ledger(LEDGER_BYTES_MAX)
            LedgerFiles(folder).load(kept[-1][0], before)
            for operation in operations:
                if operation[0] != "take":
                    run(ledger, operation)
            listing = files.append(ledger.take_news(), through)
            if then == 0:  # killed before the snapshot has its name: replay does the same again
                files = LedgerFiles(folder, file_bytes=file_bytes)
                files.load(kept[-1][0], ledger := Ledger(LEDGER_BYTES_MAX, noting=True))
                for operation in operations:
                    if operation[0] != "take":
                        run(ledger, operation)
                listing = files.append(ledger.take_news(), through)
            kept = [*kept, (listing, content(ledger))][-2:]
            files.trim([one for one, _ in kept])
            assert {path.name for path in folder.iterdir()} == {one.name for each, _ in kept for one in each}
            for one, expected in kept:
                assert content(loaded(folder, one)) == expected
            if then == 1:
                files = LedgerFiles(folder, file_bytes=file_bytes)
                files.load(listing, ledger := Ledger(LEDGER_BYTES_MAX, noting=True))


def small(folder: Path) -> tuple[Listing, str]:
    """A file of two frames, with each kind of entry, and what it says."""
    listing = written(
        folder, 3, 37, [(3, GOOD[0] + entry(3, DAY, 0, 1 << 20, 0, 0)), (5, entry(2, DAY, NOW, 0, 0, 9))]
    )
    return listing, content(loaded(folder, listing))


def test_damage_is_named(tmp_path: Path) -> None:
    """Every flipped bit and every shorter length of what is listed: CorruptLedger, in this file."""
    listing, expected = small(tmp_path)
    path = tmp_path / listing[0].name
    good = path.read_bytes()
    for byte in range(len(good)):
        frame = 0 if byte < 32 else 32 if byte < SECOND_FRAME else SECOND_FRAME
        for bit in range(8):
            path.write_bytes(good[:byte] + bytes([good[byte] ^ 1 << bit]) + good[byte + 1 :])
            with pytest.raises(CorruptLedger) as error:
                loaded(tmp_path, listing)
            assert (error.value.path, error.value.offset) == (str(path), frame)
        path.write_bytes(good[:byte])
        message = f"byte {byte}: expected {len(good)} bytes, as the snapshot lists, found {byte};"
        with pytest.raises(CorruptLedger, match=message):
            loaded(tmp_path, listing)
    path.write_bytes(good + b"left by an unfinished snapshot")
    assert content(loaded(tmp_path, listing)) == expected


def test_a_listing_names_a_file_and_a_frame(tmp_path: Path) -> None:
    """Other lengths, another CRC, a file that is missing, has another's name or none of ours: named."""
    (listed,), _ = small(tmp_path)
    path = tmp_path / listed.name
    for size in set(range(listed.bytes)) - {32, SECOND_FRAME}:
        frame = size if size < 32 else 32 if size < SECOND_FRAME else SECOND_FRAME
        with pytest.raises(CorruptLedger, match=rf"ledger: byte {frame}: "):
            loaded(tmp_path, (listed._replace(bytes=size),))
    chain = int.from_bytes(path.read_bytes()[36:40], "little")
    assert loaded(tmp_path, (Listed(listed.name, SECOND_FRAME, chain),)).entries()
    for changed, message in (
        (listed._replace(chain=1), "byte 32: expected frames with the CRC 0x00000001 at their end"),
        (listed._replace(bytes=SECOND_FRAME), "byte 32: expected frames with the CRC"),
        (listed._replace(bytes=2**63), f"byte {listed.bytes}: expected {2**63} bytes, as the snapshot lists"),
        (
            listed._replace(name=f"{4:020d}-37.ledger"),
            "expected 184 bytes, as the snapshot lists, found no such",
        ),
        (
            listed._replace(name="secret.key"),
            r"expected a name of 20 digits, - and two, found 'secret.key'",
        ),
    ):
        with pytest.raises(CorruptLedger, match=message):
            loaded(tmp_path, (changed,))
    renamed = listed._replace(name=f"{4:020d}-37.ledger")
    path.rename(tmp_path / renamed.name)
    with pytest.raises(CorruptLedger, match=r"byte 0: expected the header 42 41 .*, found 42 41"):
        loaded(tmp_path, (renamed,))


def test_how_much_can_be_read(tmp_path: Path) -> None:
    """Of any length, with any byte damaged: the frames before; nothing without a file or its header."""
    (listed,), _ = small(tmp_path)
    path = tmp_path / listed.name
    good = path.read_bytes()
    ends = [32, SECOND_FRAME, len(good)]
    for byte in range(len(good) + 1):
        expected = max([end for end in ends if end <= byte], default=0)
        assert readable(tmp_path, listed._replace(bytes=byte)).bytes == expected
        path.write_bytes(good[:byte] + bytes(255 - each for each in good[byte:]))
        assert readable(tmp_path, listed).bytes == expected
        path.write_bytes(good)
    assert readable(tmp_path, listed._replace(bytes=2**63, chain=0)) == listed
    assert loaded(tmp_path, (readable(tmp_path, listed._replace(bytes=len(good) - 1)),)).entries()
    path.unlink()
    assert readable(tmp_path, listed).bytes == 0


def test_another_version_is_no_damage(tmp_path: Path) -> None:
    """A header of a later version that is whole says which program to take."""
    (listed,), _ = small(tmp_path)
    path = tmp_path / listed.name
    data = bytearray(path.read_bytes())
    data[7] = 2
    data[28:32] = struct.pack("<I", slow_crc32c(bytes(data[:28])))
    path.write_bytes(data)
    with pytest.raises(
        NewerFormat, match=r"ledger: version 2 of the ledger's format, this program knows 1: start"
    ) as error:
        loaded(tmp_path, (listed,))
    assert (error.value.path, error.value.version) == (str(path), 2)


@pytest.mark.parametrize(
    ("frames", "offset"),
    [
        ([(3, GOOD[0]), (4, GOOD[0] + entry(1, DAY, NOW, 0, 0, 1.0))], 32 + 16 + 40 + 16 + 40 + 16),
        ([(3, GOOD[0] + GOOD[0][:20]), (4, GOOD[0][20:])], 32),
        ([(3, GOOD[0]), (4, entry(1, HOUR, NOW, 16, 0, 1.0))], 32 + 16 + 40 + 16),
        ([(3, GOOD[0]), (2, GOOD[0])], 32 + 16 + 40 + 8),
        ([(2, GOOD[0])], 32 + 8),
        ([(3, GOOD[0]), (4, b"")], 32 + 16 + 40),
    ],
)
def test_what_nobody_can_have_written_is_named(
    tmp_path: Path, frames: list[tuple[int, bytes]], offset: int
) -> None:
    """With good CRCs all the same: an entry that cannot be, half of one, a wrong window, falling numbers."""
    listing = written(tmp_path, 3, 37, frames)
    with pytest.raises(CorruptLedger) as error:
        loaded(tmp_path, listing)
    assert error.value.offset == offset
