"""What every policy would earn on all traffic, from every decision, also for policies that serve nobody.

μ(a|x) = Σ_j share_j π_j(a|x) is how a decision in scope comes about, so w_j = π_j(a|x) / μ(a|x) has mean 1,
and Σ w_j R / n estimates what policy j would earn if it served all (inverse propensity scoring with the whole
mixture as the logger: Agarwal et al. 2017), Σ (w_j - w_static) R / n its uplift over static. Beside it stands
the routed contrast, Σ 1{routed = j} R / share_j: less precise, and right too where earlier routing changed
the features of later decisions.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from struct import Struct
from typing import NamedTuple

import numpy as np

from bandit.hashing import BUCKETS
from bandit.kernels import measure
from bandit.kernels.jit import bind
from bandit.kernels.measure import ALONE, BY_BUCKET, POLICIES, R1, R2
from bandit.ramp import STATIC_INDEX
from bandit.sequences import halfwidth
from bandit.tally import Floats

OVERLAP_MIN = 0.999
"""A policy whose pmf lies on arms that were never shown, by more than this allows, cannot be valued."""

ALIKE = 1e-12
"""Weights whose difference has less than this part of their squares differ by rounding, and not in truth."""

ALARM_ALPHA = 1e-6
"""The probability of a false alarm about one policy's weights: with 5,000 of them, one in 200 fleets."""


class Estimate(NamedTuple):
    """A mean over `n` decisions; `variance` / n is its variance, in squared units of R."""

    n: float
    mean: float
    variance: float


