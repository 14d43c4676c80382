"""A placement that learns and ramps, simulated decision by decision, fast enough for thousands of runs.

As the engine does it: a unit's hash routes it (segment of a learned policy, position in it), its bucket is
independent of that, pmfs come first and one arm is drawn from the routed policy's, the propensity is that of
routing and sampling by today's shares. Thompson learns from decisions of static and itself, the linear policy
from all; exposures count at once, rewards when they arrive. Models are refreshed every TICK decisions. A
fourth policy, with a favourite arm for each context, serves nobody: a shadow.

The intervals are those of decisions older than the reward window, as for the gate: their rewards have all
come, so a decision's R is credited at once and its look is meant a window later.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from bandit.hashing import BUCKETS
from bandit.kernels import beta, decide, measure
from bandit.kernels.jit import FLAGS
from bandit.kernels.measure import POLICIES as BY_POLICY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])

ARMS, CONTEXTS, POLICIES = 3, 4, 4
STATIC, THOMPSON, LINEAR, SHADOW = range(POLICIES)
TICK, TICKS_A_DAY, LOOKS_A_DAY = 500, 20, 4
SHARE_FROM, SHARE_TO = 0.05, 0.90
EXPLORE = 0.01
EFFECT_SD = 0.25
"""Of the logarithm of an arm's reward rate in a context: the best arm for all earns 20 %, the best for each
context 30 % more than the mean arm."""
DELAY_DAYS = 0.25
"""Mean of the exponential delay of a reward, of which those within the window of a day count."""

CONTRASTS = (
    (THOMPSON, STATIC),
    (LINEAR, STATIC),
    (SHADOW, STATIC),
    (POLICIES + THOMPSON, POLICIES + STATIC),
    (POLICIES + LINEAR, POLICIES + STATIC),
)
"""The readings (`kernels.measure`) whose differences are looked at: three uplifts, and two by routing."""

N, TOTAL, BETWEEN, FLOOR, SQUARES, TRUTH, LEARNED = range(7)
"""What a look records of each contrast: `measure.contrast`'s four, Σ D², the sum of the true conditional
uplifts, and how many exposures were routed to a learned policy."""


class Units(NamedTuple):
    """Where each unit is routed, in [0, 1), its bucket, its reward rate against the mean unit's.

    `sums` (units, 1 + contrasts) are its Σ 1 and Σ D of each contrast.
    """

    route: Floats
    bucket: Ints
    appetite: Floats
    sums: Floats


class Learned(NamedTuple):
    """What the policies know: exposures, then rewards that have arrived.

    `linear` (2, contexts, arms) from all decisions, `thompson` (2, arms) from its own and static's; `due`
    (ticks, contexts + 1, arms) are rewards under way by tick of arrival, thompson's in the last row.
    """

    linear: Floats
    thompson: Floats
    due: Floats


def compiled(function: F) -> F:
    """Compile without a disk cache, which would not see an edit of the kernels that are called."""
    return cast("F", numba.jit(**FLAGS)(function))


@compiled
def _arrive(learned: Learned, slot: int) -> None:
    """Learn from the rewards that arrive in a tick."""
    for arm in range(ARMS):
        for context in range(CONTEXTS):
            learned.linear[1, context, arm] += learned.due[slot, context, arm]
        learned.thompson[1, arm] += learned.due[slot, CONTEXTS, arm]
    learned.due[slot] = 0.0


@compiled
def _refresh(learned: Learned, pmfs: Floats) -> None:
    """Compute the learned policies' pmfs (policies, contexts, arms), as thompson.py and decide.score do."""
    arms = np.arange(ARMS)
    best, mean, sd = np.empty(ARMS), np.empty(ARMS), np.empty(ARMS)
    n, r = learned.thompson[0], learned.thompson[1]
    beta.best_probability(1.0 + r, 1.0 + n - r, arms, best)
    pmfs[THOMPSON] = (1.0 - EXPLORE) * best + EXPLORE / ARMS
    pmfs[LINEAR] = 1.0 / ARMS
    n, r = learned.linear[0], learned.linear[1]
    if r.sum() == 0.0:
        return
    residual = (r - r * r / (n + 1.0)).sum()
    sigma = math.sqrt((residual + CONTEXTS * r.sum() / n.sum()) / (n.sum() + CONTEXTS))
    for context in range(CONTEXTS):
        for arm in range(ARMS):
            mean[arm] = r[context, arm] / (n[context, arm] + 1.0)
            sd[arm] = decide.NARROWING * sigma / math.sqrt(n[context, arm] + 1.0)
        decide.best_probability(mean, sd, arms, EXPLORE, pmfs[LINEAR, context])


