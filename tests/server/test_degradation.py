"""Degraded policies are said in the log, once for what came since the last look."""

import numpy as np
import pytest
from structlog.testing import capture_logs

from bandit.config import parse
from bandit.placement import PlacementState
from server.degradation import Degradation


@pytest.fixture
def placement() -> PlacementState:
    """A placement with one learned policy."""
    document = {
        "version": 1,
        "owner": "tests",
        "placements": {
            "hero": {
                "arms": {"a": {}, "b": {}},
                "reward": {"values": {"click": 1.0}},
                "policies": {"personal": {"kind": "linear_thompson"}},
            }
        },
    }
    return PlacementState(parse(document).placements["hero"], 0)


def test_warns_of_each_degraded_policy_once_a_look(placement: PlacementState) -> None:
    """Three degraded decisions are one warning with their number; a look without news says nothing."""
    degradation = Degradation()
    placement.counters.degraded += np.array([0, 3])
    with capture_logs() as logs:
        degradation.look([placement])
        degradation.look([placement])
    assert [(entry["placement"], entry["policy"], entry["decisions"]) for entry in logs] == [
        ("hero", "personal", 3)
    ]


def test_says_nothing_while_models_are_usable(placement: PlacementState) -> None:
    """No degraded decision, no line."""
    with capture_logs() as logs:
        Degradation().look([placement])
    assert logs == []
