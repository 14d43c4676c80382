"""The bench of measuring: it measures what it says, and leaves the engine as it was."""

import pytest

from bandit.placement import PlacementState
from loadtest.measuring_bench import ALL, SERVED, made, unmeasured


def test_one_measures_and_the_other_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums of three policies grow with each choice; without measuring they stand still."""
    monkeypatch.setattr("loadtest.measuring_bench.CHOICES", 50)
    monkeypatch.setattr("loadtest.measuring_bench.VISITORS", 30)
    measure = PlacementState.measure
    three, alone = made(ALL), made(SERVED)
    placement = three.state.placements["p"]
    assert placement.measuring.epoch.measurement.policies == 4
    assert placement.measuring.epoch.measurement.decisions == 30
    assert unmeasured(three) > 0.0
    assert placement.measuring.epoch.measurement.decisions == 30
    assert placement.counters.decisions.sum() == 80
    assert unmeasured(alone) > 0.0
    assert PlacementState.measure is measure
