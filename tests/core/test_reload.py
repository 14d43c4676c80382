"""Reconfiguring between Choose and Reward: what was learned of what remains, remains; the rest is defined."""

import numpy as np
import pytest

from bandit.config import ConfigError, column_names
from bandit.counters import Outcome
from bandit.engine import Choice
from bandit.errors import BanditError, Reason
from bandit.features import entries
from bandit.migrate import warnings_between
from tests.core.world import DAY, HOUR, Document, World, config, hero, simple, snapshot

WEB = {"platform": "web", "country": "de"}
NUMBERS = {"history": 40.0, "returning": 1.0}


def busy(world: World, rounds: int = 60, placement: str = "p") -> list[Choice]:
    """Choose in the hero's contexts, reward every third; return the choices."""
    choices = []
    for i in range(rounds):
        world.now += 1_000
        platform = ("web", "app", "tv")[i % 3]
        choice = world.choose(placement, f"u{i}", {"platform": platform}, {"history": float(i)})
        if i % 3 == 0:
            world.reward(choice, "visit")
        choices.append(choice)
    return choices


def by_arm(world: World, arm: str) -> tuple[float, float]:
    """Return n and r1 of an arm."""
    state = world.state()
    k = state.arm_index(arm)
    return float(state.tally.n[k]), float(state.tally.r1[k])


def test_the_same_configuration_changes_nothing() -> None:
    """A reload with keys in another order keeps the very state."""
    world = World(p=hero())
    busy(world)
    before, state = snapshot(world.engine.state), world.state()
    world.reload(p=dict(reversed(hero().items())))
    assert world.state() is state
    assert snapshot(world.engine.state) == before


def test_arms_and_features_keep_what_they_learned_wherever_they_move() -> None:
    """An arm and a feature that sort first push the others: n, r1, b and A follow their names."""
    world = World(p=hero())
    busy(world)
    before = world.state().tally
    changed = hero()
    changed["arms"] = {"all-new": {}} | changed["arms"]
    changed["features"] = {"aa": {"kind": "boolean"}} | changed["features"]
    world.reload(p=changed)
    after = world.state().tally
    assert [arm.id for arm in world.state().config.arms] == ["all-new", "mens", "none", "womens"]
    old = [0, *range(3, after.b.shape[1])]  # the bias, two columns of `aa`, the rest
    assert after.n.tolist() == [0.0, *before.n.tolist()]
    assert np.array_equal(after.b[1:][:, old], before.b)
    assert np.array_equal(after.A[1:][:, old][:, :, old], before.A)
    assert not after.A[:, 1:3].any()


@pytest.mark.parametrize(
    ("feature", "changed"),
    [
        ("country", {"kind": "hashed", "buckets": 8}),
        ("history", {"kind": "number", "min": 0, "max": 10, "scale": "log"}),
        ("history", {"kind": "number", "min": 0, "max": 3000}),
        ("returning", {"kind": "number", "min": 0, "max": 5}),
    ],
)
def test_a_feature_that_means_something_else_starts_over(feature: str, changed: dict[str, object]) -> None:
    """Other buckets, range, scale or kind: columns of the same names, but not the same thing."""
    world = World(p=hero())
    choices = busy(world)
    document = hero()
    document["features"][feature] = changed
    n, bias = world.state().tally.n.copy(), world.state().tally.b[:, 0].copy()
    world.reload(p=document)
    world.reward(choices[1], "visit")
    tally, columns = world.state().tally, column_names(world.state().config)
    fresh = [i for i, name in enumerate(columns) if name.startswith(feature)]
    assert fresh
    assert not tally.b[:, fresh].any()
    assert not tally.A[:, fresh].any()
    assert tally.n.tolist() == n.tolist()
    assert tally.b[:, 0].sum() == bias.sum() + 1.0


def test_a_reward_finds_its_arm_and_columns_after_a_move() -> None:
    """A token minted before arms and features moved credits the arm and the columns of the same names."""
    world = World(p=hero(ramp=None))
    choice = world.choose("p", "u", WEB, NUMBERS, ["womens"])
    changed = hero(ramp=None)
    changed["arms"]["aaa"] = {}
    changed["features"]["aa"] = {"kind": "boolean"}
    del changed["features"]["history"]
    world.reload(p=changed)
    assert world.reward(choice, "visit") is Outcome.APPLIED
    assert by_arm(world, "womens") == (1.0, 1.0)
    encoder = world.state().encoder
    index, value = entries(encoder.encode(WEB, {"returning": 1.0, "aa": 0.0})[0])
    expected = np.zeros(encoder.columns)
    expected[index] = value
    assert world.state().tally.b[world.state().arm_index("womens")].tolist() == expected.tolist()


