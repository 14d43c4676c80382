"""Reports for tests: made up from seeded chance, of any length and size, or of a simulated campaign."""

import math
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from server.config_files import load
from server.pb import bandit_pb2 as pb
from server.reporting.message import report_message
from server.simulation.campaign import Campaign
from server.simulation.scenario_file import read_scenario

EXAMPLE = Path(__file__).parents[2] / "examples" / "campaign"

BEGIN = datetime(2026, 9, 23, 6, 12, tzinfo=UTC)
STATIC = 0.1132
POLICIES = (
    ("static", pb.POLICY_KIND_STATIC, 0.0),
    ("best-arm", pb.POLICY_KIND_THOMPSON, 0.0052),
    ("explorer", pb.POLICY_KIND_LINUCB, 0.0711),
    ("personal", pb.POLICY_KIND_LINEAR_THOMPSON, 0.0894),
    ("everything-alike", pb.POLICY_KIND_UNIFORM, -0.0121),
    ("cautious", pb.POLICY_KIND_THOMPSON, 0.0031),
    ("wide", pb.POLICY_KIND_LINUCB, 0.0557),
    ("narrow", pb.POLICY_KIND_LINEAR_THOMPSON, 0.0632),
)
"""Name, kind, and what it truly earns more than static."""

VISITS = 4_000
"""Decisions a day."""


def at(days: float) -> Timestamp:
    """A time, in days since the campaign began."""
    stamp = Timestamp()
    stamp.FromDatetime(BEGIN + timedelta(days=days))
    return stamp


def interval(mean: float, width: float) -> pb.Interval:
    """An interval of a full width around a mean."""
    return pb.Interval(mean=mean, low=mean - width / 2, high=mean + width / 2)


def campaign(
    length: int = 60,
    policies: int = 4,
    arms: Sequence[str] = ("womens", "mens", "kids", "home", "sale", "gift-cards"),
    seed: int = 3,
) -> pb.GetReportResponse:
    """A ramp of 60 days to 90 %, which was held for four days, and ran for `length` of them."""
    luck = random.Random(seed)
    found = pb.GetReportResponse(
        placement="home-hero",
        owner="onsite-crm",
        decisions=length * VISITS,
        confidence=0.95,
        min_exposures=2_000,
    )
    found.begin_time.CopyFrom(at(0))
    found.time.CopyFrom(at(length - 0.2))
    _arms(found, luck, arms, policies)
    for number, (name, kind, more) in enumerate(POLICIES[:policies]):
        found.policies.append(_policy(luck, number, name, kind, more, found.decisions, policies))
    for number in range(length):
        found.days.append(_day(luck, number, policies, arms))
    _ramp(found, length)
    _ladder(found)
    _features(found)
    return found


@cache
def simulated() -> pb.GetReportResponse:
    """The example's sixty days, by the real engine; not to be changed."""
    scenario, config = read_scenario(EXAMPLE / "scenario.yaml"), load(EXAMPLE / "config.yaml")
    played = Campaign(scenario, config, 60, 12_000, 1)
    played.run()
    return report_message(played.state, played.now_us)


def share_on(day: float) -> float:
    """The learned share of a day: it stood still from day 20 to day 24."""
    return 0.05 + 0.85 * min(max(min(day, 20.0), day - 4.0) / 60.0, 1.0)


def _policy(
    luck: random.Random, number: int, name: str, kind: pb.PolicyKind, more: float, decisions: int, of: int
) -> pb.PolicyReport:
    share = share_on(decisions / VISITS)
    found = pb.PolicyReport(
        name=name, kind=kind, label="OK", overlap=1.0, share=share / (of - 1) if number else 1.0 - share,
        served=int(decisions * (0.5 / (of - 1) if number else 0.5)),
        effective_size=decisions * (0.9 - 0.1 * number),
    )  # fmt: skip
    spread = 6.0 * 0.33 / math.sqrt(decisions)
    mean = STATIC + more + luck.gauss(0.0, spread / 8)
    found.value.CopyFrom(interval(mean, spread * 2))
    if number:
        found.uplift.CopyFrom(interval(mean - STATIC, spread * 2.2))
        found.routed_uplift.CopyFrom(interval(mean - STATIC, spread * 4))
    for event, scale in (("click", 1.0), ("purchase", 31.7)):
        estimate = found.events.add(event=event)
        estimate.value.CopyFrom(interval(mean * scale, spread * 2.4 * scale))
        if number:
            estimate.uplift.CopyFrom(interval((mean - STATIC) * scale, spread * 2.6 * scale))
        found.counts.add(event=event, count=int(found.served * mean / (1 if scale == 1.0 else 9)),
                         value=found.served * mean * scale)  # fmt: skip
    return found


