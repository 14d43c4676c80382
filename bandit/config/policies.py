"""Policies: the ways to get a pmf that a placement measures, and may serve by its ramp."""

from bandit.config.keys import POLICY_KEYS
from bandit.config.model import STATIC, Policy, PolicyKind
from bandit.config.reader import Reader
from bandit.limits import ALPHA_MAX, POLICIES_MAX, PRECISION_MAX, PRECISION_MIN

LINEAR = frozenset({PolicyKind.LINEAR_THOMPSON, PolicyKind.LINUCB})
"""The kinds that learn from the context, each from a model for its prior precision."""


def parse_policies(reader: Reader) -> tuple[tuple[Policy, ...], frozenset[str]]:
    """Return the policies, `static` first and then by name, and every name that was given.

    The names hold those of policies that could not be read too, so that a ramp that uses one is not refused
    for it a second time.
    """
    static = Policy(STATIC, PolicyKind.STATIC)
    if not reader.filled:
        return (static,), frozenset()
    entries = dict(reader.entries("policy", POLICIES_MAX - 1))
    policies = [_policy(name, entry) for name, entry in entries.items()]
    return (static, *sorted(filter(None, policies), key=lambda policy: policy.name)), frozenset(entries)


def _policy(name: str, reader: Reader) -> Policy | None:
    if name == STATIC:
        reader.refuse(
            "got 'static' as the name of a policy, which always exists; remove it, or name it otherwise"
        )
        return None
    kind, fields = reader.variant(PolicyKind, POLICY_KEYS)
    if kind is None:
        return None
    policy = Policy(name, kind)
    explore, precision, alpha = policy.explore, policy.prior_precision, policy.alpha
    if "explore" in fields:
        explore = fields["explore"].number(explore, at_least=0.0, at_most=1.0)
    if "prior_precision" in fields:
        precision = fields["prior_precision"].number(precision, at_least=PRECISION_MIN, at_most=PRECISION_MAX)
    if "alpha" in fields:
        alpha = fields["alpha"].number(alpha, at_least=0.0, at_most=ALPHA_MAX)
    return Policy(name, kind, explore, precision, alpha)
