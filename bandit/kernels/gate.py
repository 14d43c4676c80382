"""Kernels of the gate: what the learned policies together earn beside static, and how surely.

With m the mixture of the learned policies by the ramp's split and s static, a decision's weights are
w_m = π_m(a|x) / μ(a|x) and w_s = π_s(a|x) / μ(a|x), each of mean 1. Sums lie in two arrays of float64:

    buckets   (256, 5)   by unit bucket: n, Σ w_m, Σ w_s, Σ w_m R, Σ w_s R
    totals    (8,)       Σ R, Σ R², Σ w_m², Σ w_m w_s, Σ w_s², Σ overlap of m, Σ overlap of s, and how many
                         decisions learned policies served

These are the sums of `kernels.measure` for two policies, but for those that only routing needs.
"""

import numpy as np
from numpy.typing import NDArray

from bandit.hashing import BUCKETS
from bandit.kernels.jit import Arguments, kernel

Floats = NDArray[np.float64]

N, MIX, STATIC, MIX_R, STATIC_R = range(5)
"""Columns of `buckets`."""
COLUMNS = 5

R1, R2, MIX_MIX, MIX_STATIC, STATIC_STATIC, MIX_OVERLAP, STATIC_OVERLAP, LEARNED = range(8)
"""Where the sums stand in `totals`."""
TOTALS = 8


def _example() -> Arguments:
    return np.zeros((BUCKETS, COLUMNS)), np.zeros(TOTALS)


def _expose_example() -> Arguments:
    return *_example(), 0, 1.0, 1.0, 1.0, 1.0, 1.0


@kernel(_expose_example)
def expose(
    buckets: Floats, totals: Floats, bucket: int, mix: float, static: float, mix_overlap: float,
    static_overlap: float, learned: float,
) -> None:  # fmt: skip
    """Count an exposure whose R is 0 so far.

    `mix` and `static` are w_m and w_s; the overlaps are Σ over arms with μ > 0 of π_m and π_s; `learned` is 1
    if a learned policy served it, else 0.
    """
    row = buckets[bucket]
    row[N] += 1.0
    row[MIX] += mix
    row[STATIC] += static
    totals[MIX_MIX] += mix * mix
    totals[MIX_STATIC] += mix * static
    totals[STATIC_STATIC] += static * static
    totals[MIX_OVERLAP] += mix_overlap
    totals[STATIC_OVERLAP] += static_overlap
    totals[LEARNED] += learned


def _credit_example() -> Arguments:
    return *_example(), 0, 1.0, 1.0, 0.0, 1.0


@kernel(_credit_example)
def credit(
    buckets: Floats, totals: Floats, bucket: int, mix: float, static: float, before: float, after: float
) -> None:
    """Move the R of an exposed decision from `before` to `after`; the weights as it was exposed with."""
    row, change = buckets[bucket], after - before
    row[MIX_R] += mix * change
    row[STATIC_R] += static * change
    totals[R1] += change
    totals[R2] += after * after - before * before


def _combination_example() -> Arguments:
    return *_example(), 1.0, -1.0


@kernel(_combination_example)
def combination(
    buckets: Floats, totals: Floats, of_mix: float, of_static: float
) -> tuple[float, float, float, float]:
    """Return n, Σ D and two variances of Σ D, where D = g R and g = `of_mix` w_m + `of_static` w_s.

    As `measure.contrast`, with Δ = g less its expectation, and i over the decisions of bucket k:

        between buckets   K / (K - 1) · Σ_k (Σ_i D - n_k mean(D))²
        the floor         mean(R)² · Σ_k (Σ_i Δ)² + Var(R) · Σ g²
    """
    n, total, filled = 0.0, 0.0, 0
    for k in range(len(buckets)):
        n += buckets[k, N]
        total += of_mix * buckets[k, MIX_R] + of_static * buckets[k, STATIC_R]
        filled += buckets[k, N] > 0.0
    if n == 0.0:
        return 0.0, 0.0, 0.0, 0.0
    between, uneven = 0.0, 0.0
    for k in range(len(buckets)):
        size = buckets[k, N]
        excess = of_mix * buckets[k, MIX_R] + of_static * buckets[k, STATIC_R] - size * (total / n)
        weight = of_mix * (buckets[k, MIX] - size) + of_static * (buckets[k, STATIC] - size)
        between += excess * excess
        uneven += weight * weight
    if filled > 1:
        between *= filled / (filled - 1.0)
    squares = of_mix * of_mix * totals[MIX_MIX] + of_static * of_static * totals[STATIC_STATIC]
    squares += 2.0 * of_mix * of_static * totals[MIX_STATIC]
    mean = totals[R1] / n
    spread = max(totals[R2] / n - mean * mean, 0.0)
    return n, total, between, mean * mean * uneven + spread * squares
