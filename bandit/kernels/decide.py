"""One kernel for a decision: score x, fill the linear policies' pmfs, draw one arm.

`decide` reads as the pipeline, its parts follow in order, all in one file since they call each other. Shapes
are those of `kernels.linear`. The largest part is P(arm is best) of independent Gaussians, a quadrature:

    p_k = ∫ φ((x - m_k) / s_k) / s_k · Π_{j≠k} Φ((x - m_j) / s_j) dx

Where to integrate. P(all arms < x) is at most exp(-½ Σ min(z_j, 0)²), where x lies z_j widths above m_j
(Chernoff). Integration starts at L, where that is 1e-9, but not below the largest m_j - 6 s_j; an arm whose
upper bound m_k + 6 s_k lies below L cannot win. What is left is pleasant: at L every remaining arm is already
within its 6 widths, so going right arms only ever leave. The narrowest one still there says how fine the
integrand can be.

So march: panels of 16 Gauss-Legendre nodes over 2.6 to 6.6 of the narrowest remaining widths (the more arms,
the steeper their maximum), to where that arm ends; drop the arms that have ended; again. An arm that remains
at x has s ≥ (x - L) / 12, so there are at most 5 (1 + ln(widest / narrowest)) panels, whatever the arms: 2
for ten of equal widths, below 40 at a ratio of 1,000. One method serves every ratio.

A width of zero (or below 1e-300) is a point mass: of several, only the highest can win, and of equally high
ones the lowest index. It then is one more lower bound, and wins where all others stay below it.
"""

import math

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel
from bandit.kernels.linear import FIT, MISSING, R2, N

Floats = NDArray[np.float64]
Arms = NDArray[np.int64]
Indices = NDArray[np.uint16]
Values = NDArray[np.float32]

STATIC = 0
"""The row of the policy `static`, which answers for one whose model cannot be used."""

KIND, MODEL, EXPLORE, ALPHA, FRACTION = range(5)
"""Columns of `plan`: one of the kinds below; which model; ε; LinUCB's α; fraction of the learned share."""

CONTEXT_FREE, LINEAR_THOMPSON, LINUCB = range(3)
"""Kinds of policy. The pmf of a context-free one stands in its row already."""

MEAN, WIDTH, SD = range(3)
"""Rows of `scores`."""

NARROWING = 0.5
"""Thompson sampling draws from posteriors this fraction as wide (Chapelle & Li 2011 reshape them like that):
at full width it goes on exploring long after the answer is known. See docs/learning.md."""

SUM_TOLERANCE = 1e-3
"""How far from 1 a quadrature's Σp may be before normalising: it keeps within 1e-5, so beyond is a fault."""

REACH = 6.0
"""Widths beyond which an arm is not looked at: Φ(-6) = 1e-9, times 256 arms 3e-7."""
PANEL, PANEL_STEEPER = 6.6, 0.5
"""Length of a panel in widths of the narrowest arm in it: PANEL - PANEL_STEEPER · log₂(arms)."""
NODES = 16
"""Gauss-Legendre nodes a panel."""
BLOCK = 4
"""At most so many panels are computed at once: 64 nodes keep vector registers busy."""
PANELS_MAX = 8_192
"""More than the widest ratio of float64s needs: 5 (1 + ln 10⁶⁰⁰) = 6,913. A bound, never reached."""
UNLIKELY = 2.0 * math.log(1e9)
"""Σ min(z, 0)² at the floor."""
TAIL = 6.5
"""Where Φ is taken for 0 or 1 on either side."""
ZERO_WIDTH = 1e-300
"""Below it 1 / s is infinite."""
HUGE = 1e150
"""Above it squares and sums overflow: everything is scaled down by SHRINK first."""
SHRINK = 2.0**-600

_NODE, _WEIGHT = leggauss(NODES)
_AT = (np.arange(BLOCK)[:, None] + (_NODE + 1.0) / 2.0).ravel()
"""Where the nodes of BLOCK panels of length 1 lie, from 0 on."""
_WEIGHTS = np.tile(_WEIGHT / 2.0, BLOCK)


def _decide_example() -> Arguments:
    plan = np.array([[CONTEXT_FREE, 0.0, 0.0, 0.0, 0.0], [LINEAR_THOMPSON, 0.0, 0.01, 1.0, 1.0]])
    posterior, upkeep = np.array([[[[1.0], [0.0]]]]), np.array([[[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]]])
    pmfs, eligible = np.ones((2, 1)), np.zeros(1, np.int64)
    return np.ones((3, 1)), posterior, upkeep, plan, pmfs, eligible, bytes(6), 1, 1.0, 0.5


