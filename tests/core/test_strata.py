"""Strata: context-free learning compares arms within one audience only."""

from collections.abc import Callable

import numpy as np
import pytest

from bandit.counters import Outcome
from bandit.errors import BanditError, Reason
from bandit.strata import OVERFLOW, Stratum
from tests.core.world import DAY, NOW, SECOND, Document, World, config, simple, sparse

PLATFORM = {"platform": {"kind": "category", "values": ["web", "app"]}}
LEARN = {"policies": {"t": 1.0}, "from": 1.0}
THOMPSON = {"t": {"kind": "thompson", "explore": 0.0}}


def test_an_arm_of_one_audience_is_not_compared_with_another() -> None:
    """On web `special` (50 %) beats `plain` (40 %), on the app `plain` earns 70 %.

    Pooled over both audiences `plain` looks better (55 %). Within the stratum of web visitors `special` is
    found: in each of 10 seeds its probability there ends above one half.
    """
    document = simple(
        arms={"plain": {}, "special": {"when": {"platform": ["web"]}}},
        features=PLATFORM,
        policies=THOMPSON | {"one": {"kind": "uniform"}},
        ramp={"policies": {"one": 1.0}, "from": 1.0},
        reward={"values": {"click": 1}, "max": 1},
    )
    for seed in range(10):
        world = World(start=bytes([seed] * 16), p=document)
        rng = np.random.default_rng(seed)
        for i in range(3_000):
            world.now += SECOND
            platform = ("web", "app")[i % 2]
            choice = world.choose(categories={"platform": platform})
            rate = 0.7 if platform == "app" else {"plain": 0.4, "special": 0.5}[choice.arm]
            if rng.random() < rate:
                world.reward(choice)
        web = world.state().strata.get(0b11, in_scope=True)
        assert web is not None
        world.state().draw(web, sparse(np.ones(1)), 0, 1.0, 0.5, world.now + DAY)
        assert web.pmfs[-1, 1] > 0.5
        pooled = world.state().tally.r1 / world.state().tally.n
        assert pooled[0] > pooled[1]


@pytest.mark.parametrize(("policy", "learns"), [("even", True), ("t", True), ("lin", False), ("ucb", False)])
def test_thompson_learns_only_from_context_free_decisions(policy: str, *, learns: bool) -> None:
    """What linear policies served goes to the placement's tally, but not to the stratum's."""
    kinds = {"even": "uniform", "t": "thompson", "lin": "linear_thompson", "ucb": "linucb"}
    document = simple(
        policies={name: {"kind": kind} for name, kind in kinds.items()},
        ramp={"policies": {policy: 1.0}, "from": 1.0},
    )
    world = World(p=document)
    for _ in range(20):
        assert world.reward(world.choose()) is Outcome.APPLIED
    (stratum,) = world.state().strata
    assert world.state().tally.n.sum() == world.state().tally.r1.sum() == 20.0
    assert stratum.tally.n.sum() == stratum.tally.r1.sum() == (20.0 if learns else 0.0)


def test_each_side_of_the_scope_is_a_stratum() -> None:
    """The same arms inside and outside `only_when` are learned about apart."""
    document = simple(features=PLATFORM, policies=THOMPSON, ramp=LEARN | {"only_when": {"platform": ["web"]}})
    world = World(p=document)
    inside, outside = (world.choose(categories={"platform": platform}) for platform in ("web", "app"))
    assert (inside.policy, outside.policy) == ("t", "static")
    assert [(stratum.mask, stratum.in_scope) for stratum in world.state().strata] == [(3, True), (3, False)]


def test_the_pmf_is_refreshed_by_growth_or_time_and_only_with_news() -> None:
    """Due at first, at 1 % more exposures, or after 50 ms with any news; never without news."""
    stratum = Stratum(config(p=simple()).placements["p"], 0, 0b11, in_scope=True)

    def news(count: float) -> None:
        stratum.expose(0, count)

    assert stratum.due(NOW)
    assert not stratum.due(NOW + DAY)
    news(1000.0)
    assert stratum.due(NOW)
    news(9.0)
    assert not stratum.due(NOW + 49_999)
    news(1.0)
    assert stratum.due(NOW + 49_999)
    news(0.0)
    assert not stratum.due(NOW + 99_998)
    assert stratum.due(NOW + 99_999)
    assert not stratum.due(NOW + DAY)


