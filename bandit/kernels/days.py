"""Kernel of the days: what an event adds to the sums of its decision's day (see `bandit.history`)."""

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Floats = NDArray[np.float64]

ARM_ROWS, POLICY_ROWS = 3, 2
"""Rows by arm and by policy before those of events."""


def _credit_example() -> Arguments:
    return np.zeros(7), 1, 1, 0, -1, -1, 1.0, 0.0, 1.0


@kernel(_credit_example)
def credit(
    sums: Floats, arms: int, policies: int, arm: int, policy: int, event: int, value: float, before: float,
    after: float,
) -> None:  # fmt: skip
    """Move the R of an exposed decision from `before` to `after`, and count its event number `event`.

    `sums` are those of so many `arms` and `policies`; `value` is the event's own. `policy` -1: only by arm,
    `event` -1: one that has no sums.
    """
    change = after - before
    sums[arms + arm] += change
    sums[2 * arms + arm] += after * after - before * before
    if event >= 0:
        at = arms * (ARM_ROWS + 2 * event) + arm
        sums[at] += 1.0
        sums[at + arms] += value
    if policy < 0:
        return
    events = (sums.size - ARM_ROWS * arms - POLICY_ROWS * policies) // (2 * (arms + policies))
    first = arms * (ARM_ROWS + 2 * events) + policy
    sums[first + policies] += change
    if event >= 0:
        at = first + policies * (POLICY_ROWS + 2 * event)
        sums[at] += 1.0
        sums[at + policies] += value