@kernel(_decide_example)
def decide(
    sums: Floats, posterior: Floats, upkeep: Floats, plan: Floats, pmfs: Floats, eligible: Arms, x: bytes,
    policy: int, share: float, u: float,
) -> tuple[int, float, float, float, int, bool]:  # fmt: skip
    """Draw an arm for context x from the pmf of `policy`, by the uniform u in [0, 1).

    Fills the rows of `pmfs` (policies, K) of the linear policies of `plan` (policies, 5); others are ready.
    `share` is the learned share. Returns the arm, its interval [low, high) of the policy's CDF, Σ share x
    probability, as bits the policies that got static's row for want of a model, whether all arms had chances.
    """
    index, value = entries(x)
    scores, sigma = np.empty((len(posterior), 3, pmfs.shape[1])), np.empty(len(posterior))
    for model in range(len(posterior)):
        sigma[model] = score(sums, posterior[model], upkeep[model], index, value, scores[model])
    unusable = 0
    for j in range(len(plan)):
        if plan[j, KIND] == CONTEXT_FREE:
            continue
        model, explore = int(plan[j, MODEL]), plan[j, EXPLORE]
        if plan[j, KIND] == LINEAR_THOMPSON:
            good = linear_thompson(scores[model], sigma[model], eligible, explore, pmfs[j])
        else:
            good = linucb(scores[model], sigma[model], plan[j, ALPHA], eligible, explore, pmfs[j])
        if not good:
            pmfs[j] = pmfs[STATIC]
            unusable |= 1 << j
    arm, low, high = sample(pmfs[policy], u)
    propensity, covered = 0.0, True
    for k in eligible:
        mixed = (1.0 - share) * pmfs[STATIC, k]
        for j in range(1, len(plan)):
            mixed += plan[j, FRACTION] * share * pmfs[j, k]
        propensity, covered = mixed if k == arm else propensity, covered and mixed > 0.0
    return arm, low, high, min(1.0, propensity), unusable, covered  # 1 + 4e-16 by rounding


@kernel()
def entries(x: bytes) -> tuple[Indices, Values]:
    """Return the indices and values of x. Also in linear.py: kernels that call each other share a file."""
    size = len(x) // 6
    index, bits = np.empty(size, np.uint16), np.empty(size, np.uint32)
    for i in range(size):
        at = 2 * size + 4 * i
        index[i] = x[2 * i] | x[2 * i + 1] << 8
        bits[i] = x[at] | x[at + 1] << 8 | x[at + 2] << 16 | x[at + 3] << 24
    return index, bits.view(np.float32)


@kernel()
def score(
    sums: Floats, posterior: Floats, upkeep: Floats, index: Indices, value: Values, scores: Floats
) -> float:
    """Fill `scores` (3, K) by one model's `posterior` and `upkeep`; return σ.

    MEAN is θᵀx, WIDTH √(xᵀ(A + λI)⁻¹x), SD what Thompson sampling draws with, NARROWING · σ · width.
    σ² = (Σ residual + d · v) / (Σ n + d) over all arms, n less MISSING, with residual = r2 - bᵀθ (the ridge
    residual sum of squares plus λ|θ|², so never negative but for rounding) and v the mean squared reward: a
    first guess worth d observations. Without it σ is far too small until there are more exposures than
    coefficients, since a fit of few points leaves no residual, and who trusts it stops exploring. 0 while no
    reward has come. NaN if any mean is not finite or any width is not positive: the model cannot be used.
    """
    arms, d = posterior.shape[0], posterior.shape[2]
    squares, residuals, exposures = 0.0, 0.0, 0.0
    for arm in range(arms):
        m, v = 0.0, 0.0
        for i in range(index.size):
            partial = 0.0
            for j in range(index.size):
                partial += posterior[arm, index[i], index[j]] * value[j]
            v += partial * value[i]
            m += posterior[arm, d, index[i]] * value[i]
        if not (math.isfinite(m) and v > 0.0 and math.isfinite(v)):
            return math.nan
        scores[MEAN, arm], scores[WIDTH, arm] = m, math.sqrt(v)
        squares += sums[R2, arm]
        residuals += sums[R2, arm] - upkeep[arm, FIT]
        exposures += sums[N, arm] - upkeep[arm, MISSING]
    sigma = 0.0
    if squares > 0.0:
        guess = squares / max(exposures, 1e-300)
        sigma = math.sqrt((max(residuals, 0.0) + d * guess) / (exposures + d))
    for arm in range(arms):
        scores[SD, arm] = NARROWING * sigma * scores[WIDTH, arm]
    return sigma


@kernel()
def linear_thompson(scores: Floats, sigma: float, eligible: Arms, explore: float, out: Floats) -> bool:
    """Fill `out` with P(arm is best in this context) when each arm's mean is N(θᵀx, c² σ² xᵀ(A + λI)⁻¹x).

    Agrawal & Goyal 2013, with c = NARROWING. Uniform until the first reward, since σ is not known before.
    Returns whether the model can be used.
    """
    if sigma > 0.0:
        total = best_probability(scores[MEAN], scores[SD], eligible, explore, out)
        return abs(total - 1.0) < SUM_TOLERANCE
    out[:] = 0.0
    for k in eligible:
        out[k] = 1.0 / eligible.size
    return not math.isnan(sigma)


