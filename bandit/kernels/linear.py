"""Kernels of ridge regression per arm (Li et al. 2010, algorithm 1; Agrawal & Goyal 2013).

Shapes everywhere, for K arms, d columns and M models, one per prior precision λ:

    sums       (3, K)           the tally's N, R1 and R2
    moments    (K, d + 1, d)    its A, and b as one more row
    posterior  (M, K, d + 1, d) the inverse of the precision A·s + λI, and the mean θ as one more row
    upkeep     (M, K, 6)        see FIT, SCALE, UPDATES, DRIFT, PRIOR, MISSING
    awaited    (K, d, d)        the part of A whose reward is still expected (see bandit/arrivals.py)

x is a sparse vector as bytes, as a token carries it: m indices uint16, then m values float32, little-endian.
The rest is float64: in float32 the rank-one updates err by 3e-3 after 10⁵ of them. A call costs as much as
its work: hence few, large arrays, and the tally and every model on it updated in one.
"""

import math

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Floats = NDArray[np.float64]
Indices = NDArray[np.uint16]
Values = NDArray[np.float32]

N, R1, R2 = range(3)
"""Rows of `sums`."""

FIT, SCALE, UPDATES, DRIFT, PRIOR, MISSING = range(6)
"""Of an arm's posterior: bᵀθ; the s it was made with; rank-one updates since it was factorised; the largest
relative error that a factorisation found; λ; the part of n left out, since its reward is still expected."""

REFACTOR_EVERY = 512
"""Rank-one updates of an arm before its inverse is factorised afresh: at 32 columns 0.15 µs an update."""

SCALE_TICK = 1.01
"""The forgetting scale reaches an arm's precision in ticks of 1 %: smaller ones cost factorisations."""


def _posterior() -> tuple[Floats, Floats]:
    return np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]), np.array([[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]])


@kernel()
def entries(x: bytes) -> tuple[Indices, Values]:
    """Return the indices and values of x. Also in decide.py: kernels that call each other share a file."""
    size = len(x) // 6
    index, bits = np.empty(size, np.uint16), np.empty(size, np.uint32)
    for i in range(size):
        at = 2 * size + 4 * i
        index[i] = x[2 * i] | x[2 * i + 1] << 8
        bits[i] = x[at] | x[at + 1] << 8 | x[at + 2] << 16 | x[at + 3] << 24
    return index, bits.view(np.float32)


@kernel()
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


@kernel()
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


@kernel()
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


@kernel()
def _stale(upkeep: Floats, scale: float) -> bool:
    return not 1.0 / SCALE_TICK < scale / upkeep[SCALE] < SCALE_TICK


def _refresh_example() -> Arguments:
    posterior, upkeep = _posterior()
    return np.zeros((3, 2)), posterior[0], upkeep[0], 1.0, np.zeros((2, 2)), False


@kernel(_refresh_example)
def refresh(
    moments: Floats, posterior: Floats, upkeep: Floats, scale: float, awaited: Floats, corrected: bool
) -> None:
    """Factorise one arm of one model afresh at `scale`; `corrected`: without what is `awaited` (d, d)."""
    d = posterior.shape[1]
    A, b, theta, missing = moments[:d], moments[d], posterior[d], 0.0
    if corrected:
        A, missing = A - awaited, awaited[0, 0]  # the first column is always 1
    drift = refactor(A, b, scale, upkeep[PRIOR], posterior[:d], theta)
    if math.isnan(drift):
        posterior[:d] = math.nan  # not positive definite: `score` reports it, the policy degrades
    elif scale == upkeep[SCALE] and missing == upkeep[MISSING]:
        upkeep[DRIFT] = max(upkeep[DRIFT], drift)
    fit = 0.0
    for i in range(d):
        fit += b[i] * theta[i]
    upkeep[FIT], upkeep[SCALE], upkeep[UPDATES], upkeep[MISSING] = fit, scale, 0.0, missing


def _expose_example() -> Arguments:
    posterior, upkeep = _posterior()
    models = posterior[None], upkeep[None], np.zeros((1, 2, 2))
    return np.ones((3, 1)), np.ones((1, 3, 2)), *models, 0, bytes(6), 1.0, 1.0, 0.5, True, 0


@kernel(_expose_example)
def expose(
    sums: Floats,
    moments: Floats,
    posterior: Floats,
    upkeep: Floats,
    awaited: Floats,
    arm: int,
    x: bytes,
    weight: float,
    scale: float,
    late: float,
    corrected: bool,
    turn: int,
) -> int:
    """Count an exposure of `arm` to x in the tally and in every model. `scale` makes today's weigh 1.

    `late` is the part of `weight` that counts as awaited; it stays out of models that are `corrected`.
    After a pause `weight` may be large against what this arm's inverse is made of: a rank-one update would
    lose the inverse's digits, so the arm is factorised instead. So is the arm `turn` if it is due: never all
    at once. Returns whose turn is next.
    """
    index, value = entries(x)
    d = moments.shape[2]
    sums[N, arm] += weight
    for i in range(index.size):
        exact = np.float64(value[i])  # float32s multiply exactly in float64: A stays symmetric to the bit
        for j in range(index.size):
            moments[arm, index[i], index[j]] += weight * (exact * value[j])
    if late > 0.0:
        for i in range(index.size):
            exact = np.float64(value[i])
            for j in range(index.size):
                awaited[arm, index[i], index[j]] += late * (exact * value[j])
    missing = late if corrected else 0.0
    for model in range(posterior.shape[0]):
        own, other = upkeep[model, arm], upkeep[model, turn]
        if _stale(own, scale):
            refresh(moments[arm], posterior[model, arm], own, scale, awaited[arm], corrected)
        else:
            inverse, theta = posterior[model, arm, :d], posterior[model, arm, d]
            change = (weight - missing) * own[SCALE]
            own[FIT] = rank_one(inverse, theta, moments[arm, d], index, value, change)
            own[UPDATES], own[MISSING] = own[UPDATES] + 1.0, own[MISSING] + missing
        if _stale(other, scale) or other[UPDATES] >= REFACTOR_EVERY:
            refresh(moments[turn], posterior[model, turn], other, scale, awaited[turn], corrected)
    following = turn + 1
    return following if following < sums.shape[1] else 0


def _credit_example() -> Arguments:
    posterior, upkeep = _posterior()
    return np.ones((3, 1)), np.ones((1, 3, 2)), posterior[None], upkeep[None], 0, bytes(6), 1.0, 0.0, 1.0


@kernel(_credit_example)
def credit(
    sums: Floats,
    moments: Floats,
    posterior: Floats,
    upkeep: Floats,
    arm: int,
    x: bytes,
    weight: float,
    before: float,
    after: float,
) -> None:
    """Move the R of a decision for `arm` in context x from `before` to `after`, in tally and models."""
    index, value = entries(x)
    d = moments.shape[2]
    change = weight * (after - before)
    sums[R1, arm] += change
    sums[R2, arm] += weight * (after * after - before * before)
    b = moments[arm, d]
    for i in range(index.size):
        b[index[i]] += change * value[i]
    for model in range(posterior.shape[0]):
        own = upkeep[model, arm]
        inverse, theta = posterior[model, arm, :d], posterior[model, arm, d]
        own[FIT] = shift_mean(inverse, theta, b, index, value, change * own[SCALE])
