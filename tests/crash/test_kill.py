"""The real server, killed under load: a few times here, hundreds of times by `python -m loadtest.crash`."""

from pathlib import Path

import pytest

from loadtest.crash import KINDS, crash


@pytest.mark.parametrize(("transport", "fsync", "seed"), [("ngh2", "interval", 1), ("grpcio", "always", 2)])
def test_killed_at_random_times(tmp_path: Path, transport: str, fsync: str, seed: int) -> None:
    """Fault 1: everything acknowledged is there exactly once, bit for bit as the whole journal has it."""
    run = crash(tmp_path, 5, ["--transport", transport, "--fsync", fsync], seed)
    assert run.kills == 5
    assert set(KINDS) - {"stopping"} <= set(run.figures)  # which may have been too late
    assert len(run.book.decisions) > 100
    assert len(run.book.acknowledged()) > 100
