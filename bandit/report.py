"""The report of a placement: what each policy earns, by every decision, and whether going deeper pays.

The ladder: static, the campaign as it was; the best arm for all, as policies without context learn it; the
best arm for each visitor. Each step is judged against the one before by an interval that holds at all times,
so it may be looked at every day.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bandit.config import DEFAULT_GATE, Gate, Policy, PolicyKind
from bandit.measurement import Estimate, Measurement
from bandit.placement import PlacementState
from bandit.sequences import Sequence

BEST_ARM = frozenset({PolicyKind.THOMPSON})
PERSONAL = frozenset({PolicyKind.LINEAR_THOMPSON, PolicyKind.LINUCB})

NEARLY = 0.05
"""A step that certainly adds less than this part of what is earned without it adds nearly nothing."""

NEARLY_ALL = 0.9
"""A step earns nearly everything if it earns this part of what it and the next one gain over static."""

WEIGHT_RHO_EXPOSURES = 10_000
"""Decisions at which the alarm about weights is at its sharpest."""


class Label(StrEnum):
    """Whether there is a number, or why not."""

    OK = "OK"
    NO_OVERLAP = "NO_OVERLAP"
    """The policy chooses arms that are never shown, so nothing can be said of what it would earn."""
    TOO_FEW = "TOO_FEW"
    """Fewer decisions than `min_exposures`."""


class Interval(NamedTuple):
    """A mean, and the confidence sequence's interval around it, per decision in units of R."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What one policy earns, or would.

    `share` of the units in scope now; `served` of the measured decisions; `overlap` the part of its pmf on
    arms that were shown; `effective_size` how many decisions of its own the measured ones are worth. `value`
    and `uplift` over static are by weighing all decisions, `routed_uplift` by those it served itself.
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


class Step(NamedTuple):
    """One step of the ladder: `policy` against `before`, the best of the step below."""

    policy: str
    before: str
    difference: Interval | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """A placement's report: decisions measured since `began_us`, policies in order, steps of the ladder."""

    placement: str
    began_us: int
    decisions: int
    confidence: float
    min_exposures: int
    policies: tuple[PolicyReport, ...]
    ladder: tuple[Step, ...]


def report(placement: PlacementState, now_us: int) -> Report:
    """Return what is known of a placement at `now_us`."""
    config, epoch = placement.config, placement.measuring.epoch
    gate = (config.ramp.gate if config.ramp else None) or DEFAULT_GATE
    measurement = epoch.measurement
    judge = _Judge(measurement, gate)
    shares = placement.shares(now_us).tolist()
    policies = tuple(
        judge.policy(number, policy, share)
        for number, (policy, share) in enumerate(zip(config.policies, shares, strict=True))
    )
    return Report(
        placement=config.name,
        began_us=epoch.began_us,
        decisions=int(measurement.decisions),
        confidence=gate.confidence,
        min_exposures=gate.min_exposures,
        policies=policies,
        ladder=tuple(_ladder(judge, config.policies)),
    )


class _Judge:
    """Turns a measurement's sums into intervals."""

    def __init__(self, measurement: Measurement, gate: Gate) -> None:
        self.measurement = measurement
        self.few = measurement.decisions < gate.min_exposures
        self._sequence = Sequence.planned(1.0 - gate.confidence, gate.min_exposures)
        self._alarms = Sequence.planned(1.0 - gate.confidence, WEIGHT_RHO_EXPOSURES).rho

    def interval(self, estimate: Estimate | None) -> Interval | None:
        """Return the interval, or None where nothing can be said, or not yet."""
        if estimate is None or self.few:
            return None
        return Interval(estimate.mean, *self._sequence.interval(*estimate))

    def label(self, *policies: int) -> Label:
        """Return whether there is something to say of these policies together."""
        if self.few:
            return Label.TOO_FEW
        return Label.OK if self.measurement.overlaps(*policies) else Label.NO_OVERLAP

    def policy(self, number: int, policy: Policy, share: float) -> PolicyReport:
        """Return the report of one policy."""
        measurement = self.measurement
        some = measurement.decisions > 0
        return PolicyReport(
            name=policy.name,
            kind=policy.kind,
            share=share,
            served=int(measurement.routed[number]),
            overlap=float(measurement.overlap[number]) if some else 1.0,
            effective_size=float(measurement.effective_size[number]),
            alarm=some and measurement.weight_alarm(number, self._alarms),
            label=self.label(number),
            value=self.interval(measurement.value(number) if some else None),
            uplift=self.interval(measurement.uplift(number) if some and number else None),
            routed_uplift=self.interval(measurement.routed_uplift(number) if some and number else None),
        )


def _ladder(judge: _Judge, policies: tuple[Policy, ...]) -> list[Step]:
    """Return the steps from static to the best arm for all, and from the better of these to personalised."""
    before, steps = 0, []
    for kinds, what in ((BEST_ARM, "the best arm for all"), (PERSONAL, "the best arm for each visitor")):
        best = _best(judge, [number for number, policy in enumerate(policies) if policy.kind in kinds])
        if best is None:
            continue
        steps.append(_step(judge, policies, before, best, what))
        difference = steps[-1].difference
        if difference is not None and difference.mean > 0.0:
            before = best
    return steps


def _best(judge: _Judge, candidates: list[int]) -> int | None:
    """Return the candidate of the largest value; the first, while none has one."""
    values = {number: judge.measurement.value(number) for number in candidates if judge.measurement.decisions}
    known = {number: value.mean for number, value in values.items() if value is not None}
    if known:
        return max(known, key=known.__getitem__)
    return candidates[0] if candidates else None


def _step(judge: _Judge, policies: tuple[Policy, ...], before: int, best: int, what: str) -> Step:
    measurement = judge.measurement
    label = judge.label(before, best)
    estimate = measurement.difference(best, before) if label is Label.OK else None
    difference = judge.interval(estimate)
    name, other = policies[best].name, policies[before].name
    base = measurement.value(before) if label is Label.OK else None
    gained = judge.interval(measurement.uplift(before)) if label is Label.OK and before else None
    sentence = _sentence(label, difference, base.mean if base else 0.0, gained)
    return Step(name, other, difference, f"{what} ({name}) against {other}: {sentence}")


def _sentence(label: Label, difference: Interval | None, base: float, gained: Interval | None) -> str:
    """Say what a step's difference means; `base` is earned without it, `gained` of that over static."""
    if label is Label.TOO_FEW:
        return "too few decisions to say anything yet"
    if label is Label.NO_OVERLAP:
        return "nothing can be said, since it chooses arms that are never shown (NO_OVERLAP)"
    if difference is None:
        return "nothing can be said before rewards differ"
    mean, low, high = difference
    numbers = f"{mean:+.4g} a decision ({low:+.4g} to {high:+.4g})"
    if low > 0.0:
        return f"it pays: {numbers}"
    if high < 0.0:
        return f"it costs: {numbers}"
    if base > 0.0 and high < NEARLY * base:
        return f"it adds nearly nothing, at most {high / base:.1%} of what is earned without it: {numbers}"
    if gained is not None and gained.low > 0.0 and gained.mean > NEARLY_ALL * (gained.mean + max(mean, 0.0)):
        part = gained.mean / (gained.mean + max(mean, 0.0))
        return f"nearly everything is earned without it, {part:.0%} of the gain over static: {numbers}"
    return f"not to be told apart yet: {numbers}"
