"""A gated placement, simulated decision by decision for thousands of runs, by the engine's own gate.

Routing, draws, propensities and rewards happen here, compiled; they are counted in the sums of the engine's
gate, which then looks, holds, lets go on and takes back as in a server, by a clock of its own. Learned
policies are one mixture that prefers an arm in each context, and what they lose against static is the same
in every context and for every unit, to the last digit: so a loss of exactly `max_loss` can be simulated.
Units differ (a rate is multiplied by their own draw), come back, and are always routed the same way.

Rewards come within the reward window, those of learned policies four times as late as static's: a gate that
judged decisions before their time would see a loss that is none.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from bandit.config import Ramp, parse
from bandit.engine import Engine
from bandit.evidence import Evidence
from bandit.gate import GateState
from bandit.hashing import BUCKETS
from bandit.kernels import gate as kernels
from bandit.kernels.jit import FLAGS, INNER_FLAGS
from bandit.placement import PlacementState
from bandit.ramp import RampStatus
from bandit.token import Keys

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
F = TypeVar("F", bound=Callable[..., Any])

ARMS, CONTEXTS = 3, 4
PREFERS = 0.97
"""The probability of the arm that learned policies prefer; the others share the rest."""
EFFECT_SD = 0.25
"""Of the logarithm of an arm's reward rate in a context."""
APPETITE_MAX = 4.0
"""A unit's rate against the mean unit's is exponential up to here, so that no rate passes 1."""

DAY_US = 86_400_000_000
TICKS_A_DAY = 4
TICK_US = DAY_US // TICKS_A_DAY + 1
"""A microsecond more than a quarter, so that a look is due every fourth."""
BEGIN_US = 1_800_000_000_000_000
DELAYS_DAYS = (1.0 / 12.0, 1.0 / 3.0)
"""Mean delay of a reward: of static's decisions, and of learned policies'."""

PLACEMENT = {
    "arms": {name: {"weight": 1} for name in "abc"},
    "reward": {"window": "24h", "values": {"click": 1}, "max": 1},
    "policies": {"learned": {"kind": "uniform"}},
}
"""Its policy is never asked: pmfs are this world's. The gate's sums do not know the difference."""


_STEP = np.uint64(0x9E3779B97F4A7C15)
_TIMES = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_BY = (np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11))
"""The constants of SplitMix64."""


class Campaign(NamedTuple):
    """One kind of campaign. `losses`: (from day, what learned policies lose, a fraction of static's value).

    `to_arrival`: it ends when its ramp has arrived, and else after so many days.
    """

    static: Floats
    rate: float
    visits: int
    traffic: int
    days: int
    losses: tuple[tuple[int, float], ...]
    to_arrival: bool = False


class Outcome(NamedTuple):
    """What became of a run: the day it was taken back, the day it arrived, None if never; its last share."""

    back: float | None
    arrived: float | None
    share: float


class Units(NamedTuple):
    """Where each unit is routed, in [0, 1), its bucket, its reward rate against the mean unit's."""

    route: Floats
    bucket: Ints
    appetite: Floats


class Due(NamedTuple):
    """Rewards under way, by tick of arrival: how many, and of each bucket, both w, tick of its decision."""

    size: Ints
    rewards: Floats


class Sums(NamedTuple):
    """The arrays of one of the gate's periods, and the tick from which on decisions are in it."""

    buckets: Floats
    totals: Floats
    since: int


def compiled(function: F) -> F:
    """Compile without a disk cache, which would not see an edit of the kernels that are called."""
    return cast("F", numba.jit(**FLAGS)(function))


def inlined(function: F) -> F:
    """The same for what is called for every draw."""
    return cast("F", numba.jit(**INNER_FLAGS)(function))


@inlined
def uniform(state: Words) -> float:
    """Draw from [0, 1): SplitMix64 (Steele, Lea & Flood 2014), several times as fast as NumPy's from here."""
    state[0] += _STEP
    z = state[0]
    z = (z ^ (z >> _BY[0])) * _TIMES[0]
    z = (z ^ (z >> _BY[1])) * _TIMES[1]
    return float((z ^ (z >> _BY[2])) >> _BY[3]) * 2.0**-53


@inlined
def _exponential(state: Words, below: float) -> float:
    """Draw from an exponential of mean 1 that is below a bound."""
    return -math.log(1.0 - uniform(state) * (1.0 - math.exp(-below)))


@compiled
def drawn(state: Words, size: int) -> Units:
    """Return so many units."""
    units = Units(np.empty(size), np.empty(size, np.int64), np.empty(size))
    for unit in range(size):
        units.route[unit], units.bucket[unit] = uniform(state), int(uniform(state) * BUCKETS)
        units.appetite[unit] = _exponential(state, APPETITE_MAX)
    return units


@compiled
def arrive(tick: int, due: Due, older: Sums, week: Sums, young: Sums) -> None:
    """Credit the rewards that arrive before a tick, each to the periods that hold its decision."""
    slot = tick % len(due.size)
    for i in range(due.size[slot]):
        bucket, mix, static, made = due.rewards[slot, i]
        if made >= young.since:
            kernels.credit(young.buckets, young.totals, int(bucket), mix, static, 0.0, 1.0)
            continue
        kernels.credit(older.buckets, older.totals, int(bucket), mix, static, 0.0, 1.0)
        if made >= week.since:
            kernels.credit(week.buckets, week.totals, int(bucket), mix, static, 0.0, 1.0)
    due.size[slot] = 0


