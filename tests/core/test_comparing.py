"""Comparing arms by logs that chose by context: weights by hand, right means, what is refused."""

import numpy as np
import pytest

from bandit.comparing import compared, dependences, inverse_weights, weighed
from bandit.config import column_names
from bandit.features import Encoder
from bandit.logged import Log
from bandit.tally import Floats
from tests.core.world import NOW, config, simple

FEATURES = {"web": {"kind": "boolean"}, "age": {"kind": "number", "min": 0, "max": 1}}
OF = config(p=simple("a", "b", features=FEATURES)).placements["p"]
ENCODER = Encoder(OF)
BOTH = 0b11


def logged(
    arm: object, propensity: object, web: object, reward: object = 0.0, *, scope: object = True
) -> Log:
    """A log of two arms by these columns; `age` is random."""
    arms = np.asarray(arm)
    rng = np.random.default_rng(7)
    sent = np.broadcast_to(np.asarray(web, float), arms.shape).tolist()
    ages = rng.random(arms.size).tolist()
    return Log(
        identity=np.arange(arms.size),
        cluster=None,
        time_us=np.full(arms.size, NOW),
        arm=arms,
        reward=np.broadcast_to(np.asarray(reward, float), arms.shape),
        propensity=np.broadcast_to(np.asarray(propensity, float), arms.shape),
        comparable=np.ones(arms.size),
        in_scope=np.broadcast_to(np.asarray(scope, np.bool_), arms.shape),
        x=[ENCODER.encode({}, {"web": w, "age": a})[0] for w, a in zip(sent, ages, strict=True)],
        mask=[BOTH] * arms.size,
    )


def test_weights_by_hand() -> None:
    """1/p is 2 and 4: their sum squared over the sum of squares is 36/20 = 1.8, shared 1 : 2."""
    assert inverse_weights(np.array([0.5, 0.25])) == pytest.approx([0.6, 1.2], rel=1e-15)


@pytest.mark.parametrize("propensity", [1.0, 1 / 3, 0.1, 1e-7])
def test_equal_propensities_leave_counts_as_they_are(propensity: float) -> None:
    """To the last bit: a log that chose at random teaches what serving at random would have."""
    assert (inverse_weights(np.full(9_999, propensity)) == 1.0).all()


def targeted(n: int, seed: int) -> tuple[Log, Floats]:
    """A log that shows `a` to 90 % on web, to 10 % elsewhere. Web buys more; everybody likes `b` better."""
    rng = np.random.default_rng(seed)
    web = rng.random(n) < 0.5
    likely = np.where(web, 0.9, 0.1)
    arm = (rng.random(n) >= likely).astype(np.int64)
    rate = np.where(web, 0.5, 0.1) + 0.1 * arm
    reward = (rng.random(n) < rate).astype(float)
    return logged(arm, np.where(arm == 0, likely, 1 - likely), web, reward), np.array([0.3, 0.4])


def test_weighted_means_are_those_of_the_whole_audience() -> None:
    """Unweighted, a beats b by 0.26; weighted, the true means lie within four standard errors.

    Those are √(0.25 / effective), which is Σ of the weights too; α = 1e-4 each.
    """
    log, truth = targeted(40_000, seed=1)
    plain = [log.reward[log.arm == arm].mean() for arm in (0, 1)]
    assert plain[0] > plain[1] + 0.2
    after, unfit = weighed(log)
    assert unfit == []
    for one, expected in zip(compared(after, after.audiences), truth, strict=True):
        assert one.mean == pytest.approx(expected, abs=4 * (0.25 / one.effective) ** 0.5)
        assert one.effective == pytest.approx(after.comparable[log.arm == one.arm].sum(), rel=1e-12)
        assert 0.3 < one.effective / one.rows < 0.4  # (Σ w)² / Σ w² of 90 % at 1/0.9 and 10 % at 1/0.1


def test_audiences_are_weighed_apart() -> None:
    """Where the propensities differ between audiences alone, every decision counts 1."""
    rng = np.random.default_rng(3)
    scope = rng.random(4_000) < 0.7
    likely = np.where(scope, 0.8, 0.3)
    arm = (rng.random(4_000) >= likely).astype(np.int64)
    after, unfit = weighed(logged(arm, np.where(arm == 0, likely, 1 - likely), 0, scope=scope))
    assert unfit == []
    assert (after.comparable == 1.0).all()
    assert [(one.audience, one.arm) for one in compared(after, after.audiences)] == [
        ((BOTH, in_scope), arm) for in_scope in (True, False) for arm in (0, 1)
    ]


def test_an_arm_that_some_could_not_see_is_not_compared() -> None:
    """`a` is shown on web alone: the mean of 1/p is the share of web; b is compared as before."""
    rng = np.random.default_rng(5)
    web = rng.random(4_000) < 0.5
    arm = np.where(web, (rng.random(4_000) < 0.5).astype(np.int64), 1)
    after, unfit = weighed(logged(arm, np.where(web, 0.5, 1.0), web))
    assert [(one.arm, round(one.mean, 1)) for one in unfit] == [(0, 0.5)]
    assert (after.comparable[arm == 0] == 0.0).all()
    assert (after.comparable[arm == 1] > 0.0).all()


def test_propensities_of_another_log_are_seen() -> None:
    """Half as large as they were: the mean of 1/p is 2."""
    rng = np.random.default_rng(5)
    arm = rng.integers(2, size=2_000)
    _, unfit = weighed(logged(arm, 0.25, 0))
    assert [one.arm for one in unfit] == [0, 1]
    assert unfit[0].mean == pytest.approx(2.0, abs=0.1)


def test_right_propensities_raise_no_alarm() -> None:
    """In 200 logs of a targeted campaign none; FALSE_ALARMS allows one in a thousand."""
    assert [seed for seed in range(200) if weighed(targeted(600, seed)[0])[1]] == []


def test_a_log_that_chose_by_a_column_is_found() -> None:
    """The column, the arm, and how far they are apart."""
    log, _ = targeted(2_000, seed=2)
    (found,) = dependences(log, len(column_names(OF)))
    assert column_names(OF)[found.column] == "web"
    assert abs(found.among - found.mean) == pytest.approx(0.4, abs=0.05)


def test_a_number_that_decided_is_found() -> None:
    """Not only columns that are 0 or 1: older visitors saw `b`."""
    ages = [float(age) for age in np.random.default_rng(7).random(1_000)]
    arm = [int(age > 0.6) for age in ages]
    (found,) = dependences(logged(arm, np.nan, 0), len(column_names(OF)))
    assert column_names(OF)[found.column] == "age"


def test_randomised_logs_look_independent() -> None:
    """In 200 logs with rare columns and uneven shares no dependence is found."""
    for seed in range(200):
        rng = np.random.default_rng([seed, 1])
        arm = (rng.random(800) < 0.15).astype(np.int64)
        assert dependences(logged(arm, np.nan, rng.random(800) < 0.03), len(column_names(OF))) == []
