"""A tally: the additive sufficient statistic that everything learned is made of.

    n  = Σ 1   (exposures)        A = Σ x xᵀ
    r1 = Σ R                      b = Σ R x
    r2 = Σ R²

per arm. Two tallies of different traffic merge by adding. Under a half-life every increment, a reward's
too, is weighted by 2^((t - origin) / half_life) with its decision's time t: a growing weight on the new
is a shrinking one on the old, without touching what is there (see `Forgetting`).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Tally:
    """Sums per arm.

    `sums` (3, arms) holds `n`, `r1` and `r2` (arms,); `moments` (arms, columns + 1, columns) holds `A`
    (arms, columns, columns), symmetric, and `b` (arms, columns) as one more row. All float64. A tally without
    features has zero columns.
    """

    sums: Floats
    moments: Floats
    n: Floats = field(init=False)
    r1: Floats = field(init=False)
    r2: Floats = field(init=False)
    A: Floats = field(init=False)
    b: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.n, self.r1, self.r2 = self.sums
        self.A, self.b = self.moments[:, :-1], self.moments[:, -1]

    @classmethod
    def zeros(cls, arms: int, columns: int = 0) -> "Tally":
        """Return the empty tally: the neutral element of `add`."""
        return cls(np.zeros((3, arms)), np.zeros((arms, columns + 1, columns)))

    def arrays(self) -> tuple[Floats, Floats]:
        """Return `sums` and `moments`: the arrays themselves, not copies."""
        return self.sums, self.moments

    def add(self, other: "Tally") -> None:
        """Merge another tally of the same shape into this one."""
        for mine, theirs in zip(self.arrays(), other.arrays(), strict=True):
            np.add(mine, theirs, out=mine)

    def scale(self, factor: float) -> None:
        """Multiply every sum; by powers of two this is exact."""
        for array in self.arrays():
            np.multiply(array, factor, out=array)

    def rearranged(self, arms: list[int], columns: list[int]) -> "Tally":
        """Return a tally whose arm i is this one's `arms[i]`, column j its `columns[j]`; -1: empty."""
        result = Tally.zeros(len(arms), len(columns))
        kept = [(new, old) for new, old in enumerate(columns) if old >= 0]
        to, at = [new for new, _ in kept], [old for _, old in kept]
        for new, old in enumerate(arms):
            if old < 0:
                continue
            result.n[new], result.r1[new], result.r2[new] = self.n[old], self.r1[old], self.r2[old]
            result.A[new][np.ix_(to, to)] = self.A[old][np.ix_(at, at)]
            result.b[new][to] = self.b[old][at]
        return result


@dataclass(slots=True)
class Forgetting:
    """The weight of increments under a half-life, and how it returns to 1.

    `origin_us` is a multiple of the half-life since the epoch, so that tallies of different processes stand
    on the same scale and merge by adding. `half_life_us` 0: nothing is forgotten and every weight is 1.
    """

    half_life_us: int
    origin_us: int

    @classmethod
    def starting(cls, half_life_us: int | None, time_us: int) -> "Forgetting":
        """Return the forgetting of a tally that begins at `time_us`; None: no forgetting."""
        half_life_us = half_life_us or 0
        return cls(half_life_us, time_us // half_life_us * half_life_us if half_life_us else 0)

    def weight(self, time_us: int) -> float:
        """Return 2^((time - origin) / half_life): what an increment of a decision of `time_us` weighs.

        Further than 1,000 half-lives away it is that of 1,000: finite, above 0, and so is its inverse.
        """
        if self.half_life_us == 0:
            return 1.0
        halvings = (time_us - self.origin_us) / self.half_life_us
        return float(2.0 ** max(-_HALVINGS_MAX, min(halvings, _HALVINGS_MAX)))

    def scale(self, time_us: int) -> float:
        """Return what a tally has to be multiplied by to weigh an increment of `time_us` as 1."""
        return 1.0 / self.weight(time_us)

    def advance(self, time_us: int) -> float:
        """Move the origin to the last whole half-life before `time_us`.

        Returns the power of two that every tally has to be multiplied by (1.0: nothing to do).
        """
        if self.half_life_us == 0:
            return 1.0
        halvings = (time_us - self.origin_us) // self.half_life_us
        if halvings <= 0:
            return 1.0
        self.origin_us += halvings * self.half_life_us
        return float(2.0 ** -min(halvings, _HALVINGS_MAX))


_HALVINGS_MAX = 1000
"""2⁻¹⁰⁰⁰ of anything that a tally can hold is nothing, and is still a number to divide by."""
