"""What happened day by day: shown and earned by arm and by policy, what followed, and uplift as it stood.

A day is one of UTC, and an event belongs to the day of its decision. The last `HISTORY_DAYS_MAX` days with
exposures are kept. A day's sums lie in one flat array of float64: for K arms, J policies and E events

    by arm      (3 + 2 E, K)   exposures, Σ R, Σ R²; then of each event how often, and Σ of its values
    by policy   (2 + 2 E, J)   exposures and Σ R, of decisions where the ramp is at work; events as by arm

which takes 8 (K (3 + 2 E) + J (2 + 2 E)) bytes: 0.5 kB for ten arms, four policies and one event.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bandit.config import Placement
from bandit.counters import Counts
from bandit.kernels import days
from bandit.kernels.days import ARM_ROWS, POLICY_ROWS
from bandit.kernels.jit import bind
from bandit.limits import HISTORY_DAYS_MAX
from bandit.measurement import Estimate, Measurement
from bandit.measuring import Measuring
from bandit.ramp import STATIC_INDEX
from bandit.tally import Floats

_Matrix = TypeVar("_Matrix", Floats, Counts)

DAY_US = 86_400_000_000

UPLIFT_NUMBERS = 3
"""n, mean and variance of each policy but static; an n of 0: nothing could be said."""

_ELSEWHERE, _GONE = -2, -1
"""Rows of counts behind those of policies: where the ramp is not at work, and of policies that are gone."""


@dataclass(slots=True, eq=False)
class Day:
    """One day's `sums`; the learned `share` with its last decision in scope; `uplifts` when it was over.

    `share` is that of the day before while none was in scope.
    `uplifts` (3 (policies - 1),) are those of the measurement epoch until then; zeros while the day goes on.
    """

    sums: Floats
    share: float
    uplifts: "array[float]"


class History:
    """A placement's days, and how often each policy has shown each arm.

    `measuring` says where the policies' uplift stands when a day is over. An exposure of today moves one
    number in a list, `_counts` (policies + 2, arms), which is added up when somebody looks or the day is
    over: sums of whole numbers are exact, so it does not matter when.
    """

    __slots__ = (
        "_arms", "_began_us", "_counts", "_credit", "_days", "_ended_us", "_events", "_policies",
        "_policies_at", "_share", "_shown", "measuring",
    )  # fmt: skip

    def __init__(self, config: Placement, measuring: Measuring) -> None:
        self._arms, self._policies = len(config.arms), len(config.policies)
        self._events = {event: number for number, (event, _) in enumerate(config.reward.values)}
        self._policies_at = self._arms * (ARM_ROWS + 2 * len(self._events))
        self.measuring = measuring
        self._days: dict[int, Day] = {}
        self._shown: Counts = np.zeros((self._policies, self._arms), np.int64)
        self._counts = self._no_counts()
        self._credit = bind(days.credit)
        self._share = 0.0
        self._began_us = self._ended_us = -(2**63)

    @property
    def days(self) -> dict[int, Day]:
        """The days by their number since 1970, in order."""
        self._add_up()
        return self._days

    @property
    def shown(self) -> Counts:
        """How often each policy has shown each arm (policies, arms), since the placement began."""
        self._add_up()
        return self._shown

    @property
    def width(self) -> int:
        """Length of a day's sums."""
        return self._policies_at + self._policies * (POLICY_ROWS + 2 * len(self._events))

    def by_arm(self, day: Day) -> Floats:
        """Return a day's sums by arm (3 + 2 events, arms): the array itself, not a copy."""
        return day.sums[: self._policies_at].reshape(-1, self._arms)

    def by_policy(self, day: Day) -> Floats:
        """Return a day's sums by policy (2 + 2 events, policies): the array itself, not a copy."""
        return day.sums[self._policies_at :].reshape(-1, self._policies)

    def uplift(self, day: Day, policy: int) -> Estimate | None:
        """Return a policy's uplift as it stood when the day was over, or as it stands; None for static."""
        if policy == STATIC_INDEX:
            return None
        if day is self._last() and not any(day.uplifts):
            return _uplift(self.measuring.epoch.measurement, policy)
        at = UPLIFT_NUMBERS * (policy - 1)
        found = Estimate(*day.uplifts[at : at + UPLIFT_NUMBERS])
        return found if found.n > 0.0 else None

    def expose(self, time_us: int, arm: int, policy: int, share: float, in_scope: bool) -> None:
        """Count an exposure of a decision of `time_us`, before it is measured.

        `policy` -1: one that is gone. `share` is the learned one then; `in_scope`: the ramp was at work.
        """
        if not self._began_us <= time_us < self._ended_us:
            if time_us < self._began_us:
                self._expose_earlier(time_us // DAY_US, arm, policy, share, in_scope)
                return
            self._begin(time_us // DAY_US)
        if in_scope:
            self._counts[policy][arm] += 1
            self._share = share
        else:
            self._counts[_ELSEWHERE][arm] += 1

    def credit(
        self, time_us: int, arm: int, policy: int, event: str, value: float, reward: tuple[float, float],
        in_scope: bool,
    ) -> None:  # fmt: skip
        """Count an event of an exposed decision, which moves its R from `reward[0]` to `reward[1]`."""
        day = self._days.get(time_us // DAY_US)
        if day is not None:
            number, served = self._events.get(event, -1), policy if in_scope else -1
            self._credit(day.sums, self._arms, self._policies, arm, served, number, value, *reward)

    def end_before(self, time_us: int) -> None:
        """Keep the uplifts of the last day if it is over: what is measured is about to change."""
        last = self._last()
        if last is not None and time_us >= self._ended_us:
            self._end(last)

    def restore(self, number: int, share: float, sums: Floats, uplifts: Floats) -> None:
        """Put back a day, later than those that are there."""
        self._days[number] = Day(np.array(sums), share, array("d", uplifts.tobytes()))
        self._began_us, self._ended_us = number * DAY_US, (number + 1) * DAY_US
        self._share = share

    def restore_shown(self, shown: Counts) -> None:
        """Put back how often each policy has shown each arm (policies, arms)."""
        self._shown[:] = shown

    def rearranged(
        self, config: Placement, measuring: Measuring, arms: list[int], policies: list[int]
    ) -> "History":
        """Return the history for another configuration, whose arm i is this one's `arms[i]`; -1: a new one.

        Policies alike; events by name. What is said of arms, policies and events that are gone goes with
        them.
        """
        result = History(config, measuring)
        events = [self._events.get(event, -1) for event in result._events]
        rows = [row for event in events for row in ((2 * event, 2 * event + 1) if event >= 0 else (-1, -1))]
        by_arm = [*range(ARM_ROWS), *(row + ARM_ROWS if row >= 0 else -1 for row in rows)]
        by_policy = [*range(POLICY_ROWS), *(row + POLICY_ROWS if row >= 0 else -1 for row in rows)]
        numbers = [k for policy in policies[1:] for k in _numbers_of(policy)]
        for day, held in self.days.items():
            sums = (
                _taken(self.by_arm(held), by_arm, arms),
                _taken(self.by_policy(held), by_policy, policies),
            )
            uplifts = _taken(np.frombuffer(held.uplifts)[None], [0], numbers)
            result.restore(day, held.share, np.concatenate([part.ravel() for part in sums]), uplifts[0])
        result.restore_shown(_taken(self.shown, policies, arms))
        return result

    def _last(self) -> Day | None:
        return next(reversed(self._days.values()), None)

    def _begin(self, number: int) -> None:
        """Begin a day, later than those that are there: the last one is over."""
        self._add_up()
        last = self._last()
        if last is not None:
            self._end(last)
        nothing = np.zeros(UPLIFT_NUMBERS * (self._policies - 1))
        self.restore(number, self._share, np.zeros(self.width), nothing)
        if len(self._days) > HISTORY_DAYS_MAX:
            del self._days[min(self._days)]

    def _expose_earlier(self, number: int, arm: int, policy: int, share: float, in_scope: bool) -> None:
        """Count an exposure that came to be known after its day; not if the day is not kept."""
        day = self._days.get(number)
        if day is not None:
            day.sums[arm] += 1.0
            if in_scope:
                day.share = share
        row = policy if in_scope else STATIC_INDEX
        if row >= 0:
            self._shown[row, arm] += 1
            if day is not None and in_scope:
                day.sums[self._policies_at + row] += 1.0

    def _add_up(self) -> None:
        """Add what was counted today to the day and to what was shown."""
        counts, day = np.array(self._counts), self._last()
        if day is None or not counts.any():
            return
        by_policy = counts[: self._policies]
        self._shown += by_policy
        self._shown[STATIC_INDEX] += counts[_ELSEWHERE]
        self.by_arm(day)[0] += counts.sum(axis=0)
        self.by_policy(day)[0] += by_policy.sum(axis=1)
        day.share = self._share
        self._counts = self._no_counts()

    def _no_counts(self) -> list[list[int]]:
        return [[0] * self._arms for _ in range(self._policies + 2)]

    def _end(self, day: Day) -> None:
        """Keep the uplifts of a day that is over, unless they were kept before another epoch was to begin."""
        if not any(day.uplifts):
            measurement = self.measuring.epoch.measurement
            estimates = (_uplift(measurement, policy) for policy in range(1, self._policies))
            numbers = [number for found in estimates for number in found or (0.0,) * UPLIFT_NUMBERS]
            day.uplifts = array("d", numbers)


def _uplift(measurement: Measurement, policy: int) -> Estimate | None:
    """Return a policy's uplift; None where nothing can be said."""
    return measurement.uplift(policy) if measurement.decisions else None


def _numbers_of(policy: int) -> Iterator[int]:
    """Yield where the uplift of a policy stands; -1: it is new."""
    at = UPLIFT_NUMBERS * (policy - 1)
    yield from range(at, at + UPLIFT_NUMBERS) if policy > 0 else (-1,) * UPLIFT_NUMBERS


def _taken(held: _Matrix, rows: list[int], columns: list[int]) -> _Matrix:
    """Return a matrix whose row i is `held`'s `rows[i]`, its columns alike; -1: zeros."""
    result = np.zeros((len(rows), len(columns)), held.dtype)
    to = np.ix_(*([k for k, index in enumerate(wanted) if index >= 0] for wanted in (rows, columns)))
    at = np.ix_(*([index for index in wanted if index >= 0] for wanted in (rows, columns)))
    result[to] = held[at]
    return result
