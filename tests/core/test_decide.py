"""The kernel of a decision against its parts, one by one in NumPy: every pmf, the arm, its propensity."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.features import entries, packed
from bandit.kernels import decide as kernels
from bandit.kernels import linear
from bandit.kernels.decide import best_probability, sample
from bandit.strata import Stratum
from bandit.tally import Floats
from tests.core.world import NOW, Scores, placement_state, simple

POLICIES: dict[str, dict[str, Any]] = {
    "even": {"kind": "uniform"},
    "lin": {"kind": "linear_thompson", "explore": 0.1},
    "other": {"kind": "linear_thompson", "explore": 0.0, "prior_precision": 7.0},
    "ucb": {"kind": "linucb", "alpha": 0.5, "explore": 0.02},
}
FEATURES = {f"f{i}": {"kind": "number", "min": 0, "max": 1} for i in range(2)}
SPLIT = {"even": 0.2, "lin": 0.4, "other": 0.1, "ucb": 0.3}


def expected(scores: Scores, policy: dict[str, Any], eligible: list[int], arms: int) -> Floats:
    """Return a linear policy's pmf, from scores."""
    explore, among = policy["explore"], np.array(eligible)
    if policy["kind"] == "linear_thompson":
        out = np.zeros(arms)
        best_probability(scores.mean, scores.sd, among, 0.0, out)
    else:
        upper = scores.mean + policy["alpha"] * scores.sigma * scores.width
        out = np.eye(arms)[among[np.argmax(upper[among])]]
    out[among] = (1.0 - explore) * out[among] + explore / among.size
    return out


@pytest.mark.parametrize("mask", [0b1111, 0b1010, 0b0100])
def test_it_does_what_its_parts_do(mask: int) -> None:
    """Each row, the draw from the policy's own row, Σ share x probability, over 300 contexts."""
    document = simple(*"abcd", policies=POLICIES, features=FEATURES, ramp={"policies": SPLIT})
    state = placement_state(document)
    stratum = Stratum(state.config, 0, mask, in_scope=True)
    eligible = [k for k in range(4) if mask >> k & 1]
    rng = np.random.default_rng(41)
    for i in range(300):
        x = packed(np.array([0, 1, 3]), np.array([1.0, *rng.random(2)]))
        arm, share, u, served = int(rng.integers(4)), float(rng.random()), float(rng.random()), i % 5
        got = state.draw(stratum, x, served, share, u, NOW)
        rows = [stratum.static, stratum.uniform]
        for name in ("lin", "other", "ucb"):
            model = state.models.by_prior[POLICIES[name].get("prior_precision", 1.0)]
            rows.append(expected(Scores(model, state.tally, x), POLICIES[name], eligible, 4))
        if i > 10:  # before any reward: test_policies.py
            assert np.allclose(stratum.pmfs, rows, rtol=0.0, atol=1e-15)
        assert got[:3] == sample(stratum.pmfs[served], u)
        mu = state.router.shares(share) @ stratum.pmfs[:, got[0]]
        assert got[3] == pytest.approx(mu, rel=1e-15)
        state.expose(arm, None, x, NOW + i)
        state.credit(arm, None, x, NOW + i, (0.0, float(rng.random() + 0.2 * arm)))
    assert state.counters.degraded.sum() == 0


def test_every_unusable_model_is_told() -> None:
    """A NaN in one of two models: its policies get static's row and a bit each, the others go on."""
    document = simple(arms={"a": {"weight": 3}, "b": {"weight": 1}}, policies=POLICIES)
    state = placement_state(document)
    stratum = Stratum(state.config, 0, 0b11, in_scope=True)
    x = packed(np.zeros(1, int), np.ones(1))
    state.expose(0, None, x, NOW)
    state.credit(0, None, x, NOW, (0.0, 1.0))
    state.models.by_prior[1.0].inverse[0] = math.nan
    arm, _, _, propensity, unusable, _ = state._decide(stratum.pmfs, stratum.eligible, x, 2, 0.0, 0.8)
    assert (arm, propensity, unusable) == (1, 0.25, 0b10100)
    assert stratum.pmfs[[2, 4]].tolist() == [[0.75, 0.25]] * 2
    assert stratum.pmfs[3, 0] != 0.75


@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0.0, 1.0, width=32)), max_size=65))
def test_x_is_read_as_it_was_packed(pairs: list[tuple[int, float]]) -> None:
    """Columns and values come out of the bytes bit for bit, in both files of kernels and in NumPy."""
    index, value = np.array([i for i, _ in pairs], int), np.array([v for _, v in pairs], float)
    x = packed(index, value)
    assert len(x) == 6 * len(pairs)
    for read in (entries, kernels.entries, linear.entries):
        got_index, got_value = read(x)
        assert got_index.dtype == np.uint16
        assert got_value.dtype == np.float32
        assert got_index.tolist() == index.tolist()
        assert got_value.tobytes() == value.astype(np.float32).tobytes()
