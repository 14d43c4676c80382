"""What changed between two readings: placements, arms, features and policies; what was chosen and earned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from server.inspection.figures import Arm, Figures, ServedPolicy
from server.inspection.reading import Reading

SHOWN = 0.0005
"""The difference of two shares that shows."""


@dataclass(frozen=True, slots=True)
class ArmChange:
    """An arm before and after (None: it was not there), and what came between.

    One that is gone has taken its counts along, so nothing is known to have come between.
    """

    arm: str
    old: Arm | None
    new: Arm | None
    chosen: int
    traffic: float | None
    """part of the decisions between; None without any"""
    exposures: int
    reward: float


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A policy before and after (None: it was not there), and what it chose between."""

    policy: str
    old: ServedPolicy | None
    new: ServedPolicy | None
    chosen: int
    traffic: float | None
    """part of the decisions between; None without any"""


@dataclass(frozen=True, slots=True)
class Features:
    """Names of features: new ones, those that are gone, and those of another kind."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacementChange:
    """A placement that is in both. The configuration is another one if the schemas differ.

    `old_ramp`, `new_ramp`: what its ramp does, as in RampState; None without one.
    """

    placement: str
    old_schema: str
    new_schema: str
    old_ramp: str | None
    new_ramp: str | None
    decisions: int
    exposures: int
    reward: float
    features: Features
    policies: tuple[PolicyChange, ...]
    arms: tuple[ArmChange, ...]

    @property
    def is_any(self) -> bool:
        """Whether anything changed, but for a share by less than a person is shown."""
        counted = self.decisions or self.exposures or self.reward
        moved = counted or self.old_schema != self.new_schema or self.old_ramp != self.new_ramp
        shares = [(change.old, change.new) for change in self.policies]
        return bool(moved) or any(old and new and abs(new.share - old.share) >= SHOWN for old, new in shares)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    path: str
    sequence: int
    time_us: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that changed from `old` to `new`: names of placements, and those that are in both."""

    old: Side
    new: Side
    added: tuple[str, ...]
    removed: tuple[str, ...]
    placements: tuple[PlacementChange, ...]


def compare(old: Reading, new: Reading) -> Comparison:
    """Return what changed between two readings."""
    before, after = ({one.placement: one for one in side.placements} for side in (old, new))
    return Comparison(
        old=_side(old),
        new=_side(new),
        added=_missing(after, before),
        removed=_missing(before, after),
        placements=tuple(_placement(before[name], after[name]) for name in after if name in before),
    )


def _side(reading: Reading) -> Side:
    return Side(reading.path, reading.sequence, reading.time_us, reading.problems)


def _placement(old: Figures, new: Figures) -> PlacementChange:
    arms_before = {arm.arm: arm for arm in old.arms}
    policies_before = {one.policy: one for one in old.policies}
    decisions = sum(_between(arms_before.get(arm.arm), arm) for arm in new.arms)
    arms = [_arm(arms_before.pop(arm.arm, None), arm, decisions) for arm in new.arms]
    policies = [_policy(policies_before.pop(one.policy, None), one, decisions) for one in new.policies]
    return PlacementChange(
        placement=new.placement,
        old_schema=old.schema,
        new_schema=new.schema,
        old_ramp=old.ramp.state if old.ramp else None,
        new_ramp=new.ramp.state if new.ramp else None,
        decisions=decisions,
        exposures=sum(arm.exposures for arm in arms),
        reward=sum(arm.reward for arm in arms),
        features=_features(old.features, new.features),
        policies=(
            *policies,
            *(PolicyChange(one.policy, one, None, 0, None) for one in policies_before.values()),
        ),
        arms=(*arms, *(ArmChange(arm.arm, arm, None, 0, None, 0, 0.0) for arm in arms_before.values())),
    )


def _arm(old: Arm | None, new: Arm, decisions: int) -> ArmChange:
    chosen = _between(old, new)
    exposures = new.exposures - (old.exposures if old else 0)
    reward = new.reward - (old.reward if old else 0.0)
    return ArmChange(new.arm, old, new, chosen, _part(chosen, decisions), exposures, reward)


def _policy(old: ServedPolicy | None, new: ServedPolicy, decisions: int) -> PolicyChange:
    chosen = _between(old, new)
    return PolicyChange(new.policy, old, new, chosen, _part(chosen, decisions))


def _between(old: Arm | ServedPolicy | None, new: Arm | ServedPolicy) -> int:
    """Return how often an arm or a policy was chosen between."""
    return new.chosen - (old.chosen if old else 0)


def _features(old: Mapping[str, str], new: Mapping[str, str]) -> Features:
    changed = tuple(name for name in new if name in old and old[name] != new[name])
    return Features(_missing(new, old), _missing(old, new), changed)


def _missing(names: Iterable[str], among: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in among)


def _part(count: int, total: int) -> float | None:
    return count / total if total > 0 else None
