"""Exposures that are younger than the reward window, by arm and by the time of their decision.

A ring of bins, each a fifteenth of the window long and aligned to absolute time, so that rings of different
processes merge by adding. What a bin holds weighs as it does in the tally it lies beside: so what is mature
is the tally less the ring, and what leaves the ring was mature already.
"""

from collections.abc import Callable

import numpy as np

from bandit.kernels.jit import bind
from bandit.kernels.recent import BINS, HEAD, NEWEST, ROWS, WIDTH, credit, expose
from bandit.tally import Floats


class Recent:
    """A ring of bins over the arms of one tally.

    `rows` (ROWS, BINS, arms) are n (Σ weight), t (Σ weight x how far into its bin a decision was made, in
    microseconds), r1 and r2 (as in the tally). The bin of absolute number k stands at k % BINS, its time
    divided by `width_us`. `expose` counts an arm's exposure by its weight and its decision's time, `credit`
    moves the r1 and r2 of an arm's decision of a time: see `kernels.recent`.
    """

    __slots__ = ("_numbers", "arms", "credit", "expose", "rows", "width_us")

    def __init__(self, arms: int, window_us: int) -> None:
        self.arms = arms
        self.width_us = -(-window_us // (BINS - 1))
        self._numbers: Floats = np.zeros(HEAD + ROWS * BINS * arms)
        self._numbers[WIDTH] = self.width_us
        self.rows: Floats = self._numbers[HEAD:].reshape(ROWS, BINS, arms)
        self.expose: Callable[[int, float, int], None] = bind(expose, self._numbers)
        self.credit: Callable[[int, int, float, float], None] = bind(credit, self._numbers)

    @property
    def newest(self) -> int:
        """The number of the latest bin."""
        return int(self._numbers[NEWEST])

    def in_order(self, newest: int | None = None) -> Floats:
        """Return the rows as they are when `newest` is the latest bin (None: its own), the oldest first."""
        oldest = (self.newest + 1) % BINS
        passed = min((newest or self.newest) - self.newest, BINS)
        rows = np.concatenate((self.rows[:, oldest:], self.rows[:, :oldest]), axis=1)
        if not passed:
            return rows
        return np.concatenate((rows[:, passed:], np.zeros((ROWS, passed, self.arms))), axis=1)

    def fill(self, newest: int, rows: Floats) -> None:
        """Take over rows whose bins are in order, the last one being `newest`."""
        self._numbers[NEWEST] = newest
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
        newest = max(self.newest, other.newest)
        self.fill(newest, self.in_order(newest) + other.in_order(newest))

    def remove(self, other: "Recent") -> None:
        """Take out a ring that was merged into this one."""
        mine = self.in_order() - other.in_order(self.newest)
        mine[:2] = np.maximum(mine[:2], 0.0)  # rounding, under a half-life
        self.fill(self.newest, mine)

    def rearranged(self, arms: list[int]) -> "Recent":
        """Return a ring whose arm i is this one's `arms[i]`; -1: empty."""
        result = Recent(len(arms), (BINS - 1) * self.width_us)
        held = np.concatenate([self.in_order(), np.zeros((ROWS, BINS, 1))], axis=2)
        result.fill(self.newest, held[:, :, arms])
        return result
