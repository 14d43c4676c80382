"""Cross-fitting: a fold is judged by what the other folds taught, by the placement's own policies."""

import dataclasses
from statistics import NormalDist

import numpy as np
import pytest

from bandit.config import Placement, PolicyKind
from bandit.crossfit import FOLDS, INFLATION, REWARD_PRIOR, Targets, cross_fit, folds_of
from bandit.estimators import Estimate, dr, interval
from bandit.features import Encoder, entries
from bandit.logged import Log
from bandit.placement import PlacementState
from bandit.strata import Stratum
from bandit.tally import Floats
from tests.core.world import DAY, NOW, Document, config, hero, simple

ALL = 0b111


def placement(document: Document) -> Placement:
    """The placement of a document."""
    return config(p=document).placements["p"]


def logged(of: Placement, n: int = 400, seed: int = 1, *, clusters: int = 0) -> Log:
    """A log of three arms drawn uniformly, whose reward depends on arm and platform."""
    rng = np.random.default_rng(seed)
    encoder = Encoder(of)
    platforms = rng.choice(["web", "app"], n)
    arm = rng.integers(3, size=n)
    liked = np.where(platforms == "web", 2, 0)
    return Log(
        identity=rng.integers(2**62, size=n),
        cluster=rng.integers(clusters, size=n) if clusters else None,
        time_us=NOW + np.arange(n) * 60_000_000,
        arm=arm,
        reward=(rng.random(n) < np.where(arm == liked, 0.7, 0.2)).astype(float),
        propensity=np.full(n, 1 / 3),
        comparable=np.ones(n),
        in_scope=np.ones(n, np.bool_),
        x=[encoder.encode({"platform": platform}, {})[0] for platform in platforms],
        mask=[ALL] * n,
    )


def changed(log: Log, **changes: object) -> Log:
    """The log with other columns."""
    return dataclasses.replace(log, **changes)  # type: ignore[arg-type]