def test_a_draining_arm_takes_rewards_and_is_not_served() -> None:
    """Draining: no more choices, rewards still count, and its strata live on without it."""
    world = World(p=hero(ramp=None))
    choice = world.choose("p", "u", WEB, arms=["mens"])
    changed = hero(ramp=None)
    changed["arms"]["mens"]["state"] = "draining"
    world.reload(p=changed)
    assert world.reward(choice, "visit") is Outcome.APPLIED
    assert by_arm(world, "mens") == (1.0, 1.0)
    assert "mens" not in {world.choose("p", f"u{i}", WEB).arm for i in range(50)}
    with pytest.raises(BanditError) as refused:
        world.choose("p", "u", WEB, arms=["mens"])
    assert refused.value.reason is Reason.NO_ELIGIBLE_ARM


@pytest.mark.parametrize("removed", [True, False])
def test_a_retired_or_removed_arm_takes_nothing_and_never_comes_back(removed: bool) -> None:
    """Its rewards are UNRECORDED, and every later configuration that serves its id again is refused."""
    world = World(p=hero(ramp=None))
    choice = world.choose("p", "u", WEB, arms=["mens"])
    changed = hero(ramp=None)
    if removed:
        del changed["arms"]["mens"]
    else:
        changed["arms"]["mens"]["state"] = "retired"
    world.reload(p=changed)
    before = snapshot(world.engine.state)
    assert world.reward(choice, "visit") is Outcome.UNRECORDED
    assert snapshot(world.engine.state) == before
    world.reload(p=hero(ramp=None, arms={"none": {}, "womens": {}}))
    for state in ("active", "draining"):
        again = hero(ramp=None)
        again["arms"]["mens"]["state"] = state
        before = snapshot(world.engine.state)
        with pytest.raises(ConfigError, match="never reused"):
            world.reload(p=again)
        assert snapshot(world.engine.state) == before


def test_an_arm_added_as_retired_never_comes_back() -> None:
    """Nor one that a reload brought in that state."""
    world = World(p=simple("a"))
    world.reload(p=simple("a", "b", arms={"a": {}, "b": {"state": "retired"}}))
    with pytest.raises(ConfigError, match="never reused"):
        world.reload(p=simple("a", "b"))


def test_an_arm_retired_from_the_start_never_comes_back() -> None:
    """Ids that the first configuration already retires are not reused either."""
    world = World(p=simple("a", "b", arms={"a": {}, "b": {"state": "retired"}}))
    with pytest.raises(ConfigError, match="never reused"):
        world.reload(p=simple("a", "b"))


def test_a_removed_placement_takes_nothing() -> None:
    """Its rewards are UNRECORDED and its choices unknown; a placement of its name later starts afresh."""
    world = World(p=hero(), q=simple())
    choice = world.choose("p", "u", WEB)
    world.now += 1_000
    world.reload(q=simple())
    assert world.reward(choice, "visit") is Outcome.UNRECORDED
    with pytest.raises(BanditError) as refused:
        world.choose("p", "u", WEB)
    assert refused.value.reason is Reason.PLACEMENT_UNKNOWN
    world.now += 1_000
    world.reload(p=hero(), q=simple())
    assert world.reward(choice, "visit") is Outcome.UNRECORDED
    assert world.state().tally.n.sum() == 0.0


def test_a_decisions_events_are_those_it_was_made_under() -> None:
    """A removed event still counts for older decisions, a new one only for newer: numbers are not shared."""
    world = World(p=simple(reward={"values": {"b": 1, "c": 1}}))
    old = world.choose()
    assert world.reward(old, "b") is Outcome.APPLIED
    world.reload(p=simple(reward={"values": {"a": 1, "c": 1}}))
    new = world.choose()
    assert world.reward(old, "b") is Outcome.DUPLICATE
    for choice, event in ((old, "a"), (new, "b")):
        with pytest.raises(BanditError) as refused:
            world.reward(choice, event)
        assert refused.value.reason is Reason.EVENT_UNKNOWN
    assert world.reward(new, "a", 3.0) is Outcome.APPLIED
    assert world.reward(new, "c") is Outcome.APPLIED
    assert world.reward(old, "c") is Outcome.APPLIED


