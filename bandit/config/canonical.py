"""The one way to write a placement down: every default spelled out, keys sorted, durations in whole units.

Documents that mean the same have the same canonical form, hence the same schema id, whatever the order of
their keys. `parse` accepts the form again and returns an equal placement.
"""

import json
import math
from hashlib import blake2b

from bandit.config.model import (
    Arm,
    Condition,
    Feature,
    FeatureKind,
    Placement,
    Policy,
    PolicyKind,
    Ramp,
    Reward,
)
from bandit.config.policies import LINEAR
from bandit.config.reward import DELAYED_FROM_US
from bandit.config.units import format_duration, format_time

Document = dict[str, object]

SCHEMA_ID_BYTES = 8


def canonical(placement: Placement) -> Document:
    """Return the placement as a document of version 1 that holds it alone."""
    document: Document = {"version": 1, "placements": {placement.name: _placement(placement)}}
    if placement.owner:
        document["owner"] = placement.owner
    return document


def written(placement: Placement) -> str:
    """Return the canonical document as JSON, in ASCII. The placement's own `document` is not part of it."""
    return json.dumps(canonical(placement), sort_keys=True, separators=(",", ":"), allow_nan=False)


def schema_id(document: str) -> bytes:
    """Return eight bytes, BLAKE2b (RFC 7693) of a document as it is `written`."""
    return blake2b(document.encode(), digest_size=SCHEMA_ID_BYTES).digest()


def measured_id(placement: Placement) -> bytes:
    """Return eight bytes that name what is measured: arms, rewards, policies, their split, and the scope.

    Not payloads, features and the ramp's calendar, which may change without making sums of another kind.
    """
    document = _placement(placement)
    arms = {arm.id: _arm(arm) | {"payload": ""} for arm in placement.arms}
    kept: Document = {"arms": arms, "reward": document["reward"], "policies": document["policies"]}
    if placement.ramp is not None:
        kept |= {"split": dict(placement.ramp.policies), "scope": _condition(placement.ramp.only_when)}
    return schema_id(json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False))


def _placement(placement: Placement) -> Document:
    document: Document = {
        "arms": {arm.id: _arm(arm) for arm in placement.arms},
        "features": {feature.name: _feature(feature) for feature in placement.features},
        "reward": _reward(placement.reward),
        "exposure": placement.exposure.value,
        "policies": {policy.name: _policy(policy) for policy in placement.policies[1:]},
    }
    if placement.half_life_us is not None:
        document["half_life"] = format_duration(placement.half_life_us)
    if placement.ramp is not None:
        document["ramp"] = _ramp(placement.ramp)
    return document


def _arm(arm: Arm) -> Document:
    document: Document = {"weight": arm.weight, "payload": arm.payload, "state": arm.state.value}
    return document | ({"when": _condition(arm.when)} if arm.when else {})


def _feature(feature: Feature) -> Document:
    document: Document = {"kind": feature.kind.value}
    match feature.kind:
        case FeatureKind.CATEGORY:
            document["values"] = list(feature.values)
        case FeatureKind.HASHED:
            document["buckets"] = feature.buckets
        case FeatureKind.NUMBER:
            document |= {"min": feature.minimum, "max": feature.maximum, "scale": feature.scale.value}
        case FeatureKind.BOOLEAN:
            pass
    return document


def _reward(reward: Reward) -> Document:
    document: Document = {
        "window": format_duration(reward.window_us),
        "values": dict(reward.values),
        "repeatable": sorted(reward.repeatable),
    }
    if reward.delayed != (reward.window_us > DELAYED_FROM_US):
        document["delayed"] = reward.delayed
    return document | ({"max": reward.maximum} if math.isfinite(reward.maximum) else {})


def _policy(policy: Policy) -> Document:
    document: Document = {"kind": policy.kind.value}
    if policy.kind is not PolicyKind.UNIFORM:
        document["explore"] = policy.explore
    if policy.kind in LINEAR:
        document["prior_precision"] = policy.prior_precision
    if policy.kind is PolicyKind.LINUCB:
        document["alpha"] = policy.alpha
    return document


def _ramp(ramp: Ramp) -> Document:
    document: Document = {
        "policies": dict(ramp.policies),
        "over": format_duration(ramp.over_us),
        "from": ramp.share_from,
        "to": ramp.share_to,
    }
    if ramp.start_us is not None:
        document["start"] = format_time(ramp.start_us)
    if ramp.only_when:
        document["only_when"] = _condition(ramp.only_when)
    if ramp.gate is not None:
        gate = ramp.gate
        document["gate"] = {
            "min_exposures": gate.min_exposures,
            "max_loss": gate.max_loss,
            "confidence": gate.confidence,
        }
    return document


def _condition(condition: Condition) -> Document:
    return {name: sorted(values) for name, values in condition.items()}
