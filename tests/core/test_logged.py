"""What a placement learns from logged decisions is what it would have learned by serving them."""

from dataclasses import replace

import numpy as np
import pytest

from bandit.config import Placement, column_names
from bandit.features import Encoder
from bandit.limits import STRATA_MAX
from bandit.logged import TRAINED_STRATA_MAX, Log, trained
from bandit.placement import PlacementState
from bandit.strata import Stratum
from tests.core.world import DAY, NOW, Document, config, hero

ALL = 0b111


def placement(document: Document) -> Placement:
    """The placement of a document."""
    return config(p=document).placements["p"]


def logged(of: Placement, n: int = 300) -> Log:
    """Decisions over ten days, some outside the ramp's scope, some not comparable, some that earned."""
    rng = np.random.default_rng(1)
    encoder = Encoder(of)
    platforms = rng.choice(["web", "app", "tv"], n)
    return Log(
        identity=np.arange(n),
        cluster=None,
        time_us=NOW + np.sort(rng.integers(10 * DAY, size=n)),
        arm=rng.integers(3, size=n),
        reward=np.where(rng.random(n) < 0.3, rng.random(n) * 4, 0.0),
        propensity=np.full(n, 1 / 3),
        comparable=(rng.random(n) < 0.7).astype(float),
        in_scope=rng.random(n) < 0.6,
        x=[encoder.encode({"platform": one}, {"history": rng.uniform(0, 3000)})[0] for one in platforms],
        mask=[ALL] * n,
    )


@pytest.mark.parametrize("half_life", [None, "3d"])
def test_it_is_what_serving_would_have_learned(half_life: str | None) -> None:
    """Tally and strata equal those of a state that exposed and credited each, to rounding by the origin."""
    of = placement(hero(half_life=half_life))
    log, served = logged(of), PlacementState(placement(hero(half_life=half_life)), NOW)
    for in_scope in (True, False):
        served.strata.open(Stratum(of, served.strata.next_index, ALL, in_scope=in_scope))
    for i in range(log.arm.size):
        stratum = served.strata.get(ALL, in_scope=bool(log.in_scope[i])) if log.comparable[i] else None
        arm, time_us = int(log.arm[i]), int(log.time_us[i])
        served.expose(arm, stratum, log.x[i], time_us)
        served.credit(arm, stratum, log.x[i], time_us, (0.0, float(log.reward[i])))
    now_us = NOW + 12 * DAY
    state = trained(of, log, now_us)
    ours, theirs = state.forgetting.scale(now_us), served.forgetting.scale(now_us)
    for mine, other in zip(state.tally.arrays(), served.tally.arrays(), strict=True):
        np.testing.assert_allclose(ours * mine, theirs * other, rtol=1e-9, atol=1e-12)
    for in_scope in (True, False):
        learned, expected = (one.strata.get(ALL, in_scope=in_scope) for one in (state, served))
        assert learned is not None
        assert expected is not None
        np.testing.assert_allclose(ours * learned.tally.sums, theirs * expected.tally.sums, rtol=1e-9)
        assert learned.tally.n.all()


def test_nothing_else_is_told() -> None:
    """No counter, no ramp that began, nothing measured: nobody was served."""
    of = placement(hero())
    state = trained(of, logged(of), NOW + 12 * DAY)
    fresh = PlacementState(of, NOW + 12 * DAY, replaying=True)
    assert state.started_us is None
    assert state.counters.chosen == fresh.counters.chosen
    assert state.counters.exposures == fresh.counters.exposures == [0] * 3
    assert state.counters.reward_sum == fresh.counters.reward_sum
    assert state.measuring.epoch.key == b""
    assert (state.born_us, state.latest_us) == (fresh.born_us, fresh.latest_us)


def test_weight_discounts_everything_alike() -> None:
    """As if there were so many times the decisions; by a power of two, to the bit."""
    of = placement(hero())
    whole, quarter = (trained(of, logged(of), NOW + 12 * DAY, weight) for weight in (1.0, 0.25))
    for one, other in zip(whole.tally.arrays(), quarter.tally.arrays(), strict=True):
        assert (0.25 * one == other).all()
    for stratum, less in zip(whole.strata, quarter.strata, strict=True):
        assert (0.25 * stratum.tally.sums == less.tally.sums).all()


def test_arms_that_it_does_not_have_are_passed_over() -> None:
    """-1 teaches nothing."""
    of = placement(hero())
    log = logged(of)
    state = trained(of, replace(log, arm=np.full(log.arm.size, -1)), NOW + 12 * DAY)
    assert not state.tally.sums.any()


def test_half_of_the_strata_stay_free() -> None:
    """The most frequent audiences are taken; others of the log teach linear policies alone."""
    arms: Document = {f"a{k}": {} for k in range(10)}
    of = placement(hero(arms=arms, ramp=None))
    log = logged(of, 1_000)
    mask = [1 | 1 << min(9, 1 + i % 12) for i in range(1_000)]
    state = trained(of, replace(log, arm=np.zeros(1_000, np.int64), mask=mask), NOW + 12 * DAY)
    assert len(state.strata) == TRAINED_STRATA_MAX == STRATA_MAX // 2
    assert next(iter(state.strata)).mask == 1 | 1 << 9
    assert state.tally.n[0] == 1_000
    assert state.tally.A.shape[1] == len(column_names(of))
