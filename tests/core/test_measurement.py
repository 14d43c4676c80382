"""Measurement: its sums are their definitions, its estimates what policies earn, and merging is adding."""

import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.hashing import BUCKETS
from bandit.kernels.measure import ALONE, contrast
from bandit.measurement import OVERLAP_MIN, Estimate, Measurement
from bandit.sequences import tuned
from bandit.tally import Floats

J = 3
"""Policies: static and two learned ones."""


EVENT_VALUE = 4.0
"""What a reward of 1 is of the second of two events, in its own value."""


class Made(NamedTuple):
    """A decision, and the values that its R takes one after another."""

    bucket: int
    probabilities: Floats
    propensity: float
    overlaps: Floats
    routed: int
    share: float
    rewards: tuple[float, ...]


unit = st.floats(0.01, 1.0)


@st.composite
def decisions(draw: st.DrawFn) -> Made:
    """Any decision; a few buckets, so that they are shared."""
    return Made(
        draw(st.sampled_from([0, 1, 17, BUCKETS - 1])),
        np.array(draw(st.lists(st.floats(0.0, 1.0), min_size=J, max_size=J))),
        draw(unit),
        np.array(draw(st.lists(unit, min_size=J, max_size=J))),
        draw(st.integers(0, J - 1)),
        draw(unit),
        tuple(draw(st.lists(st.floats(-5.0, 5.0), max_size=3))),
    )


def take(measurement: Measurement, made: Made) -> None:
    """Expose a decision, then move its R as it moved."""
    d = made
    measurement.expose(d.bucket, d.probabilities, d.propensity, d.overlaps, d.routed, d.share)
    before = 0.0
    for after in d.rewards:
        values = EVENT_VALUE * before, EVENT_VALUE * after
        measurement.credit(
            d.bucket, d.probabilities, d.propensity, d.routed, d.share, (before, after), 1, values
        )
        before = after


def measured(traffic: list[Made]) -> Measurement:
    """Return the measurement of this traffic."""
    measurement = Measurement.zeros(J, 2)
    for made in traffic:
        take(measurement, made)
    return measurement


def near(one: Floats, other: Floats | list[float]) -> bool:
    """Whether they are the same but for rounding."""
    return np.allclose(one, other, rtol=1e-12, atol=1e-9)


class Defined(NamedTuple):
    """The same traffic as arrays, by the definitions: buckets (n,), readings g (n, 2 J), R (n,)."""

    bucket: Floats
    readings: Floats
    reward: Floats

    @classmethod
    def of(cls, traffic: list[Made]) -> "Defined":
        """Work out every reading."""
        w = np.array([d.probabilities / d.propensity for d in traffic]).reshape(-1, J)
        z = np.array([(np.arange(J) == d.routed) / d.share for d in traffic]).reshape(-1, J)
        reward = np.array([d.rewards[-1] if d.rewards else 0.0 for d in traffic])
        return cls(np.array([d.bucket for d in traffic]), np.hstack([w, z]), reward)

    def by_bucket(self, values: Floats) -> Floats:
        """Sum over the decisions of each bucket (256,)."""
        return np.array([values[self.bucket == k].sum() for k in range(BUCKETS)])


@given(st.lists(decisions(), max_size=12))
def test_sums_are_their_definitions(traffic: list[Made]) -> None:
    """Every sum of random traffic, whose R moves several times each, to 1e-12 of what was added."""
    measurement, defined = measured(traffic), Defined.of(traffic)
    g, r = defined.readings, defined.reward
    columns = [np.ones(len(traffic)), *g.T, *(g * r[:, None]).T]
    expected = np.array([defined.by_bucket(column) for column in columns]).T
    assert near(measurement.buckets, expected)
    assert measurement.decisions == len(traffic)
    assert near(measurement.totals[:2], [r.sum(), (r**2).sum()])
    assert measurement.routed.tolist() == [sum(d.routed == j for d in traffic) for j in range(J)]
    products = measurement.totals[-J * J :].reshape(J, J)
    assert near(products, np.tril(g[:, :J].T @ g[:, :J]))
    if traffic:
        assert near(measurement.overlap, np.mean([d.overlaps for d in traffic], axis=0))
        assert near(measurement.mean_weight, g[:, :J].mean(axis=0))


