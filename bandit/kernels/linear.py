"""Kernels of ridge regression per arm (Li et al. 2010, algorithm 1; Agrawal & Goyal 2013).

Shapes everywhere: `inverse` (arms, d, d) is the inverse of the precision A·s + λI, `theta` (arms, d) the
posterior mean, `A` (d, d) and `b` (d,) one arm's tally, x a sparse vector as `index` (m,) uint16 and
`value` (m,) float32. Arithmetic is float64: in float32 the rank-one updates err by 3e-3 after 10⁵ of them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Floats = NDArray[np.float64]
Indices = NDArray[np.uint16]
Values = NDArray[np.float32]

RESIDUAL_FLOOR = 1e-12
"""σ² is at least this fraction of the mean squared reward: a perfect fit must not end all exploration."""


def _x() -> tuple[Indices, Values]:
    return np.zeros(1, np.uint16), np.ones(1, np.float32)


def _outer_example() -> Arguments:
    return np.zeros((2, 2)), *_x(), 1.0


@kernel(_outer_example)
def add_outer(A: Floats, index: Indices, value: Values, weight: float) -> None:
    """Add weight · x xᵀ to `A`. float32s multiply exactly in float64: `A` stays symmetric to the bit."""
    for i in range(index.size):
        exact = np.float64(value[i])
        for j in range(index.size):
            A[index[i], index[j]] += weight * (exact * value[j])


def _scaled_example() -> Arguments:
    return np.zeros(2), *_x(), 1.0


@kernel(_scaled_example)
def add_scaled(b: Floats, index: Indices, value: Values, factor: float) -> None:
    """Add factor · x to `b`."""
    for i in range(index.size):
        b[index[i]] += factor * value[i]


def _score_example() -> Arguments:
    eye = np.eye(2).reshape(1, 2, 2)
    return (
        eye,
        np.zeros((1, 2)),
        np.zeros(1),
        np.ones(1),
        np.ones(1),
        *_x(),
        np.zeros(1),
        np.zeros(1),
        np.zeros(1),
    )


@kernel(_score_example)
def score(
    inverse: Floats,
    theta: Floats,
    residual: Floats,
    r2: Floats,
    n: Floats,
    index: Indices,
    value: Values,
    mean: Floats,
    width: Floats,
    sd: Floats,
) -> float:
    """Fill `mean` with θᵀx, `width` with √(xᵀ(A + λI)⁻¹x) and `sd` with σ · width, per arm; return σ.

    σ² = Σ residual / Σ n, pooled over the arms, with `residual` = r2 - bᵀθ per arm (the ridge residual sum of
    squares plus λ|θ|², so never negative but for rounding). 0 while no reward has come. NaN if any mean is
    not finite or any width is not positive: the model cannot be used.
    """
    squares, residuals, exposures = 0.0, 0.0, 0.0
    for arm in range(mean.size):
        m, v = 0.0, 0.0
        for i in range(index.size):
            row = inverse[arm, index[i]]
            partial = 0.0
            for j in range(index.size):
                partial += row[index[j]] * value[j]
            v += partial * value[i]
            m += theta[arm, index[i]] * value[i]
        if not (math.isfinite(m) and v > 0.0 and math.isfinite(v)):
            return math.nan
        mean[arm], width[arm] = m, math.sqrt(v)
        squares, residuals, exposures = squares + r2[arm], residuals + residual[arm], exposures + n[arm]
    sigma = 0.0
    if squares > 0.0:
        sigma = math.sqrt(max(residuals, RESIDUAL_FLOOR * squares) / max(exposures, 1e-300))
    for arm in range(mean.size):
        sd[arm] = sigma * width[arm]
    return sigma


def _expose_example() -> Arguments:
    return np.eye(2), np.zeros(2), np.zeros(2), *_x(), 1.0


@kernel(_expose_example)
def rank_one(
    inverse: Floats, theta: Floats, b: Floats, index: Indices, value: Values, weight: float
) -> float:
    """Add weight · x xᵀ to one arm's precision (Sherman & Morrison 1950); return bᵀθ.

    `inverse` (d, d) and `theta` (d,) are updated in place: with g = inverse x and
    c = weight / (1 + weight xᵀg), inverse -= c g gᵀ and θ -= c g (xᵀθ).
    """
    d = theta.size
    g = np.zeros(d)
    quadratic, projection = 0.0, 0.0
    for i in range(index.size):
        row = inverse[index[i]]
        for j in range(d):
            g[j] += row[j] * value[i]
        projection += theta[index[i]] * value[i]
    for i in range(index.size):
        quadratic += g[index[i]] * value[i]
    c = weight / (1.0 + weight * quadratic)
    fit = 0.0
    for i in range(d):
        step = c * g[i]
        for j in range(d):
            inverse[i, j] -= step * g[j]
        theta[i] -= step * projection
        fit += b[i] * theta[i]
    return fit


@kernel(_expose_example)
def shift_mean(
    inverse: Floats, theta: Floats, b: Floats, index: Indices, value: Values, change: float
) -> float:
    """Move one arm's posterior mean by `change` · inverse x, after `b` was moved; return bᵀθ."""
    fit = 0.0
    for i in range(index.size):
        row = inverse[index[i]]
        step = change * value[i]
        for j in range(theta.size):
            theta[j] += row[j] * step
    for j in range(theta.size):
        fit += b[j] * theta[j]
    return fit


def _refactor_example() -> Arguments:
    return np.zeros((2, 2)), np.zeros(2), 1.0, 1.0, np.eye(2), np.zeros(2)


@kernel(_refactor_example)
def refactor(A: Floats, b: Floats, scale: float, prior: float, inverse: Floats, theta: Floats) -> float:
    """Compute `inverse` = (scale · A + prior · I)⁻¹ and `theta` = inverse · scale · b afresh, by Cholesky.

    Returns the largest change of an entry of `inverse` relative to its largest entry: the drift that the
    rank-one updates had gathered. NaN, and nothing changed, if the precision is not positive definite.
    """
    d = theta.size
    lower = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            total = scale * A[i, j]
            if i == j:
                total += prior
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not (total > 0.0 and math.isfinite(total)):
                    return math.nan
                lower[i, i] = math.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    # rows of L⁻¹ by forward substitution; inverse = L⁻ᵀ L⁻¹ is then symmetric to the last bit
    root = np.zeros((d, d))
    for i in range(d):
        root[i, i] = 1.0 / lower[i, i]
        for k in range(i):
            factor = lower[i, k]
            for j in range(k + 1):
                root[i, j] -= factor * root[k, j]
        for j in range(i):
            root[i, j] /= lower[i, i]
    drift, largest = 0.0, 0.0
    fresh = np.zeros((d, d))
    for k in range(d):
        for i in range(k + 1):
            factor = root[k, i]
            for j in range(k + 1):
                fresh[i, j] += factor * root[k, j]
    for i in range(d):
        total = 0.0
        for j in range(d):
            drift = max(drift, abs(fresh[i, j] - inverse[i, j]))
            largest = max(largest, abs(fresh[i, j]))
            inverse[i, j] = fresh[i, j]
            total += fresh[i, j] * b[j]
        theta[i] = scale * total
    return drift / largest
