"""Exposures that are younger than the reward window, by arm and by the time of their decision.

A ring of bins, each a fifteenth of the window long and aligned to absolute time, so that rings of different
processes merge by adding. What a bin holds weighs as it does in the tally it lies beside: so what is mature
is the tally less the ring, and what leaves the ring was mature already.
"""

from array import array

import numpy as np

from bandit.tally import Floats

BINS = 16
"""One more than cover a window: the oldest is only partly younger than it."""
ROWS = 4
"""n, t, r1, r2, see `Recent`."""


class Recent:
    """A ring of bins over the arms of one tally.

    `rows` (ROWS, BINS, arms) are n (Σ weight), t (Σ weight x how far into its bin a decision was made, in
    microseconds), r1 and r2 (as in the tally). The bin of absolute number k stands at k % BINS; `newest` is
    the number of the latest one, its time divided by `width_us`.
    """

    __slots__ = ("_first", "_numbers", "_start_us", "arms", "newest", "rows", "width_us")

    def __init__(self, arms: int, window_us: int) -> None:
        self.arms = arms
        self.width_us = -(-window_us // (BINS - 1))
        self._numbers = array("d", bytes(8 * ROWS * BINS * arms))  # for single numbers faster than NumPy
        self.rows: Floats = np.frombuffer(self._numbers).reshape(ROWS, BINS, arms)
        self._point_to(0)

    def _point_to(self, newest: int) -> None:
        self.newest = newest
        self._start_us = newest * self.width_us
        self._first = newest % BINS * self.arms

    def expose(self, arm: int, weight: float, time_us: int) -> None:
        """Count an exposure of a decision of `time_us`, if that is recent."""
        into_us = time_us - self._start_us
        if 0 <= into_us < self.width_us:
            at = self._first + arm
        else:
            number = time_us // self.width_us
            if number > self.newest:
                self.advance(number)
            elif number <= self.newest - BINS:
                return
            into_us = time_us - number * self.width_us
            at = number % BINS * self.arms + arm
        numbers = self._numbers
        numbers[at] += weight
        numbers[at + BINS * self.arms] += weight * into_us

    def credit(self, arm: int, time_us: int, r1: float, r2: float) -> None:
        """Move what a decision of `time_us` has earned, weighted as in the tally, if it is here."""
        number = time_us // self.width_us
        at, row, numbers = number % BINS * self.arms + arm, BINS * self.arms, self._numbers
        if self.newest - BINS < number <= self.newest and numbers[at] > 0.0:
            numbers[at + 2 * row] += r1
            numbers[at + 3 * row] += r2

    def advance(self, number: int) -> None:
        """Empty the bins after the newest one, up to this one: what they held is mature."""
        for later in range(max(self.newest + 1, number - BINS + 1), number + 1):
            self.rows[:, later % BINS] = 0.0
        self._point_to(max(number, self.newest))

    def in_order(self) -> Floats:
        """Return the rows, the oldest bin first."""
        oldest = (self.newest + 1) % BINS
        return np.concatenate((self.rows[:, oldest:], self.rows[:, :oldest]), axis=1)

    def fill(self, newest: int, rows: Floats) -> None:
        """Take over rows whose bins are in order, the last one being `newest`."""
        self._point_to(newest)
        self.rows[:] = np.roll(rows, (newest + 1) % BINS, axis=1)

    def ages_us(self, n: Floats, t: Floats, now_us: int) -> tuple[Floats, Floats]:
        """Return the least and the largest age at `now_us` of what rows n and t (BINS, any) hold in each bin.

        As if spread evenly about the mean, as far as the bin, or the part of it that is over, allows.
        """
        bins = np.arange(BINS)[:, None]
        start_us = (self.newest - (self.newest - bins) % BINS) * self.width_us
        elapsed_us = np.clip(now_us - start_us, 0.0, self.width_us)
        mean_us = np.divide(t, n, out=np.zeros_like(n), where=n > 0.0)
        reach_us = np.clip(np.minimum(mean_us, elapsed_us - mean_us), 0.0, None)
        age_us = now_us - start_us - mean_us
        return np.maximum(age_us - reach_us, 0.0), np.maximum(age_us + reach_us, 0.0)

    def scale(self, factor: float) -> None:
        """Multiply all sums, as the tally's are."""
        self.rows *= factor

    def add(self, other: "Recent") -> None:
        """Merge another ring of the same arms and width."""
        self.advance(other.newest)
        older = min(self.newest - other.newest, BINS)
        mine = self.in_order()
        mine[:, : BINS - older] += other.in_order()[:, older:]
        self.fill(self.newest, mine)

    def remove(self, other: "Recent") -> None:
        """Take out a ring that was merged into this one."""
        older = min(self.newest - other.newest, BINS)
        mine = self.in_order()
        mine[:, : BINS - older] -= other.in_order()[:, older:]
        mine[:2] = np.maximum(mine[:2], 0.0)  # rounding, under a half-life
        self.fill(self.newest, mine)

    def rearranged(self, arms: list[int]) -> "Recent":
        """Return a ring whose arm i is this one's `arms[i]`; -1: empty."""
        result = Recent(len(arms), (BINS - 1) * self.width_us)
        held = np.concatenate([self.in_order(), np.zeros((ROWS, BINS, 1))], axis=2)
        result.fill(self.newest, held[:, :, arms])
        return result