def test_what_is_served_from_the_cache_is_what_is_reported() -> None:
    """Between refreshes the reported propensity is that of the cached pmf, not of the posterior as it is."""
    world = World(p=simple(policies=THOMPSON, ramp=LEARN))
    for _ in range(1_000):
        world.now += 60_000
        choice = world.choose()
        if choice.arm == "a":
            world.reward(choice, value=2.0 if world.now % 7 else 1.0)
    choice = world.choose()
    (stratum,) = world.state().strata
    cached = stratum.pmfs[1].copy()
    world.reward(choice, value=100.0)
    again = world.choose()
    assert again.propensity == cached["ab".index(again.arm)]


def test_requests_that_name_arms_leave_half_of_the_strata_to_the_others() -> None:
    """However many lists of arms callers try, those who name none still get a stratum that learns."""
    names = ["a", "b", "c", "d", "e"]
    world = World(p=simple(*names, policies=THOMPSON, ramp=LEARN))
    for mask in range(1, 31):
        world.choose(arms=[name for i, name in enumerate(names) if mask >> i & 1])
    state = world.state()
    assert (len(state.strata), state.counters.strata_overflow) == (8, 22)
    world.choose()
    assert (len(state.strata), state.counters.strata_overflow) == (9, 22)


def test_beyond_sixteen_strata_thompson_is_static() -> None:
    """The 17th set of arms opens nothing: thompson answers as static there, counted, nothing is learned."""
    names = ["a", "b", "c", "d", "e"]
    arms: Document = {name: {"weight": i + 1, "when": {f"f{i}": ["yes"]}} for i, name in enumerate(names)}
    features = {f"f{i}": {"kind": "category", "values": ["yes"]} for i in range(5)}
    world = World(p=simple(arms=arms, features=features, policies=THOMPSON, ramp=LEARN))

    for mask in range(1, 17):
        world.reward(world.choose(categories={f"f{i}": "yes" for i in range(5) if mask >> i & 1}))
    state = world.state()
    assert (len(state.strata), state.counters.strata_overflow) == (16, 0)
    learned = [stratum.tally.n.sum() for stratum in state.strata]
    for _ in range(30):
        choice = world.choose(categories={"f0": "yes", "f4": "yes"})
        assert choice.policy == "t"
        assert choice.propensity == pytest.approx({"a": 1 / 6, "e": 5 / 6}[choice.arm])
        assert world.reward(choice) is Outcome.APPLIED
        assert world.engine._sealer.open(choice.decision_id).stratum == OVERFLOW
    assert (len(state.strata), state.counters.strata_overflow) == (16, 30)
    assert [stratum.tally.n.sum() for stratum in state.strata] == learned
    assert state.tally.n.sum() == 46.0
    assert state.counters.degraded.sum() == 0


def test_conditions_and_the_requests_arms_meet() -> None:
    """Eligible is who is active, meets its condition and was asked for; names unknown are counted."""
    document = simple(
        arms={
            "any": {},
            "app": {"when": {"platform": ["app"]}},
            "both": {"when": {"platform": ["web"], "new": [True]}},
            "gone": {"state": "draining"},
        },
        features=PLATFORM | {"new": {"kind": "boolean"}},
    )
    world = World(p=document)
    arms: Callable[..., set[str]] = lambda **request: {world.choose(**request).arm for _ in range(60)}  # noqa: E731
    assert arms() == {"any"}
    assert arms(categories={"platform": "app"}) == {"any", "app"}
    assert arms(categories={"platform": "web"}, numbers={"new": 1.0}) == {"any", "both"}
    assert arms(categories={"platform": "web"}, numbers={"new": 0.0}) == {"any"}
    assert arms(categories={"platform": "app"}, arms=["app", "app", "both"]) == {"app"}
    before = world.state().counters.unknown_arms
    with pytest.raises(BanditError) as refused:
        world.choose(categories={"platform": "app"}, arms=["both", "gone", "never"])
    assert refused.value.reason is Reason.NO_ELIGIBLE_ARM
    assert world.state().counters.unknown_arms == before + 2


