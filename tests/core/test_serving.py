"""What is served: routing and ramps, propensities that are true, and units that stay unknown."""

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from bandit.decision import Decision
from bandit.engine import Choice
from bandit.errors import BanditError, Reason
from bandit.hashing import HASH_SPACE
from bandit.placement import PlacementState
from bandit.ramp import Router, learned_share
from bandit.records import Decided
from bandit.tally import Floats
from tests.core.world import DAY, KEYS, NOW, SECOND, World, config, hero, simple

ALPHA = 1e-4
"""Of every χ² here; seeds are fixed, so a test either always passes or never."""

SPLIT = {"best-arm": 0.5, "personal": 0.3, "explorer": 0.2}


def decision_of(world: World, choice: Choice) -> Decided:
    """Return the record of the last choice."""
    record = world.journal[-1]
    assert isinstance(record, Decided)
    assert world.engine._sealer.open(choice.decision_id).counter == record.decision.counter
    return record


def pmfs_of(state: PlacementState, decision: Decision) -> Floats:
    """Return every policy's pmf (policies, arms) behind the last decision."""
    stratum = state.strata.at(decision.stratum)
    assert stratum is not None
    return stratum.pmfs


@pytest.mark.parametrize("units", ["new", "returning", "none"])
def test_served_frequencies_match_reported_propensities(units: str) -> None:
    """χ² of the arms served against Σ propensities, in each stratum and over learning policies.

    Every probability of every arm is looked at: for decisions with the same eligible arms the number of times
    an arm was served is compared with the sum of μ over all decisions, of whatever was learned meanwhile.
    """
    world = World(p=hero())
    rng = np.random.default_rng(31)
    served: dict[int, Counter[int]] = defaultdict(Counter)
    expected: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(3))
    variance: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for i in range(6_000):
        world.now += SECOND // 5
        unit = {"new": f"u{i}", "returning": f"u{i % 1500}", "none": ""}[units]
        platform = ("web", "tv", "new")[i % 3]
        choice = world.choose("p", unit, {"platform": platform}, {"history": float(rng.gamma(1.0, 300.0))})
        decision = decision_of(world, choice).decision
        state = world.state()
        mu = state.shares(world.now) @ pmfs_of(state, decision)
        assert choice.propensity == pytest.approx(mu[decision.arm], rel=1e-12)
        served[decision.stratum][decision.arm] += 1
        expected[decision.stratum] += mu
        variance[decision.stratum] += mu * (1.0 - mu)
        if rng.random() < {"mens": 0.3, "none": 0.1, "womens": 0.2}[choice.arm]:
            world.reward(choice, "visit")
    for stratum, total in expected.items():
        counts = np.array([served[stratum][k] for k in range(3)])
        looked_at = variance[stratum] > 0.0
        assert not counts[~looked_at].any()
        z = (counts - total)[looked_at] / np.sqrt(variance[stratum][looked_at])
        limit = stats.norm.isf(ALPHA / 2) * (1.6 if units == "returning" else 1.0)  # routed alike each time
        assert np.abs(z).max() < limit, (stratum, counts, total)


def test_policies_serve_their_own_pmf() -> None:
    """Of the decisions a policy served, each arm's count is what that policy's pmf says (χ²)."""
    world = World(p=hero(ramp={"policies": SPLIT, "from": 0.7}))
    counts, sums = np.zeros((5, 3)), np.zeros((5, 3))
    for i in range(6_000):
        choice = world.choose("p", f"u{i}", {"platform": "web"})
        decision = decision_of(world, choice).decision
        counts[decision.policy, decision.arm] += 1
        sums[decision.policy] += pmfs_of(world.state(), decision)[decision.policy]
    assert counts.sum(axis=1) == pytest.approx(sums.sum(axis=1))
    served = counts.sum(axis=1) > 0
    policies = world.state().config.policies
    assert [policy.name for policy, some in zip(policies, served, strict=True) if not some] == ["even"]
    for observed, expected in zip(counts[served], sums[served], strict=True):
        assert stats.chisquare(observed, expected).pvalue > ALPHA
    shares = world.state().shares(world.now)
    assert stats.chisquare(counts.sum(axis=1)[served], 6_000 * shares[served]).pvalue > ALPHA


def test_the_propensity_is_the_shares_times_the_pmfs() -> None:
    """μ = Σ share x probability, over the token's probabilities of the chosen arm; recorded as served."""
    world = World(p=hero())
    for i in range(300):
        world.now += SECOND
        choice = world.choose("p", f"u{i}", {"platform": "web"}, {"history": float(i)})
        record = decision_of(world, choice)
        decision, shares = record.decision, world.state().shares(world.now)
        assert decision.propensity == choice.propensity
        assert float(shares @ np.array(decision.probabilities)) == pytest.approx(choice.propensity, rel=1e-14)
        assert record.high - record.low == pytest.approx(decision.probabilities[decision.policy], abs=1e-12)
        assert shares[decision.policy] > 0.0
        if i % 3 == 0:
            world.reward(choice, "visit")


