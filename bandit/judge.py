"""What may be said of a measurement: intervals that hold at all times, or why there is none."""

from enum import StrEnum

from bandit.config import Gate
from bandit.measurement import Estimate, Measurement
from bandit.sequences import Interval, Sequence

WEIGHT_RHO_EXPOSURES = 10_000
"""Decisions at which the alarm about weights is at its sharpest."""


class Label(StrEnum):
    """Whether there is a number, or why not."""

    OK = "OK"
    NO_OVERLAP = "NO_OVERLAP"
    """The policy chooses arms that are never shown, so nothing can be said of what it would earn."""
    TOO_FEW = "TOO_FEW"
    """Fewer decisions than `min_exposures`."""


class Judge:
    """Turns a measurement's sums into intervals, from a gate's `min_exposures` on."""

    def __init__(self, measurement: Measurement, gate: Gate) -> None:
        self.measurement = measurement
        self.gate = gate
        self.few = measurement.decisions < gate.min_exposures
        self._sequence = Sequence.planned(1.0 - gate.confidence, gate.min_exposures)
        self._alarms = Sequence.planned(1.0 - gate.confidence, WEIGHT_RHO_EXPOSURES).rho

    def interval(self, estimate: Estimate | None) -> Interval | None:
        """Return the interval, or None where nothing can be said, or not yet."""
        if estimate is None or estimate.n < self.gate.min_exposures:
            return None
        return self.anyway(estimate)

    def anyway(self, estimate: Estimate) -> Interval:
        """Return the interval of however few observations: it is all the wider."""
        return Interval(estimate.mean, *self._sequence.interval(*estimate))

    def label(self, *policies: int) -> Label:
        """Return whether there is something to say of these policies together."""
        if self.few:
            return Label.TOO_FEW
        return Label.OK if self.measurement.overlaps(*policies) else Label.NO_OVERLAP

    def value(self, policy: int) -> Interval | None:
        """Return what a policy earns, or would."""
        return self.interval(self.measurement.value(policy) if self.measurement.decisions else None)

    def uplift(self, policy: int) -> Interval | None:
        """Return what that is more than static earns; None for static."""
        known = self.measurement.decisions and policy
        return self.interval(self.measurement.uplift(policy) if known else None)

    def routed_uplift(self, policy: int) -> Interval | None:
        """Return the same by the decisions that it served itself; None for static."""
        known = self.measurement.decisions and policy
        return self.interval(self.measurement.routed_uplift(policy) if known else None)

    def alarm(self, policy: int) -> bool:
        """Whether the policy's weights are not what they would be with true propensities."""
        return bool(self.measurement.decisions) and self.measurement.weight_alarm(policy, self._alarms)

    def of_event(self, event: int) -> "Judge":
        """Return the judge of the same decisions by the values of one event."""
        return Judge(self.measurement.of_event(event), self.gate)
