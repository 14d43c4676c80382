"""Every policy is measured on every decision in scope: sums by their definition, epochs, replay."""

import struct

import msgpack
import numpy as np
import pytest

from bandit.decision import Decision
from bandit.fields import SectionError
from bandit.head import pack_head, unpack_head
from bandit.measuring import Measuring, key_of
from bandit.records import Decided, Exposed, Rewarded
from bandit.sections import pack_placement, unpack_placement
from tests.core.test_apply import lived
from tests.core.world import DAY, SECOND, Document, World, decision, hero, simple

SCOPED: Document = hero(
    ramp={
        "policies": {"best-arm": 0.5, "personal": 0.5},
        "from": 0.25,
        "to": 0.25,
        "only_when": {"platform": ["web"]},
    }
)


def visited(world: World, times: int, **fields: object) -> None:
    """Choose and reward now and then."""
    rng = np.random.default_rng(7)
    for i in range(times):
        world.now += SECOND
        choice = world.choose(
            unit=f"u{i % 60}",
            categories={"platform": ["web", "app"][i % 4 == 0]},
            **fields,  # type: ignore[arg-type]
        )
        if rng.random() < 0.4:
            world.reward(choice, "visit", float(rng.choice([1.0, 2.0])))


def by_hand(world: World) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """n, Σ w, Σ w R and Σ z R of the decisions in scope, from the journal's records alone."""
    exposed: dict[int, Decision] = {}
    rewards: dict[int, float] = {}
    for record in world.journal:
        match record:
            case Decided(made, _, _) if made.in_scope and not made.deferred:
                exposed[made.counter] = made
            case Exposed(made, _) if made.in_scope:
                exposed[made.counter] = made
            case Rewarded(made, _, value, _, _) if made.in_scope:
                exposed[made.counter] = made
                rewards[made.counter] = rewards.get(made.counter, 0.0) + value
    w, earned, routed = np.zeros((3, 5))
    router = world.state().router
    for counter, made in exposed.items():
        weights = np.array(made.probabilities) / made.propensity
        reward = min(rewards.get(counter, 0.0), 5.0)
        w += weights
        earned += weights * reward
        routed[made.policy] += reward / router.share_of(made.policy, made.share)
    return float(len(exposed)), w, earned, routed


@pytest.mark.parametrize("deferred", [False, True])
def test_the_sums_are_those_of_the_records(deferred: bool) -> None:
    """In scope alone, exposures when they count, R as it was credited."""
    world = World(p=SCOPED)
    visited(world, 600, deferred=deferred)
    measurement = world.state().measuring.epoch.measurement
    n, w, earned, routed = by_hand(world)
    assert 0 < n < 600
    assert measurement.decisions == n
    assert measurement.mean_weight == pytest.approx(w / n)
    for policy in range(5):
        value, by_routing = measurement.value(policy), measurement.routed_value(policy)
        assert value is not None
        assert value.mean == pytest.approx(earned[policy] / n)
        assert (by_routing is None) == (measurement.routed[policy] == 0)
        assert by_routing is None or by_routing.mean == pytest.approx(routed[policy] / n)
    assert np.count_nonzero(measurement.routed) == 3


@pytest.mark.parametrize("deferred", [False, True])
def test_an_event_is_measured_by_its_own_values(deferred: bool) -> None:
    """Of each policy Σ w V / n, with V the sum of a repeatable event's values, clipped by nothing."""
    world = World(p=SCOPED)
    rng = np.random.default_rng(2)
    for i in range(400):
        world.now += SECOND
        choice = world.choose(unit=f"u{i % 50}", categories={"platform": "web"}, deferred=deferred)
        for order in range(int(rng.integers(3))):
            world.reward(choice, "purchase", float(rng.integers(1, 1_000)), f"order-{order}")
        if rng.random() < 0.3:
            world.reward(choice, "visit")
    made: dict[int, Decision] = {}
    values: dict[str, dict[int, float]] = {"purchase": {}, "visit": {}}
    for record in world.journal:
        if isinstance(record, Rewarded):
            counter = record.decision.counter
            made[counter] = record.decision
            values[record.event][counter] = values[record.event].get(counter, 0.0) + record.value
    measurement = world.state().measuring.epoch.measurement
    for number, found in enumerate(values.values()):
        event = measurement.of_event(number)
        weights = {counter: np.array(d.probabilities) / d.propensity for counter, d in made.items()}
        earned = np.array([weights[counter] * value for counter, value in found.items()])
        expected = earned.sum(axis=0) / measurement.decisions
        for policy in range(5):
            value, uplift = event.value(policy), event.uplift(policy)
            assert value is not None
            assert value.mean == pytest.approx(expected[policy])
            assert policy == 0 or (uplift and uplift.mean == pytest.approx(expected[policy] - expected[0]))


def test_weights_average_to_one_while_policies_learn() -> None:
    """E[w] = 1 whatever the policies do: that is what an alarm is about."""
    world = World(p=SCOPED)
    visited(world, 3_000)
    measurement = world.state().measuring.epoch.measurement
    assert measurement.mean_weight == pytest.approx(np.ones(5), abs=0.15)
    assert not any(measurement.weight_alarm(policy, 0.01) for policy in range(5))


def test_without_a_ramp_nothing_is_shown_but_everything_is_measured() -> None:
    """A static campaign with variety of its own values every policy in its shadow."""
    world = World(p=hero(ramp=None))
    visited(world, 400)
    measurement = world.state().measuring.epoch.measurement
    assert measurement.decisions == 400
    assert measurement.routed.tolist() == [400, 0, 0, 0, 0]
    assert all(measurement.value(policy) is not None for policy in range(5))


