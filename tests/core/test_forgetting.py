"""Forgetting: weights by a half-life, exact moves of the origin, and no number that overflows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.model import LinearModels
from bandit.tally import Forgetting, Tally
from tests.core.world import DAY, HOUR, NOW, SECOND, World, hero, placement_state, simple, sparse

X = sparse(np.ones(1))


def test_weights_by_hand() -> None:
    """At the origin an increment weighs 1, a half-life later 2, half a one earlier √½; scale inverts."""
    forgetting = Forgetting(HOUR, NOW)
    assert forgetting.weight(NOW) == 1.0
    assert forgetting.weight(NOW + HOUR) == 2.0
    assert forgetting.weight(NOW - HOUR // 2) == pytest.approx(0.5**0.5, rel=1e-15)
    assert forgetting.scale(NOW + 2 * HOUR) == 0.25


def test_without_a_half_life_nothing_is_forgotten() -> None:
    """Every weight is 1 and the origin never moves."""
    forgetting = Forgetting.starting(None, NOW)
    assert forgetting.weight(NOW + 1000 * DAY) == 1.0
    assert forgetting.advance(NOW + 1000 * DAY) == 1.0
    assert forgetting.origin_us == 0


@given(start=st.integers(0, 2**52), steps=st.lists(st.integers(0, 10**12), max_size=8))
def test_the_origin_moves_by_whole_half_lives_exactly(start: int, steps: list[int]) -> None:
    """The origin stays a multiple of the half-life, within one of the time; factors are powers of two."""
    forgetting, now = Forgetting.starting(7 * HOUR, start), start
    for step in steps:
        now += step
        before = forgetting.origin_us
        factor = forgetting.advance(now)
        assert forgetting.origin_us % (7 * HOUR) == 0
        assert 0 <= now - forgetting.origin_us < 7 * HOUR
        assert factor == 2.0 ** -((forgetting.origin_us - before) // (7 * HOUR))


def test_equals_the_direct_sum_of_weights() -> None:
    """3,000 exposures over 90 days, half of them rewarded late: the tally is Σ 2^(-age / h), to 1e-12."""
    rng = np.random.default_rng(5)
    state = placement_state(simple("a", half_life="3d", policies={"m": {"kind": "linucb"}}))
    times = NOW + np.sort(rng.integers(0, 90 * DAY, 3_000))
    rewards = rng.random(3_000)
    for i, time in enumerate(times.tolist()):
        state.expose(0, None, X, time)
        if i >= 100:  # the reward of a decision made long ago weighs as its decision
            state.credit(0, None, X, int(times[i - 100]), (0.0, float(rewards[i - 100])))
    now = int(times[-1])
    age = (now - times) / (3 * DAY)
    credited = np.arange(3_000) < 2_900
    scale = state.forgetting.scale(now)
    assert scale * state.tally.n[0] == pytest.approx(np.sum(2.0**-age), rel=1e-12)
    assert scale * state.tally.A[0, 0, 0] == pytest.approx(np.sum(2.0**-age), rel=1e-12)
    assert scale * state.tally.r1[0] == pytest.approx(np.sum((2.0**-age * rewards)[credited]), rel=1e-12)
    assert scale * state.tally.r2[0] == pytest.approx(np.sum((2.0**-age * rewards**2)[credited]), rel=1e-12)
    assert scale * state.tally.b[0, 0] == pytest.approx(np.sum((2.0**-age * rewards)[credited]), rel=1e-12)


def test_two_origins_with_the_same_half_life_merge() -> None:
    """Tallies that began at different times are sums on one scale once both origins have moved to now."""
    times = [NOW + hours * HOUR + 12_345 for hours in (0, 5, 9, 20, 31)]

    def learned(some: list[int]) -> tuple[Tally, Forgetting]:
        forgetting, tally = Forgetting.starting(7 * HOUR, some[0]), Tally.zeros(1, 1)
        models = LinearModels((), tally, 1.0)
        for time in some:
            tally.scale(forgetting.advance(time))
            models.expose(0, X, forgetting.weight(time), 1.0)
        tally.scale(forgetting.advance(times[-1]))
        return tally, forgetting

    (one, at), (two, there), (whole, _) = learned(times[::2]), learned(times[1::2]), learned(times)
    assert at == there
    one.add(two)
    for merged, direct in zip(one.arrays(), whole.arrays(), strict=True):
        assert np.allclose(merged, direct, rtol=1e-15, atol=0.0)


@pytest.mark.parametrize("pause", [1_000, 1_100, 100_000_000])
def test_a_pause_of_thousands_of_half_lives_is_survived(pause: int) -> None:
    """After it everything is as good as new: choices go on, no policy degrades, the tally starts over."""
    world = World(p=hero(half_life="1s"))
    for _ in range(50):
        choice = world.choose(categories={"platform": "web"})
        world.reward(choice, "visit")
    world.now += pause * SECOND
    for i in range(50):
        world.now += SECOND // 100
        choice = world.choose(categories={"platform": "web"})
        world.reward(choice, "visit", float(i % 2))
    state = world.state()
    assert state.counters.degraded.tolist() == [0] * 5
    scaled = state.forgetting.scale(world.now) * state.tally.n.sum()
    assert scaled == pytest.approx(sum(2 ** (-i / 100) for i in range(50)), rel=1e-9)


def test_an_exposure_far_older_than_the_half_life_is_counted_with_no_weight() -> None:
    """A deferred exposure of a decision 2,000 half-lives ago is accepted and moves nothing."""
    world = World(p=simple(half_life="1s", policies={"m": {"kind": "linucb"}}))
    old = world.choose(deferred=True)
    world.now += 2_000 * SECOND
    world.choose()
    n = world.state().tally.n.copy()
    world.reward(old, "exposure")
    world.reward(old, "click", 5.0)
    assert np.allclose(world.state().tally.n, n, rtol=1e-15)
    world.choose()
    assert world.state().counters.degraded.sum() == 0
