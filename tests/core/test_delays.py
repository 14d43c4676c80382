"""How long rewards take, and which exposures are recent: against sums over every exposure by itself."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandit.delays import DELAY_BINS, EDGES, Curve, Delays
from bandit.kernels.recent import BINS
from bandit.recent import Recent
from tests.core.world import DAY, HOUR, NOW, SECOND

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

WINDOW = DAY


def ring(times: Times, arms: int = 1) -> Recent:
    """Return the ring of one exposure at each time, of the arms in turn."""
    recent = Recent(arms, WINDOW)
    for i, time in enumerate(times.tolist()):
        recent.expose(i % arms, 1.0, time)
    return recent


def known(times: Times, delays_us: Floats, now_us: int, weight: float = 1.0) -> tuple[Delays, Recent]:
    """Return what is known at `now_us` of exposures at `times`, each rewarded after its delay, if it is."""
    recent = ring(times)
    recent.scale(weight)
    delays = Delays(WINDOW, int(times[0]), 0.0)
    for time, delay in zip(times.tolist(), delays_us.tolist(), strict=True):
        if time + delay <= now_us and delay <= WINDOW:
            delays.credit(0, int(delay), weight, time, 1.0)
    return delays, recent


def curve_of(delays: Delays, recent: Recent, exposures: float, now_us: int, scale: float = 1.0) -> Curve:
    """Return F at `now_us`."""
    n, t = recent.rows[:2]
    low_us, high_us = recent.ages_us(n, t, now_us)
    curve = delays.curve(delays.at_risk(exposures, n[:, 0], low_us[:, 0], high_us[:, 0]), scale)
    assert curve is not None
    return curve


def test_a_ring_by_hand() -> None:
    """Bins of a second, two arms: means, and ages spread about them as far as a bin is over."""
    recent = Recent(2, 15 * SECOND)
    recent.expose(0, 1.0, 100 * SECOND)
    recent.expose(0, 1.0, 100 * SECOND + SECOND // 2)
    recent.expose(1, 2.0, 101 * SECOND + SECOND // 4)
    recent.credit(1, 101 * SECOND, 2.0, 4.0)
    recent.credit(0, 101 * SECOND, 9.0, 9.0)  # of an exposure that is not here
    assert (recent.newest, recent.width_us) == (101, SECOND)
    n, t, r1, r2 = recent.in_order()[:, -2:]
    assert n.tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert t.tolist() == [[SECOND / 2, 0.0], [0.0, SECOND / 2]]
    assert (r1[1, 1], r2[1, 1], r1.sum(), r2.sum()) == (2.0, 4.0, 2.0, 4.0)
    low_us, high_us = recent.ages_us(recent.rows[0], recent.rows[1], 101 * SECOND + SECOND // 2)
    assert (low_us[100 % BINS, 0], high_us[100 % BINS, 0]) == (SECOND, 1.5 * SECOND)
    assert (low_us[101 % BINS, 1], high_us[101 % BINS, 1]) == (0.0, SECOND / 2)
    recent.expose(1, 1.0, 116 * SECOND)  # 100 is the last but one that this leaves
    assert recent.rows[0].sum() == 3.0
    recent.expose(0, 1.0, 100 * SECOND)
    assert recent.rows[0].sum() == 3.0


def test_a_ring_is_what_its_bins_say() -> None:
    """Random times, forth and back, with pauses: the sums of all that is in the newest 16 bins."""
    rng = np.random.default_rng(1)
    recent, seen = Recent(3, WINDOW), []
    time = NOW
    for _ in range(3_000):
        time += int(rng.exponential(HOUR / 30)) if rng.random() < 0.999 else 3 * DAY
        at, arm, weight = time - int(rng.random() * HOUR), int(rng.integers(3)), float(rng.random())
        recent.expose(arm, weight, at)
        seen.append((at // recent.width_us, arm, weight))
    newest = max(number for number, _, _ in seen)
    expected = [
        sum(weight for number, of, weight in seen if of == arm and number > newest - BINS) for arm in range(3)
    ]
    assert recent.newest == newest
    assert np.allclose(recent.rows[0].sum(axis=0), expected)


def test_rings_merge_by_adding_and_keep_their_arms() -> None:
    """Two processes' rings add to that of both; what is taken out again leaves the other; arms move along."""
    rng = np.random.default_rng(2)
    times = NOW + np.sort(rng.integers(0, 2 * DAY, 900))
    both, one, other = ring(times, 3), Recent(3, WINDOW), Recent(3, WINDOW)
    for i, time in enumerate(times.tolist()):
        (one if i < 400 or i % 2 else other).expose(i % 3, 1.0, time)
    first = one.rows.copy(), one.newest
    one.add(other)
    assert np.array_equal(one.rows, both.rows)
    moved = both.rearranged([2, -1, 0])
    assert np.array_equal(moved.rows[:, :, [0, 2]], both.rows[:, :, [2, 0]])
    assert not moved.rows[:, :, 1].any()
    one.remove(other)
    assert first[1] == both.newest
    assert np.array_equal(one.rows, first[0])