def test_what_static_never_shows_has_no_value() -> None:
    """NO_OVERLAP, never a number: overlaps below 1 are in the decisions."""
    single = simple(
        arms={"a": {"weight": 1}, "b": {"weight": 0}},
        policies={"t": {"kind": "thompson"}, "even": {"kind": "uniform"}},
    )
    world = World(p=single)
    for i in range(50):
        world.reward(world.choose(unit=f"u{i}"))
    measurement = world.state().measuring.epoch.measurement
    assert measurement.overlap[0] == 1.0
    assert measurement.overlap[2] == pytest.approx(0.5)
    assert measurement.value(0) is None  # nothing varies yet: every R is 1
    assert measurement.value(2) is None
    assert not measurement.overlaps(2)
    (first,) = [record for record in world.journal if isinstance(record, Decided)][:1]
    assert first.decision.overlaps[2] == pytest.approx(0.5)


def test_an_epoch_ends_with_what_is_measured() -> None:
    """A payload changes nothing; a weight, a reward, a policy and the ramp's start begin anew."""
    base = SCOPED
    world = World(p=base)
    visited(world, 50)
    key = world.state().measuring.epoch.key
    arms = base["arms"] | {"womens": {"weight": 1, "payload": "other"}}
    world.reload(p=base | {"arms": arms})
    visited(world, 50)
    epoch = world.state().measuring.epoch
    assert (epoch.key, epoch.measurement.decisions) == (key, by_hand(world)[0])
    for changed in (
        base | {"arms": arms | {"none": {"weight": 3}}},
        base | {"reward": base["reward"] | {"max": 4.0}},
        base | {"policies": {name: p for name, p in base["policies"].items() if name != "even"}},
    ):
        before = world.choose(unit="u", categories={"platform": "web"})
        world.reload(p=changed)
        world.reward(before, "visit")
        assert world.state().measuring.epoch.measurement.decisions == 0
        world.now += SECOND
        world.choose(unit="u", categories={"platform": "web"})
        assert world.state().measuring.epoch.measurement.decisions == 1
        assert world.state().measuring.epoch.key != key


def test_a_ramp_that_begins_begins_an_epoch() -> None:
    """Before its start the learned policies have no unit: what was seen then says nothing by routing."""
    world = World(p=simple(policies={"t": {"kind": "thompson"}}, ramp={
        "policies": {"t": 1.0}, "from": 0.5, "start": "2027-01-16T00:00:00Z"}))  # fmt: skip
    world.choose()
    shadow = world.state().measuring.epoch
    world.now += 3 * DAY
    world.choose()
    assert world.state().measuring.epoch is not shadow
    assert shadow.key != world.state().measuring.epoch.key


def test_rewards_of_an_epoch_that_is_over_change_nothing() -> None:
    """They are learned from, and measured no more."""
    measuring = Measuring(3, 1)
    old, new = decision(time_us=1, overlaps=()), decision(time_us=2, overlaps=())
    measuring.expose(old, b"before", 0.5)
    measuring.expose(new, b"after", 0.5)
    before = [array.copy() for array in measuring.epoch.measurement.arrays()]
    measuring.credit(old, b"before", 0.5, (0.0, 1.0), 0, (0.0, 1.0))
    measuring.expose(old, b"before", 0.5)
    assert all(map(np.array_equal, before, measuring.epoch.measurement.arrays()))
    assert measuring.epoch.key == key_of(new, b"after")
    measuring.credit(new, b"after", 0.5, (0.0, 1.0), 0, (0.0, 1.0))
    assert not np.array_equal(before[0], measuring.epoch.measurement.buckets)


def test_a_share_of_zero_serves_nobody() -> None:
    """A record that says otherwise is none of ours."""
    with pytest.raises(ValueError, match="policy 1 served a decision with a share of 0"):
        Measuring(3, 1).expose(decision(), b"", 0.0)


def test_a_whole_life_is_measured_the_same_again() -> None:
    """Through reloads and forgetting, deferred and late: sums never turn into something else."""
    world = lived("2h", 700)
    for state in world.engine.state.placements.values():
        assert all(np.isfinite(array).all() for array in state.measuring.epoch.measurement.arrays())


def test_what_was_measured_is_kept_and_checked() -> None:
    """In a placement's section, bit for bit; sums of another size or that are no numbers are refused."""
    world = World(p=SCOPED)
    visited(world, 100)
    head = unpack_head(pack_head(world.engine.state, sequence=9, origin="test"))
    payload = pack_placement(world.state(), 9)
    (read, _) = unpack_placement(payload, head)
    epoch, held = read.measuring.epoch, world.state().measuring.epoch
    assert (epoch.key, epoch.began_us) == (held.key, held.began_us)
    assert all(map(np.array_equal, epoch.measurement.arrays(), held.measurement.arrays()))
    sums = held.measurement.totals.tobytes()
    for wrong in (b"\xff" * len(sums), sums[:-8] + struct.pack("<d", float("inf"))):
        changed = msgpack.unpackb(payload)
        changed["measured"]["totals"] = wrong
        with pytest.raises(SectionError, match="totals: expected finite numbers"):
            unpack_placement(msgpack.packb(changed), head)
    for size in (-8, -1):
        shorter = msgpack.unpackb(payload)
        shorter["measured"]["buckets"] = shorter["measured"]["buckets"][:size]
        with pytest.raises(SectionError, match="buckets: expected 5376 doubles"):
            unpack_placement(msgpack.packb(shorter), head)