@given(st.lists(decisions(), min_size=1, max_size=12), st.integers(0, 1), st.integers(0, J - 1))
def test_variances_are_their_definitions(traffic: list[Made], kind: int, policy: int) -> None:
    """Both variances of a value and of a contrast, for importance and for routing weights."""
    measurement, defined = measured(traffic), Defined.of(traffic)
    n, static, plus = len(traffic), kind * J, kind * J + policy
    for minus in (ALONE, static) if policy else (ALONE,):
        weight = defined.readings[:, plus] - (defined.readings[:, minus] if minus != ALONE else 0.0)
        earned = weight * defined.reward
        size = defined.by_bucket(np.ones(n))
        filled = int((size > 0).sum())
        between = ((defined.by_bucket(earned) - size * earned.mean()) ** 2).sum()
        between *= filled / (filled - 1) if filled > 1 else 1.0
        off = defined.by_bucket(weight) - (size if minus == ALONE else 0.0)
        floor = (off**2).sum() * defined.reward.mean() ** 2 + (weight**2).sum() * defined.reward.var()
        got = contrast(measurement.buckets, measurement.totals, plus, minus)
        expected = (n, earned.sum(), between, floor)
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-9 * (1.0 + (weight**2).sum()))


@given(st.lists(decisions(), max_size=8), st.lists(decisions(), max_size=8))
def test_traffic_measured_apart_adds_up(here: list[Made], there: list[Made]) -> None:
    """Two processes' sums are together one's; adding nothing changes nothing; the other is left alone."""
    one, other, both = measured(here), measured(there), measured(here + there)
    before = [array.copy() for array in other.arrays()]
    one.add(other)
    one.add(Measurement.zeros(J, 2))
    for mine, whole in zip(one.arrays(), both.arrays(), strict=True):
        assert near(mine, whole)
    assert all(np.array_equal(a, b) for a, b in zip(before, other.arrays(), strict=True))


@given(st.lists(decisions(), min_size=1, max_size=12))
def test_an_event_is_measured_as_r_is(traffic: list[Made]) -> None:
    """Four times R: four times its value and uplift, sixteen times the variance. What never comes: none."""
    measurement = measured(traffic)
    event, never = measurement.of_event(1), measurement.of_event(0)
    for policy in range(J):
        for of_r, of_event, of_never in (
            (measurement.value(policy), event.value(policy), never.value(policy)),
            (measurement.uplift(policy), event.uplift(policy), never.uplift(policy)),
        ):
            assert of_never is None
            if of_r is None or of_event is None or of_r.variance < 1e-9:
                continue
            expected = (of_r.n, 4.0 * of_r.mean, 16.0 * of_r.variance)
            assert of_event == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert measurement.decisions == event.decisions
    assert near(measurement.overlap, event.overlap)


def test_credit_by_difference_loses_nothing() -> None:
    """20,000 decisions, R moved three times each, up and down: within 1e-12 of exposing with the last R."""
    rng = np.random.default_rng(4)
    traffic = [
        Made(int(rng.integers(BUCKETS)), rng.dirichlet(np.ones(J)), float(rng.random() + 0.05), np.ones(J),
             int(rng.integers(J)), float(rng.random() + 0.05), tuple((5.0 * rng.random(3)).tolist()))
        for _ in range(20_000)
    ]  # fmt: skip
    moved = measured(traffic)
    at_once = measured([d._replace(rewards=d.rewards[-1:]) for d in traffic])
    for a, b in zip(moved.arrays(), at_once.arrays(), strict=True):
        assert np.abs(a - b).max() <= 1e-12 * np.abs(b).max()


