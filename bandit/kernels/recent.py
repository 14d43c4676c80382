"""Kernels of the ring of recent exposures (see `bandit.recent`).

`numbers` (HEAD + ROWS * BINS * arms,) float64: the number of the newest bin and the width of bins, in whole
microseconds, then the rows (ROWS, BINS, arms).
"""

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Floats = NDArray[np.float64]

NEWEST, WIDTH = range(2)
"""Where these stand in `numbers`."""
HEAD = 2

BINS = 16
"""One more than cover a window: the oldest is only partly younger than it."""
ROWS = 4
"""n, t, r1, r2, see `bandit.recent.Recent`."""


def _expose_example() -> Arguments:
    return np.ones(HEAD + ROWS * BINS), 0, 1.0, 1


@kernel(_expose_example)
def expose(numbers: Floats, arm: int, weight: float, time_us: int) -> None:
    """Count an exposure of a decision of `time_us`, if that is recent."""
    newest, width_us = int(numbers[NEWEST]), int(numbers[WIDTH])
    number, row = time_us // width_us, (numbers.size - HEAD) // ROWS
    if number > newest:  # empty the bins after the newest: what they held is mature
        for later in range(max(newest + 1, number - BINS + 1), number + 1):
            for of in range(ROWS):
                at = HEAD + of * row + later % BINS * (row // BINS)
                numbers[at : at + row // BINS] = 0.0
        numbers[NEWEST] = number
    elif number <= newest - BINS:
        return
    at = HEAD + number % BINS * (row // BINS) + arm
    numbers[at] += weight
    numbers[at + row] += weight * (time_us - number * width_us)


def _credit_example() -> Arguments:
    return np.ones(HEAD + ROWS * BINS), 0, 1, 1.0, 1.0


@kernel(_credit_example)
def credit(numbers: Floats, arm: int, time_us: int, r1: float, r2: float) -> None:
    """Move what a decision of `time_us` has earned, weighted as in the tally, if it is here."""
    newest, number = int(numbers[NEWEST]), time_us // int(numbers[WIDTH])
    row = (numbers.size - HEAD) // ROWS
    at = HEAD + number % BINS * (row // BINS) + arm
    if newest - BINS < number <= newest and numbers[at] > 0.0:
        numbers[at + 2 * row] += r1
        numbers[at + 3 * row] += r2
