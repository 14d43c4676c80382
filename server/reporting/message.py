"""A report as a message of the operator's service."""

from google.protobuf.timestamp_pb2 import Timestamp

from bandit.config import PolicyKind
from bandit.report import Interval, PolicyReport, Report, Step
from server.pb import bandit_pb2 as pb

POLICY_KINDS = {
    PolicyKind.STATIC: pb.POLICY_KIND_STATIC,
    PolicyKind.UNIFORM: pb.POLICY_KIND_UNIFORM,
    PolicyKind.THOMPSON: pb.POLICY_KIND_THOMPSON,
    PolicyKind.LINEAR_THOMPSON: pb.POLICY_KIND_LINEAR_THOMPSON,
    PolicyKind.LINUCB: pb.POLICY_KIND_LINUCB,
}


def report_message(report: Report) -> pb.GetReportResponse:
    """The message of a report."""
    message = pb.GetReportResponse(
        placement=report.placement,
        decisions=report.decisions,
        confidence=report.confidence,
        min_exposures=report.min_exposures,
        policies=[_policy(policy) for policy in report.policies],
        ladder=[_step(step) for step in report.ladder],
    )
    if report.decisions:
        message.begin_time.CopyFrom(
            Timestamp(seconds=report.began_us // 1_000_000, nanos=report.began_us % 1_000_000 * 1000)
        )
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
    )


def _step(step: Step) -> pb.LadderStep:
    return pb.LadderStep(
        policy=step.policy, before=step.before, difference=_interval(step.difference), sentence=step.sentence
    )


def _interval(interval: Interval | None) -> pb.Interval | None:
    return None if interval is None else pb.Interval(**interval._asdict())