def population(shares: Floats, pmfs: Floats, rewards: Floats) -> Measurement:
    """Measure traffic in exactly its expected proportions: each context, policy and arm as often as it must.

    `shares` (J,), `pmfs` (J, contexts, arms) in quarters or eighths, `rewards` (contexts, arms).
    """
    measurement, contexts, arms = Measurement.zeros(J, 2), *rewards.shape
    number = 0
    for c in range(contexts):
        for routed in range(J):
            for arm in range(arms):
                count = shares[routed] * pmfs[routed, c, arm] * 64.0
                assert count == int(count)
                for _ in range(int(count)):
                    propensity = float(shares @ pmfs[:, c, arm])
                    shown = (shares[:, None] * pmfs[:, c]).sum(axis=0) > 0.0
                    overlaps = pmfs[:, c][:, shown].sum(axis=1)
                    made = Made(
                        number % BUCKETS, pmfs[:, c, arm].copy(), propensity, overlaps,
                        routed, float(shares[routed]), (float(rewards[c, arm]),),
                    )  # fmt: skip
                    take(measurement, made)
                    number += 1
    return measurement


PMFS = np.array([
    [[1, 0, 0], [1, 0, 0]],
    [[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]],
    [[0.125, 0.125, 0.75], [0.125, 0.75, 0.125]],
])  # fmt: skip
REWARDS = np.array([[1.0, 2.0, 5.0], [1.0, 4.0, 0.0]])


def test_estimates_have_the_right_mean() -> None:
    """Averaged over exactly what can happen, every estimate is what the policy earns: no bias at all."""
    measurement = population(np.array([0.5, 0.25, 0.25]), PMFS, REWARDS)
    earns = (PMFS * REWARDS).sum(axis=2).mean(axis=1)
    for j in range(J):
        for estimate in (measurement.value(j), measurement.routed_value(j)):
            assert estimate is not None
            assert estimate.mean == pytest.approx(earns[j], rel=1e-12)
    for j in range(1, J):
        for estimate in (measurement.uplift(j), measurement.routed_uplift(j)):
            assert estimate is not None
            assert estimate.mean == pytest.approx(earns[j] - earns[0], rel=1e-12)
    assert np.allclose(measurement.mean_weight, 1.0)
    assert np.allclose(measurement.overlap, 1.0)


def test_a_shadow_is_measured_where_it_overlaps() -> None:
    """A policy that serves nobody has a value, if what it would show is shown; else NO_OVERLAP, no number."""
    shadow = population(np.array([0.0, 1.0, 0.0]), PMFS, REWARDS)
    value = shadow.value(2)
    assert value is not None
    assert value.mean == pytest.approx((PMFS[2] * REWARDS).sum(axis=1).mean())
    assert shadow.routed_value(2) is None
    single = population(np.array([1.0, 0.0, 0.0]), PMFS, REWARDS)
    assert single.overlap.tolist() == [1.0, 0.25, 0.125]
    assert [single.overlaps(j) for j in range(J)] == [True, False, False]
    assert single.value(1) is single.uplift(2) is None
    assert not single.weight_alarm(1, 0.01)


@pytest.mark.parametrize(("overlap", "known"), [(OVERLAP_MIN, True), (0.9989, False)])
def test_the_bound_of_overlap(overlap: float, known: bool) -> None:
    """From 0.999 on there is a number."""
    measurement = Measurement.zeros(2, 2)
    for reward in (0.0, 1.0):
        take(measurement, Made(0, np.array([0.5, 0.5]), 0.5, np.array([1.0, overlap]), 0, 1.0, (reward,)))
    assert (measurement.value(1) is not None) is known