@kernel()
def linucb(scores: Floats, sigma: float, alpha: float, eligible: Arms, explore: float, out: Floats) -> bool:
    """Fill `out` by disjoint LinUCB (Li et al. 2010, algorithm 1): the largest θᵀx + α σ √(xᵀ(A + λI)⁻¹x).

    α is in units of σ; before the first reward σ counts as 1, so that the least shown arm is shown. Ties go
    to the first arm by id. 1 for that arm, then explore. Returns whether the model can be used.
    """
    if not math.isfinite(sigma):
        return False
    reach = alpha * (sigma if sigma > 0.0 else 1.0)
    mean, width = scores[MEAN], scores[WIDTH]
    best = eligible[0]
    out[:] = 0.0
    for k in eligible:
        out[k] = explore / eligible.size
        if mean[k] + reach * width[k] > mean[best] + reach * width[best]:
            best = k
    out[best] += 1.0 - explore
    return True


@kernel()
def sample(pmf: Floats, u: float) -> tuple[int, float, float]:
    """Invert the CDF of `pmf` (arms,), in arm order, at u in [0, 1): the one place where an arm is drawn.

    Returns the arm and its interval [low, high) of the CDF, in which u fell. An arm of probability 0 is never
    drawn; if rounding leaves Σp below u, the last possible arm is.
    """
    arm, low, high, cumulated = -1, 0.0, 0.0, 0.0
    for k in range(pmf.size):
        if pmf[k] > 0.0:
            arm, low = k, cumulated
            cumulated += pmf[k]
            high = cumulated
            if u < cumulated:
                break
    return arm, low, high


@kernel()
def _pdf_and_cdf(z: float) -> tuple[float, float]:
    """φ and Φ at z, clipped to ±TAIL: absolute errors below 5e-10, relative below 3e-9.

    Without a table or a branch: LLVM computes a register full of them at once, three times as fast. φ by
    e⁻ᵘ = (e^(-u/32))³², a polynomial and five squarings. Φ(-|z|) = φ R with Mills' ratio R a polynomial in
    t = (|z| - 4) / (|z| + 4). Both are Chebyshev fits on the range that occurs.
    """
    size = min(abs(z), TAIL)
    u = size * size / 64.0
    e = -0.00014290022974065479 * u + 0.0013325223589207402
    e = ((e * u - 0.008302626386609581) * u + 0.041657284324032712) * u - 0.16666509990891773
    e = ((e * u + 0.49999987101038947) * u - 0.99999999594292636) * u + 0.9999999999790139
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    pdf = 0.3989422804014327 * e
    t = (size - 4.0) / (size + 4.0)
    r = (-0.0001921569947012941 * t - 0.00047713494355077338) * t + 0.0016348738610207002
    r = ((r * t + 0.0012894700721521805) * t - 0.021286867856845642) * t + 0.077364995372900293
    r = ((r * t - 0.17974392629670689) * t + 0.31177260254853571) * t - 0.42712374481528574
    tail = pdf * (r * t + 0.23665238269641722)
    return pdf, tail if z < 0.0 else 1.0 - tail


@kernel()
def _raised(floor: float, centre: Floats, inverse: Floats, count: int) -> float:
    """Raise the floor towards Σ min(z, 0)² = UNLIKELY, by Newton: a convex, falling sum is never overshot."""
    for _ in range(4):
        excess, slope = -UNLIKELY, 0.0
        for j in range(count):
            z = min((floor - centre[j]) * inverse[j], 0.0)
            excess += z * z
            slope += 2.0 * z * inverse[j]
        if excess <= 0.0:
            break
        floor -= excess / slope
    return floor


@kernel()
def _add_panels(
    left: float, length: float, nodes: int, centre: Floats, inverse: Floats, count: int, hazard: Floats,
    mass: Floats,
) -> None:  # fmt: skip
    """Add to mass[:count] the integral of an arm's density times the others' Φ, over panels from `left` on.

    They are of `length` each and have `nodes` nodes in all. The product over the others is the product over
    all, divided by the arm's own Φ, which is at least Φ(-6.5). `hazard` (float64[count, BLOCK * NODES]) is
    overwritten with φ / Φ.
    """
    product = _WEIGHTS * length
    for j in range(count):
        start = (left - centre[j]) * inverse[j]
        stretch = length * inverse[j]
        row = hazard[j]
        for i in range(nodes):
            pdf, cdf = _pdf_and_cdf(start + stretch * _AT[i])
            product[i] *= cdf
            row[i] = pdf / cdf
    for j in range(count):
        row = hazard[j]
        even, odd = 0.0, 0.0  # two sums, since each addition waits for the one before
        for i in range(0, nodes, 2):
            even += row[i] * product[i]
            odd += row[i + 1] * product[i + 1]
        mass[j] += (even + odd) * inverse[j]


