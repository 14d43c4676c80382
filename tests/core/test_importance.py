"""Which features matter: by hand, against simulated noise, and where one matters and another does not."""

import numpy as np
import pytest

from bandit.importance import FeatureReport, _chance
from bandit.report import report
from bandit.steps import finished
from tests.core.world import SECOND, Document, World, simple

FEATURES: Document = {
    "interest": {"kind": "category", "values": ["x", "y"]},
    "noise": {"kind": "hashed", "buckets": 4},
    "returning": {"kind": "boolean"},
}


def campaign(features: Document, visits: int, rate: dict[str, tuple[float, float]], seed: int) -> World:
    """Visitors of two kinds, x and y, who click by arm and kind; all else about them is noise."""
    world = World(p=simple(
        *rate,
        features=features,
        reward={"values": {"click": 1}, "max": 1.0},
        policies={"deep": {"kind": "linear_thompson", "prior_precision": 0.01}},
    ))  # fmt: skip
    rng = np.random.default_rng(seed)
    for i in range(visits):
        world.now += SECOND
        kind = int(rng.integers(2))
        categories = {"interest": "xy"[kind], "noise": f"n{rng.integers(30)}"}
        choice = world.choose("p", f"u{i}", categories, {"returning": float(rng.integers(2))})
        if rng.random() < rate[choice.arm][kind]:
            world.reward(choice)
    return world


def features_of(world: World) -> dict[str, FeatureReport]:
    """The report's features by name, in its order."""
    return {feature.name: feature for feature in report(world.state(), world.now).features}


def test_a_difference_that_can_be_worked_out() -> None:
    """Arm a earns 1 from those who return, half of all, and b nothing.

    The arms' coefficients lie 1/2 to either side of their mean, and `returning` has a standard deviation of
    1/2: together 1/4.
    """
    world = World(p=simple(
        features={"returning": {"kind": "boolean"}},
        policies={"deep": {"kind": "linear_thompson", "prior_precision": 0.001}},
    ))  # fmt: skip
    for i in range(2_000):
        returning = float(i % 2)
        choice = world.choose("p", "", {}, {"returning": returning}, ["ab"[i // 2 % 2]])
        if choice.arm == "a" and returning:
            world.reward(choice)
    (found,) = report(world.state(), world.now).features
    assert found.name == "returning"
    assert found.importance == pytest.approx(0.25, abs=1e-5)
    assert 0.0 < found.chance < 0.01


def test_what_matters_comes_first_and_what_does_not_is_chance() -> None:
    """Two kinds of visitors like different arms; a hash of anything and a coin say nothing."""
    found = features_of(campaign(FEATURES, 4_000, {"a": (0.5, 0.1), "b": (0.1, 0.5)}, seed=4))
    assert next(iter(found)) == "interest"
    assert found["interest"].importance == pytest.approx(0.2, abs=0.03)
    assert found["interest"].importance > 5 * found["interest"].chance
    for name in ("noise", "returning"):
        assert 0.0 < found[name].importance < found[name].chance


def test_chance_is_exceeded_once_in_twenty() -> None:
    """In 150 campaigns without effects: each feature in at most 8 %, all together in at least 2 %.

    5 % is meant; the seeds are fixed.
    """
    runs = 150
    beyond = dict.fromkeys(FEATURES, 0)
    for seed in range(runs):
        found = features_of(
            campaign(FEATURES, 600, {"a": (0.3, 0.3), "b": (0.3, 0.3), "c": (0.3, 0.3)}, seed)
        )
        for name, feature in found.items():
            beyond[name] += feature.importance > feature.chance
    assert all(times <= 0.08 * runs for times in beyond.values()), beyond
    assert sum(beyond.values()) >= 0.02 * 3 * runs, beyond


def test_the_upper_point_is_that_of_the_noise() -> None:
    """Normal coefficients of three arms, unlike in size: 5 % of 40,000 draws lie beyond it."""
    rng = np.random.default_rng(2)
    arms, columns = 3, 2
    roots = rng.normal(size=(arms, columns, columns)) * np.array([1.0, 0.5, 2.0])[:, None, None]
    half = rng.normal(size=(columns, columns))
    covariance = half @ half.T
    theta = np.einsum("aij,naj->nai", roots, rng.normal(size=(40_000, arms, columns)))
    delta = theta - theta.mean(axis=1, keepdims=True)
    q = np.einsum("nai,ij,naj->n", delta, covariance, delta) / arms
    point = finished(_chance(covariance @ (roots @ roots.transpose(0, 2, 1))))
    assert (q > point).mean() == pytest.approx(0.05, abs=0.01)


def test_nothing_is_said_of_nothing() -> None:
    """Before the first reward, with one active arm, or without a policy that looks at the context."""
    assert not features_of(World(p=simple(features=FEATURES, policies={"deep": {"kind": "linucb"}})))
    single = simple(arms={"a": {}}, features=FEATURES, policies={"deep": {"kind": "linucb"}})
    world = World(p=single)
    world.reward(world.choose())
    assert not features_of(world)
    world = World(p=simple(features=FEATURES, policies={"t": {"kind": "thompson"}}))
    world.reward(world.choose())
    assert not features_of(world)