def test_a_curve_by_hand() -> None:
    """A third within the first bin, the rest evenly over the last: F and its means, by area."""
    rates = np.zeros(DELAY_BINS)
    rates[0], rates[-1] = 1.0, 2.0
    curve = Curve.of(rates, WINDOW)
    begins = EDGES[-2] * WINDOW
    assert curve.mean(np.array([HOUR]), np.array([2.0 * HOUR]))[0] == pytest.approx(1 / 3)
    assert curve.mean(np.array([begins]), np.array([float(WINDOW)]))[0] == pytest.approx(2 / 3)
    assert curve.mean(np.array([2.0 * WINDOW]), np.array([2.0 * WINDOW]))[0] == 1.0
    assert curve.mean_to(int(EDGES[1] * WINDOW)) == pytest.approx(1 / 6)


def test_exposures_at_risk_are_counted_one_by_one() -> None:
    """For each bin of delay: how much of it each exposure has been through, as its age says."""
    rng = np.random.default_rng(3)
    times = NOW + np.sort(rng.integers(0, 3 * DAY, 4_000))
    now_us = int(times[-1]) + HOUR
    recent = ring(times)
    low_us, high_us = recent.ages_us(recent.rows[0], recent.rows[1], now_us)
    found = Delays(WINDOW, NOW, 100.0).at_risk(4_100.0, recent.rows[0, :, 0], low_us[:, 0], high_us[:, 0])
    ages = (now_us - times)[:, None]
    begins, ends = EDGES[:-1] * WINDOW, EDGES[1:] * WINDOW
    expected = (np.clip(ages - begins, 0.0, ends - begins) / (ends - begins)).sum(axis=0)
    assert np.allclose(found, expected, atol=15.0)  # of 4,000; a bin of 100 minutes holds 90


SHAPES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "6 h": lambda rng, n: rng.exponential(6 * HOUR, n),
    "5 min": lambda rng, n: rng.exponential(300 * SECOND, n),
    "the window": lambda rng, n: rng.exponential(24 * HOUR, n),
    "at once": lambda _, n: np.zeros(n),
    "two kinds": lambda rng, n: rng.exponential(np.where(rng.random(n) < 0.5, 20 * SECOND, 8 * HOUR)),
    "after 3 h": lambda rng, n: 3 * HOUR + rng.exponential(HOUR, n),
}


@pytest.mark.parametrize("name", SHAPES)
def test_delays_are_learned_whatever_their_shape(name: str) -> None:
    """From 2 days of 20,000 rewards F is within 0.03 of how delays within the window are distributed."""
    rng = np.random.default_rng(4)
    times = NOW + np.sort(rng.integers(0, 2 * DAY, 20_000))
    delays_us = SHAPES[name](rng, times.size)
    now_us = NOW + 2 * DAY
    delays, recent = known(times, delays_us, now_us)
    curve = curve_of(delays, recent, times.size, now_us)
    within = np.sort(delays_us[delays_us <= WINDOW])
    expected = np.searchsorted(within, curve.edges_us[1:], side="right") / within.size
    assert np.abs(curve.arrived[1:] - expected).max() < 0.03


def test_what_is_missing_is_the_sum_over_all_exposures() -> None:
    """By bins against exposure by exposure: within 1 %, an hour after the first one and two days after."""
    rng = np.random.default_rng(5)
    curve = Curve.of(np.diff(-np.exp(-4.0 * EDGES)), WINDOW)
    for hours in (1, 10, 48):
        times = NOW + np.sort(rng.integers(0, hours * HOUR, 5_000))
        now_us = NOW + hours * HOUR
        ages = (now_us - times).astype(np.float64)
        expected = (1.0 - np.interp(ages, curve.edges_us, curve.arrived)).sum()
        assert curve.missing(ring(times), now_us)[0] == pytest.approx(expected, rel=0.01)


