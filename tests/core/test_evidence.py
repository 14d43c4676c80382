"""The gate's sums: their definitions, an example by hand, and the same estimates as the measurement's."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.evidence import Evidence
from bandit.hashing import BUCKETS
from bandit.kernels import gate
from bandit.measurement import Measurement

weights = st.floats(0.0, 20.0)
seen = st.lists(
    st.tuples(
        st.sampled_from([0, 3, BUCKETS - 1]), weights, weights, st.booleans(), st.floats(0.0, 5.0), weights
    ),
    min_size=1,
    max_size=12,
)


def counted(*decisions: tuple[int, float, float, bool, float, float]) -> Evidence:
    """Decisions (bucket, w of the mixture, of static, learned, R at first, R at last)."""
    evidence = Evidence.zeros()
    for bucket, mix, static, learned, first, last in decisions:
        evidence.expose(bucket, mix, static, (1.0, 1.0), learned=learned)
        evidence.credit(bucket, mix, static, (0.0, first))
        evidence.credit(bucket, mix, static, (first, last))
    return evidence


def test_by_hand() -> None:
    """Two units with two decisions each, at a share of one half.

    μ = ½ (π_s + π_m), so w_s + w_m = 2. D = w_m R - ½ w_s R is 0, 1.5 in bucket 0 and 2 (½ · 2), 0 in 1.
    """
    evidence = counted(
        (0, 0.5, 1.5, False, 0.0, 0.0),
        (0, 1.5, 0.5, True, 0.0, 2.0),
        (1, 2.0, 0.0, True, 0.0, 1.0),
        (1, 0.0, 2.0, False, 0.0, 0.0),
    )
    assert (evidence.decisions, evidence.learned, evidence.overlaps) == (4, 2, True)
    n, total, between, floor = gate.combination(evidence.buckets, evidence.totals, 1.0, -0.5)
    assert (n, total) == (4.0, 2.5 + 2.0)
    # Σ D by bucket: 2.5 and 2, mean 1.125 a decision; two buckets: K / (K - 1) = 2
    assert between == pytest.approx(2.0 * (0.25**2 + 0.25**2))
    # g = w_m - ½ w_s: -0.25, 1.25 | 2, -1; less ½ each, by bucket 0 and 0; Σ g² = 6.625; R: 0, 2, 1, 0
    assert floor == pytest.approx(0.75**2 * 0.0 + (5.0 / 4.0 - 0.75**2) * 6.625)
    estimate = evidence.estimate(1.0, -0.5)
    assert estimate is not None
    assert estimate.mean == 4.5 / 4.0
    assert estimate.variance == pytest.approx(floor / 4.0)


@given(seen)
@settings(max_examples=60)
def test_it_agrees_with_the_measurement_of_two_policies(
    decisions: list[tuple[int, float, float, bool, float, float]],
) -> None:
    """Static and one learned policy: value, uplift and static's value, to rounding."""
    evidence, measurement = counted(*decisions), Measurement.zeros(2, 1)
    for bucket, mix, static, learned, _, last in decisions:
        pair = np.array([static, mix])
        measurement.expose(bucket, pair, 1.0, np.ones(2), int(learned), 0.5)
        measurement.credit(bucket, pair, 1.0, int(learned), 0.5, (0.0, last), 0, (0.0, 0.0))
    for mine, theirs in (
        (evidence.estimate(1.0, 0.0), measurement.value(1)),
        (evidence.estimate(0.0, 1.0), measurement.value(0)),
        (evidence.estimate(1.0, -1.0), measurement.uplift(1)),
    ):
        assert mine is None or theirs is None or mine == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@given(seen, seen)
@settings(max_examples=30)
def test_merging_is_adding(
    some: list[tuple[int, float, float, bool, float, float]],
    others: list[tuple[int, float, float, bool, float, float]],
) -> None:
    """Sums of two lots of decisions are those of all of them, to rounding."""
    merged = counted(*some)
    merged.add(counted(*others))
    for one, all_of_them in zip(merged.arrays(), counted(*some, *others).arrays(), strict=True):
        assert np.allclose(one, all_of_them, rtol=1e-9, atol=1e-9)


def test_without_overlap_there_is_no_number() -> None:
    """Nor before the first decision, nor while nothing varies, nor with sums beyond what a double holds."""
    assert not Evidence.zeros().overlaps
    assert Evidence.zeros().estimate(1.0, -1.0) is None
    evidence = Evidence.zeros()
    for _ in range(1000):
        evidence.expose(0, 1.0, 1.0, (0.998, 1.0), learned=True)
        evidence.credit(0, 1.0, 1.0, (0.0, 1.0))
    assert not evidence.overlaps
    assert evidence.estimate(1.0, -1.0) is None
    assert counted((0, 1.0, 1.0, True, 0.0, 0.0)).estimate(1.0, -1.0) is None
    huge = counted((0, 1e200, 1.0, True, 0.0, 1.0), (1, 1.0, 1.0, True, 0.0, 0.0))
    assert math.isinf(gate.combination(huge.buckets, huge.totals, 1.0, -1.0)[3])
    assert huge.estimate(1.0, -1.0) is None


@pytest.mark.parametrize(("off", "nothing"), [(0.0, True), (-1e-15, True), (-1e-3, False)])
def test_a_mixture_that_is_static_by_all_but_rounding_loses_nothing(off: float, nothing: bool) -> None:
    """Else a gate that allows no loss would take it back for its last digits."""
    made = [(i % BUCKETS, 1.0 + off, 1.0, i % 2 == 0, 0.0, float(i % 3 == 0)) for i in range(4_000)]
    estimate = counted(*made).estimate(1.0, -1.0)
    assert estimate is not None
    assert ((estimate.mean, estimate.variance) == (0.0, 0.0)) is nothing