@compiled
def _route(position: float, share: float) -> tuple[int, float]:
    """Return the policy of a unit and that policy's share; the learned share is halved among two."""
    policy = THOMPSON if position < 0.5 else LINEAR
    if 2.0 * position % 1.0 < share:
        return policy, 0.5 * share
    return STATIC, 1.0 - share


@compiled
def _draw(rng: np.random.Generator, pmf: Floats) -> int:
    u, arm, cumulated = rng.random(), 0, pmf[0]
    while arm < ARMS - 1 and u >= cumulated:
        arm += 1
        cumulated += pmf[arm]
    return arm


@compiled
def _reward(
    rng: np.random.Generator, learned: Learned, tick: int, context: int, arm: int, routed: int
) -> None:
    """Let a reward come after its delay."""
    delay = 1.0
    while delay >= 1.0:
        delay = DELAY_DAYS * rng.exponential()
    slot = (tick + 1 + int(delay * TICKS_A_DAY)) % (TICKS_A_DAY + 1)
    learned.due[slot, context, arm] += 1.0
    if routed != LINEAR:
        learned.due[slot, CONTEXTS, arm] += 1.0


@compiled
def _difference(contrast: int, probabilities: Floats, propensity: float, routed: int, share: float) -> float:
    """Return g_plus - g_minus of a decision."""
    plus, minus = CONTRASTS[contrast]
    if plus < POLICIES:
        return float((probabilities[plus] - probabilities[minus]) / propensity)
    return ((routed == plus - POLICIES) - (routed == minus - POLICIES)) / share


@compiled
def _tick(
    rng: np.random.Generator, tick: int, share: float, rates: Floats, units: Units, learned: Learned,
    pmfs: Floats, buckets: Floats, totals: Floats, truth: Floats, squares: Floats,
) -> None:  # fmt: skip
    """Make TICK decisions.

    `rates` (contexts, arms) are the mean unit's. A single unit in `units` is a new one each time.
    """
    probabilities, overlaps = np.empty(POLICIES), np.ones(POLICIES)
    events = np.zeros((1, measure.BY_BUCKET + BUCKETS * POLICIES))  # that of R is enough
    for _ in range(TICK):
        unit = rng.integers(0, units.route.size)
        if units.route.size == 1:
            units.route[0], units.bucket[0] = rng.random(), rng.integers(0, BUCKETS)
            units.appetite[0] = rng.exponential()
        context, appetite, bucket = int(rng.integers(0, CONTEXTS)), units.appetite[unit], units.bucket[unit]
        routed, of_routed = _route(units.route[unit], share)
        arm = _draw(rng, pmfs[routed, context])
        for j in range(POLICIES):
            probabilities[j] = pmfs[j, context, arm]
        propensity = (1.0 - share) * probabilities[STATIC]
        propensity += 0.5 * share * (probabilities[THOMPSON] + probabilities[LINEAR])
        measure.expose(buckets, totals, probabilities, bucket, propensity, overlaps, routed, of_routed)
        learned.linear[0, context, arm] += 1.0
        learned.thompson[0, arm] += routed != LINEAR
        units.sums[unit, 0] += 1.0
        for other in range(ARMS):
            rate = min(1.0, rates[context, other] * appetite)
            for j in range(1, POLICIES):
                truth[j] += (pmfs[j, context, other] - pmfs[STATIC, context, other]) * rate
        if rng.random() >= min(1.0, rates[context, arm] * appetite):
            continue
        measure.credit(
            buckets, totals, events, probabilities, bucket, propensity, routed, of_routed, 0.0, 1.0,
            0, 0.0, 1.0,
        )  # fmt: skip
        _reward(rng, learned, tick, context, arm, routed)
        for c in range(len(CONTRASTS)):
            difference = _difference(c, probabilities, propensity, routed, of_routed)
            units.sums[unit, 1 + c] += difference
            squares[c] += difference * difference


