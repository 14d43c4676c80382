"""The ledger's files when calls fail, and when windows pass: no listing is harmed, and no file stays on.

(Faults 1, 6, 7 and 8, on the ledger alone.)
"""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bandit import ledger_files
from bandit.files import Files
from bandit.ledger import Ledger, decision_key
from bandit.ledger_files import LedgerFiles
from bandit.ledger_reader import CorruptLedger
from bandit.limits import LEDGER_BYTES_MAX
from tests.core.journals import Faulty, Stopped
from tests.core.test_ledger_files import Listing, loaded
from tests.core.test_ledger_news import content
from tests.core.world import DAY, HOUR, NOW, SECOND

FILE_BYTES = 400
WINDOWS = (HOUR - SECOND, DAY)
CUT, NEW = 1, 4
"""Numbers of the snapshots that the tests fail: one cuts and goes on in its files, one begins others."""

Kept = tuple[Listing, str]
"""What a snapshot lists, and what the ledger then held."""


@pytest.fixture(autouse=True)
def _tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several frames a block."""
    monkeypatch.setattr(ledger_files, "_BLOCK_ENTRIES", 6)


class Life:
    """A process with a ledger of two lengths of windows and its files, from a snapshot to the next."""

    def __init__(self, folder: Path, listing: Listing = (), files: Files | None = None) -> None:
        self.ledger = Ledger(LEDGER_BYTES_MAX, noting=True)
        self.files = LedgerFiles(folder, files, file_bytes=FILE_BYTES)
        self.files.load(listing, self.ledger)

    def serve(self, number: int) -> None:
        """Half an hour's events and exposures, in chunks of their own."""
        time_us = NOW + number * HOUR // 2
        self.ledger.expire(time_us)
        for window_us in WINDOWS:
            for key in range(decision_key(number, 1), decision_key(number, 7), decision_key(0, 1)):
                self.ledger.count(window_us, time_us, key | 1, 1 / 3, number)
                self.ledger.show(window_us, time_us, key)

    def snapshot(self, number: int) -> Kept:
        """Write what is new."""
        return self.files.append(self.ledger.take_news(), number), content(self.ledger)


def lived(folder: Path, snapshots: int) -> list[Kept]:
    """The two newest of so many snapshots, and behind each file what an unfinished one left."""
    life = Life(folder)
    kept: list[Kept] = [((), content(life.ledger))]
    for number in range(snapshots):
        life.serve(number)
        kept = [*kept, life.snapshot(number)][-2:]
        life.files.trim([listing for listing, _ in kept])
    for path in folder.iterdir():
        with path.open("ab") as file:
            file.write(b"left")
    return kept


def check(folder: Path, *kept: Kept) -> None:
    """What is listed is what it was."""
    for listing, expected in kept:
        assert content(loaded(folder, listing)) == expected


def names(folder: Path) -> set[str]:
    """The files that are there."""
    return {path.name for path in folder.iterdir()}


def next_snapshot(life: Life, number: int, kept: list[Kept]) -> Kept:
    """One more, and the removal of what only the older of those before it lists."""
    taken = life.snapshot(number)
    life.files.trim([kept[-1][0], taken[0]])
    return taken


def calls_of(folder: Path, number: int) -> list[str]:
    """The calls that the next snapshot after so many makes."""
    folder.mkdir()
    kept, files = lived(folder, number), Faulty(lambda *_: None)
    life = Life(folder, kept[-1][0], files)
    life.serve(number)
    next_snapshot(life, number, kept)
    return files.calls


