"""The benchmark, in small: it runs, its subjects learn the same world, its pieces are those of a Choose."""

import random

import pytest

from bandit.features import ENTRY_BYTES
from loadtest import bench, bench_pieces
from loadtest.bench_subjects import (
    COLUMNS,
    COLUMNS_SET,
    MABWiser,
    OurEngine,
    OurLearner,
    VowpalWabbit,
    contexts,
)


def test_the_world_is_as_described() -> None:
    """10 arms, 32 columns of which 8 are set: what the figures in docs/performance.md are about."""
    learner = OurLearner(encoded=True)
    assert learner._state.encoder.columns == COLUMNS
    encode = learner._state.encoder.encode
    assert {len(encode(*context)[0]) // ENTRY_BYTES for context in contexts()} == {COLUMNS_SET}


def test_it_compares_and_tells(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One round of a few decisions: a row for every subject and for every bar."""
    monkeypatch.setattr(bench, "STEPS", {OurLearner: 20, OurEngine: 20, VowpalWabbit: 20, MABWiser: 3})
    bench.compare(1)
    printed = capsys.readouterr().out
    for name in (
        "banditd's learner: both",
        "banditd's engine",
        "Vowpal Wabbit --bag 5 ÷",
        "MABWiser LinTS ÷",
    ):
        assert f"| {name}" in printed


def test_every_reward_reaches_the_engine() -> None:
    """What is timed as an update is one: the engine has learned from each decision."""
    engine = OurEngine()
    bench.play(engine, 50, random.Random(1))
    placement = engine._engine.state.placements["home-hero"]
    assert sum(placement.counters.exposures) == 50
    assert sum(placement.counters.rewards["click"]) == 50


def test_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every policy's pmf, and each step of Choose and Reward, once."""
    monkeypatch.setattr(bench_pieces, "CALLS", 5)
    monkeypatch.setattr(bench_pieces, "WARM_UP", 20)
    names = [name for name, taken in bench_pieces.pieces() if (taken >= 0).all()]
    assert len(set(names)) == len(names)
    assert {
        "encode the context",
        "score, every pmf, draw (one kernel)",
        "**a whole Choose, bytes to bytes**",
        "**a whole Reward, bytes to bytes**",
    } < set(names)