def routed(world: World, units: range, categories: Mapping[str, str]) -> dict[int, str]:
    """Return the policy that each unit gets."""
    return {i: world.choose("p", f"unit{i}", categories).policy for i in units}


def test_a_growing_share_only_adds_units() -> None:
    """As the ramp goes from 0.1 to 0.9 no learned unit returns to static or changes its policy."""
    world = World(p=hero(ramp={"policies": SPLIT, "from": 0.1, "to": 0.9, "over": "10d"}))
    before = routed(world, range(400), {"platform": "web"})
    learned = []
    for _ in range(11):
        after = routed(world, range(400), {"platform": "web"})
        moved = {(before[i], after[i]) for i in before if before[i] != after[i]}
        assert {old for old, _ in moved} <= {"static"}
        before = after
        learned.append(sum(policy != "static" for policy in after.values()))
        world.now += DAY
    assert learned == sorted(learned)
    assert 20 < learned[0] < 65
    assert 330 < learned[-1] < 385
    assert set(before.values()) == {"static", *SPLIT}


def test_a_unit_is_always_routed_the_same() -> None:
    """The context, the clock and what was learned do not matter; another placement is independent."""
    ramp = {"policies": {"even": 1.0}, "from": 0.5}
    world = World(p=hero(ramp=ramp), q=hero(ramp=ramp))
    first = {f"u{i}": world.choose("p", f"u{i}", {"platform": "web"}).policy for i in range(200)}
    again = {f"u{i}": world.choose("p", f"u{i}", {}, {"history": 5.0}).policy for i in range(200)}
    other = {f"u{i}": world.choose("q", f"u{i}", {"platform": "web"}).policy for i in range(200)}
    assert first == again
    assert 60 < sum(first[unit] == other[unit] for unit in first) < 140


def test_without_a_unit_routing_is_random() -> None:
    """No unit: each decision is routed anew, at the learned share (χ²)."""
    world = World(p=hero(ramp={"policies": {"even": 1.0}, "from": 0.3, "to": 0.3}))
    counts = Counter(world.choose(categories={"platform": "web"}).policy for _ in range(3_000))
    assert stats.chisquare([counts["even"], counts["static"]], [900, 2_100]).pvalue > ALPHA


def test_outside_its_scope_static_serves_alone() -> None:
    """`only_when` keeps learned policies to web; elsewhere the propensity is static's alone."""
    ramp = {"policies": {"even": 1.0}, "from": 1.0, "only_when": {"platform": ["web"]}}
    world = World(p=hero(ramp=ramp))
    for i in range(100):
        inside = world.choose("p", f"u{i}", {"platform": "web"})
        assert inside.policy == "even"
        assert inside.propensity == pytest.approx(1 / 3)
        for categories in ({"platform": "app"}, {}):
            outside = world.choose("p", f"u{i}", categories)
            assert outside.policy == "static"
            probabilities = world.engine._sealer.open(outside.decision_id).probabilities
            assert outside.propensity == probabilities[0]
            assert len(probabilities) == 5


def test_without_a_ramp_static_serves_and_the_others_are_measured() -> None:
    """Every policy's probability is in the token, static's is the propensity."""
    world = World(p=hero(ramp=None))
    choice = world.choose("p", "u", {"platform": "web"})
    assert choice.policy == "static"
    assert choice.propensity == {"mens": 0.25, "none": 0.5, "womens": 0.25}[choice.arm]
    assert world.engine._sealer.open(choice.decision_id).probabilities[0] == choice.propensity


def test_the_share_over_time_by_hand() -> None:
    """`from` until the start, `to` at the end, linear between; else the first exposure starts it."""
    ramp = (
        config(p=hero(ramp={"policies": SPLIT, "from": 0.2, "to": 0.6, "over": "10d"})).placements["p"].ramp
    )
    assert ramp is not None
    assert learned_share(ramp, None, NOW) == 0.2
    assert learned_share(ramp, NOW, NOW - 1) == 0.2
    assert learned_share(ramp, NOW, NOW + 5 * DAY) == pytest.approx(0.4)
    assert learned_share(ramp, NOW, NOW + 10 * DAY) == pytest.approx(0.6)
    assert learned_share(ramp, NOW, NOW + 3_650 * DAY) == pytest.approx(0.6)
    world = World(p=hero(ramp={"policies": SPLIT, "from": 0.2, "to": 0.6, "over": "10d"}))
    deferred = world.choose(deferred=True)
    world.now += 5 * 3_600 * SECOND
    assert world.state().share(world.now) == 0.2
    world.reward(deferred, "exposure")
    assert world.state().share(NOW + 5 * DAY) == pytest.approx(0.4)


