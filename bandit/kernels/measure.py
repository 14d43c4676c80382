"""Kernels of measurement: what each policy would earn on all traffic, from every decision, and how surely.

With J policies a decision has 2 J readings, each a weight g whose Σ g R estimates a policy's value:

    reading j        w_j = π_j(a|x) / μ(a|x)             the importance weight
    reading J + j    z_j = 1{routed = j} / share_j       the routing weight

Both have mean 1. Sums lie in two arrays of float64:

    buckets   (256, 1 + 4 J)    by unit bucket: n, Σ g of each reading, Σ g R of each reading
    totals    (2 + 3 J + J²,)   Σ R, Σ R²; of each policy Σ overlap, exposures routed to it, Σ z²; then Σ w wᵀ
                                (J, J), of which the lower triangle is kept

and those of single events, V being the sum of an event's own values after a decision:

    events    (E, 2 + 256 J)    Σ V, Σ V²; by unit bucket Σ w V of each policy

What is in them adds up, so two measurements of different traffic merge by adding.
"""

import numpy as np
from numpy.typing import NDArray

from bandit.hashing import BUCKETS
from bandit.kernels.jit import Arguments, kernel

Floats = NDArray[np.float64]

R1, R2, POLICIES = range(3)
"""Where Σ R, Σ R² and the sums by policy stand in `totals`."""

ALONE = -1
"""Instead of a reading to subtract: the value itself."""

BY_BUCKET = 2
"""Where an event's sums by unit bucket begin."""


def _example() -> Arguments:
    return np.zeros((BUCKETS, 5)), np.zeros(6)


def _expose_example() -> Arguments:
    return *_example(), np.ones(1), 0, 1.0, np.ones(1), 0, 1.0


@kernel(_expose_example)
def expose(
    buckets: Floats, totals: Floats, probabilities: Floats, bucket: int, propensity: float, overlaps: Floats,
    routed: int, share: float,
) -> None:  # fmt: skip
    """Count an exposure whose R is 0 so far.

    `probabilities` (J,) are every policy's of the chosen arm and `propensity` is μ of it; `overlaps` (J,) the
    Σ over arms with μ > 0 of each policy's pmf; `share` > 0 that of the policy it was `routed` to.
    """
    policies = probabilities.size
    row, squares = buckets[bucket], POLICIES + 2 * policies
    row[0] += 1.0
    for j in range(policies):
        weight = probabilities[j] / propensity
        row[1 + j] += weight
        totals[POLICIES + j] += overlaps[j]
        products = squares + policies + j * policies
        for i in range(j + 1):
            totals[products + i] += weight * (probabilities[i] / propensity)
    row[1 + policies + routed] += 1.0 / share
    totals[POLICIES + policies + routed] += 1.0
    totals[squares + routed] += (1.0 / share) * (1.0 / share)


def _credit_example() -> Arguments:
    events = np.zeros((1, BY_BUCKET + BUCKETS))
    return *_example(), events, np.ones(1), 0, 1.0, 0, 1.0, 0.0, 1.0, 0, 0.0, 1.0


@kernel(_credit_example)
def credit(
    buckets: Floats, totals: Floats, events: Floats, probabilities: Floats, bucket: int, propensity: float,
    routed: int, share: float, before: float, after: float, event: int, had: float, has: float,
) -> None:  # fmt: skip
    """Move the R of an exposed decision from `before` to `after`; the rest as it was exposed with.

    And V, the sum of the values of its event number `event`, from `had` to `has`.
    """
    policies = probabilities.size
    row, of_event = buckets[bucket], events[event]
    change, more, at = after - before, has - had, BY_BUCKET + bucket * policies
    for j in range(policies):
        weight = probabilities[j] / propensity
        row[1 + 2 * policies + j] += weight * change
        of_event[at + j] += weight * more
    row[1 + 3 * policies + routed] += 1.0 / share * change
    totals[R1] += change
    totals[R2] += after * after - before * before
    of_event[R1] += more
    of_event[R2] += has * has - had * had


@kernel()
def _product(totals: Floats, policies: int, i: int, j: int) -> float:
    """Return Σ g_i g_j of two readings of one kind. Different routing weights are never both above 0."""
    if i < policies:
        return float(totals[POLICIES + 3 * policies + max(i, j) * policies + min(i, j)])
    return float(totals[POLICIES + policies + i]) if i == j else 0.0


def _contrast_example() -> Arguments:
    return *_example(), 0, ALONE


@kernel(_contrast_example)
def contrast(buckets: Floats, totals: Floats, plus: int, minus: int) -> tuple[float, float, float, float]:
    """Return n, Σ D, and two variances of Σ D, where D = (g_plus - g_minus) R; `minus` ALONE: g_plus R.

    With Δ = g_plus - g_minus less its expectation (0, or ALONE 1), and i over the decisions of bucket k:

        between buckets   K / (K - 1) · Σ_k (Σ_i D - n_k mean(D))²
        the floor         mean(R)² · Σ_k (Σ_i Δ)² + Var(R) · Σ (g_plus - g_minus)²

    Units return and are routed the same way each time, so only buckets are independent. But where rewards are
    rare and weights large, the few decisions that matter may not have come yet, and buckets look alike: the
    floor is the variance there would be if R did not depend on the arm.
    """
    policies = (buckets.shape[1] - 1) // 4
    rewards = 1 + 2 * policies
    n, total, filled = 0.0, 0.0, 0
    for k in range(len(buckets)):
        n += buckets[k, 0]
        total += buckets[k, rewards + plus]
        if minus != ALONE:
            total -= buckets[k, rewards + minus]
        filled += buckets[k, 0] > 0.0
    if n == 0.0:
        return 0.0, 0.0, 0.0, 0.0
    between, uneven = 0.0, 0.0
    for k in range(len(buckets)):
        size = buckets[k, 0]
        earned, weight = buckets[k, rewards + plus], buckets[k, 1 + plus]
        if minus != ALONE:
            earned -= buckets[k, rewards + minus]
            weight -= buckets[k, 1 + minus]
        else:
            weight -= size
        excess = earned - size * (total / n)
        between += excess * excess
        uneven += weight * weight
    if filled > 1:
        between *= filled / (filled - 1.0)
    squares = _product(totals, policies, plus, plus)
    if minus != ALONE:
        squares += _product(totals, policies, minus, minus) - 2.0 * _product(totals, policies, plus, minus)
    mean = totals[R1] / n
    spread = max(totals[R2] / n - mean * mean, 0.0)
    return n, total, between, mean * mean * uneven + spread * squares
