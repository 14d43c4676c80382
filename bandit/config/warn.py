"""What a configuration allows but its author may not have meant. Each rule is a function of one placement."""

import math
from collections.abc import Iterator

from bandit.config.model import ArmState, Config, Placement, PolicyKind
from bandit.config.names import quasi_identity_in
from bandit.config.policies import LINEAR
from bandit.config.problems import Problem
from bandit.config.ramp import FROM_DEFAULT

_Found = Iterator[tuple[str, str]]
"""(what follows the placement's path, message)."""


def warnings(config: Config) -> list[Problem]:
    """Return what deserves a second look, by placement and rule. None of it refuses the configuration."""
    return [
        Problem(f"$.placements.{name}{path}", message)
        for name, placement in config.placements.items()
        for rule in _RULES
        for path, message in rule(placement)
    ]


def _calendar(placement: Placement) -> _Found:
    ramp = placement.ramp
    if ramp is None or ramp.share_from >= ramp.share_to:
        return
    if ramp.gate is None:
        yield ".ramp", "has no gate: the calendar alone moves the shares, whatever the learned policies earn"


def _gate(placement: Placement) -> _Found:
    ramp = placement.ramp
    if ramp is None or ramp.gate is None:
        return
    path, unexplored = ".ramp.gate", any(policy.explore == 0.0 for policy in placement.policies[1:])
    if ramp.share_to == 0.0:
        yield path, "has nothing to judge, since learned policies serve nobody; raise `to` above 0"
        return
    if ramp.gate.max_loss == 1.0:
        yield path, "never takes the ramp back, since losing all is allowed; lower `max_loss`"
    if ramp.gate.max_loss == 0.0 and ramp.share_from < ramp.share_to:
        waits = "waits until learned policies certainly earn more than static"
        yield path, f"{waits}, where they earn the same for ever; raise `max_loss` above 0"
    if ramp.share_to == 1.0 and unexplored:
        yield (
            path,
            "is blind once all have learned policies that never show some of static's arms; lower `to`",
        )
    if placement.reward.window_us > ramp.over_us:
        yield path, "looks once in a reward window, which is longer than `over`: the ramp will take longer"
    if ramp.share_from == 0.0:
        unseen = f"from 0 the ramp goes on unjudged to {FROM_DEFAULT:.0%}"
        yield path, f"cannot see what serves nobody, so {unseen}; give `from` what may be risked"


def _overlap(placement: Placement) -> _Found:
    active = [arm for arm in placement.arms if arm.state is ArmState.ACTIVE]
    never = [arm.id for arm in active if arm.weight == 0]
    if len(active) == 1:
        yield ".arms", f"only {active[0].id!r} is active, so there is nothing to learn; add an arm"
    elif len(never) == len(active):
        yield (
            ".arms",
            "every active arm has weight 0, so static serves them uniformly; give the campaign's weights",
        )
    elif never and len(placement.policies) > 1 and (placement.ramp is None or placement.ramp.share_from == 0):
        listed = ", ".join(repr(arm) for arm in never)
        yield (
            ".arms",
            f"static never shows {listed}, so nothing is learned of them; add a ramp with from above 0",
        )
    if all(arm.when for arm in active):
        yield (
            ".arms",
            "every active arm has a `when`: a request that meets none is refused with NO_ELIGIBLE_ARM",
        )


def _policies(placement: Placement) -> _Found:
    unbounded = math.isinf(placement.reward.maximum)
    for policy in placement.policies:
        path = f".policies.{policy.name}"
        if policy.kind in LINEAR and not placement.features:
            yield (
                path,
                "learns from the context, but the placement has no features; declare some, or use thompson",
            )
        if policy.kind is PolicyKind.THOMPSON and unbounded:
            yield path, "takes rewards as normal, since reward.max is absent; give a max if they are bounded"
        if policy.kind is PolicyKind.LINUCB and policy.explore == 0:
            yield (
                path,
                "has explore 0, so it never shows the arms it does not prefer, and they cannot be measured",
            )


def _reward(placement: Placement) -> _Found:
    if all(value <= 0 for _, value in placement.reward.values):
        yield ".reward.values", "has no value above 0, so every reward is clipped to 0; value an event"


def _privacy(placement: Placement) -> _Found:
    for feature in placement.features:
        part = quasi_identity_in(feature.name)
        if part is not None:
            message = (
                f"{part!r} finds a person together with little else; send something coarser, such as a region"
            )
            yield f".features.{feature.name}", message


_RULES = (_calendar, _gate, _overlap, _policies, _reward, _privacy)