def _day(luck: random.Random, number: int, policies: int, arms: Sequence[str]) -> pb.DayReport:
    day = date(BEGIN.year, BEGIN.month, BEGIN.day) + timedelta(days=number)
    share = share_on(number + 1)
    found = pb.DayReport(date=day.isoformat(), share=share)
    visits = int(VISITS * luck.uniform(0.8, 1.2))
    for policy in range(policies):
        part = share / (policies - 1) if policy else 1.0 - share
        served = int(visits * part)
        more = POLICIES[policy][2]
        one = found.policies.add(served=served, reward=served * (STATIC + more * min(1.0, number / 9)))
        one.events.add(event="click", count=int(one.reward), value=one.reward)
        seen = VISITS * (number + 1)
        if policy and seen >= 4_000:
            spread = 13.0 * 0.33 / math.sqrt(seen)
            grown = more * (1.0 - math.exp(-(number + 1) / 6))
            one.uplift.CopyFrom(interval(grown + luck.gauss(0.0, spread / 16), spread))
    for _ in arms:
        found.arms.add(exposures=visits // len(arms), reward=visits / len(arms) * 0.12)
    return found


def _arms(found: pb.GetReportResponse, luck: random.Random, arms: Sequence[str], policies: int) -> None:
    for number, name in enumerate(arms):
        exposures = int(found.decisions * luck.uniform(0.2, 1.8) / len(arms))
        arm = found.arms.add(
            id=name, state=pb.ARM_STATE_DRAINING if number == 4 else pb.ARM_STATE_ACTIVE,
            weight=0.0 if number == 4 else 1 / len(arms), exposures=exposures,
        )  # fmt: skip
        mean = luck.uniform(0.05, 0.2)
        arm.reward.CopyFrom(interval(mean, 6 * 0.33 / math.sqrt(max(exposures, 1))))
        arm.events.add(event="click", count=int(exposures * mean), value=exposures * mean)
        rest = exposures
        for policy in range(policies):
            part = rest if policy == policies - 1 else int(rest * luck.uniform(0.2, 0.6))
            arm.shown_by_policy.append(part)
            rest -= part


def _ramp(found: pb.GetReportResponse, length: int) -> None:
    ramp = found.ramp
    ramp.share, ramp.to, ramp.state = share_on(length), 0.9, pb.RAMP_STATE_RUNNING
    ramp.start_time.CopyFrom(at(0))
    ramp.end_time.CopyFrom(at(64))
    for when, state, reason, actor in (
        (
            20.1,
            pb.RAMP_STATE_HELD,
            "payment provider down since 8:10; conversions are not comparable",
            "a.weber",
        ),
        (24.1, pb.RAMP_STATE_RUNNING, "provider is back, two clean days", "a.weber"),
        (37.0, pb.RAMP_STATE_WAITING, "step to 56%: 11,204 of 12,000 learned exposures", "gate"),
        (37.6, pb.RAMP_STATE_RUNNING, "enough was seen: +0.0421 a decision (+0.0302 to +0.0540)", "gate"),
    ):
        if when <= length:
            ramp.moves.add(time=at(when), state=state, reason=reason, actor=actor)
    gate = ramp.gate
    gate.time.CopyFrom(at(length - 0.5))
    gate.next_time.CopyFrom(at(length + 0.5))
    gate.exposures, gate.min_exposures, gate.max_loss = int(found.decisions * 0.46), 2_000, 0.02
    gate.static_value = STATIC
    gate.uplift.CopyFrom(interval(0.0561, 0.0101))
    gate.week_uplift.CopyFrom(interval(0.0702, 0.0233))
    gate.sentence = "goes on: learned policies earn +0.0561 a decision more (+0.0511 to +0.0612)"
    found.next_step = "running: 84.3% now, 85.7% tomorrow, 90.0% on 2026-11-26, as far as the gate allows"


def _ladder(found: pb.GetReportResponse) -> None:
    names = [policy.name for policy in found.policies]
    if len(names) < 4:
        return
    for policy, before, what, difference in (
        (1, 0, "the best arm for all", found.policies[1].uplift),
        (3, 1, "the best arm for each visitor", interval(0.0842, 0.02)),
    ):
        verdict = "it pays" if difference.low > 0.0 else "not to be told apart yet"
        numbers = f"{difference.mean:+.4g} a decision ({difference.low:+.4g} to {difference.high:+.4g})"
        sentence = f"{what} ({names[policy]}) against {names[before]}: {verdict}: {numbers}"
        step = found.ladder.add(policy=names[policy], before=names[before], sentence=sentence)
        step.difference.CopyFrom(difference)


def _features(found: pb.GetReportResponse) -> None:
    for name, importance, chance in (
        ("interest", 0.0413, 0.0021), ("device", 0.0125, 0.0019), ("days_since_visit", 0.0051, 0.0022),
        ("hour", 0.0017, 0.0020), ("returning", 0.0009, 0.0018),
    ):  # fmt: skip
        found.features.add(name=name, importance=importance, chance=chance)


def unmeasured(found: pb.GetReportResponse, label: str) -> pb.GetReportResponse:
    """The report without a number for any learned policy, each for the reason `label`."""
    for policy in list(found.policies)[1:]:
        policy.label = label
        policy.ClearField("value")
        policy.ClearField("uplift")
        for estimate in policy.events:
            estimate.ClearField("value")
            estimate.ClearField("uplift")
    for day in found.days:
        for part in day.policies:
            part.ClearField("uplift")
    for step in found.ladder:
        step.ClearField("difference")
        step.sentence = f"({step.policy}) against {step.before}: nothing can be said ({label})"
    return found


def largest() -> pb.GetReportResponse:
    """As many policies, days and arms as there may be, all with the longest of names and reasons."""
    found = campaign(100, len(POLICIES), [f"{number}-arm" for number in range(256)])
    found.placement = _longest(found.placement)
    for policy in found.policies:
        policy.name = _longest(policy.name)
        for estimate in policy.events:
            estimate.event = _longest(estimate.event)
        for counted in policy.counts:
            counted.event = _longest(counted.event)
    for arm in found.arms:
        arm.id = _longest(arm.id)
    for feature in found.features:
        feature.name = _longest(feature.name)
    for move in found.ramp.moves:
        move.reason, move.actor = "x" * 512, "W" * 128
    return found


def _longest(name: str) -> str:
    return f"{name}_{'W' * 64}"[:64]
