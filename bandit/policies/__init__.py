"""The policies, and how a configured one is made."""

from collections.abc import Mapping

from bandit.config import Placement, PolicyKind
from bandit.config import Policy as PolicyConfig
from bandit.model import LinearModel
from bandit.policies.base import Policy
from bandit.policies.fixed import Static, Uniform
from bandit.policies.linear import LinearThompson, LinUCB
from bandit.policies.thompson import Thompson
from bandit.tally import Forgetting

LINEAR = frozenset({PolicyKind.LINEAR_THOMPSON, PolicyKind.LINUCB})
"""The kinds that need a linear model."""

__all__ = ["LINEAR", "Policy", "make_policy"]


def make_policy(
    config: PolicyConfig, placement: Placement, models: Mapping[float, LinearModel], forgetting: Forgetting
) -> Policy:
    """Return the configured policy over the placement's models, which are keyed by prior precision."""
    match config.kind:
        case PolicyKind.STATIC:
            return Static(config.name)
        case PolicyKind.UNIFORM:
            return Uniform(config.name)
        case PolicyKind.THOMPSON:
            return Thompson(config.name, config.explore, placement.reward.maximum, forgetting)
        case PolicyKind.LINEAR_THOMPSON:
            return LinearThompson(config.name, config.explore, models[config.prior_precision])
        case PolicyKind.LINUCB:
            return LinUCB(config.name, config.explore, config.alpha, models[config.prior_precision])