def test_before_a_configured_start_everyone_is_static() -> None:
    """A ramp announced for a date serves nobody before it, however large `from` is; then `from`."""
    start = "2030-01-01T00:00:00Z"
    world = World(p=hero(ramp={"policies": SPLIT, "from": 1.0, "start": start}))
    ramp = world.state().config.ramp
    assert ramp is not None
    assert ramp.start_us is not None
    assert learned_share(ramp, NOW, ramp.start_us - 1) == 0.0
    assert learned_share(ramp, NOW, ramp.start_us) == 1.0
    assert {world.choose("p", f"u{i}", {"platform": "web"}).policy for i in range(50)} == {"static"}


def test_fractions_that_miss_one_by_rounding_make_no_propensity_above_one() -> None:
    """Fractions summing to 1 + 9e-10 are accepted; the shares still sum to 1."""
    split = {"a": 0.5, "b": 0.5 + 9e-10}
    policies = {name: {"kind": "uniform"} for name in split}
    router = Router(config(p=simple(policies=policies, ramp={"policies": split})).placements["p"])
    assert router.shares(1.0).sum() <= 1.0


def test_no_propensity_exceeds_one() -> None:
    """One arm, three policies that split .7, .2, .1: rounding must not report more than certainty."""
    policies = {name: {"kind": "thompson"} for name in ("a", "b", "c")}
    ramp = {"policies": {"a": 0.7, "b": 0.2, "c": 0.1}, "from": 0.05, "to": 0.9, "over": "60d"}
    world = World(p=simple("only", policies=policies, ramp=ramp))
    propensities = []
    for _ in range(400):
        world.now += DAY // 8
        propensities.append(world.choose("p").propensity)
    assert max(propensities) <= 1.0
    assert min(propensities) > 1.0 - 1e-12


def test_segments_tile_the_hash_space() -> None:
    """At share 1 every hash has a learned policy, at 0 static; fractions hold to a millionth; thirds too."""
    policies = {name: {"kind": "uniform"} for name in ("a", "b", "c")}
    split = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    router = Router(config(p=simple(policies=policies, ramp={"policies": split})).placements["p"])
    grid = [int(f * HASH_SPACE) for f in np.linspace(0.0, 1.0, 3_001)[:-1]] + [HASH_SPACE - 1]
    counts = Counter(router.policy(hashed, 1.0) for hashed in grid)
    assert counts == {1: 1_000, 2: 1_000, 3: 1_001}
    assert {router.policy(hashed, 0.0) for hashed in grid} == {0}
    half = Counter(router.policy(hashed, 0.5) for hashed in grid)
    assert half[0] == pytest.approx(1_500, abs=4)
    assert router.shares(0.5).tolist() == pytest.approx([0.5, 1 / 6, 1 / 6, 1 / 6])


def test_what_cannot_be_chosen_is_refused() -> None:
    """Unknown placement (its name cut and cleaned), a unit over 512 bytes: refused with nothing changed."""
    world = World(p=simple())
    records = len(world.journal)
    with pytest.raises(BanditError) as refused:
        world.choose("nope\n" + "x" * 1_000)
    assert refused.value.reason is Reason.PLACEMENT_UNKNOWN
    assert len(refused.value.message) < 200
    assert "\n" not in refused.value.message
    for unit in ("x" * 513, "ž" * 257):
        with pytest.raises(BanditError) as refused:
            world.choose(unit=unit)
        assert refused.value.reason is Reason.UNIT_TOO_LONG
        assert unit not in refused.value.message
    assert len(world.journal) == records
    world.choose(unit="ž" * 256)


def test_the_unit_appears_nowhere() -> None:
    """No record, repr, token, packed decision, refusal or counter holds a marked unit after its traffic."""
    world = World(p=hero())
    unit = "MARKED-UNIT-4711"
    choices = [world.choose("p", unit, {"platform": "web"}, deferred=bool(i % 2)) for i in range(20)]
    for choice in choices:
        world.reward(choice, "visit")
    seen = [repr(record) for record in world.journal] + [repr(choice) for choice in choices]
    for choice in choices:
        decision = world.engine._sealer.open(choice.decision_id)
        seen += [repr(decision), decision.pack().decode("latin-1")]
    seen += [repr(world.state().counters), repr(KEYS)]
    with pytest.raises(BanditError) as refused:
        world.choose("p", unit, {"platform": "web"}, {"history": float("nan")})
    seen += [repr(refused.value), repr(refused.value.metadata)]
    assert not any(unit in text for text in seen)
    buckets = {world.engine._sealer.open(choice.decision_id).bucket for choice in choices}
    assert len(buckets) == 1


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.37, 0.7, 1 / 3])
def test_a_share_of_one_serves_everyone(fraction: float) -> None:
    """Also the last units of each segment: static has no share then, and may serve nobody."""
    policies = {"a": {"kind": "thompson"}, "b": {"kind": "thompson"}}
    ramp = {"policies": {"a": fraction, "b": 1 - fraction}, "from": 1.0, "to": 1.0}
    router = Router(config(p=simple(policies=policies, ramp=ramp)).placements["p"])
    for _, high, policy in router._segments:
        for hashed in range(high - 2_000, high, 7):
            assert router.policy(hashed, 1.0) == policy
        assert router.policy(high - 1, 1.0) == policy