@pytest.mark.parametrize(
    "reward", [{"values": {"click": 10, "buy": 2}}, {"values": {"click": 1}, "max": 0.5}]
)
def test_a_decision_is_worth_what_it_was_made_under(reward: Document) -> None:
    """Values or max that change between two events of a decision leave Σ R and Σ R² those of its own R.

    click, then refund: R goes from 1 to max(0, 1 - 5) = 0 by the values of then; a reload must not turn that
    into -10, or -0.5, of an R that was never credited.
    """
    world = World(p=simple(reward={"values": {"click": 1, "refund": -5}, "max": 2}))
    refunded, kept = world.choose(), world.choose()
    for choice in (refunded, kept):
        world.reward(choice, "click")
    world.reload(p=simple(reward=reward))
    world.reward(refunded, "refund")
    state = world.state()
    assert state.tally.r1.sum() == 1.0
    assert state.tally.r2.sum() == 1.0


def test_a_ramp_that_is_added_begins_at_its_own_beginning() -> None:
    """Static for 90 days, then a ramp without a start: it is at `from` and grows from its exposures."""
    policies = {"t": {"kind": "thompson"}}
    world = World(p=simple(policies=policies))
    world.choose()
    world.now += 90 * 24 * HOUR
    ramp = {"policies": {"t": 1.0}, "from": 0.05, "to": 0.9, "over": "60d"}
    world.reload(p=simple(policies=policies, ramp=ramp))
    assert world.state().share(world.now) == 0.05
    world.choose()
    assert world.state().share(world.now + 30 * 24 * HOUR) == pytest.approx(0.475)
    world.reload(p=simple(policies=policies, ramp=ramp | {"to": 0.8}))
    assert world.state().share(world.now + 30 * 24 * HOUR) == pytest.approx(0.425)


def test_a_late_confirmation_does_not_begin_a_ramp_in_the_past() -> None:
    """A decision of 20 days ago, shown now: the ramp that was added today begins today."""
    policies = {"t": {"kind": "thompson"}}
    common: Document = {"policies": policies, "exposure": "on_event"}
    common["reward"] = {"window": "30d", "values": {"click": 1.0}}
    world = World(p=simple(**common))
    old = world.choose()
    world.now += 20 * DAY
    ramp = {"policies": {"t": 1.0}, "from": 0.05, "to": 0.9, "over": "20d"}
    world.reload(p=simple(**common, ramp=ramp))
    assert world.reward(old, "exposure") is Outcome.APPLIED
    assert world.state().share(world.now) == 0.05


def test_what_a_reload_costs_is_said() -> None:
    """A changed condition and changed values are warned of, with their path; other changes are not."""
    features = {"platform": {"kind": "category", "values": ["web", "app"]}}
    before = config(p=simple("a", "b", features=features))
    conditional = config(p=simple(arms={"a": {}, "b": {"when": {"platform": ["web"]}}}, features=features))
    assert [problem.path for problem in warnings_between(before.placements, conditional)] == [
        "$.placements.p"
    ]
    dearer = config(p=simple("a", "b", features=features, reward={"values": {"click": 2}}))
    (warning,) = warnings_between(before.placements, dearer)
    assert warning.path == "$.placements.p.reward"
    forgetful = config(p=simple("a", "b", features=features, half_life="30d"))
    (warning,) = warnings_between(before.placements, forgetful)
    assert warning.path == "$.placements.p.half_life"
    wider = config(p=simple("a", "b", "c", features=features), q=simple())
    assert warnings_between(before.placements, wider) == []


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"arms": {"a": {"weight": 2}, "b": {}}}, True),
        ({"arms": {"a": {}, "b": {}, "c": {}}}, True),
        ({"policies": {"u": {"kind": "thompson"}}, "ramp": {"policies": {"u": 1.0}, "gate": {}}}, True),
        ({"ramp": None}, True),
        ({"ramp": {"policies": {"t": 1.0}, "over": "9d", "gate": {"max_loss": 0.2}}}, False),
        ({"arms": {"a": {"payload": "new"}, "b": {}}}, False),
        ({"features": {"old": {"kind": "boolean"}}}, False),
    ],
    ids=["weight", "arm", "policy", "no-ramp", "pace", "payload", "feature"],
)
def test_what_ends_a_measurement_is_warned_of(changes: Document, warned: bool) -> None:
    """The report begins anew and the gate waits: nobody shall find that out from the report."""
    document = simple(policies={"t": {"kind": "thompson"}}, ramp={"policies": {"t": 1.0}, "gate": {}})
    after = {key: value for key, value in (document | changes).items() if value is not None}
    world = World(p=document)
    world.choose()
    began_us = world.state().measuring.epoch.began_us
    warnings = [str(one) for one in warnings_between(world.engine_config().placements, config(p=after))]
    assert any("measured of the policies begins anew" in one for one in warnings) is warned
    assert any("gate waits" in one for one in warnings) is (warned and "gate" in after.get("ramp", {}))
    world.now += 1
    world.reload(p=after)
    world.choose()
    assert (world.state().measuring.epoch.began_us > began_us) is warned


