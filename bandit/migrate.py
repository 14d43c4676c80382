"""A placement's state under another configuration: what was learned about what remains, remains."""

from collections.abc import Mapping, Sequence

from bandit.arrivals import Arrivals
from bandit.config import ArmState, Config, Placement, Problem, measured_id
from bandit.counters import Counters
from bandit.features import column_meanings
from bandit.gate import GATE, gate_of
from bandit.limits import EVENTS_MAX
from bandit.measurement import Measurement
from bandit.measuring import Epoch, Measuring
from bandit.placement import PlacementState
from bandit.policies.linear import priors
from bandit.ramp import Move, RampStatus
from bandit.strata import Strata, audiences_differ, same_ring
from bandit.tally import Forgetting


def problems_between(placements: dict[str, PlacementState], config: Config) -> list[Problem]:
    """Return why `config` cannot follow what is served now: ids that come back, too many events."""
    problems: list[Problem] = []
    for name, placement in config.placements.items():
        held = placements.get(name)
        if held is None:
            continue
        problems.extend(
            Problem(
                f"$.placements.{name}.arms.{arm.id}",
                f"arm id '{arm.id}' was retired or removed and is '{arm.state}' here: ids are never reused, "
                "since rewards for the old arm may still arrive; give the arm a new id",
            )
            for arm in placement.arms
            if arm.id in held.retired and arm.state is not ArmState.RETIRED
        )
        events = held.events.keys() | dict(placement.reward.values).keys()
        if len(events) > EVENTS_MAX:
            problems.append(
                Problem(
                    f"$.placements.{name}.reward.values",
                    f"with the events that were configured before there would be {len(events)}, at most "
                    f"{EVENTS_MAX} are kept apart; reuse the old names or take a new placement",
                )
            )
    return problems


def warnings_between(before: Mapping[str, Placement], config: Config) -> list[Problem]:
    """Return what a reload costs that its author may not expect."""
    warnings = []
    for name, new in config.placements.items():
        old = before.get(name)
        if old is None:
            continue
        if audiences_differ(old, new):
            warnings.append(
                Problem(
                    f"$.placements.{name}",
                    "a condition changed, so the same arms stand for other people now: what thompson learned "
                    "starts over; linear policies keep what they learned",
                )
            )
        if len(old.policies) > 1 and measured_id(old) != measured_id(new):
            gated = new.ramp is not None and new.ramp.gate is not None
            waits = ", and its gate waits for new evidence where the ramp stands" if gated else ""
            warnings.append(
                Problem(
                    f"$.placements.{name}",
                    "arms, rewards, policies, their split or scope changed: what is measured of the policies "
                    f"begins anew, so the report does{waits}; what they learned stays",
                )
            )
        if (old.reward.values, old.reward.maximum) != (new.reward.values, new.reward.maximum):
            warnings.append(
                Problem(
                    f"$.placements.{name}.reward",
                    "values or max changed, while what was learned so far is in the old: both are summed; "
                    "a half_life lets the old fade, a placement of another name starts clean",
                )
            )
        if new.reward.delayed and not same_ring(old, new):
            warnings.append(
                Problem(
                    f"$.placements.{name}.reward",
                    "window or delayed changed: what is known of delays starts over, and what is recent now "
                    "counts as if all of its rewards had come",
                )
            )
        if old.half_life_us != new.half_life_us:
            warnings.append(
                Problem(
                    f"$.placements.{name}.half_life",
                    "half_life changed: rewards to come for decisions made before weigh by the new one, "
                    "their exposures by the old; for one window the estimates lean to one side",
                )
            )
    return warnings