def answers(targets: Targets, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[bytes]:
    """All that is said of some decisions, as bytes."""
    by_policy = targets.chosen, targets.expected, targets.outside, targets.matched
    return [part[:, rows].tobytes() for part in by_policy] + [targets.predicted[rows].tobytes()]


@pytest.mark.parametrize("clusters", [0, 40])
def test_a_fold_is_not_learned_from_by_those_who_judge_it(clusters: int) -> None:
    """Other rewards in a fold leave every answer about the fold as it was, to the bit, and change others."""
    of = placement(hero())
    log = logged(of, clusters=clusters)
    before = cross_fit(of, log)
    for fold in range(FOLDS):
        own = folds_of(log) == fold
        after = cross_fit(of, changed(log, reward=np.where(own, 5.0 - log.reward, log.reward)))
        assert answers(before, own) == answers(after, own)
        assert (before.expected[:, ~own] != after.expected[:, ~own]).all()
        assert 0.1 < own.mean() < 0.35


def test_a_cluster_stays_in_one_fold() -> None:
    """Decisions of the same visitors are learned from, or judged, together."""
    log = logged(placement(hero()), clusters=40)
    assert log.cluster is not None
    for cluster in range(40):
        assert np.unique(folds_of(log)[log.cluster == cluster]).size == 1
    assert np.unique(folds_of(log)).size == FOLDS


def test_pmfs_are_those_of_a_placement_that_learned_the_other_folds() -> None:
    """Every policy's probability, the reward model's prediction: as of a state that learned row by row."""
    of = placement(hero())
    log = logged(of)
    targets = cross_fit(of, log)
    assert targets.names == [policy.name for policy in of.policies]
    for fold in range(FOLDS):
        state, theta = taught(of, log, np.flatnonzero(folds_of(log) != fold).tolist())
        stratum = state.strata.get(ALL, in_scope=True)
        assert stratum is not None
        for i in np.flatnonzero(folds_of(log) == fold).tolist():
            state.draw(stratum, log.x[i], 0, 0.0, 0.5, int(log.time_us.max()))
            index, value = entries(log.x[i])
            q = theta[:, index] @ value
            assert targets.chosen[:, i] == pytest.approx(stratum.pmfs[:, log.arm[i]], abs=1e-8)
            assert targets.expected[:, i] == pytest.approx(stratum.pmfs @ q, abs=1e-8)
            assert targets.predicted[i] == pytest.approx(q[log.arm[i]], abs=1e-8)


def taught(of: Placement, log: Log, rows: list[int]) -> tuple[PlacementState, Floats]:
    """A state that saw some rows in their order, as a server would; ridge regressions, by numpy."""
    state = PlacementState(of, int(log.time_us.max()))
    stratum = Stratum(of, 0, ALL, in_scope=True)
    state.strata.open(stratum)
    for i in rows:
        state.expose(int(log.arm[i]), stratum, log.x[i], int(log.time_us[i]))
        state.credit(int(log.arm[i]), stratum, log.x[i], int(log.time_us[i]), (0.0, float(log.reward[i])))
    x = np.zeros((len(log.x), state.encoder.columns))
    for i in rows:
        index, value = entries(log.x[i])
        x[i, index] = value
    theta = np.zeros((3, x.shape[1]))
    for arm in range(3):
        own = [i for i in rows if log.arm[i] == arm]
        precision = x[own].T @ x[own] + REWARD_PRIOR * np.eye(x.shape[1])
        theta[arm] = np.linalg.solve(precision, x[own].T @ log.reward[own])
    return state, theta


ALPHA, RUNS = 1e-3, 300


def test_intervals_cover_what_learned_policies_earn() -> None:
    """In a world where no arm is better, learning finds noise: dr is not deceived, and its intervals hold.

    300 logs of 300 decisions among three arms, whose reward is 0.3 in every context, so any policy earns 0.3.
    At α = 0.001 the mean is within chance of it, and at least 91.1 % of the intervals of the uplift hold 0;
    without the inflation fewer than 88 %. What the reward model says of a policy that learned with it (dm) is
    more than there is.
    """
    of = placement(hero(arms={"a": {}, "b": {}, "c": {}}))
    robust, direct, covered, bare = [], [], 0, 0
    for seed in range(RUNS):
        log = logged(of, 300, seed)
        log = changed(log, reward=(np.random.default_rng([seed, 1]).random(300) < 0.3).astype(float))
        targets = cross_fit(of, log)
        assert targets.inflations == [1.0, INFLATION, 1.0, INFLATION, INFLATION]
        ucb = targets.names.index("explorer")
        static, learned = (
            dr(log.reward, targets.chosen[k] / log.propensity, targets.predicted, targets.expected[k])
            for k in (0, ucb)
        )
        uplift = learned.minus(static)
        covered += holds_zero(interval(uplift._replace(inflation=INFLATION)))
        bare += holds_zero(interval(uplift))
        robust.append(learned.value - 0.3)
        direct.append(float(targets.expected[ucb].mean()) - 0.3)
    error = np.std(robust, ddof=1) / np.sqrt(RUNS)
    assert abs(np.mean(robust)) < NormalDist().inv_cdf(1 - ALPHA / 2) * error
    assert covered / RUNS >= 0.95 - NormalDist().inv_cdf(1 - ALPHA) * (0.95 * 0.05 / RUNS) ** 0.5
    assert bare / RUNS < 0.88
    assert np.mean(direct) > 0.01


def holds_zero(found: Estimate) -> bool:
    """Whether an interval does."""
    return found.low is not None and found.high is not None and found.low <= 0.0 <= found.high


def test_static_and_uniform_are_what_is_configured() -> None:
    """By weight, and 1 / K; uniform is added where the placement has none."""
    of = placement(simple("a", "b", "c"))
    log = logged(of)
    targets = cross_fit(of, log)
    assert (targets.names, targets.kinds) == (["static", "uniform"], [PolicyKind.STATIC, PolicyKind.UNIFORM])
    assert targets.chosen == pytest.approx(np.full((2, 400), 1 / 3))
    heavy = placement(simple(arms={"a": {"weight": 3}, "b": {"weight": 1}, "c": {"weight": 0}}))
    assert cross_fit(heavy, log).chosen[0] == pytest.approx(np.array([0.75, 0.25, 0.0])[log.arm])


def test_two_runs_give_the_same_bits() -> None:
    """Nothing is drawn but by the decisions' identities."""
    of = placement(hero())
    everything = np.ones(400, np.bool_)
    assert answers(cross_fit(of, logged(of)), everything) == answers(cross_fit(of, logged(of)), everything)


def test_draws_follow_the_pmf() -> None:
    """The replay's matches come as often as the policies' probabilities say, within 4 standard errors."""
    of = placement(hero())
    log = logged(of, 4000)
    targets = cross_fit(of, log)
    spread = np.sqrt((targets.chosen * (1 - targets.chosen)).sum(axis=1))
    assert (abs(targets.matched.sum(axis=1) - targets.chosen.sum(axis=1)) < 4 * spread).all()


def test_what_context_free_policies_may_not_compare_they_do_not_learn() -> None:
    """From decisions that looked at the context thompson learns nothing; linear policies learn."""
    of = placement(hero())
    log = logged(of)
    targets = cross_fit(of, changed(log, comparable=np.zeros(400)))
    thompson, linear = targets.names.index("best-arm"), targets.names.index("personal")
    assert targets.chosen[thompson] == pytest.approx(np.full(400, 1 / 3), abs=1e-6)
    assert targets.chosen[linear].max() > 0.9


def test_learned_policies_find_what_pays() -> None:
    """linear_thompson shows each platform what it likes; where arms earn more there, its weights pay."""
    of = placement(hero())
    log = logged(of, 2000)
    targets = cross_fit(of, log)
    values = (targets.chosen / log.propensity * log.reward).mean(axis=1)
    assert values[targets.names.index("personal")] > 0.6 > values[targets.names.index("static")] + 0.15


def test_arms_that_are_shown_nowhere_are_outside() -> None:
    """Probability on them is told apart; arms of the log that the candidate lacks have none."""
    of = placement(simple("a", "b", "c"))
    log = logged(of)
    few = cross_fit(of, changed(log, arm=np.where(log.arm == 2, -1, log.arm)))
    assert few.outside == pytest.approx(np.full((2, 400), 1 / 3))
    assert (few.chosen[:, log.arm == 2] == 0).all()
    assert not few.matched[:, log.arm == 2].any()
    assert (cross_fit(of, log).outside == 0).all()


def test_the_past_is_forgotten_as_configured() -> None:
    """An arm that paid 100 half-lives ago is not what thompson chooses; without half_life it is."""
    log = logged(placement(simple("a", "b", "c")), 600)
    late = np.arange(600) >= 500
    pays = np.where(late, 1, 0)
    log = changed(log, reward=(log.arm == pays).astype(float), time_us=NOW + late * 100 * DAY)
    policies = {"best": {"kind": "thompson"}}
    for half_life, arm in (("1d", 1), (None, 0)):
        of = placement(
            simple(
                "a",
                "b",
                "c",
                half_life=half_life,
                policies=policies,
                reward={"values": {"click": 1}, "max": 1},
            )
        )
        best = cross_fit(of, log).chosen[1]
        assert best[log.arm == arm].min() > 0.9


def test_beyond_sixteen_strata_thompson_answers_as_static() -> None:
    """As it does when it serves."""
    names = [f"arm-{k:02}" for k in range(6)]
    of = placement(
        simple(*names, policies={"best": {"kind": "thompson"}}, reward={"values": {"click": 1}, "max": 1})
    )
    log = logged(of, 2000)
    masks = [ALL | k << 3 for k in range(8)] + [0b011, 0b101, 0b110, 0b1011, 0b1101, 0b1110, 0b10011, 0b10101]
    log = changed(log, mask=[masks[i % 16] if i < 1900 else 0b111110 for i in range(2000)])
    targets = cross_fit(of, log)
    last = np.arange(2000) >= 1900
    assert (targets.expected[1, last] == targets.expected[0, last]).all()
    assert (targets.expected[1, ~last] != targets.expected[0, ~last]).all()


@pytest.mark.parametrize(
    ("propensity", "uniform"),
    [
        (np.full(3, 1 / 3), True),
        (np.array([0.333333, 0.3333333, 1 / 3]), True),
        (np.full(3, 0.0125), True),
        (np.full(3, 0.3), False),
        (np.array([1 / 3, 1 / 3, 1 / 2]), False),
        (np.ones(3), True),
    ],
)
def test_a_log_is_uniform_where_all_propensities_are_one_over_k(propensity: Floats, uniform: bool) -> None:
    """With the same K, to the digits that logs are written with."""
    log = logged(placement(hero()), 3)
    assert changed(log, propensity=propensity).uniform is uniform
