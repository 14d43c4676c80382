"""The policies that look at the context, linear Thompson sampling and LinUCB, as the kernel knows them.

How they turn scores into a pmf: `kernels.decide.linear_thompson` and `kernels.decide.linucb`.
"""

import numpy as np

from bandit.config import Placement, PolicyKind
from bandit.kernels.decide import CONTEXT_FREE, LINEAR_THOMPSON, LINUCB
from bandit.ramp import Router
from bandit.tally import Floats

KINDS = {PolicyKind.LINEAR_THOMPSON: LINEAR_THOMPSON, PolicyKind.LINUCB: LINUCB}
"""The kinds that need a linear model, by their number in the kernel."""


def priors(placement: Placement) -> list[float]:
    """Return the prior precisions that the placement's policies need a model for, in order."""
    return sorted({policy.prior_precision for policy in placement.policies if policy.kind in KINDS})


def plan(placement: Placement, router: Router) -> Floats:
    """Return what the kernel needs to know of each policy (policies, 5): see `kernels.decide.KIND`."""
    models = priors(placement)
    rows = []
    for policy, fraction in zip(placement.policies, router.fractions.tolist(), strict=True):
        if policy.kind in KINDS:
            model = models.index(policy.prior_precision)
            rows.append((KINDS[policy.kind], model, policy.explore, policy.alpha, fraction))
        else:
            rows.append((CONTEXT_FREE, 0, 0.0, 0.0, fraction))
    return np.array(rows, np.float64)
