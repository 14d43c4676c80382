"""Every row of the table of recovery, on a disk: what is found there, what a start does, what it says."""

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bandit.apply import apply
from bandit.engine import Engine
from bandit.journal_reader import read, segments
from bandit.kernels.crc import crc32c
from bandit.limits import LEDGER_BYTES_MAX
from bandit.record_codec import decode
from bandit.recovery import Action, Snapshots, Tail, action
from bandit.snapshot import snapshots
from bandit.state import State
from server.exit_codes import ExitCode, StartError
from server.recovery import Folders, recover, survey
from server.store import Keep, Store
from tests.core.world import KEYS, NOW, SECOND, config, hero, snapshot

SEGMENT = 6_000
"""Bytes of a segment: some twenty decisions."""


class Life:
    """A store and an engine in a folder that keeps its whole journal."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(
            folder, ledger_bytes_max=LEDGER_BYTES_MAX, origin="here", segment_bytes=SEGMENT, keep=Keep(1e9)
        )
        start = (len(self.store.state.starts) + 1).to_bytes(16, "little")
        self.engine = Engine(
            config(p=hero()), KEYS, origin="here", start_id=start, now_us=NOW, state=self.store.state,
            journal=self.store,
        )  # fmt: skip
        self._visits = 0

    def visit(self, times: int = 40) -> None:
        """Choose, and reward every other time."""
        for _ in range(times):
            self._visits += 1
            now_us = NOW + self._visits * SECOND
            context = {"platform": ["web", "app", "tv"][self._visits % 3]}
            choice = self.engine.choose("p", f"u{self._visits}", context, {}, (), False, now_us)
            if self._visits % 2:
                self.engine.reward(choice.decision_id, "visit", 1.0, "", now_us)
            self.store.flush()

    def snapshot(self, *, closed: bool = False) -> None:
        """Take a snapshot; visitors come between its steps, unless it is the last."""
        for work in self.store.snapshot(closed=closed):
            if work is not None:
                work()
            elif not closed:
                self.visit(5)


def live(folder: Path, side: Snapshots) -> None:
    """Leave a directory whose snapshots are `side`, over several segments of journal."""
    life = Life(folder)
    life.visit()
    if side is not Snapshots.NONE:
        life.snapshot()
        life.visit()
        life.snapshot(closed=side is Snapshots.CLOSED)
    if side is not Snapshots.CLOSED:
        life.visit()
    life.store.close()
    damaged = {Snapshots.OLDER: 1, Snapshots.DAMAGED: 2}.get(side, 0)
    for path in islice(snapshots(Folders.of(folder).snapshots), damaged):
        change(path, 100, lambda byte: byte ^ 1)
    if side is Snapshots.NEWER:
        make_newer(snapshots(Folders.of(folder).snapshots)[0])


def make_newer(path: Path) -> None:
    """Give a file a version that is not known yet."""
    data = bytearray(path.read_bytes())
    data[7] += 1
    data[28:32] = crc32c(np.frombuffer(bytes(data[:28]), np.uint8)).to_bytes(4, "little")
    path.write_bytes(data)


def change(path: Path, offset: int, to: Callable[[int], int]) -> None:
    """Change a byte of a file."""
    data = bytearray(path.read_bytes())
    data[offset] = to(data[offset])
    path.write_bytes(data)


def damage(folder: Path, tail: Tail, after: int) -> None:
    """Make the journal behind record `after` what `tail` says."""
    journal = Folders.of(folder).journal
    present = segments(journal)
    needed = [segment for segment in present if segment.first <= after + 1][-1]
    last = present[-1]
    gone = {
        Tail.ABSENT: present,
        Tail.GAP: [segment for segment in present if segment.first <= needed.first],
        Tail.SHORT: [segment for segment in present if segment.first > after],
    }
    for segment in gone.get(tail, []):
        segment.path.unlink()
    if tail is Tail.GAP:
        (journal / f"{after + 2:020d}.journal").touch()
    elif tail is Tail.TORN:
        last.path.write_bytes(last.path.read_bytes() + b"\x30\0\0\0half")
    elif tail is Tail.NEWER:
        make_newer(last.path)
    elif tail is Tail.DAMAGED:
        change(needed.path, needed.bytes // 2, lambda byte: byte ^ 1)


def replayed(folder: Path) -> list[object]:
    """All that the whole journal says, from its first record on."""
    state = State(LEDGER_BYTES_MAX)
    for _, payload in read(Folders.of(folder).journal, 0):
        apply(state, decode(payload))
    return snapshot(state)


CASES = [
    (side, tail)
    for side in Snapshots
    for tail in Tail
    # without placements' sections behind the head, none can be missing; what refuses by itself is one case
    if not (tail is Tail.SHORT and side in {Snapshots.NONE, Snapshots.CLOSED})
    and not (tail is not Tail.WHOLE and side in {Snapshots.DAMAGED, Snapshots.NEWER})
    # behind a stop there is no record that could be damaged
    and not (tail is Tail.DAMAGED and side is Snapshots.CLOSED)
]


@pytest.mark.parametrize(("side", "tail"), CASES, ids=lambda value: value.name)
def test_what_is_found_is_what_the_table_knows(tmp_path: Path, side: Snapshots, tail: Tail) -> None:
    """Survey and start agree with the table; a refusal changes nothing and says where and what to do."""
    live(tmp_path, side)
    whole = replayed(tmp_path)
    taken = survey(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX).base.taken
    damage(tmp_path, tail, taken.sequence if taken else 0)
    before = contents(tmp_path)
    found = survey(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX)
    assert (found.base.side, found.tail if side not in REFUSING else tail) == (side, tail)
    assert found.act is action(side, tail)
    assert contents(tmp_path) == before
    if not found.act.starts:
        with pytest.raises(StartError) as refused:
            recover(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX)
        assert refused.value.code is ExitCode.DATA
        assert str(refused.value) == found.refusal
        assert str(tmp_path) in found.refusal
        assert "banditd" in found.refusal
        assert side is Snapshots.NONE or documented(found.refusal, tmp_path)
        assert contents(tmp_path) == before
        return
    recovered = recover(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX)
    if found.act is not Action.BEGIN and tail is not Tail.ABSENT:
        assert snapshot(recovered.state) == whole
    assert bool(recovered.aside) == (side is Snapshots.OLDER or tail is Tail.TORN)
    assert len(recovered.problems) == (side is Snapshots.OLDER) + (tail is Tail.TORN)
    life = Life(tmp_path)  # and the next start goes on as if nothing had been
    life.visit()
    life.snapshot()
    life.store.close()
    assert recover(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX).problems == ()


def documented(refusal: str, folder: Path) -> bool:
    """Whether the page for operators has this message, up to where it says `…`."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `([^`…]*)…?`", page[page.index("### Refused starts") :], re.MULTILINE)
    said = re.sub(r"\d+", "N", refusal.replace(str(folder), "DATA"))
    return any(said.startswith(row) for row in rows)


REFUSING = {Snapshots.DAMAGED, Snapshots.NEWER}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_replay_reports_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many records were replayed, of how many there are at least."""
    monkeypatch.setattr("server.recovery.REPORT_EVERY", 10)
    live(tmp_path, Snapshots.NONE)
    told: list[tuple[int, int]] = []
    found = survey(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX, progress=lambda *facts: told.append(facts))
    assert [records for records, _ in told] == list(range(10, found.records + 1, 10))
    assert all(records <= at_least <= found.records for records, at_least in told)


def test_a_journal_whose_end_is_lost_starts_and_says_so(tmp_path: Path) -> None:
    """A last segment that was cut between two records looks whole: only `synced` knows better."""
    live(tmp_path, Snapshots.NONE)
    last = [segment for segment in segments(Folders.of(tmp_path).journal) if segment.bytes > 32][-1]
    last.path.write_bytes(last.path.read_bytes()[:32])
    recovered = recover(tmp_path, ledger_bytes_max=LEDGER_BYTES_MAX)
    (problem,) = recovered.problems
    assert "more were on disk: its end was cut or lost" in problem
