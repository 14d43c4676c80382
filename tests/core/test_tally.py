"""Tallies: sums that add in any order, and follow arms and columns wherever they move."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bandit.model import LinearModels
from bandit.tally import Tally
from tests.core.world import sparse

ARMS, COLUMNS = 3, 4

whole = st.integers(-1000, 1000)
"""Whole numbers in float64 add without rounding, so that equal means equal."""


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    """Any tally of whole numbers."""
    tally = Tally.zeros(ARMS, COLUMNS)
    for array in tally.arrays():
        array[...] = np.array(draw(st.lists(whole, min_size=array.size, max_size=array.size))).reshape(
            array.shape
        )
    return tally


def copy(tally: Tally) -> Tally:
    """Return a tally that shares nothing with this one."""
    return Tally(*(array.copy() for array in tally.arrays()))


def added(one: Tally, other: Tally) -> Tally:
    """Return the sum of two tallies."""
    result = copy(one)
    result.add(other)
    return result


def equal(one: Tally, other: Tally) -> bool:
    """Whether two tallies are bit for bit the same."""
    return all(np.array_equal(a, b) for a, b in zip(one.arrays(), other.arrays(), strict=True))


@given(tallies(), tallies(), tallies())
def test_adding_is_a_commutative_monoid(a: Tally, b: Tally, c: Tally) -> None:
    """Sums: a + b = b + a, (a + b) + c = a + (b + c), a + 0 = a; the right side of `add` is left alone."""
    before = copy(b)
    assert equal(added(a, b), added(b, a))
    assert equal(added(added(a, b), c), added(a, added(b, c)))
    assert equal(added(a, Tally.zeros(ARMS, COLUMNS)), a)
    assert equal(b, before)


def test_a_tally_by_hand() -> None:
    """Two exposures of x = (1, ½) and (1, 0), the first earning 3, then 5 in all: n, r1, r2, A, b."""
    tally = Tally.zeros(1, 2)
    models = LinearModels((), tally, 1.0)
    x, y = np.array([1.0, 0.5]), np.array([1.0, 0.0])
    models.expose(0, sparse(x), 1.0, 1.0)
    models.expose(0, sparse(y), 1.0, 1.0)
    models.credit(0, sparse(x), 1.0, (0.0, 3.0))
    models.credit(0, sparse(x), 1.0, (3.0, 5.0))
    assert (tally.n[0], tally.r1[0], tally.r2[0]) == (2.0, 5.0, 25.0)
    assert tally.A[0].tolist() == [[2.0, 0.5], [0.5, 0.25]]
    assert tally.b[0].tolist() == [5.0, 2.5]


def test_incremental_equals_batch() -> None:
    """1,000 weighted exposures and credits equal the matrix products of the whole, to 1e-12."""
    rng = np.random.default_rng(3)
    x = (rng.random((1_000, 8)) * (rng.random((1_000, 8)) < 0.5)).astype(np.float32).astype(np.float64)
    arm, weight, reward = rng.integers(0, ARMS, 1_000), rng.random(1_000) + 0.5, rng.normal(size=1_000)
    tally = Tally.zeros(ARMS, 8)
    models = LinearModels((), tally, 1.0)
    for i in range(1_000):
        models.expose(int(arm[i]), sparse(x[i]), float(weight[i]), 1.0)
        models.credit(int(arm[i]), sparse(x[i]), float(weight[i]), (0.0, float(reward[i])))
    for k in range(ARMS):
        rows, w, r = x[arm == k], weight[arm == k], reward[arm == k]
        assert np.allclose(tally.A[k], (rows * w[:, None]).T @ rows, rtol=1e-12)
        assert np.array_equal(tally.A[k], tally.A[k].T)
        assert np.allclose(tally.b[k], rows.T @ (w * r), rtol=0, atol=1e-11)
        assert np.allclose([tally.n[k], tally.r1[k], tally.r2[k]], [w.sum(), w @ r, w @ r**2], rtol=1e-11)


def test_shares_of_traffic_add_up_to_the_whole() -> None:
    """Two processes that saw half of the traffic each have together what one would have."""
    rng = np.random.default_rng(4)
    parts, one = [Tally.zeros(ARMS, COLUMNS), Tally.zeros(ARMS, COLUMNS)], Tally.zeros(ARMS, COLUMNS)
    *halves, whole = (LinearModels((), tally, 1.0) for tally in (*parts, one))
    for i in range(200):
        x = sparse(rng.integers(0, 3, COLUMNS).astype(np.float64))
        for models in (halves[i % 2], whole):
            models.expose(i % ARMS, x, 1.0, 1.0)
            models.credit(i % ARMS, x, 1.0, (0.0, float(i)))
    assert equal(added(*parts), one)


@given(tallies(), st.permutations(range(ARMS)), st.permutations(range(COLUMNS)))
def test_rearranging_back_is_the_identity(tally: Tally, arms: list[int], columns: list[int]) -> None:
    """A permutation and its inverse restore every sum; the original is not touched."""
    before = copy(tally)
    there = tally.rearranged(arms, columns)
    back = there.rearranged(np.argsort(arms).tolist(), np.argsort(columns).tolist())
    assert equal(back, tally)
    assert equal(tally, before)


@given(tallies(), tallies())
def test_rearranging_commutes_with_adding(a: Tally, b: Tally) -> None:
    """New arms and columns are empty, dropped ones gone, whether tallies are added before or after."""
    arms, columns = [2, -1, 0], [-1, 3, 0, -1, 1]
    assert equal(
        added(a, b).rearranged(arms, columns), added(a.rearranged(arms, columns), b.rearranged(arms, columns))
    )
    moved = a.rearranged(arms, columns)
    assert not moved.b[1].any()
    assert not moved.A[:, 0].any()
    assert moved.A[0, 1, 2] == a.A[2, 3, 0]
    assert moved.n.tolist() == [a.n[2], 0.0, a.n[0]]


@given(tallies(), st.integers(-40, 40))
def test_scaling_by_powers_of_two_is_exact(tally: Tally, power: int) -> None:
    """There and back again changes no bit."""
    before = copy(tally)
    tally.scale(2.0**power)
    tally.scale(2.0**-power)
    assert equal(tally, before)
