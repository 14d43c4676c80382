"""The report of a placement: what each policy earns, by every decision, what happened, and what pays.

`judge` says what may be said of a measurement, `ladder` whether going deeper pays, `importance` which
features matter, `report_days` what happened by day and by arm.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bandit.config import DEFAULT_GATE, Policy, PolicyKind
from bandit.importance import FeatureReport, importances
from bandit.judge import Judge, Label
from bandit.ladder import PERSONAL, Step, best_of, ladder
from bandit.placement import PlacementState
from bandit.report_days import (
    ArmReport,
    DayReport,
    EventCount,
    arm_reports,
    day_reports,
    policy_counts,
)
from bandit.sequences import Interval
from bandit.steps import Steps, finished


class EventEstimate(NamedTuple):
    """What a policy gets of one event per decision, in its own value, and what more than static."""

    event: str
    value: Interval | None
    uplift: Interval | None


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What one policy earns, or would.

    `share` of the units in scope now; `served` of the measured decisions; `overlap` the part of its pmf on
    arms that were shown; `effective_size` how many decisions of its own the measured ones are worth. `value`
    and `uplift` over static are by weighing all decisions, and so are `events`; `routed_uplift` is by those
    it served itself, and `counts` are what followed these, over the days that are kept.
    """

    name: str
    kind: PolicyKind
    share: float
    served: int
    overlap: float
    effective_size: float
    alarm: bool
    label: Label
    value: Interval | None
    uplift: Interval | None
    routed_uplift: Interval | None
    events: tuple[EventEstimate, ...]
    counts: tuple[EventCount, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A placement's report at `time_us`: decisions measured since `began_us`, in the configuration's order.

    `ladder` are its steps; `features` are those of the policy that looks at the context, if there is one.
    """

    placement: str
    time_us: int
    began_us: int
    decisions: int
    confidence: float
    min_exposures: int
    policies: tuple[PolicyReport, ...]
    ladder: tuple[Step, ...]
    arms: tuple[ArmReport, ...]
    days: tuple[DayReport, ...]
    features: tuple[FeatureReport, ...]


def report(placement: PlacementState, now_us: int) -> Report:
    """Return what is known of a placement at `now_us`."""
    return finished(reporting(placement, now_us))


def reporting(placement: PlacementState, now_us: int) -> Steps[Report]:
    """Return the same in steps. What comes in between may be in days and arms, never in the values."""
    config, epoch = placement.config, placement.measuring.epoch
    gate = (config.ramp.gate if config.ramp else None) or DEFAULT_GATE
    measurement = epoch.measurement.copy()
    judge = Judge(measurement, gate)
    personal = best_of(judge, config.policies, PERSONAL)
    return Report(
        placement=config.name,
        time_us=now_us,
        began_us=epoch.began_us,
        decisions=int(measurement.decisions),
        confidence=gate.confidence,
        min_exposures=gate.min_exposures,
        policies=(yield from _policies(placement, judge, placement.shares(now_us).tolist())),
        ladder=tuple(ladder(judge, config.policies)),
        arms=(yield from arm_reports(placement, judge)),
        days=(yield from day_reports(placement, judge)),
        features=() if personal is None else (yield from importances(placement, config.policies[personal])),
    )


def _policies(
    placement: PlacementState, judge: Judge, shares: list[float]
) -> Steps[tuple[PolicyReport, ...]]:
    counts = policy_counts(placement)
    events = [(name, judge.of_event(at)) for at, (name, _) in enumerate(placement.config.reward.values)]
    found = []
    for number, policy in enumerate(placement.config.policies):
        found.append(_policy(number, policy, shares[number], judge, events, counts[number]))
        yield
    return tuple(found)


def _policy(
    number: int, policy: Policy, share: float, judge: Judge, events: list[tuple[str, Judge]],
    counts: tuple[EventCount, ...],
) -> PolicyReport:  # fmt: skip
    measurement = judge.measurement
    return PolicyReport(
        name=policy.name,
        kind=policy.kind,
        share=share,
        served=int(measurement.routed[number]),
        overlap=float(measurement.overlap[number]) if measurement.decisions else 1.0,
        effective_size=float(measurement.effective_size[number]),
        alarm=judge.alarm(number),
        label=judge.label(number),
        value=judge.value(number),
        uplift=judge.uplift(number),
        routed_uplift=judge.routed_uplift(number),
        events=tuple(EventEstimate(name, of.value(number), of.uplift(number)) for name, of in events),
        counts=counts,
    )
