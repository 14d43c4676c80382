"""Estimates while rewards are on the way: corrected as far as they are expected, and not otherwise."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.arrivals import Arrivals
from bandit.delays import DELAY_BINS, Curve, Delays
from bandit.kernels.linear import MISSING
from bandit.placement import PlacementState
from bandit.policies.thompson import Thompson
from bandit.recent import Recent
from bandit.snapshot import read_snapshot
from bandit.strata import Stratum
from tests.core.snapshots import state_of, write_snapshot
from tests.core.world import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    Document,
    Scores,
    World,
    placement_state,
    simple,
    snapshot,
)

POLICIES = {"t": {"kind": "thompson"}, "l": {"kind": "linear_thompson"}, "u": {"kind": "linucb"}}


def waiting(*arms: str, **reward: object) -> Document:
    """A placement with every kind of learned policy, each serving a third."""
    return simple(
        *arms,
        reward={"window": "24h", "values": {"click": 1.0}, "max": 1.0} | reward,
        policies=POLICIES,
        ramp={"policies": {"t": 0.4, "l": 0.3, "u": 0.3}, "from": 1.0},
    )


class Traffic:
    """Decisions every two minutes; every fourth has a reward, spread over six hours."""

    def __init__(self, world: World, late_us: int = 6 * HOUR) -> None:
        self.world = world
        self.rng = np.random.default_rng(8)
        self.late_us = late_us
        self.due: list[tuple[int, int, object]] = []

    def run(self, hours: float) -> None:
        """Let so much time pass."""
        world, end = self.world, self.world.now + int(hours * HOUR)
        while world.now < end:
            world.now += 120 * SECOND
            self.due.sort(key=lambda due: due[:2])
            while self.due and self.due[0][0] <= world.now:
                world.reward(self.due.pop(0)[2])  # type: ignore[arg-type]
            choice = world.choose(unit=f"u{self.rng.integers(10**6)}")
            if self.rng.random() < 0.25:
                delay_us = int(self.rng.random() * self.late_us)
                self.due.append((world.now + delay_us, self.world.engine._counter, choice))


def arrivals_of(state: PlacementState) -> Arrivals:
    """Return what a placement expects."""
    assert state.arrivals is not None
    return state.arrivals


def whole(state: PlacementState) -> Stratum:
    """Return the only stratum."""
    (stratum,) = state.strata
    return stratum


@pytest.mark.parametrize(
    ("window", "delayed", "waits"),
    [("10m", None, False), ("11m", None, True), ("24h", False, False), ("10m", True, True)],
)
def test_it_is_on_for_windows_above_ten_minutes(window: str, delayed: bool | None, waits: bool) -> None:
    """Unless the configuration says otherwise."""
    reward = {"window": window} | ({} if delayed is None else {"delayed": delayed})
    state = placement_state(waiting(**reward))
    assert (state.arrivals is not None) == waits


def test_nothing_is_corrected_before_a_reward_and_where_it_is_off() -> None:
    """A day of exposures alone: pmfs and models are bit for bit those without."""
    worlds = [World(p=waiting(delayed=delayed)) for delayed in (True, False)]
    for world in worlds:
        Traffic(world, 90 * DAY).run(24)
    on, off = (world.state() for world in worlds)
    assert not arrivals_of(on).known
    assert whole(on).pmfs.tobytes() == whole(off).pmfs.tobytes()
    assert on.models.posterior.tobytes() == off.models.posterior.tobytes()


def test_rewards_at_once_leave_nothing_to_correct() -> None:
    """After a day n is corrected by less than a hundredth."""
    world = World(p=waiting())
    Traffic(world, 1).run(24)
    state = world.state()
    assert arrivals_of(state).known
    assert (whole(state).missing <= 0.01 * whole(state).tally.n).all()
    assert (state.models.upkeep[0, :, MISSING] <= 0.01 * state.tally.n).all()


def test_what_is_missing_is_what_is_still_to_come() -> None:
    """Rewards evenly over six hours: in the long run three hours' exposures are missing."""
    world = World(p=waiting())
    Traffic(world).run(72)
    state, an_hour = world.state(), 30
    curve_missing = state.models.upkeep[0, :, MISSING]
    assert curve_missing.sum() == pytest.approx(3 * an_hour, rel=0.12)
    assert np.allclose(curve_missing, arrivals_of(state).moments[:, 0, 0], rtol=0.05)
    others, stratum = arrivals_of(state).others, whole(state)
    share = stratum.tally.n.sum() / state.tally.n.sum()
    assert stratum.missing.sum() == pytest.approx(share * 3 * an_hour, rel=0.2)
    assert stratum.recent is not None
    recent = others.rows[0].sum() + stratum.recent.rows[0].sum()
    assert recent == pytest.approx(24 * an_hour, rel=0.07)