def test_a_placement_outgrows_sixteen_events_only_with_a_refusal() -> None:
    """Seventeen names over time cannot be kept apart: the configuration is refused, the old one serves on."""
    world = World(p=simple(reward={"values": {f"e{i}": 1 for i in range(16)}}))
    with pytest.raises(ConfigError, match="17"):
        world.reload(p=simple(reward={"values": {"new": 1}}))
    assert world.reward(world.choose(), "e15") is Outcome.APPLIED


def test_a_decision_keeps_the_window_it_was_made_under() -> None:
    """A shorter window does not make older decisions late early, a longer one does not revive them."""
    world = World(p=simple(reward={"window": "2h", "values": {"click": 1}}))
    first, second = world.choose(), world.choose()
    world.reload(p=simple(reward={"window": "1h", "values": {"click": 1}}))
    third = world.choose()
    world.now += 2 * HOUR
    assert world.reward(first) is Outcome.APPLIED
    assert world.reward(third) is Outcome.LATE
    world.reload(p=simple(reward={"window": "9h", "values": {"click": 1}}))
    world.now += 1
    assert world.reward(second) is Outcome.LATE
    assert world.reward(first) is Outcome.LATE


def test_deferred_exposures_are_counted_once_through_reloads() -> None:
    """A confirmed exposure never counts again when windows grow and what was kept of it expires."""
    world = World(p=simple(reward={"window": "1h", "values": {"click": 1}}))
    choice = world.choose(deferred=True)
    assert world.reward(choice, "exposure") is Outcome.APPLIED
    world.reload(p=simple(reward={"window": "30d", "values": {"click": 1}}))
    for _ in range(3):
        world.now += 40 * 60 * 1_000_000
        assert world.reward(choice, "exposure") in (Outcome.DUPLICATE, Outcome.LATE)
    assert world.state().tally.n.sum() == 1.0


def test_late_stays_late_when_the_configuration_has_been_forgotten() -> None:
    """A while after a reload the configuration of a decision is dropped: its rewards are LATE still."""
    world = World(p=simple())
    choice = world.choose()
    world.reload(p=simple("a", "b", "c"))
    world.now += 31 * DAY
    world.choose()
    assert len(world.engine.state.schemas) == 1
    assert world.reward(choice) is Outcome.LATE
    assert world.reward(choice, "exposure") is Outcome.LATE


def test_changing_the_half_life_keeps_the_learned_weight() -> None:
    """At the moment of the change every sum, scaled to now, is what it was; then the new one forgets."""
    world = World(p=hero(half_life="1d"))
    busy(world)
    world.now += DAY
    for half_life in ("2h", None, "30d"):
        before = world.state()
        expected = before.forgetting.scale(world.now) * before.tally.n
        strata = {s.mask: before.forgetting.scale(world.now) * s.tally.n for s in before.strata}
        world.reload(p=hero(half_life=half_life))
        after = world.state()
        scale = after.forgetting.scale(world.now)
        assert np.allclose(scale * after.tally.n, expected, rtol=1e-12)
        for stratum in after.strata:
            assert np.allclose(scale * stratum.tally.n, strata[stratum.mask], rtol=1e-12)
        world.now += HOUR


def test_policies_may_come_and_go_and_change_places() -> None:
    """A token whose policy is gone or has moved is judged by the configuration it was made under."""
    world = World(p=hero())
    choices = busy(world)
    changed = hero(policies={"aaa": {"kind": "uniform"}, "personal": {"kind": "linucb"}}, ramp=None)
    world.reload(p=changed)
    assert {world.reward(choice, "visit") for choice in choices[1::3]} == {Outcome.APPLIED}
    assert world.state().tally.r1.sum() == pytest.approx(40.0)


def test_counters_go_on() -> None:
    """Decisions, exposures, rewards and sums of what remains do not jump back at a reload."""
    world = World(p=hero())
    busy(world)
    before = world.state().counters
    changed = hero()
    changed["arms"]["zzz"] = {}
    world.reload(p=changed)
    after = world.state().counters
    assert after.decisions[:, :3].tolist() == before.decisions.tolist()
    assert after.exposures == [*before.exposures, 0]
    assert after.rewards["visit"] == before.rewards["visit"]
    assert after.reward_sum[:3] == before.reward_sum