@dataclass(slots=True, eq=False)
class Measurement:
    """Sums over the decisions in a placement's scope, of one measurement epoch: nothing in them is forgotten.

    `buckets`, `totals` and `events`, float64, are those of `kernels.measure`. 43 kB for five policies, and
    10 kB for each event. An epoch ends with a change of arms, weights, reward or policies, and when a share
    becomes or ceases to be 0.
    """

    buckets: Floats
    totals: Floats
    events: Floats
    _expose: Callable[..., None] = field(init=False)
    _credit: Callable[..., None] = field(init=False)
    _write: Callable[..., None] = field(init=False)

    def __post_init__(self) -> None:
        probabilities = np.zeros(self.policies)  # of one decision, on their way to a kernel
        self._write = partial(_doubles(self.policies).pack_into, probabilities.data, 0)
        self._expose = bind(measure.expose, self.buckets, self.totals, probabilities)
        self._credit = bind(measure.credit, self.buckets, self.totals, self.events, probabilities)

    @classmethod
    def zeros(cls, policies: int, events: int) -> "Measurement":
        """Return the measurement of no decision: the neutral element of `add`."""
        size = POLICIES + 3 * policies + policies * policies
        by_event = np.zeros((events, BY_BUCKET + BUCKETS * policies))
        return cls(np.zeros((BUCKETS, 1 + 4 * policies)), np.zeros(size), by_event)

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return `buckets`, `totals` and `events`: the arrays themselves, not copies."""
        return self.buckets, self.totals, self.events

    def copy(self) -> "Measurement":
        """Return a measurement of the same decisions, which stays as it is."""
        return Measurement(*(array.copy() for array in self.arrays()))

    def add(self, other: "Measurement") -> None:
        """Merge another measurement of the same policies into this one."""
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            np.add(mine, theirs, out=mine)

    def expose(
        self, bucket: int, probabilities: Iterable[float], propensity: float, overlaps: Floats, routed: int,
        share: float,
    ) -> None:  # fmt: skip
        """Count an exposure in unit bucket `bucket`, its R still 0.

        `probabilities` (policies,) are those of the chosen arm, `propensity` > 0 is μ of it, `overlaps`
        (policies,) the part of each pmf that lies on arms with μ > 0; `share` > 0 is the one of the policy
        that the unit was `routed` to.
        """
        self._write(*probabilities)
        self._expose(bucket, propensity, overlaps, routed, share)

    def credit(
        self, bucket: int, probabilities: Iterable[float], propensity: float, routed: int, share: float,
        reward: tuple[float, float], event: int, value: tuple[float, float],
    ) -> None:  # fmt: skip
        """Move the R of an exposed decision from `reward[0]` to `reward[1]`; the rest as in `expose`.

        And the sum of the own values of its event number `event` from `value[0]` to `value[1]`.
        """
        self._write(*probabilities)
        self._credit(bucket, propensity, routed, share, *reward, event, *value)

    def of_event(self, event: int) -> "Measurement":
        """Return a measurement of the same decisions whose R is the sum of one event's own values.

        It knows importance weights alone: by routing nothing was earned.
        """
        policies, sums = self.policies, self.events[event]
        buckets, totals = self.buckets.copy(), self.totals.copy()
        buckets[:, 1 + 2 * policies :] = 0.0
        buckets[:, 1 + 2 * policies : 1 + 3 * policies] = sums[BY_BUCKET:].reshape(BUCKETS, policies)
        totals[R1], totals[R2] = sums[:BY_BUCKET]
        return Measurement(buckets, totals, self.events[:0])

    @property
    def policies(self) -> int:
        """How many policies are measured."""
        return int(self.buckets.shape[1] - 1) // 4

    @property
    def decisions(self) -> float:
        """How many decisions are in it."""
        return float(self.buckets[:, 0].sum())

    @property
    def routed(self) -> Floats:
        """How many of them each policy served (policies,)."""
        return self.totals[POLICIES + self.policies : POLICIES + 2 * self.policies]

    @property
    def overlap(self) -> Floats:
        """Mean part of each policy's pmf on arms that could be shown (policies,); NaN without decisions."""
        return self._mean(self.totals[POLICIES : POLICIES + self.policies])

    def overlaps(self, *policies: int) -> bool:
        """Whether all of these policies can be valued: False is NO_OVERLAP."""
        return bool((self.overlap[list(policies)] >= OVERLAP_MIN).all())

    @property
    def mean_weight(self) -> Floats:
        """Mean of w of each policy (policies,), its overlap but for chance; NaN without decisions."""
        return self._mean(self._weights())

    @property
    def effective_size(self) -> Floats:
        """(Σ w)² / Σ w² of each policy (policies,): how many decisions of its own they are worth (Kish)."""
        squares = self._squares()
        return np.divide(self._weights() ** 2, squares, out=np.zeros(self.policies), where=squares > 0.0)

    def value(self, policy: int) -> Estimate | None:
        """Estimate R per decision if the policy served all.

        None, never a number, without overlap (NO_OVERLAP), and before anything was seen that varies.
        """
        return self._contrast((policy,), policy, ALONE)

    def uplift(self, policy: int) -> Estimate | None:
        """Estimate what it would earn more than static, per decision; None as `value`, of either.

        0 for certain, with a variance of 0, where both have chosen alike in every decision.
        """
        return self._contrast((policy, STATIC_INDEX), policy, STATIC_INDEX)

    def difference(self, policy: int, other: int) -> Estimate | None:
        """Estimate what it would earn more than another policy, per decision; None as `value`, of either."""
        return self._contrast((policy, other), policy, other)

    def routed_value(self, policy: int) -> Estimate | None:
        """Estimate R per decision from those that the policy served; None: it served none, or as `value`."""
        return self._routed_contrast((policy,), policy, ALONE)

    def routed_uplift(self, policy: int) -> Estimate | None:
        """Estimate the uplift from decisions that either served; None as `routed_value`, of either."""
        return self._routed_contrast((policy, STATIC_INDEX), policy, self.policies + STATIC_INDEX)

    def weight_alarm(self, policy: int, rho: float) -> bool:
        """Whether the mean of w departs from the overlap by more than chance: propensities are not true then.

        By a sequence of ALARM_ALPHA, so it may be asked at any time. False without overlap: nothing is said
        of such a policy anyway.
        """
        if not self.overlaps(policy):
            return False
        n, expected = self.decisions, self.overlap[policy]
        off = self.buckets[:, 1 + policy] - expected * self.buckets[:, 0]
        total, between = off.sum(), (off**2).sum()
        within = self._squares()[policy] - 2.0 * expected * total - expected**2 * n
        return bool(abs(total) / n > halfwidth(n, max(between, within) / n, ALARM_ALPHA, rho))

    def _mean(self, sums: Floats) -> Floats:
        n = self.decisions
        return sums / n if n > 0.0 else np.full(sums.shape, np.nan)

    def _weights(self) -> Floats:
        """Σ w of each policy."""
        return np.asarray(self.buckets[:, 1 : 1 + self.policies].sum(axis=0))

    def _squares(self) -> Floats:
        """Σ w² of each policy."""
        return self.totals[POLICIES + 3 * self.policies :][:: self.policies + 1]

    def _contrast(self, policies: tuple[int, ...], plus: int, minus: int) -> Estimate | None:
        return self._estimate(plus, minus) if self.overlaps(*policies) else None

    def _routed_contrast(self, policies: tuple[int, ...], plus: int, minus: int) -> Estimate | None:
        served = bool((self.routed[list(policies)] > 0.0).all())
        return self._estimate(self.policies + plus, minus) if served else None

    def _estimate(self, plus: int, minus: int) -> Estimate | None:
        n, total, between, floor = measure.contrast(self.buckets, self.totals, plus, minus)
        variance = max(between, floor) / n
        known = variance > 0.0 or self.totals[R2] * n > self.totals[R1] ** 2
        if known and self._alike(plus, minus):
            return Estimate(n, 0.0, 0.0)
        return Estimate(n, total / n, variance) if known else None

    def _alike(self, plus: int, minus: int) -> bool:
        """Whether two policies' importance weights have differed by rounding alone, in every decision."""
        if minus == ALONE or plus >= self.policies:
            return False
        products = self.totals[POLICIES + 3 * self.policies :].reshape(self.policies, self.policies)
        own = products[plus, plus] + products[minus, minus]
        return bool(own - 2.0 * products[max(plus, minus), min(plus, minus)] < ALIKE * own)


@cache
def _doubles(count: int) -> Struct:
    return Struct(f"{count}d")