def test_the_model_is_that_of_what_is_not_missing() -> None:
    """Without features θ is r1 / (n - missing + λ), the width what so many exposures give, at every step."""
    world = World(p=waiting())
    traffic = Traffic(world)
    for _ in range(6):
        traffic.run(5)
        state = world.state()
        scores = Scores(state.models.by_prior[1.0], state.tally, state.encoder.encode({}, {})[0])
        n = state.tally.n - state.models.upkeep[0, :, MISSING]
        assert np.allclose(scores.mean, state.tally.r1 / (n + 1.0), rtol=1e-9)
        assert np.allclose(scores.width, 1.0 / np.sqrt(n + 1.0), rtol=1e-9)


def test_moments_are_those_of_every_exposure() -> None:
    """Shrunk at every step, they are Σ (1 - F) x xᵀ over all exposures, also where contexts have changed."""
    document = waiting("a", window="24h") | {"features": {"odd": {"kind": "boolean"}}}
    world, rng = World(p=document), np.random.default_rng(9)
    made: list[tuple[int, float]] = []
    due: list[tuple[int, object]] = []
    for i in range(2_000):
        world.now += 120 * SECOND
        while due and due[0][0] <= world.now:
            world.reward(due.pop(0)[1])  # type: ignore[arg-type]
        odd = float(i > 1_800)  # the last seven hours
        made.append((world.now, odd))
        choice = world.choose(numbers={"odd": odd})
        if rng.random() < 0.3:
            due.append((world.now + int(rng.exponential(6 * HOUR)), choice))
            due.sort(key=lambda one: one[0])
    moments = arrivals_of(world.state()).moments[0]
    age = np.array([world.now - time for time, _ in made]) / HOUR
    missing = np.where(age < 24, (np.exp(-age / 6) - np.exp(-4)) / (1 - np.exp(-4)), 0.0)
    changed = np.array([odd for _, odd in made])
    assert moments[0, 0] == pytest.approx(missing.sum(), rel=0.1)
    assert moments[1, 1] == pytest.approx((changed * missing).sum(), rel=0.1)


def test_moments_grow_again_where_rewards_turn_out_slower() -> None:
    """The first reward comes at once, the others after hours: as much of A is missing as the bins say."""
    document = waiting("a") | {"features": {"odd": {"kind": "boolean"}}}
    world, rng, due = World(p=document), np.random.default_rng(10), []
    state = world.state()
    arrivals = arrivals_of(state)
    for i in range(1_000):
        world.now += 12 * SECOND
        choice = world.choose(numbers={"odd": float(rng.random() < 0.5)})
        if i % 4 == 0:
            due.append((world.now + (int(rng.exponential(6 * HOUR)) if i else 0), i, choice))
        due.sort(key=lambda one: one[:2])
        while due and due[0][0] <= world.now:
            world.reward(due.pop(0)[2])
        if i % 100 == 99:
            state._step(arrivals)
            rings = [arrivals.others, *(stratum.recent for stratum in state.strata if stratum.recent)]
            curve = arrivals._learn(state.latest_us, state.tally, state.strata, 1.0)
            assert curve is not None
            expected = sum(curve.missing(ring, state.latest_us)[0] for ring in rings)
            moments, whole = arrivals.moments[0], state.tally.A[0]
            assert moments[0, 0] == pytest.approx(min(expected, state.tally.n[0] - state.tally.r1[0]))
            assert np.linalg.eigvalsh(whole - moments).min() >= -1e-9
    assert moments[0, 0] > 0.5 * state.tally.n[0]
    assert moments[1, 1] == pytest.approx(moments[0, 0] / 2, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_what_has_arrived_is_never_more_than_all(seed: int) -> None:
    """A mean of F rounds to no more than 1, so an arm whose rewards are in has nothing less than 0 to come.

    Divided by the nothing that it holds, 5e-15 below 0 was minus infinity, and the arm's matrix no number.
    """
    rng = np.random.default_rng(seed)
    window_us = int(rng.integers(HOUR, DAY))
    curve = Curve.of(rng.random(DELAY_BINS) ** 9, window_us)
    recent = Recent(2, window_us)
    for time_us in (NOW - rng.integers(0, 2 * window_us, 200)).tolist():
        recent.expose(int(rng.integers(2)), 1.0, time_us)
    for age_us in range(0, 2 * window_us, window_us // 50):
        missing = curve.missing(recent, NOW + age_us)
        assert (missing >= 0.0).all()
        arrivals = Arrivals(2, 1, Delays(window_us, 0, 0.0))
        arrivals._rescale(missing, np.ones((2, 1, 1)))
        arrivals._rescale(np.zeros(2), np.ones((2, 1, 1)))
        arrivals._rescale(missing, arrivals.moments)
        assert (arrivals.moments == 0.0).all()


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.booleans()), min_size=5, max_size=60),
    st.sampled_from([1.0, None]),
)
def test_n_is_never_more_than_it_was_nor_less_than_earned(
    steps: list[tuple[int, int, bool]], maximum: float | None
) -> None:
    """Whatever comes, n less what is missing lies between r1 / max and n, and the model can be used."""
    document = waiting()
    document["reward"] = {"window": "24h", "values": {"click": 1.0}} | ({"max": maximum} if maximum else {})
    state = placement_state(document)
    stratum = Stratum(state.config, 0, 0b11, in_scope=True)
    state.strata.open(stratum)
    x, now = state.encoder.encode({}, {})[0], NOW
    for arm, minutes, rewarded in steps:
        now += minutes * minutes * 60 * SECOND
        state.expose(arm, stratum, x, now)
        if rewarded:
            state.credit(arm, stratum, x, now, (0.0, 1.0), (0, minutes * 60 * SECOND))
    missing = state.models.upkeep[0, :, MISSING]
    assert (missing >= 0.0).all()
    held = arrivals_of(state).moments[:, 0, 0]
    assert (held <= state.tally.n + 1e-9).all()
    assert (stratum.missing <= stratum.tally.n + 1e-9).all()
    assert (stratum.missing >= -1e-9).all()
    Thompson(state.config, state.forgetting).refresh(stratum, now)
    assert not stratum.unusable
    assert math.isclose(stratum.pmfs[1].sum(), 1.0, rel_tol=1e-9)


