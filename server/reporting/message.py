"""A report as a message of the operator's service."""

from collections.abc import Iterable
from datetime import date

from bandit.config import ArmState, PolicyKind
from bandit.ladder import Step
from bandit.placement import PlacementState
from bandit.report import EventEstimate, PolicyReport, reporting
from bandit.report_days import ArmReport, DayReport, EventCount
from bandit.sequences import Interval
from bandit.steps import Steps, finished
from server.pb import bandit_pb2 as pb
from server.reporting.next_step import next_step
from server.reporting.ramp_message import interval_message, ramp_message, timestamp

POLICY_KINDS = {
    PolicyKind.STATIC: pb.POLICY_KIND_STATIC,
    PolicyKind.UNIFORM: pb.POLICY_KIND_UNIFORM,
    PolicyKind.THOMPSON: pb.POLICY_KIND_THOMPSON,
    PolicyKind.LINEAR_THOMPSON: pb.POLICY_KIND_LINEAR_THOMPSON,
    PolicyKind.LINUCB: pb.POLICY_KIND_LINUCB,
}

ARM_STATES = {
    ArmState.ACTIVE: pb.ARM_STATE_ACTIVE,
    ArmState.DRAINING: pb.ARM_STATE_DRAINING,
    ArmState.RETIRED: pb.ARM_STATE_RETIRED,
}

_FIRST_DAY = date(1970, 1, 1).toordinal()


def report_message(state: PlacementState, now_us: int) -> pb.GetReportResponse:
    """The message of a placement's report at `now_us`."""
    return finished(report_steps(state, now_us))


def report_steps(state: PlacementState, now_us: int) -> Steps[pb.GetReportResponse]:
    """The same in steps, of a millisecond at most for ordinary placements: decisions may come in between."""
    ramp = ramp_message(state, now_us)
    sentence = next_step(state, ramp, now_us)
    found = yield from reporting(state, now_us)
    message = pb.GetReportResponse(
        placement=found.placement,
        owner=state.config.owner,
        begin_time=timestamp(found.began_us) if found.decisions else None,
        decisions=found.decisions,
        confidence=found.confidence,
        min_exposures=found.min_exposures,
        policies=[_policy(policy) for policy in found.policies],
        ladder=[_step(step) for step in found.ladder],
        time=timestamp(now_us),
        ramp=ramp,
        next_step=sentence,
        arms=[_arm(arm) for arm in found.arms],
        features=[pb.FeatureReport(**feature._asdict()) for feature in found.features],
    )
    for day in found.days:
        message.days.append(_day(day))
        yield
    return message


def _policy(policy: PolicyReport) -> pb.PolicyReport:
    return pb.PolicyReport(
        name=policy.name,
        kind=POLICY_KINDS[policy.kind],
        share=policy.share,
        served=policy.served,
        overlap=policy.overlap,
        effective_size=policy.effective_size,
        weight_alarm=policy.alarm,
        label=policy.label.value,
        value=_interval(policy.value),
        uplift=_interval(policy.uplift),
        routed_uplift=_interval(policy.routed_uplift),
        events=[_event(event) for event in policy.events],
        counts=_counts(policy.counts),
    )


def _event(event: EventEstimate) -> pb.EventEstimate:
    return pb.EventEstimate(event=event.event, value=_interval(event.value), uplift=_interval(event.uplift))


def _step(step: Step) -> pb.LadderStep:
    return pb.LadderStep(
        policy=step.policy, before=step.before, difference=_interval(step.difference), sentence=step.sentence
    )


def _arm(arm: ArmReport) -> pb.ArmReport:
    return pb.ArmReport(
        id=arm.arm.id,
        state=ARM_STATES[arm.arm.state],
        weight=arm.weight,
        exposures=arm.exposures,
        reward=_interval(arm.reward),
        events=_counts(arm.events),
        shown_by_policy=arm.shown,
    )


def _day(day: DayReport) -> pb.DayReport:
    return pb.DayReport(
        date=date.fromordinal(_FIRST_DAY + day.number).isoformat(),
        share=day.share,
        policies=[
            pb.PolicyDay(
                served=policy.served,
                reward=policy.reward,
                events=_counts(policy.events),
                uplift=_interval(policy.uplift),
            )
            for policy in day.policies
        ],
        arms=[
            pb.ArmDay(exposures=arm.exposures, reward=arm.reward, events=_counts(arm.events))
            for arm in day.arms
        ],
    )


def _counts(events: Iterable[EventCount]) -> list[pb.EventCount]:
    return [pb.EventCount(event=event.event, count=event.times, value=event.value) for event in events]


def _interval(interval: Interval | None) -> pb.Interval | None:
    return None if interval is None else interval_message(interval)
