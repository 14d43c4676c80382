"""The journal's segments while calls come: the next one begins before the one that is written is full."""

from pathlib import Path

import pytest

from bandit.journal import Journal
from bandit.journal_reader import segments
from server.recovery import recover
from tests.server.running import Loop, running
from tests.server.stored import LEDGER_BYTES_MAX
from tests.server.test_durability import live, until


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_a_segment_begins_before_a_call_has_to_wait_for_it(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str
) -> None:
    """In its last quarter all is synced by a thread and the next one begins: there is little left to sync."""
    unsynced: list[int] = []
    rotate = Journal.rotate

    def watched(journal: Journal) -> None:
        unsynced.append(journal.position.sequence - 1 - journal.synced)
        rotate(journal)

    monkeypatch.setattr(Journal, "rotate", watched)
    segment_bytes = 2**16
    with running(loop, tmp_path, fsync=fsync, journal_segment_bytes=segment_bytes) as server:
        folder = tmp_path / "data" / "journal"
        assert server.sidecar.durability is not None
        store = server.sidecar.durability.store
        while not store.ends_soon:
            live(server, 5)
        until(lambda: len(segments(folder)) == 2)
        assert unsynced == [0]
        first, _ = segments(folder)
        assert 0.7 * segment_bytes < first.bytes < segment_bytes
    assert recover(tmp_path / "data", ledger_bytes_max=LEDGER_BYTES_MAX).state.placements