@pytest.mark.parametrize("half_life", [None, "5h"])
def test_replay_and_snapshot_give_the_same_bits(half_life: str | None, tmp_path: Path) -> None:
    """Over days with steps, a reload and a half-life; what is served after it is the same too."""
    document = waiting("a", "b") | ({"half_life": half_life} if half_life else {})
    world = World(p=document)
    traffic = Traffic(world)
    traffic.run(30)
    world.reload(p=document | {"arms": {"a": {}, "b": {}, "c": {}}})
    traffic.run(20)
    state = world.engine.state
    found = read_snapshot(write_snapshot(tmp_path, state, 7))
    again = state_of(found, state.ledger)
    assert snapshot(again) == snapshot(state)
    again.derive()
    before, after = world.state(), again.placements["p"]
    assert after.models.corrected
    assert np.allclose(after.models.posterior, before.models.posterior, rtol=0.02, atol=1e-4)
    for one, other in zip(before.strata, after.strata, strict=True):
        assert np.allclose(one.missing, other.missing, rtol=0.05, atol=0.5)


def test_a_reload_keeps_what_is_recent_and_a_window_begins_anew() -> None:
    """An arm is added, one leaves: the rest is still expected. Another window: nothing is known any more."""
    document = waiting("a", "b")
    world = World(p=document)
    Traffic(world).run(30)
    before = world.state()
    moments, missing = arrivals_of(before).moments.copy(), whole(before).missing
    world.reload(p=document | {"arms": {"b": {}, "c": {}}})
    after = world.state()
    assert np.array_equal(arrivals_of(after).moments[0], moments[1])
    assert not arrivals_of(after).moments[1].any()
    assert whole(after).missing[0] == pytest.approx(missing[1], rel=0.05)
    assert whole(after).missing[1] == 0.0
    counted = after.tally.n.sum() - arrivals_of(after).delays.uncounted
    assert counted == before.tally.n.sum()
    other = waiting("b", "c", window="12h")
    world.reload(p=other)
    assert not arrivals_of(world.state()).known
    assert not whole(world.state()).missing.any()
    assert arrivals_of(world.state()).delays.uncounted == world.state().tally.n.sum()


def test_a_placement_that_was_reloaded_before_anybody_came_comes_back_the_same(tmp_path: Path) -> None:
    """What is counted begins with the reload, in memory and in a snapshot, which holds nothing of it yet."""
    world = World(p=waiting("a", "b"))
    world.now += HOUR
    world.reload(p=waiting("a"))
    state = world.engine.state
    found = read_snapshot(write_snapshot(tmp_path, state, 3))
    assert snapshot(state_of(found, state.ledger)) == snapshot(state)


def test_under_a_half_life_what_is_missing_weighs_as_the_tally_does() -> None:
    """The part of n that is missing is the same whether or not the scale has moved."""
    world = World(p=waiting() | {"half_life": "1h"})
    traffic = Traffic(world)
    traffic.run(40)
    state = world.state()
    scale = state.forgetting.scale(state.latest_us)
    # exposures weigh 2^-age: n is 30 / ln 2; of it Σ (1 - age / 6) is missing, over six hours
    n = 30 / math.log(2.0)
    ages = np.arange(0.0, 6.0, 1 / 300)
    expected = 30 * ((1.0 - ages / 6.0) * 2.0**-ages).mean() * 6.0
    assert scale * state.tally.n.sum() == pytest.approx(n, rel=0.05)
    assert scale * state.models.upkeep[0, :, MISSING].sum() == pytest.approx(
        expected, rel=0.2
    )  # F from a dozen rewards