def migrated(held: PlacementState, config: Placement, now_us: int) -> PlacementState:
    """Return the state of `config` with all that `held` knows about the arms and columns of both."""
    old = held.config
    arms = _positions([arm.id for arm in config.arms], [arm.id for arm in old.arms])
    columns = _positions(column_meanings(config), column_meanings(old))
    tally = held.tally.rearranged(arms, columns)
    strata = held.strata.rearranged(old, config, arms)
    arrivals = _arrivals(held, config, arms, columns, strata, float(held.tally.n.sum() - tally.n.sum()))
    forgetting = held.forgetting
    if forgetting.half_life_us != (config.half_life_us or 0):
        forgetting = Forgetting.starting(config.half_life_us, now_us)
        factor = held.forgetting.scale(now_us) * forgetting.weight(now_us)
        tally.scale(factor)
        for stratum in strata:
            stratum.scale(factor)
        if arrivals is not None:
            arrivals.scale(factor)
    state = PlacementState(
        config, now_us, tally=tally, strata=strata, forgetting=forgetting,
        measuring=_measuring(held, config, now_us), arrivals=arrivals, replaying=held.replaying,
    )  # fmt: skip
    held.history.end_before(now_us)
    policies = _positions(_policies(config), _policies(old))
    state.history = held.history.rearranged(config, state.measuring, arms, policies)
    state.born_us = held.born_us
    state.started_us = (
        held.started_us if old.ramp else None
    )  # a ramp that is added begins at its own beginning
    if old.ramp and config.ramp:
        state.ramp_clock = held.ramp_clock
        if state.gate is None and state.ramp_clock.status is RampStatus.WAITING:  # for what is there no more
            state.move_ramp(Move(now_us, RampStatus.RUNNING, "the ramp has no gate any more", GATE))
    state.retired |= held.retired | _ended(old, config)
    state.events = _numbered(held.events, config)
    _carry(held.counters, state.counters, arms, policies)
    return state


def _measuring(held: PlacementState, config: Placement, now_us: int) -> Measuring:
    """Return the measurement that goes on, or one that begins with the next decision."""
    gate = gate_of(config, now_us)
    if gate is not None:
        gate.allowed = held.share(now_us)
    policies, events = len(config.policies), len(config.reward.values)
    if measured_id(held.config) == measured_id(config):
        if gate is not None and held.gate is not None:
            gate.carry(held.gate)
        return Measuring(policies, events, held.measuring.epoch, gate)
    return Measuring(policies, events, Epoch(b"", now_us, Measurement.zeros(policies, events)), gate)


def _arrivals(
    held: PlacementState, config: Placement, arms: list[int], columns: list[int], strata: Strata, lost: float
) -> Arrivals | None:
    """Return what is still expected of the arms of both; None, also before any exposure: it begins anew."""
    if held.arrivals is None or not held.arrivals.due_us or not same_ring(held.config, config):
        return None
    return held.arrivals.rearranged(arms, columns if priors(config) else [], held.strata, strata, lost)


def _positions(new: Sequence[object], old: Sequence[object]) -> list[int]:
    at = {name: position for position, name in enumerate(old)}
    return [at.get(name, -1) for name in new]


def _policies(placement: Placement) -> list[str]:
    return [policy.name for policy in placement.policies]


def _ended(old: Placement, new: Placement) -> frozenset[str]:
    """Return the arms that were there and are now retired or missing."""
    living = {arm.id for arm in new.arms if arm.state is not ArmState.RETIRED}
    return frozenset(arm.id for arm in old.arms) - living


def _numbered(events: dict[str, int], config: Placement) -> dict[str, int]:
    """Return the events' numbers in the ledger: old ones keep theirs."""
    numbered = dict(events)
    for event, _ in config.reward.values:
        numbered.setdefault(event, len(numbered))
    return numbered


def _carry(old: Counters, new: Counters, arms: list[int], policies: list[int]) -> None:
    """Copy the counts of arms, policies and events of both: counters must not jump back."""
    to = [k for k, before in enumerate(arms) if before >= 0]
    at = [before for before in arms if before >= 0]
    held, decisions = old.decisions, new.decisions
    for k, before in zip(to, at, strict=True):
        new.exposures[k], new.reward_sum[k] = old.exposures[before], old.reward_sum[before]
    for j, before in enumerate(policies):
        if before >= 0:
            decisions[j, to] = held[before, at]
            new.degraded[j] = old.degraded[before]
    new.chosen = decisions.tolist()
    for event in new.rewards.keys() & old.rewards.keys():
        new.rewards[event] = old.rewards[event].copy()
    new.unknown_features, new.unknown_arms = old.unknown_features, old.unknown_arms
    new.strata_overflow, new.unrecorded = old.strata_overflow, old.unrecorded
