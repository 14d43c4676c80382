"""The part of a report that says what happened: by day, by arm and by policy."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit.config import Arm, ArmState
from bandit.history import Day, History
from bandit.judge import Judge
from bandit.kernels.days import ARM_ROWS, POLICY_ROWS
from bandit.limits import REPORT_ARM_EVENTS_MAX
from bandit.measurement import Estimate
from bandit.placement import PlacementState
from bandit.sequences import Interval
from bandit.steps import Steps


class EventCount(NamedTuple):
    """How often an event happened, and the sum of its own values."""

    event: str
    times: int
    value: float


class ArmDay(NamedTuple):
    """What became of one arm: exposures, Σ R, events."""

    exposures: int
    reward: float
    events: tuple[EventCount, ...]


class PolicyDay(NamedTuple):
    """What one policy did where the ramp is at work, and its uplift over static until the end of the day."""

    served: int
    reward: float
    events: tuple[EventCount, ...]
    uplift: Interval | None


class DayReport(NamedTuple):
    """One day, by its number since 1970; policies and arms in the configuration's order."""

    number: int
    share: float
    policies: tuple[PolicyDay, ...]
    arms: tuple[ArmDay, ...]


@dataclass(frozen=True, slots=True)
class ArmReport:
    """What an arm earned as it was shown, over the days that are kept.

    `weight` is its part of the static campaign over the arms that are active. `reward` is R per exposure;
    `shown` how often each policy has shown it since the placement began.
    """

    arm: Arm
    weight: float
    exposures: int
    reward: Interval | None
    events: tuple[EventCount, ...]
    shown: tuple[int, ...]


def day_reports(placement: PlacementState, judge: Judge) -> Steps[tuple[DayReport, ...]]:
    """Return the days that are kept, the earliest first, a day a step.

    Without events by arm if there are more of them than REPORT_ARM_EVENTS_MAX.
    """
    names, history = _events(placement), placement.history
    days = list(history.days.items())
    few = len(names) * len(placement.config.arms) * len(days) <= REPORT_ARM_EVENTS_MAX
    found = []
    for number, day in days:
        found.append(_day(names, history, judge, number, day, by_arm=few))
        yield
    return tuple(found)


def arm_reports(placement: PlacementState, judge: Judge) -> Steps[tuple[ArmReport, ...]]:
    """Return the arms by id, an arm a step."""
    names, history, arms = _events(placement), placement.history, placement.config.arms
    sums = np.zeros((ARM_ROWS + 2 * len(names), len(arms)))
    for day in history.days.values():
        sums += history.by_arm(day)
    found = []
    for arm, weight, own, shown in zip(
        arms, _weights(arms), sums.T.tolist(), history.shown.T.tolist(), strict=True
    ):
        found.append(_arm(names, arm, weight, judge, own, shown))
        yield
    return tuple(found)


def policy_counts(placement: PlacementState) -> tuple[tuple[EventCount, ...], ...]:
    """Return what followed the decisions of each policy, over the days that are kept."""
    names, history = _events(placement), placement.history
    sums = np.zeros((POLICY_ROWS + 2 * len(names), len(placement.config.policies)))
    for day in history.days.values():
        sums += history.by_policy(day)
    return tuple(_counts(names, column) for column in sums[POLICY_ROWS:].T.tolist())


def _events(placement: PlacementState) -> list[str]:
    return [event for event, _ in placement.config.reward.values]


def _day(
    names: list[str], history: History, judge: Judge, number: int, day: Day, *, by_arm: bool
) -> DayReport:
    policies = tuple(
        PolicyDay(
            int(column[0]),
            column[1],
            _counts(names, column[POLICY_ROWS:]),
            judge.interval(history.uplift(day, policy)),
        )
        for policy, column in enumerate(history.by_policy(day).T.tolist())
    )
    arms = tuple(
        ArmDay(int(column[0]), column[1], _counts(names, column[ARM_ROWS:]) if by_arm else ())
        for column in history.by_arm(day).T.tolist()
    )
    return DayReport(number, day.share, policies, arms)


def _counts(names: list[str], sums: list[float]) -> tuple[EventCount, ...]:
    """Return events' counts; `sums` hold how often and Σ value of each in turn."""
    return tuple(
        EventCount(name, int(count), value)
        for name, count, value in zip(names, sums[::2], sums[1::2], strict=True)
    )


def _arm(
    names: list[str], arm: Arm, weight: float, judge: Judge, sums: list[float], shown: list[int]
) -> ArmReport:
    n, total, squares = sums[:ARM_ROWS]
    mean = total / n if n else 0.0
    variance = squares / n - mean * mean if n else 0.0
    reward = judge.anyway(Estimate(n, mean, variance)) if variance > 0.0 else None
    counts = _counts(names, sums[ARM_ROWS:])
    return ArmReport(arm, weight, int(n), reward, counts, tuple(shown))


def _weights(arms: tuple[Arm, ...]) -> list[float]:
    """Return each arm's part of the static campaign; alike where all weights are 0."""
    active = [float(arm.state is ArmState.ACTIVE) for arm in arms]
    weights = [arm.weight * works for arm, works in zip(arms, active, strict=True)]
    if sum(weights) == 0.0:
        weights = active
    total = sum(weights)
    return [weight / total for weight in weights]
