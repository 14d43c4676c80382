"""What a state says of each placement, as plain values: what was chosen and earned, where the ramp is."""

from collections.abc import Iterable
from dataclasses import dataclass

from bandit.config import Policy
from bandit.placement import PlacementState
from bandit.ramp import end_of, start_of
from bandit.state import State
from server.inspection.estimates import Estimate, estimate


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm: `exposures` and `reward` are counted since the placement began, the estimate forgets."""

    arm: str
    state: str
    weight: float
    """static's"""
    chosen: int
    traffic: float | None
    """part of all decisions; None before the first"""
    exposures: int
    reward: float
    """Σ R"""
    mean: float | None
    """of R, an exposure"""
    low: float | None
    high: float | None
    """of the interval"""


@dataclass(frozen=True, slots=True)
class ServedPolicy:
    """A policy: the share of visitors that the ramp gives it at the last record, and what it has chosen."""

    policy: str
    kind: str
    share: float
    chosen: int
    traffic: float | None
    """part of all decisions; None before the first"""


@dataclass(frozen=True, slots=True)
class GateLook:
    """What a ramp's gate saw last, and when it looks again. Times in microseconds since 1970."""

    time_us: int
    next_us: int
    exposures: int
    """that learned policies served and whose rewards have all come"""
    sentence: str


@dataclass(frozen=True, slots=True)
class RampState:
    """Where a ramp is. Times in microseconds since 1970; None: it has not begun, or does not move."""

    state: str
    """running, held, static, waiting"""
    share: float
    """the learned share, within its scope"""
    share_from: float
    share_to: float
    started_us: int | None
    ends_us: int | None
    only_when: dict[str, list[str]]
    gate: GateLook | None
    """None: there is no gate, or it has not looked yet"""


@dataclass(frozen=True, slots=True)
class Figures:
    """A placement. Times in microseconds since 1970; `features` maps each to its kind."""

    placement: str
    owner: str
    schema: str
    born_us: int
    updated_us: int | None
    """of its latest exposure; None before the first"""
    decisions: int
    exposures: int
    reward: float
    half_life_us: int | None
    features: dict[str, str]
    policies: tuple[ServedPolicy, ...]
    ramp: RampState | None
    arms: tuple[Arm, ...]


def figures(state: State, only: str | None = None) -> tuple[Figures, ...]:
    """Return the figures of all placements, or of one, as of the state's latest record."""
    held = state.placements.values()
    return tuple(of_placement(one, state.time_us) for one in held if only in {None, one.config.name})


def of_placement(placement: PlacementState, now_us: int) -> Figures:
    """Return the figures of a placement whose shares are those of `now_us`."""
    config, counters = placement.config, placement.counters
    exposures = sum(counters.exposures)
    half_life_us = config.half_life_us
    return Figures(
        placement=config.name,
        owner=config.owner,
        schema=config.schema_id.hex(),
        born_us=placement.born_us,
        updated_us=placement.latest_us if exposures else None,
        decisions=sum(map(sum, counters.chosen)),
        exposures=exposures,
        reward=sum(counters.reward_sum),
        half_life_us=half_life_us,
        features={feature.name: str(feature.kind) for feature in config.features},
        policies=tuple(_policies(config.policies, placement, now_us)),
        ramp=_ramp(placement, now_us),
        arms=tuple(_arms(placement)),
    )


def _policies(policies: Iterable[Policy], placement: PlacementState, now_us: int) -> Iterable[ServedPolicy]:
    chosen = [sum(arms) for arms in placement.counters.chosen]
    shares = placement.shares(now_us).tolist()
    for policy, share, count in zip(policies, shares, chosen, strict=True):
        yield ServedPolicy(policy.name, str(policy.kind), share, count, _part(count, sum(chosen)))


def _arms(placement: PlacementState) -> Iterable[Arm]:
    counters, config = placement.counters, placement.config
    chosen = [sum(arms) for arms in zip(*counters.chosen, strict=True)]
    means = _estimates(placement)
    for k, arm in enumerate(config.arms):
        yield Arm(
            arm.id,
            str(arm.state),
            arm.weight,
            chosen[k],
            _part(chosen[k], sum(chosen)),
            counters.exposures[k],
            counters.reward_sum[k],
            *means[k],
        )


def _estimates(placement: PlacementState) -> list[Estimate]:
    """Return each arm's estimate; under a half-life the latest exposure weighs 1 and older ones less."""
    tally, maximum = placement.tally, placement.config.reward.maximum
    sums = tally.sums * placement.forgetting.scale(placement.latest_us)
    return [estimate(n, r1, r2, maximum) for n, r1, r2 in sums.T.tolist()]


def _ramp(placement: PlacementState, now_us: int) -> RampState | None:
    ramp = placement.config.ramp
    if ramp is None:
        return None
    clock, gate = placement.ramp_clock, placement.gate
    look = gate.look if gate is not None else None
    return RampState(
        state=clock.status.name.lower(),
        share=placement.share(now_us),
        share_from=ramp.share_from,
        share_to=ramp.share_to,
        started_us=start_of(ramp, placement.started_us),
        ends_us=end_of(ramp, placement.started_us, now_us, clock),
        only_when={name: sorted(values) for name, values in ramp.only_when.items()},
        gate=GateLook(look.time_us, gate.due_us, look.exposures, look.sentence) if gate and look else None,
    )


def _part(count: int, total: int) -> float | None:
    return count / total if total else None
