"""With the learner frozen, what a policy would earn as a shadow is what it then earns."""

import pytest

from bandit.judge import Label
from bandit.report import report
from loadtest.frozen_study import KINDS, trial
from tests.core.world import World, simple

SEEDS = 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_shadow_s_estimates_are_what_a_frozen_policy_then_earns(kind: str) -> None:
    """Value and uplift of 20 campaigns: both intervals hold the truth, and the estimates agree.

    Seeds are fixed. Sequences of 95 % hold at all times, so one look misses less: in 0 to 0.5 % of 400 seeds.
    """
    for seed in range(SEEDS):
        for found in trial(kind, seed):
            assert found.shadow.covered, (seed, found)
            assert found.earned.covered, (seed, found)
            assert found.agree, (seed, found)
            assert found.shadow.half < 0.1


def test_without_overlap_a_shadow_is_no_number() -> None:
    """A static campaign of one arm, share 0: whatever the others would show is NO_OVERLAP, for good."""
    policies = {kind: {"kind": kind} for kind in KINDS}
    world = World(p=simple(arms={"a": {}, "b": {"weight": 0}}, policies=policies))
    for i in range(2_100):
        world.now += 1_000_000
        choice = world.choose(unit=f"u{i}")
        if i % 3 == 0:
            world.reward(choice)
    static, *shadows = report(world.state(), world.now).policies
    assert static.label is Label.OK
    assert static.value is not None
    for shadow in shadows:
        assert shadow.label is Label.NO_OVERLAP
        assert shadow.value is shadow.uplift is shadow.routed_uplift is None