def test_strata_gain_an_added_arm_and_keep_what_they_learned() -> None:
    """An arm with the condition of others joins the strata that had all of these, at the same index."""
    document = simple(
        arms={"any": {}, "web": {"when": {"platform": ["web"]}}}, features=PLATFORM, policies=THOMPSON
    )
    world = World(p=document)
    for _ in range(10):
        world.reward(world.choose(categories={"platform": "web"}))
        world.reward(world.choose(categories={"platform": "app"}))
    token = world.choose(categories={"platform": "web"})
    document["arms"]["web2"] = {"when": {"platform": ["web"]}}
    world.reload(p=document)
    strata = {stratum.mask: stratum for stratum in world.state().strata}
    assert sorted(strata) == [0b001, 0b111]
    assert strata[0b111].tally.n.sum() == 11.0
    assert strata[0b111].tally.r1[2] == 0.0
    world.reward(token)
    assert strata[0b111].tally.r1.sum() == 11.0
    world.choose(categories={"platform": "web"})
    assert len(world.state().strata) == 2


def test_strata_that_become_alike_merge_by_adding() -> None:
    """When an arm goes, the strata with and without it are one; tokens of both credit it."""
    document = simple(arms={"a": {}, "b": {}, "c": {}}, policies=THOMPSON)
    world = World(p=document)
    some = [world.choose() for _ in range(10)]
    less = [world.choose(arms=["a", "b"]) for _ in range(10)]
    document["arms"]["c"]["state"] = "draining"
    world.reload(p=document)
    (merged,) = world.state().strata
    assert (merged.mask, merged.tally.n.sum()) == (0b011, 20.0)
    for choice in (*some, *less):
        world.reward(choice)
    assert merged.tally.r1.sum() == 20.0


@pytest.mark.parametrize("change", ["condition", "scope"])
def test_strata_start_over_when_the_same_arms_mean_other_people(change: str) -> None:
    """An arm for the web that becomes one for the app, or another scope: nobody inherits from others."""
    arms = {"any": {}, "some": {"when": {"platform": ["web"]}}}
    ramp = LEARN | {"only_when": {"platform": ["web"]}}
    document = simple(arms=arms, features=PLATFORM, policies=THOMPSON, ramp=ramp)
    world = World(p=document)
    late = [world.choose(categories={"platform": platform}) for platform in ("web", "app", "web")]
    world.reward(late[0])
    if change == "condition":
        arms["some"] = {"when": {"platform": ["app"]}}
    else:
        ramp["only_when"] = {"platform": ["app"]}
    world.reload(p=document)
    for platform in ("web", "app"):
        world.choose(categories={"platform": platform})
    world.reward(late[2])
    assert [stratum.index for stratum in world.state().strata] == [2, 3]
    assert [stratum.tally.n.sum() for stratum in world.state().strata] == [1.0, 1.0]
    assert sum(stratum.tally.r1.sum() for stratum in world.state().strata) == 0.0
    assert (world.state().tally.n.sum(), world.state().tally.r1.sum()) == (5.0, 2.0)


def test_indices_outlast_a_hundred_regroupings() -> None:
    """After 100 changes of a condition, with sixteen strata between each, new strata still open."""
    world = World(p=_sixteen("web"))
    for i in range(100):
        for mask in range(16):
            categories = {f"f{bit}": "y" for bit in range(4) if mask >> bit & 1}
            world.choose(categories=categories | {"platform": "app"})
        assert len(world.state().strata) == 16
        world.reload(p=_sixteen(("app", "web")[i % 2]))
    assert world.state().counters.strata_overflow == 0


def _sixteen(platform: str) -> Document:
    """Arms that make sixteen strata of the features f0 to f3; one's condition is given."""
    names = [f"f{bit}" for bit in range(4)]
    arms = {name: {"when": {name: ["y"]}} for name in names} | {"any": {}}
    arms["f0"]["when"]["platform"] = ["web", "app"] if platform == "web" else ["app"]
    features = {name: {"kind": "category", "values": ["y"]} for name in names} | PLATFORM
    return simple(arms=arms, features=features, policies=THOMPSON)


def test_a_stratum_that_lost_its_arms_is_gone_for_good() -> None:
    """Its index means nothing any more: late rewards credit no stratum, least of all one opened since."""
    document = simple(arms={"a": {}, "b": {}}, features=PLATFORM, policies=THOMPSON)
    world = World(p=document)
    choice = world.choose()
    document["arms"] = {"a": {"state": "draining"}, "b": {"state": "draining"}}
    document["arms"]["c"] = {"when": {"platform": ["web"]}}
    world.reload(p=document)
    assert len(world.state().strata) == 0
    world.choose(categories={"platform": "web"})
    (opened,) = world.state().strata
    assert opened.index == 1
    assert world.reward(choice) is Outcome.APPLIED
    assert opened.tally.r1.sum() == 0.0
    assert world.state().tally.r1.sum() == 1.0