@compiled
def decide(
    state: Words, tick: int, decisions: int, share: float, static: Floats, learned: Floats, rates: Floats,
    units: Units, due: Due, young: Sums,
) -> None:  # fmt: skip
    """Make a tick's decisions. `learned` and `rates` (contexts, arms). A single unit is a new one each."""
    for _ in range(decisions):
        unit = int(uniform(state) * units.route.size)
        if units.route.size == 1:
            units.route[0], units.bucket[0] = uniform(state), int(uniform(state) * BUCKETS)
            units.appetite[0] = _exponential(state, APPETITE_MAX)
        context = int(uniform(state) * CONTEXTS)
        served = 1 if units.route[unit] < share else 0
        pmf = learned[context] if served else static
        u, arm, cumulated = uniform(state), 0, pmf[0]
        while arm < ARMS - 1 and u >= cumulated:
            arm += 1
            cumulated += pmf[arm]
        propensity = (1.0 - share) * static[arm] + share * learned[context, arm]
        mix, own = learned[context, arm] / propensity, static[arm] / propensity
        kernels.expose(young.buckets, young.totals, units.bucket[unit], mix, own, 1.0, 1.0, float(served))
        if uniform(state) >= rates[context, arm] * units.appetite[unit]:
            continue
        mean_days = DELAYS_DAYS[served]
        slot = (
            tick + 1 + int(mean_days * _exponential(state, 1.0 / mean_days) * TICKS_A_DAY)
        ) % due.size.size
        reward = due.rewards[slot, due.size[slot]]
        reward[0], reward[1], reward[2], reward[3] = units.bucket[unit], mix, own, tick
        due.size[slot] += 1


def rates_of(base: Floats, static: Floats, learned: Floats, loss: float) -> Floats:
    """Return rates (contexts, arms) at which learned policies earn 1 - `loss` of static in every context.

    Those of `base`, but for the arm that they prefer.
    """
    rates = base.copy()
    for context in range(CONTEXTS):
        arm = int(np.argmax(learned[context]))
        others = np.arange(ARMS) != arm
        of_static = static[others] @ base[context, others]
        of_learned = learned[context, others] @ base[context, others]
        rates[context, arm] = ((1.0 - loss) * of_static - of_learned) / (
            learned[context, arm] - (1.0 - loss) * static[arm]
        )
    return rates


def run(seed: int, campaign: Campaign, ramp: dict[str, object]) -> Outcome:
    """Simulate one campaign, until its ramp is taken back or it ends."""
    rng = np.random.default_rng(seed)
    luck = rng.integers(0, 2**64, 1, np.uint64)
    document = PLACEMENT | {"ramp": ramp | {"policies": {"learned": 1.0}, "start": "2027-01-15T08:00:00Z"}}
    config = parse({"version": 1, "placements": {"p": document}})
    engine = Engine(config, _KEYS, origin="study", start_id=bytes(16), now_us=BEGIN_US)
    state = engine.state.placements["p"]
    learned = np.full((CONTEXTS, ARMS), (1.0 - PREFERS) / (ARMS - 1))
    learned[np.arange(CONTEXTS), 1 + np.arange(CONTEXTS) % 2] = PREFERS
    base = campaign.rate * np.exp(EFFECT_SD * rng.standard_normal((CONTEXTS, ARMS)))
    rates = [(day, rates_of(base, campaign.static, learned, loss)) for day, loss in campaign.losses]
    decisions, visits = campaign.traffic // TICKS_A_DAY, campaign.days * campaign.traffic
    units = drawn(luck, visits // campaign.visits if campaign.visits > 1 else 1)
    due = Due(np.zeros(TICKS_A_DAY + 1, np.int64), np.zeros((TICKS_A_DAY + 1, decisions, 4)))
    arrived: float | None = None
    for tick in range(1, campaign.days * TICKS_A_DAY):
        now_us, day = BEGIN_US + tick * TICK_US, tick / TICKS_A_DAY
        gate = _gate(state)
        arrive(tick, due, *_sums(gate))
        for name in engine.gates_due(now_us):
            engine.look(name, now_us)
        share = state.share(now_us)
        if state.ramp_clock.status is RampStatus.STATIC:
            return Outcome(day, arrived, share)
        if arrived is None and share >= _ramp(state).share_to:
            arrived = day
            if campaign.to_arrival:
                break
        of_now = [found for since, found in rates if day >= since][-1]
        decide(luck, tick, decisions, share, campaign.static, learned, of_now, units, due, _sums(gate)[2])
    return Outcome(None, arrived, share)


_KEYS = Keys.derive(bytes(32))


def _gate(state: PlacementState) -> GateState:
    gate = state.gate
    assert gate is not None
    return gate


def _ramp(state: PlacementState) -> Ramp:
    ramp = state.config.ramp
    assert ramp is not None
    return ramp


def _sums(gate: GateState) -> tuple[Sums, Sums, Sums]:
    """Return the periods' arrays, and the ticks from which on decisions are in them."""
    young, week = (-(-(time_us - BEGIN_US) // TICK_US) for time_us in (gate.checkpoint_us, gate.week_us))
    return _of(gate.older, 0), _of(gate.week, week), _of(gate.young, young)


def _of(evidence: Evidence, since: int) -> Sums:
    return Sums(*evidence.arrays(), since)