@compiled
def _look(buckets: Floats, totals: Floats, truth: Floats, squares: Floats, seen: Floats) -> None:
    """Write a look (contrasts, 7)."""
    served = totals[BY_POLICY + POLICIES :]
    for c in range(len(CONTRASTS)):
        plus, minus = CONTRASTS[c]
        seen[c, :SQUARES] = measure.contrast(buckets, totals, plus, minus)
        seen[c, SQUARES], seen[c, TRUTH] = squares[c], truth[plus % POLICIES]
        seen[c, LEARNED] = served[THOMPSON] + served[LINEAR]


@compiled
def run(
    rng: np.random.Generator, static: Floats, rate: float, returns: int, looks: Floats, by_unit: Floats
) -> None:
    """Simulate one run, of as many days as `looks` (days · LOOKS_A_DAY, contrasts, 7) has room for.

    `static` (arms,) is the static campaign; a unit comes `returns` times on average, or never again at 1.
    `by_unit` (contrasts,) gets the variance of Σ D between units at the end, with which cluster-robust
    intervals of a fixed time are made.
    """
    ticks = len(looks) * TICKS_A_DAY // LOOKS_A_DAY
    size = ticks * TICK // returns if returns > 1 else 1
    units = Units(
        rng.random(size), rng.integers(0, BUCKETS, size), rng.exponential(1.0, size),
        np.zeros((size, 1 + len(CONTRASTS))),
    )  # fmt: skip
    rates = rate * np.exp(EFFECT_SD * rng.standard_normal((CONTEXTS, ARMS)))
    learned = Learned(
        np.zeros((2, CONTEXTS, ARMS)), np.zeros((2, ARMS)), np.zeros((TICKS_A_DAY + 1, CONTEXTS + 1, ARMS))
    )
    pmfs = np.zeros((POLICIES, CONTEXTS, ARMS))
    pmfs[STATIC] = static
    for context in range(CONTEXTS):
        pmfs[SHADOW, context] = EXPLORE / ARMS
        pmfs[SHADOW, context, context % ARMS] += 1.0 - EXPLORE
    buckets = np.zeros((BUCKETS, 1 + 4 * POLICIES))
    totals = np.zeros(BY_POLICY + 3 * POLICIES + POLICIES * POLICIES)
    truth, squares = np.zeros(POLICIES), np.zeros(len(CONTRASTS))
    for tick in range(ticks):
        _arrive(learned, tick % (TICKS_A_DAY + 1))
        _refresh(learned, pmfs)
        share = SHARE_FROM + (SHARE_TO - SHARE_FROM) * tick / ticks
        _tick(rng, tick, share, rates, units, learned, pmfs, buckets, totals, truth, squares)
        if (tick + 1) % (TICKS_A_DAY // LOOKS_A_DAY) == 0:
            look = tick // (TICKS_A_DAY // LOOKS_A_DAY)
            _look(buckets, totals, truth, squares, looks[look])
    n = float(ticks * TICK)
    for c in range(len(CONTRASTS)):
        mean = units.sums[:, 1 + c].sum() / n
        if size == 1:
            by_unit[c] = squares[c] - n * mean * mean
        else:
            by_unit[c] = ((units.sums[:, 1 + c] - mean * units.sums[:, 0]) ** 2).sum()
