"""The gate's sums: what the learned policies together earn beside static, over the decisions in scope."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bandit.hashing import BUCKETS
from bandit.kernels import gate
from bandit.kernels.jit import bind
from bandit.measurement import ALIKE, OVERLAP_MIN, Estimate
from bandit.sequences import Interval, Sequence
from bandit.tally import Floats


@dataclass(slots=True, eq=False)
class Evidence:
    """Sums over exposed decisions. `buckets` (256, 5) and `totals` (8,) are those of `kernels.gate`: 10 kB.

    Weights are w = π / μ: of the mixture of the learned policies, and of static.
    """

    buckets: Floats
    totals: Floats
    _expose: Callable[..., None] = field(init=False)
    _credit: Callable[..., None] = field(init=False)

    def __post_init__(self) -> None:
        self._expose = bind(gate.expose, self.buckets, self.totals)
        self._credit = bind(gate.credit, self.buckets, self.totals)

    @classmethod
    def zeros(cls) -> "Evidence":
        """Return the evidence of no decision: the neutral element of `add`."""
        return cls(np.zeros((BUCKETS, gate.COLUMNS)), np.zeros(gate.TOTALS))

    def arrays(self) -> tuple[Floats, Floats]:
        """Return `buckets` and `totals`: the arrays themselves, not copies."""
        return self.buckets, self.totals

    def add(self, other: "Evidence") -> None:
        """Merge other decisions into these."""
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            np.add(mine, theirs, out=mine)

    def expose(
        self, bucket: int, mix: float, static: float, overlaps: tuple[float, float], *, learned: bool
    ) -> None:
        """Count an exposure with these weights, its R still 0; `overlaps` of the mixture and of static."""
        served = 1.0 if learned else 0.0
        self._expose(bucket, mix, static, *overlaps, served)

    def credit(self, bucket: int, mix: float, static: float, reward: tuple[float, float]) -> None:
        """Move the R of an exposed decision from `reward[0]` to `reward[1]`."""
        self._credit(bucket, mix, static, *reward)

    @property
    def decisions(self) -> int:
        """How many decisions are in it."""
        return int(self.buckets[:, gate.N].sum())

    @property
    def learned(self) -> int:
        """How many of them learned policies served."""
        return int(self.totals[gate.LEARNED])

    @property
    def overlaps(self) -> bool:
        """Whether both can be valued: False is NO_OVERLAP, and before the first decision."""
        n = self.decisions
        least = min(self.totals[gate.MIX_OVERLAP], self.totals[gate.STATIC_OVERLAP])
        return n > 0 and bool(least >= OVERLAP_MIN * n)

    def estimate(self, of_mix: float, of_static: float) -> Estimate | None:
        """Estimate `of_mix` x what the mixture earns a decision + `of_static` x what static does.

        None, never a number, without overlap, and before anything was seen that varies. Where the mixture is
        static itself, its uplift is 0 for certain.
        """
        if not self.overlaps:
            return None
        n, total, between, floor = gate.combination(self.buckets, self.totals, of_mix, of_static)
        variance = max(between, floor) / n
        known = variance > 0.0 or self.totals[gate.R2] * n > self.totals[gate.R1] ** 2
        if known and self._nothing(of_mix, of_static):
            return Estimate(n, 0.0, 0.0)
        return Estimate(n, total / n, variance) if known and variance < math.inf else None

    def _nothing(self, of_mix: float, of_static: float) -> bool:
        """Whether this combination of the weights was rounding alone, in every decision."""
        own = of_mix**2 * self.totals[gate.MIX_MIX] + of_static**2 * self.totals[gate.STATIC_STATIC]
        return bool(own + 2.0 * of_mix * of_static * self.totals[gate.MIX_STATIC] < ALIKE * own)

    def interval(self, sequence: Sequence, of_mix: float, of_static: float) -> Interval | None:
        """Return the sequence's interval around that estimate; None as there."""
        estimate = self.estimate(of_mix, of_static)
        return None if estimate is None else Interval(estimate.mean, *sequence.interval(*estimate))

    def bounds(self, sequence: Sequence, of_mix: float, of_static: float) -> Interval | None:
        """Return how low and how high it may be, each for itself; None as there."""
        estimate = self.estimate(of_mix, of_static)
        return None if estimate is None else Interval(estimate.mean, *sequence.bounds(*estimate))