def test_nothing_seen_is_no_number() -> None:
    """No decision, or no reward: no estimate, rather than a certain zero."""
    measurement = Measurement.zeros(2, 2)
    assert measurement.value(0) is measurement.uplift(1) is measurement.routed_value(0) is None
    assert not measurement.weight_alarm(0, 0.01)
    assert np.isnan([*measurement.overlap, *measurement.mean_weight]).all()
    assert measurement.effective_size.tolist() == [0.0, 0.0]
    made = Made(3, np.array([0.5, 1.0]), 0.5, np.ones(2), 0, 0.5, ())
    take(measurement, made)
    assert measurement.value(0) is measurement.uplift(1) is measurement.routed_value(0) is None
    take(measurement, made._replace(rewards=(1.0,)))
    assert isinstance(measurement.value(0), Estimate)


@pytest.mark.parametrize(("off", "alike"), [(0.0, True), (1e-15, True), (1e-3, False)])
def test_what_differs_by_rounding_is_alike(off: float, alike: bool) -> None:
    """A pmf that is static's but for its last digits earns 0 more for certain, and not 1e-16 that pay."""
    measurement = Measurement.zeros(2, 2)
    for i in range(400):
        mine = np.array([0.25, 0.25 * (1.0 + off)])
        take(measurement, Made(i % BUCKETS, mine, 0.25, np.ones(2), 0, 1.0, (float(i % 3 == 0),)))
    uplift, other = measurement.uplift(1), measurement.difference(0, 1)
    assert uplift is not None
    assert other is not None
    assert ((uplift.mean, uplift.variance) == (0.0, 0.0)) is alike
    assert ((other.mean, other.variance) == (0.0, 0.0)) is alike
    assert measurement.value(1) == pytest.approx(measurement.value(0), rel=0.01)


def test_the_effective_size_by_hand() -> None:
    """Weights 1 and 3: (1 + 3)² / (1 + 9)."""
    measurement = Measurement.zeros(2, 2)
    for p in (0.25, 0.75):
        take(measurement, Made(0, np.array([0.25, p]), 0.25, np.ones(2), 0, 1.0, ()))
    assert measurement.effective_size.tolist() == [2.0, 1.6]


@pytest.mark.parametrize(("factor", "alarm"), [(1.0, False), (0.9, True), (1.1, True)])
def test_wrong_propensities_raise_the_alarm(factor: float, alarm: bool) -> None:
    """20,000 draws from half static, half another policy: true propensities are quiet, a tenth off is not."""
    rng = np.random.default_rng(8)
    pmfs = np.array([[0.6, 0.4], [0.1, 0.9]])
    measurement = Measurement.zeros(2, 2)
    for _ in range(20_000):
        routed = int(rng.integers(2))
        arm = int(rng.random() >= pmfs[routed, 0])
        propensity = factor * float(pmfs[:, arm].mean())
        take(
            measurement,
            Made(int(rng.integers(BUCKETS)), pmfs[:, arm].copy(), propensity, np.ones(2), routed, 0.5, ()),
        )
    assert measurement.weight_alarm(1, tuned(20_000.0, 0.05)) is alarm


def test_memory_is_bounded() -> None:
    """A thousand placements of five policies and an event stay below 60 MB."""
    assert 1000 * sum(array.nbytes for array in Measurement.zeros(5, 1).arrays()) < 60e6


SCRIPT = """
import numpy as np
from bandit.kernels import jit
from bandit.measurement import Measurement

jit.compile_all()
measurement = Measurement.zeros(2, 2)
measurement.expose(1, np.ones(2), 0.5, np.ones(2), 0, 0.5)
measurement.credit(1, np.ones(2), 0.5, 0, 0.5, (0.0, 1.0), 1, (0.0, 1.0))
measurement.value(1), measurement.uplift(1), measurement.routed_uplift(1)
print({name: count for name, count in jit.specialisations().items() if "measure" in name})
"""


def test_compiled_once() -> None:
    """The kernels' examples have the types of their callers."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str({f"measure.{name}": 1 for name in ("expose", "credit", "contrast")})
