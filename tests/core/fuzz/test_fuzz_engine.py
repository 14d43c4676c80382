"""Any accepted configurations, calls and reloads: typed refusals, pmfs that sum to 1, replay bit-equal."""

import random
import time

import numpy as np

from bandit.apply import apply
from bandit.config import ConfigError
from bandit.engine import Choice
from bandit.errors import BanditError
from bandit.limits import LEDGER_BYTES_MAX
from bandit.records import Configured, Decided
from bandit.state import State
from tests.core.world import HOUR, SECOND, START, Document, World, snapshot

BOX_SECONDS = 5.0
NUMBERS = [0.0, 1.0, -0.0, 0.5, -3.0, 7.7, 5e-324, 1e308, -1e308]
VALUES = ["v0", "v1", "v2", "", "new", "\U0001f600", "x" * 300]


def some(rng: random.Random, names: list[str], least: int = 0) -> list[str]:
    """Return a few of the names."""
    return rng.sample(names, rng.randint(least, len(names)))


def feature(rng: random.Random) -> Document:
    """Return any feature."""
    kind = rng.choice(["category", "hashed", "number", "boolean"])
    if kind == "category":
        return {"kind": kind, "values": some(rng, ["v0", "v1", "v2"], 1)}
    if kind == "hashed":
        return {"kind": kind, "buckets": rng.choice([1, 2, 7])}
    if kind == "number":
        low = rng.choice([-1e300, -3.0, 0.0])
        return {
            "kind": kind,
            "min": low,
            "max": low + rng.choice([1e300, 1.0, 50.0]),
            "scale": rng.choice(["log", "linear"]),
        }
    return {"kind": kind}


def condition(rng: random.Random, features: Document) -> Document:
    """Return a condition on some of the features."""
    wanted: Document = {}
    for name in some(rng, sorted(features)):
        match features[name]["kind"]:
            case "category":
                wanted[name] = some(rng, features[name]["values"], 1)
            case "hashed":
                wanted[name] = some(rng, ["v0", "v1", "v2"], 1)
            case "boolean":
                wanted[name] = [rng.choice([True, False])]
    return wanted if rng.random() < 0.6 else {}


def policy(rng: random.Random) -> Document:
    """Return any policy but static."""
    kind = rng.choice(["uniform", "thompson", "linear_thompson", "linucb"])
    document: Document = {"kind": kind}
    if kind != "uniform":
        document["explore"] = rng.choice([0.0, 0.01, 1.0])
    if kind in ("linear_thompson", "linucb"):
        document["prior_precision"] = rng.choice([1e-6, 1.0, 1e9])
    if kind == "linucb":
        document["alpha"] = rng.choice([0.0, 1.0, 1e6])
    return document


def placement(rng: random.Random, half_life: str | None) -> Document:
    """Return any placement of arms a0 to a5, features f0 to f3, policies p0 to p3 and events e0 to e3."""
    features = {f"f{i}": feature(rng) for i in range(4) if rng.random() < 0.7}
    states = ["active", "active", "active", "draining"]
    arms = {
        f"a{i}": {
            "weight": rng.choice([0, 1, 2.5, 1e9]),
            "state": rng.choice(states),
            "when": condition(rng, features),
        }
        for i in range(6)
        if rng.random() < 0.8
    }
    policies = {f"p{i}": policy(rng) for i in range(4) if rng.random() < 0.6}
    events = some(rng, ["e0", "e1", "e2", "e3"], 1)
    reward: Document = {"values": {event: rng.choice([1, 0.02, -0.5, 1e9]) for event in events}}
    reward |= {"window": rng.choice(["1m", "1h", "90d"]), "repeatable": some(rng, events)}
    if rng.random() < 0.5:
        reward["max"] = rng.choice([1.0, 1e9])
    document: Document = {"arms": arms, "features": features, "policies": policies, "reward": reward}
    document["exposure"] = rng.choice(["on_choose", "on_event"])
    if half_life:
        document["half_life"] = half_life
    if policies and rng.random() < 0.8:
        split = {name: 1 / len(policies) for name in policies}
        document["ramp"] = {"policies": split, "from": rng.choice([0.0, 0.5, 1.0]), "to": 1.0, "over": "2h"}
        document["ramp"]["only_when"] = condition(rng, features)
        if rng.random() < 0.7:
            document["ramp"]["gate"] = {
                "min_exposures": rng.choice([1, 9]),
                "max_loss": rng.choice([0.0, 0.05, 1.0]),
            }
    return document


def reloaded(world: World, rng: random.Random, half_life: str | None) -> None:
    """Take over another configuration, if it may follow."""
    try:
        world.reload(**{name: placement(rng, half_life) for name in some(rng, ["p", "q"], 1)})
    except ConfigError:
        return


def chosen(world: World, rng: random.Random) -> Choice | None:
    """Choose anything; check the pmfs behind the choice."""
    names = [f"f{i}" for i in range(5)]
    categories = {name: rng.choice(VALUES) for name in some(rng, names)}
    numbers = {
        name: rng.choice([*NUMBERS, float("nan")] if rng.random() < 0.1 else NUMBERS)
        for name in some(rng, names)
    }
    arms = some(rng, [f"a{i}" for i in range(7)]) if rng.random() < 0.3 else []
    name, unit = rng.choice(["p", "q"]), rng.choice(["", "u1", "u2", "ž" * 300])
    try:
        choice = world.choose(name, unit, categories, numbers, arms, deferred=rng.random() < 0.3)
    except BanditError:
        return None
    state, record = world.state(name), world.journal[-1]
    assert isinstance(record, Decided)
    stratum = state.strata.at(record.decision.stratum)
    if stratum is not None:
        assert np.allclose(stratum.pmfs.sum(axis=1), 1.0, atol=1e-9)
        assert (stratum.pmfs >= 0.0).all()
    assert 0.0 < choice.propensity < 1.0 + 1e-9
    assert state.counters.degraded.sum() == 0
    assert record.decision.probabilities[record.decision.policy] > 0.0
    return choice


def life(seed: int) -> World:
    """Return a world after a few hundred random calls."""
    rng = random.Random(seed)
    half_life = rng.choice([None, None, "1s", "1h", "30d"])
    while True:
        try:
            world = World(start=START, p=placement(rng, half_life), q=placement(rng, half_life))
            break
        except ConfigError:
            continue
    choices: list[Choice] = []
    for _ in range(300):
        world.now += rng.choice([0, 1, SECOND, SECOND, 60 * SECOND, HOUR if rng.random() < 0.1 else 0])
        world.look()
        if rng.random() < 0.03:
            reloaded(world, rng, half_life)
        choice = chosen(world, rng)
        choices += [choice] if choice else []
        for some_choice in rng.sample(choices, min(len(choices), 2)):
            event = rng.choice(["e0", "e1", "e2", "e3", "exposure", "click"])
            value = rng.choice([1.0, 1.0, 0.0, -2.0, 1e9, 1e-300, float("inf")])
            try:
                world.reward(some_choice, event, value, rng.choice(["", "i1", "i2"]))
            except BanditError:
                continue
    return world


def test_any_life_is_defined_and_replays() -> None:
    """Random worlds for five seconds: no other exception, no degraded policy, and the records say it all."""
    end = time.monotonic() + BOX_SECONDS
    seed = 0
    while time.monotonic() < end or seed < 5:
        world = life(seed)
        replayed = State(LEDGER_BYTES_MAX)
        for record in world.journal:
            apply(replayed, record)
        assert snapshot(replayed) == snapshot(world.engine.state), seed
        assert any(isinstance(record, Configured) for record in world.journal)
        seed += 1
