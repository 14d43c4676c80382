"""A report's numbers in words of one form, for its text and its page alike."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from server.pb import bandit_pb2 as pb

DIGITS = 4
"""Significant digits of the largest value; all others get as many decimals, so that columns align."""

DECIMALS_MAX = 9


class Unit(NamedTuple):
    """How values of one unit are written: R, or an event's own."""

    decimals: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Unit":
        """Return the unit in which the largest of the values has `DIGITS` significant digits."""
        largest = max((abs(value) for value in values), default=0.0)
        if not 0.0 < largest < math.inf:
            return cls(DIGITS)
        return cls(min(max(DIGITS - 1 - math.floor(math.log10(largest)), 0), DECIMALS_MAX))

    def value(self, number: float) -> str:
        """Return what something earns: `0.1139`."""
        return f"{self._rounded(number):,.{self.decimals}f}"

    def gain(self, number: float) -> str:
        """Return what something earns more than another: `+0.0811`."""
        return f"{self._rounded(number):+,.{self.decimals}f}"

    def span(self, interval: pb.Interval) -> str:
        """Return where a value's interval lies: `0.0979 to 0.1299`."""
        return f"{self.value(interval.low)} to {self.value(interval.high)}"

    def gain_span(self, interval: pb.Interval) -> str:
        """Return where a gain's interval lies: `+0.0636 to +0.0987`."""
        return f"{self.gain(interval.low)} to {self.gain(interval.high)}"

    def _rounded(self, number: float) -> float:
        """Return a number as it is written: never -0."""
        return round(number, self.decimals) + 0.0


def share(part: float) -> str:
    """Return a part of the whole: `36.0%`."""
    return f"{part:.1%}"


def count(number: float) -> str:
    """Return how many: `15,835`."""
    return f"{number:,.0f}"


def unit_of(report: pb.GetReportResponse) -> Unit:
    """Return how this report's values of R are written."""
    return Unit.of(policy.value.mean for policy in report.policies if policy.HasField("value"))


def event_unit(report: pb.GetReportResponse, event: str) -> Unit:
    """Return how values of one event are written."""
    return Unit.of(
        estimate.value.mean
        for policy in report.policies
        for estimate in policy.events
        if estimate.event == event and estimate.HasField("value")
    )


def kind_name(kind: pb.PolicyKind) -> str:
    """Return a policy's kind as the configuration writes it."""
    return pb.PolicyKind.Name(kind).removeprefix("POLICY_KIND_").lower()


def instead(policy: pb.PolicyReport) -> str:
    """Return what stands where a policy has no number: the report's label, or a dash."""
    return policy.label if policy.label != "OK" else "-"


def worth(policy: pb.PolicyReport) -> str:
    """Return how many decisions of its own a policy's are worth; without overlap none."""
    return count(policy.effective_size) if policy.label != "NO_OVERLAP" else "-"