@kernel()
def _contenders(
    mean: Floats, sd: Floats, eligible: Arms, index: Arms, centre: Floats, width: Floats
) -> tuple[int, int, float]:
    """Collect the arms of positive width that can win; return their count, the best point mass, the floor.

    Centres and floor are relative to the narrowest contender's mean (or the point mass, if there is none).
    Distances from it are at most 12 times the widths, so differences lose nothing however far apart they are.
    """
    point, floor = -1, -math.inf
    for k in eligible:
        if sd[k] >= ZERO_WIDTH:
            floor = max(floor, mean[k] - REACH * sd[k])
        elif point < 0 or mean[k] > mean[point] or (mean[k] == mean[point] and k < point):
            point = k
    if point >= 0:
        floor = max(floor, mean[point])
    count, origin, narrowest = 0, floor, math.inf
    for k in eligible:
        if sd[k] >= ZERO_WIDTH and mean[k] + REACH * sd[k] >= floor:  # equal: widths below an ulp
            index[count], centre[count], width[count] = k, mean[k], sd[k]
            count += 1
            if sd[k] < narrowest:
                narrowest, origin = sd[k], mean[k]
    floor = mean[point] - origin if point >= 0 else -math.inf
    for j in range(count):
        centre[j] -= origin
        floor = max(floor, centre[j] - REACH * width[j])
    return count, point, floor


@kernel()
def _march(left: float, index: Arms, centre: Floats, width: Floats, count: int, out: Floats) -> None:
    """Set out[index] to each contender's integral from `left` on. Overwrites index, centre and width."""
    inverse = 1.0 / width[:count]
    mass = np.zeros(count)
    hazard = np.empty((count, BLOCK * NODES))
    panel = PANEL - PANEL_STEEPER * math.log2(max(count, 1))
    left = _raised(left, centre, inverse, count)
    for _ in range(PANELS_MAX):
        j = 0
        while j < count:
            if centre[j] + REACH * width[j] > left:
                j += 1
                continue
            out[index[j]] = mass[j]
            count -= 1
            index[j], centre[j], width[j] = index[count], centre[count], width[count]
            inverse[j], mass[j] = inverse[count], mass[count]
        if count == 0:
            return
        narrowest, end = 0, -math.inf
        for j in range(count):
            narrowest = j if width[j] < width[narrowest] else narrowest
            end = max(end, centre[j] + REACH * width[j])
        length = panel * width[narrowest]
        rest = centre[narrowest] + REACH * width[narrowest] - left
        panels = min(math.ceil(rest / length), BLOCK)
        right = min(left + panels * length, end)
        _add_panels(left, (right - left) / panels, panels * NODES, centre, inverse, count, hazard, mass)
        left = right


def _example() -> Arguments:
    return np.array([0.0, 1.0]), np.array([1.0, 2.0]), np.array([0, 1]), 0.01, np.zeros(2)


@kernel(_example)
def best_probability(mean: Floats, sd: Floats, eligible: Arms, explore: float, out: Floats) -> float:
    """Fill out (float64[K]) with P(X_k is the largest) for independent X_k ~ N(mean_k, sd_k²), then explore.

    That is (1 - ε) p + ε / E over the E eligible arms: every propensity becomes at least ε / E.
    `mean`, `sd`: float64[K], finite, sd ≥ 0, in any common unit. `eligible`: int64[E], distinct indices of
    the arms that take part; out is 0 elsewhere and sums to 1. Returns the sum before normalising, which is 1
    to 1e-5: anything else means a fault. Input that is not finite, or sd < 0, returns nan with out all 0.
    """
    out[:] = 0.0
    arms = eligible.shape[0]
    largest = 0.0
    for k in eligible:
        if not (math.isfinite(mean[k]) and math.isfinite(sd[k]) and sd[k] >= 0.0):
            return math.nan
        largest = max(largest, abs(mean[k]), sd[k])
    if largest > HUGE:
        mean, sd = mean * SHRINK, sd * SHRINK
    index, centre, width = np.empty(arms, np.int64), np.empty(arms), np.empty(arms)
    count, point, left = _contenders(mean, sd, eligible, index, centre, width)
    if point >= 0:
        out[point] = 1.0
        for j in range(count):
            out[point] *= _pdf_and_cdf((left - centre[j]) / width[j])[1]
    _march(left, index, centre, width, count, out)
    total = 0.0
    for k in eligible:
        total += out[k]
    if total > 0.0:
        for k in eligible:
            out[k] = (1.0 - explore) * (out[k] / total) + explore / arms
    return total
