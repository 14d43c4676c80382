"""Which features matter: how much the arms' differences change with each, beside what chance would show.

A linear policy expects R = θ_aᵀx of arm a, so the arm that is best changes with a feature as far as the arms'
coefficients for it differ. Let f be the feature's columns, K the active arms, δ_a = θ_a - Σ_b θ_b / K, and C
the covariance of the columns f over visitors. The difference that the feature makes to arm a, δ_a,fᵀ x_f, has
variance δ_a,fᵀ C δ_a,f over visitors; over arms weighted alike,

    importance² = q = 1/K Σ_a δ_a,fᵀ C δ_a,f.

C comes from the pooled A = Σ_a A_a: its first column, the bias's, holds n and the sums of x, so with m = the
means, C = A_ff / n - m mᵀ. Columns that always add up to 1 need no care: C is 0 along them.

By chance alone δ would not be 0 either. A posteriori the θ_a are independent with covariance S_a = σ² times
the block f of (A_a + λI)⁻¹ (`bandit.model`). Were the arms alike, q would be the quadratic form of normal
variables with that covariance, whose mean is tr M and whose variance 2 tr M²; with T_a = C S_a

    tr M  = 1/K (1 - 1/K) Σ_a tr T_a
    tr M² = 1/K² [ ((1 - 1/K)² - 1/K²) Σ_a tr T_a² + 1/K² tr (Σ_a T_a)² ].

A multiple g χ²_h has both for g = tr M² / tr M and h = (tr M)² / tr M² (Satterthwaite, Biometrics Bulletin 2,
1946), and its upper 5 % point is g h (1 - 2/(9h) + 1.645 √(2/(9h)))³ (Wilson and Hilferty, PNAS 17, 1931).
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bandit.config import ArmState, Placement, Policy, columns_of
from bandit.kernels.linear import FIT, MISSING
from bandit.model import LinearModel
from bandit.placement import PlacementState
from bandit.steps import Steps
from bandit.tally import Floats, Tally

NORMAL_95 = 1.6449
"""The standard normal's upper 5 % point."""

ARMS_MIN = 2
"""A single arm has no differences."""


class FeatureReport(NamedTuple):
    """How much a feature matters, in R per decision: a standard deviation over visitors.

    Without any effect of it, `importance` would be below `chance` in 19 of 20 campaigns.
    """

    name: str
    importance: float
    chance: float


def importances(placement: PlacementState, policy: Policy) -> Steps[tuple[FeatureReport, ...]]:
    """Return what a linear policy's model says of each feature, the one that matters most first.

    Nothing before the first reward, or with fewer than two active arms. Each step looks at one arm.
    """
    tally, model = placement.tally, placement.models.by_prior.get(policy.prior_precision)
    active = [k for k, arm in enumerate(placement.config.arms) if arm.state is ArmState.ACTIVE]
    if model is None or len(active) < ARMS_MIN or not tally.r2.any():
        return ()
    covariance = yield from _covariance(tally)
    variance = _residual_variance(tally, model)
    differences = model.theta[active] - model.theta[active].mean(axis=0)
    found = []
    for name, columns in _columns(placement.config):
        block = covariance[columns, columns]
        delta = differences[:, columns]
        square = float(np.einsum("ai,ij,aj->", delta, block, delta)) / len(active)
        products = (variance * (block @ model.inverse[arm, columns, columns]) for arm in active)
        chance = yield from _chance(products)
        found.append(FeatureReport(name, math.sqrt(max(square, 0.0)), math.sqrt(chance)))
    return tuple(sorted(found, key=lambda feature: (-feature.importance, feature.name)))


def _columns(config: Placement) -> list[tuple[str, slice]]:
    """Return each feature's name and columns."""
    found, first = [], 1
    for feature in config.features:
        found.append((feature.name, slice(first, first + columns_of(feature))))
        first += columns_of(feature)
    return found


def _covariance(tally: Tally) -> Steps[Floats]:
    """Return the covariance of the columns of x over visitors (columns, columns)."""
    pooled = np.zeros(tally.A.shape[1:])
    for square in tally.A:
        pooled += square
        yield
    means = pooled[0] / pooled[0, 0]
    return np.asarray(pooled / pooled[0, 0] - np.outer(means, means))


def _residual_variance(tally: Tally, model: LinearModel) -> float:
    """Return σ², as policies have it (`kernels.decide.score`): residuals, and a first guess."""
    columns, squares = tally.b.shape[1], float(tally.r2.sum())
    exposures = float(tally.n.sum() - model.upkeep[:, MISSING].sum())
    residuals = max(squares - float(model.upkeep[:, FIT].sum()), 0.0)
    return float((residuals + columns * squares / exposures) / (exposures + columns))


def _chance(products: Iterable[Floats]) -> Steps[float]:
    """Return the upper 5 % point of q by chance; `products` are the T_a (f, f), arm by arm."""
    arms, traces, own, total = 0, 0.0, 0.0, np.zeros((1, 1))
    for product in products:
        arms, total = arms + 1, total + product
        traces += float(product.trace())
        own += float((product * product.T).sum())
        yield
    part = 1.0 / arms
    mean = part * (1.0 - part) * traces
    all_arms = float((total * total.T).sum())
    squares = part**2 * (((1.0 - part) ** 2 - part**2) * own + part**2 * all_arms)
    if mean <= 0.0 or squares <= 0.0:
        return 0.0
    ninth = 2.0 * squares / (9.0 * mean**2)
    return mean * (1.0 - ninth + NORMAL_95 * math.sqrt(ninth)) ** 3
