"""The ladder: static, the best arm for all, the best arm for each visitor, and what each step adds.

Each step is judged against the better of those below by an interval that holds at all times.
"""

import math
from typing import NamedTuple

from bandit.config import Policy, PolicyKind
from bandit.judge import Judge, Label
from bandit.ramp import STATIC_INDEX
from bandit.sequences import Interval

BEST_ARM = frozenset({PolicyKind.THOMPSON})
"""Policies without context, which learn the best arm for all."""

PERSONAL = frozenset({PolicyKind.LINEAR_THOMPSON, PolicyKind.LINUCB})
"""Policies that learn the best arm for each visitor."""

NEARLY = 0.05
"""A step that certainly adds less than this part of what is earned without it adds nearly nothing."""

NEARLY_ALL = 0.9
"""A step earns nearly everything if it earns this part of what it and the next one gain over static."""


class Step(NamedTuple):
    """One step of the ladder: `policy` against `before`, the best of the step below."""

    policy: str
    before: str
    difference: Interval | None
    sentence: str


class _Rung(NamedTuple):
    """What a step comes to, the policy that stands for it, and that one's number."""

    what: str
    name: str
    policy: int


def ladder(judge: Judge, policies: tuple[Policy, ...]) -> list[Step]:
    """Return the steps from static to the best arm for all, and from the better of these to personalised."""
    before, steps = _Rung("the campaign as it was", policies[STATIC_INDEX].name, STATIC_INDEX), []
    for kinds, what in ((BEST_ARM, "the best arm for all"), (PERSONAL, "the best arm for each visitor")):
        best = best_of(judge, policies, kinds)
        if best is None:
            continue
        rung = _Rung(what, policies[best].name, best)
        steps.append(_step(judge, before, rung))
        difference = steps[-1].difference
        if difference is not None and difference.mean > 0.0:
            before = rung
    return steps


def best_of(judge: Judge, policies: tuple[Policy, ...], kinds: frozenset[PolicyKind]) -> int | None:
    """Return the policy of these kinds that has the largest value; the first, while none has one."""
    candidates = [number for number, policy in enumerate(policies) if policy.kind in kinds]
    values = {number: judge.measurement.value(number) for number in candidates if judge.measurement.decisions}
    known = {number: value.mean for number, value in values.items() if value is not None}
    if known:
        return max(known, key=known.__getitem__)
    return candidates[0] if candidates else None


def _step(judge: Judge, before: _Rung, rung: _Rung) -> Step:
    measurement = judge.measurement
    label = judge.label(before.policy, rung.policy)
    difference, base, gained = None, 0.0, None
    if label is Label.OK:
        difference = judge.interval(measurement.difference(rung.policy, before.policy))
        value = measurement.value(before.policy)
        base = value.mean if value else 0.0
        gained = judge.uplift(before.policy)
    sentence = _sentence(label, difference, base, gained, f"{before.what} ({before.name})")
    return Step(
        rung.name, before.name, difference, f"{rung.what} ({rung.name}) against {before.name}: {sentence}"
    )


def _sentence(
    label: Label, difference: Interval | None, base: float, gained: Interval | None, before: str
) -> str:
    """Say what a step's difference means; `base` is earned `before` it, `gained` of that over static."""
    if label is Label.TOO_FEW:
        return "too few decisions to say anything yet"
    if label is Label.NO_OVERLAP:
        return "nothing can be said, since it chooses arms that are never shown (NO_OVERLAP)"
    if difference is None:
        return "nothing can be said before rewards differ"
    if difference.low == difference.high == 0.0:
        return "it adds nothing, since both choose alike"
    return _compared(difference, base, gained, before)


def _compared(difference: Interval, base: float, gained: Interval | None, before: str) -> str:
    """Say whether a difference pays."""
    mean, low, high = difference
    decimals = _decimals(max(abs(low), abs(high)))
    numbers = f"{mean:+,.{decimals}f} a decision ({low:+,.{decimals}f} to {high:+,.{decimals}f})"
    if low > 0.0:
        return f"it pays: {numbers}"
    if high < 0.0:
        return f"it costs: {numbers}"
    if base > 0.0 and high < NEARLY * base:
        most = f"at most {high / base:.1%} of what is earned without it"
        return f"it adds nearly nothing, {most}: {numbers}; {before} earns nearly everything"
    if gained is not None and gained.low > 0.0 and _dwarfed(difference, gained.mean):
        part = f"{gained.mean / (gained.mean + max(mean, 0.0)):.0%} of the gain over static"
        return f"it adds nearly nothing so far: {numbers}; {before} earns nearly everything, {part}"
    return f"not to be told apart yet: {numbers}"


def _dwarfed(difference: Interval, gained: float) -> bool:
    """Whether a step adds little to what was gained before: at best less than that, far less so far."""
    return difference.high < gained and gained > NEARLY_ALL * (gained + max(difference.mean, 0.0))


def _decimals(largest: float) -> int:
    """Return the decimals with which the largest of some numbers has four digits that mean something."""
    return min(max(3 - math.floor(math.log10(largest)), 0), 9) if largest > 0.0 else 4
