"""The study of delayed rewards, in small: the same world, few seeds, the bar of a third."""

from dataclasses import replace

import pytest

from loadtest.delay_study import BAR, KINDS, SCENARIOS, bias, regret_ratio
from loadtest.delay_world import run

SEEDS = 6
PER_HOUR = 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_third_of_the_bias_and_no_more_regret(kind: str) -> None:
    """Delays of 6 h, a window of 24 h, an arm added after 36: its bias 8 h later, and that of the others."""
    scenario = replace(SCENARIOS["6 h"], hours=44.5, looks_h=(18, 44))
    plain, corrected = (
        [run(scenario, kind, seed, PER_HOUR, delayed=delayed) for seed in range(SEEDS)]
        for delayed in (False, True)
    )
    old, new = slice(0, 3), slice(3, 4)
    for look, arms in ((0, old), (1, old), (1, new)):
        before, after = bias(plain, look, arms), bias(corrected, look, arms)
        print(kind, look, arms, before, after)
        assert before > 0.1
        assert after <= BAR * before
    ratio, low, _ = regret_ratio(corrected, plain)
    print(kind, ratio)
    assert low <= 1.0
    assert ratio < 0.9