def test_the_tail_that_no_exposure_has_reached_is_the_priors() -> None:
    """Three hours after the start, delays of 6 h: F of 3 h, truly 0.40, is between 0.2 and 0.7; not 1."""
    rng = np.random.default_rng(6)
    times = NOW + np.sort(rng.integers(0, 3 * HOUR, 3_000))
    delays, recent = known(times, rng.exponential(6 * HOUR, 3_000), NOW + 3 * HOUR)
    curve = curve_of(delays, recent, 3_000, NOW + 3 * HOUR)
    assert 0.2 < np.interp(3 * HOUR, curve.edges_us, curve.arrived) < 0.7


def test_events_weigh_what_they_are_worth() -> None:
    """Clicks at once worth 1 in all, purchases late worth 3: a quarter has come early."""
    delays = Delays(WINDOW, NOW, 0.0)
    for _ in range(1_000):
        delays.credit(0, 0, 1.0, NOW, 0.1)
    for _ in range(100):
        delays.credit(3, 20 * HOUR, 1.0, NOW, 3.0)
    curve = delays.curve(np.full(DELAY_BINS, 1e5), 1.0)
    assert curve is not None
    assert np.interp(6 * HOUR, curve.edges_us, curve.arrived) == pytest.approx(0.25, abs=0.08)


def test_nothing_is_known_of_nothing_or_of_losses() -> None:
    """Before a reward, with none at risk, and where what comes is worth less than nothing: no curve."""
    delays = Delays(WINDOW, NOW, 0.0)
    at_risk = np.full(DELAY_BINS, 100.0)
    assert delays.curve(at_risk, 1.0) is None
    delays.credit(0, HOUR, 1.0, NOW, 1.0)
    assert delays.curve(np.zeros(DELAY_BINS), 1.0) is None
    assert delays.curve(at_risk, 1.0) is not None
    delays.credit(1, HOUR, 1.0, NOW, -2.0)
    assert delays.curve(at_risk, 1.0) is None


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e-20, 1e-290, 1e-320])
def test_what_is_forgotten_is_not_known(scale: float) -> None:
    """Rewards, or exposures, of long ago under a short half-life: down to where numbers end."""
    delays, _ = known(np.array([NOW]), np.array([HOUR]), NOW + DAY)
    plenty, little = np.full(DELAY_BINS, 50.0 / scale), np.full(DELAY_BINS, 1e-3)
    assert (delays.curve(np.minimum(plenty, 1e300), scale) is None) == (scale < 1.0)
    assert (delays.curve(little * scale, 1.0) is None) == (scale <= 1e-9)


def test_a_decision_from_before_is_not_looked_at() -> None:
    """Its exposure is not among those at risk."""
    delays = Delays(WINDOW, NOW, 7.0)
    delays.credit(0, HOUR, 1.0, NOW - 1, 1.0)
    assert not delays.counts.any()
    assert not delays.credits.any()


def test_weights_and_their_scale_cancel() -> None:
    """Under a half-life everything weighs more and is scaled down: the same curve."""
    rng = np.random.default_rng(7)
    times = NOW + np.sort(rng.integers(0, 2 * DAY, 2_000))
    delays_us, now_us = rng.exponential(6 * HOUR, 2_000), NOW + 2 * DAY
    plain = curve_of(*known(times, delays_us, now_us), 2_000, now_us)
    weighed = curve_of(*known(times, delays_us, now_us, 8.0), 16_000, now_us, 1.0 / 8.0)
    assert np.allclose(plain.arrived, weighed.arrived, rtol=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, DELAY_BINS - 1), st.floats(-5.0, 5.0)), max_size=30),
    st.lists(st.floats(0.0, 1e6), min_size=DELAY_BINS, max_size=DELAY_BINS),
    st.floats(1e-6, 1.0),
)
def test_any_curve_lies_between_0_and_1(
    seen: list[tuple[int, float]], at_risk: list[float], scale: float
) -> None:
    """Whatever was seen, even what cannot be: finite, from 0 to 1 at the window, and so are its means."""
    delays = Delays(WINDOW, NOW, 0.0)
    for i, (bin_of, change) in enumerate(seen):
        delays.credit(i % 3, int(EDGES[bin_of] * WINDOW), 1.0, NOW, change)
    curve = delays.curve(np.array(at_risk), scale)
    if curve is not None:
        assert ((curve.arrived >= 0.0) & (curve.arrived <= 1.0)).all()
        assert (curve.arrived[0], curve.arrived[-1]) == (0.0, 1.0)
        assert all(0.0 <= curve.mean_to(age) <= 1.0 + 1e-12 for age in (1, HOUR, WINDOW, 9 * WINDOW))
        assert math.isfinite(curve.area[-1])
