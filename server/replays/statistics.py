"""Means with 95 % intervals: Wilson's for rewards of 0 and 1, the normal one otherwise."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean reward of `rows` rows. `low` to `high` covers it with 95 %; `interval` names how.

    Everything but `rows` is None without rows; the interval needs two rows where it is normal.
    """

    rows: int
    mean: float | None
    low: float | None
    high: float | None
    interval: str


@dataclass(slots=True)
class Sums:
    """Additive sums of rewards: count, Σ R, Σ R², and whether all were 0 or 1."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    binary: bool = True

    def add(self, reward: float) -> None:
        """Add one row's reward."""
        self.count += 1
        self.total += reward
        self.squares += reward * reward
        self.binary = self.binary and reward in (0.0, 1.0)

    def estimate(self) -> Estimate:
        """Mean and interval."""
        if self.count == 0:
            return Estimate(0, None, None, None, "none")
        if self.binary:
            low, high = wilson(self.total, self.count)
            return Estimate(self.count, self.total / self.count, low, high, "wilson")
        return self._normal()

    def _normal(self) -> Estimate:
        mean = self.total / self.count
        if self.count == 1:
            return Estimate(1, mean, None, None, "none")
        variance = max(self.squares - self.count * mean * mean, 0.0) / (self.count - 1)
        margin = Z * math.sqrt(variance / self.count)
        return Estimate(self.count, mean, mean - margin, mean + margin, "normal")


def wilson(successes: float, count: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927). `count` > 0."""
    rate = successes / count
    shrink = 1 + Z * Z / count
    centre = (rate + Z * Z / (2 * count)) / shrink
    margin = Z / shrink * math.sqrt(rate * (1 - rate) / count + Z * Z / (4 * count * count))
    return max(centre - margin, 0.0), min(centre + margin, 1.0)


def summed(rewards: Iterable[float]) -> Sums:
    """The sums of some rewards."""
    sums = Sums()
    for reward in rewards:
        sums.add(reward)
    return sums