@pytest.mark.parametrize("number", [CUT, NEW])
@pytest.mark.parametrize("half", [False, True])
def test_a_stop_at_any_call_harms_no_listing(tmp_path: Path, number: int, half: bool) -> None:
    """Killed before each call, or half-way through each write: the older listings hold, and it goes on."""
    calls = calls_of(tmp_path / "0", number)
    assert {"open", "write", "fsync", "close", "truncate" if number == CUT else "fsync_dir"} <= set(calls)
    assert number == CUT or "unlink" in calls
    for stop, call in enumerate(calls, 1):
        if half and call != "write":
            continue

        def fault(_name: str, number: int, arguments: tuple[Any, ...], stop: int = stop) -> None:
            if number == stop:
                if half:
                    descriptor, data, offset = arguments
                    os.pwrite(descriptor, data[: len(data) // 2], offset)
                raise Stopped

        folder = tmp_path / str(stop)
        folder.mkdir()
        kept = lived(folder, number)
        life = Life(folder, kept[-1][0], Faulty(fault))
        life.serve(number)
        with pytest.raises(Stopped):
            next_snapshot(life, number, kept)
        check(folder, kept[-1])
        life = Life(folder, kept[-1][0])
        life.serve(number)
        taken = next_snapshot(life, number, kept)
        check(folder, kept[-1], taken)
        assert names(folder) == {one.name for listing, _ in (kept[-1], taken) for one in listing}


@pytest.mark.parametrize("number", [CUT, NEW])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_an_error_at_any_call_is_raised_and_mends(tmp_path: Path, number: int, error: int) -> None:
    """From every single call; the older listings hold, and the next snapshot of the same process has all."""
    for bad in range(1, len(calls_of(tmp_path / "0", number)) + 1):

        def fault(_name: str, number: int, _arguments: tuple[Any, ...], bad: int = bad) -> None:
            if number == bad:
                raise OSError(error, os.strerror(error))

        folder = tmp_path / str(bad)
        folder.mkdir()
        kept = lived(folder, number)
        life = Life(folder, kept[-1][0], Faulty(fault))
        life.serve(number)
        with pytest.raises(OSError, match=os.strerror(error)):
            next_snapshot(life, number, kept)
        check(folder, kept[-1])
        life.serve(number + 1)
        taken = next_snapshot(life, number + 1, kept)
        check(folder, kept[-1], taken)
        assert names(folder) == {one.name for listing, _ in (kept[-1], taken) for one in listing}


def test_what_is_listed_is_on_the_disk(tmp_path: Path) -> None:
    """Each file is synced behind its last write, and the folder behind them when it has a new name."""
    kept = lived(tmp_path, 0)
    for number, fresh in enumerate((True, False, True, False)):
        seen: list[tuple[str, Any]] = []
        files = Faulty(lambda name, _, arguments, seen=seen: seen.append((name, arguments[0])))
        life = Life(tmp_path, kept[-1][0], files)
        life.serve(number)
        kept.append(life.snapshot(number))
        descriptors = {argument for name, argument in seen if name == "write"}
        assert len(descriptors) == len(WINDOWS)
        for descriptor in descriptors:
            last = [name for name, argument in seen if argument == descriptor and name in {"write", "fsync"}]
            assert last[-2:] == ["write", "fsync"]
        assert (seen[-1] == ("fsync_dir", tmp_path)) == fresh


LIMITED = """
import resource, sys
from pathlib import Path
from bandit.ledger import Ledger, decision_key
from bandit.ledger_files import LedgerFiles

ledger, files = Ledger(1 << 30, noting=True), LedgerFiles(Path(sys.argv[1]))
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for counter in range(1, 20_000):
    ledger.count(1 << 40, 1 << 50, decision_key(0, counter), 1.0, 0)
news = ledger.take_news()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(news) // 4 * 3, most))
try:
    files.append(news[: len(news) // 80 * 40], 1)
    files.append(news[len(news) // 80 * 40 :], 2)
except OSError as error:
    print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
loaded = Ledger(1 << 30)
LedgerFiles(Path(sys.argv[1])).load(files.append(b"", 3), loaded)
print(loaded.entries() == ledger.entries())
"""


def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    """RLIMIT_FSIZE in the middle of a block: an error; without the limit what failed is written after all."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [os.strerror(errno.EFBIG), "True"]


def test_an_older_snapshot_takes_over(tmp_path: Path) -> None:
    """The newest cannot be used: what only it lists is cut off and removed, never read for another's."""
    for number in (CUT, NEW):
        folder = tmp_path / str(number)
        folder.mkdir()
        kept = lived(folder, number + 1)
        life = Life(folder, kept[0][0])
        life.serve(number)
        life.serve(number + 1)
        taken = next_snapshot(life, number + 1, kept[:1])
        check(folder, kept[0], taken)
        assert names(folder) == {one.name for listing, _ in (kept[0], taken) for one in listing}
        with pytest.raises(CorruptLedger):
            loaded(folder, kept[1][0])


def test_files_go_as_windows_pass(tmp_path: Path) -> None:
    """Four days of two windows: at each time what is listed is just old enough; in the end nothing is."""
    life = Life(tmp_path)
    kept: list[Kept] = []
    for number in range(4 * 48):
        life.serve(number)
        kept = [*kept, life.snapshot(number)][-2:]
        life.files.trim([listing for listing, _ in kept])
        check(tmp_path, kept[-1])
        listing, _ = kept[-1]
        oldest = {bits: min(one.name for one in listing if one.name[21:23] == bits) for bits in ("32", "37")}
        # a decision and its file's other half hour before it
        assert int(oldest["32"][:20]) >= number - 1 - 1
        assert int(oldest["37"][:20]) >= number - 48 - 1
    life.ledger.expire(NOW + 10 * DAY)
    assert life.snapshot(4 * 48) == ((), content(Ledger(LEDGER_BYTES_MAX)))
    assert life.files.trim([()]) != []
    assert names(tmp_path) == set()


def test_what_was_dropped_stays_dropped(tmp_path: Path) -> None:
    """A file that says so is listed as long as one before it holds what it speaks of."""
    life = Life(tmp_path)
    count, expire = life.ledger.count, life.ledger.expire
    count(DAY, NOW, decision_key(0, 1), 1.0, 0)
    count(DAY, NOW + 12 * HOUR, decision_key(1, 1), 1.0, 0)
    life.files = LedgerFiles(tmp_path, file_bytes=1)
    listings = [life.snapshot(1)]
    expire(NOW + DAY + 1)
    listings.append(life.snapshot(2))
    count(DAY, NOW + 1, decision_key(0, 2), 2.0, 0)
    listings.append(life.snapshot(3))
    assert [len(listing) for listing, _ in listings] == [1, 2, 3]
    check(tmp_path, *listings)
    assert loaded(tmp_path, listings[2][0]).value(DAY, decision_key(0, 1)) is None
    expire(NOW + 2 * DAY)
    assert life.snapshot(4) == ((), content(life.ledger))


def test_when_a_further_file_is_begun(tmp_path: Path) -> None:
    """At so many bytes, or past an eighth of the shortest window in a file; once at a number."""
    ledger, files = Ledger(LEDGER_BYTES_MAX, noting=True), LedgerFiles(tmp_path, file_bytes=300)
    eighth = (1 << 36) // 8
    for number, after_us, count in (
        (1, 0, 1),
        (2, eighth, 1),
        (3, 0, 1),
        (4, eighth + 1, 1),
        (5, 2 * eighth, 2),
        (5, 4 * eighth, 2),
        (5, 4 * eighth, 2),
        (6, 4 * eighth, 3),
    ):
        ledger.count(DAY, NOW + after_us, decision_key(0, number), 1.0, 0)
        listing = files.append(ledger.take_news(), number)
        assert len(listing) == count, number
    for number in range(7, 12):
        ledger.count(DAY, NOW + 4 * eighth, decision_key(0, number), 1.0, 0)
        files.append(ledger.take_news(), number)
    listing = files.append(b"", 12)
    assert [one.bytes for one in listing] == [32 + 4 * 56, 32 + 3 * 56, 32 + 5 * 56, 32 + 56]
    assert content(loaded(tmp_path, listing)) == content(ledger)


def test_only_files_of_the_ledger_are_removed(tmp_path: Path) -> None:
    """Other names stay, and so does what the latest listing has, whatever is asked."""
    kept = lived(tmp_path, 1)
    others = {"00000000000000000001.journal", "1-37.ledger", f"{0:020d}-37.ledger.broken", "notes"}
    for name in {*others, f"{9:020d}-37.ledger", f"{9:020d}-01.ledger"}:
        (tmp_path / name).write_bytes(b"")
    life = Life(tmp_path, kept[-1][0])
    assert life.files.trim([]) == [f"{9:020d}-01.ledger", f"{9:020d}-37.ledger"]
    assert names(tmp_path) == others | {one.name for one in kept[-1][0]}
    check(tmp_path, kept[-1])


def test_a_file_that_became_shorter_is_not_gone_on_with(tmp_path: Path) -> None:
    """Nothing is written behind a hole."""
    kept = lived(tmp_path, 1)
    life = Life(tmp_path, kept[-1][0])
    life.serve(1)
    path = tmp_path / kept[-1][0][0].name
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CorruptLedger, match=r"byte 50: expected \d+ bytes, as were written, found 50;"):
        life.snapshot(1)
