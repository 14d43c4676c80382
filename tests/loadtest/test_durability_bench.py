"""The program that measures durability: what it reads, what it holds to a bar, and that its parts run."""

import shutil
from pathlib import Path

import pytest

from bandit.journal_reader import segments
from loadtest import durability_replay, durability_snapshots
from loadtest.durability_bench import UNJOURNALED, Verdict
from loadtest.durability_client import shop
from loadtest.durability_snapshots import Quantiles, Snapshots, logged
from loadtest.transport_load import Shape
from loadtest.transport_subjects import cores, request, sidecar
from server.recovery import Folders

H2LOAD = pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load (nghttp2-client) is not installed")


@pytest.mark.parametrize(
    ("bound", "at_most", "said"),
    [(2.0, True, "≤ 2"), (1.9, True, "ABOVE 1.9"), (2.0, False, "≥ 2"), (2.1, False, "BELOW 2.1")],
)
def test_the_median_is_held_to_the_bar(bound: float, at_most: bool, said: str) -> None:
    """On the bar is met; the row shows median, lowest, highest and which side it is on."""
    verdict = Verdict("figure", [9.0, 2.0, 1.0], bound, at_most)
    assert verdict.met == (said[0] in "≤≥")
    assert str(verdict) == f"| figure | 2.00 | 1.00 | 9.00 | {said} |"


def test_quantiles_of_a_log(tmp_path: Path) -> None:
    """In milliseconds, of every call."""
    log = tmp_path / "log"
    log.write_text("".join(f"1795339428400077\t200\t{us}\n" for us in range(1_001)))
    assert logged(log) == pytest.approx(Quantiles(0.5, 0.9, 0.99, 0.999, 1.0))


def test_a_sidecar_without_a_journal(tmp_path: Path) -> None:
    """It journals its start, and nothing of what it decides and learns."""
    with sidecar(tmp_path, ("--fsync", "interval"), cores()[0], UNJOURNALED) as server:
        taken = shop(server.target, [request()], Shape(2, 2), 0.2)
    assert taken.chosen > 0
    assert taken.rewarded > 0
    held = sum(segment.bytes for segment in segments(Folders.of(tmp_path / "data").journal))
    assert 0 < held < 2_000


def test_a_journal_is_replayed_as_it_was_taken_in(tmp_path: Path) -> None:
    """All records of the load are found again; every rate is told."""
    found = durability_replay.replay_round(tmp_path, cores()[0], (), 0.2)
    assert found.taken_per_cpu_s > 0
    assert found.taken_per_s > 0
    assert found.replayed_per_cpu_s > 0
    assert found.replayed_per_s > 0


@H2LOAD
def test_placements_that_have_learned_beside_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshots are taken only where they are wanted; all placements load, with what they learned."""
    monkeypatch.setattr(durability_snapshots, "OPEN_S", 0.2)
    monkeypatch.setattr(durability_snapshots, "CLOSED_CALLS", 160)
    subject = Snapshots(tmp_path / "many", 3)
    with subject.serving(cores()[0]):
        with subject.taken(False):
            assert 0.0 < subject.open_loop().p50 < 1_000.0
        assert not subject.seconds
        with subject.taken(True):
            assert 0.0 < subject.closed_loop().p50 < 1_000.0
        assert subject.seconds
    assert subject.bytes > 0
    assert subject.loaded_per_s() > 0  # it looks at what each of them has learned
