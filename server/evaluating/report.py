"""What an evaluation found: each policy's value by each estimator, its uplift over static, and a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bandit import estimators
from bandit.config import Placement, PolicyKind
from bandit.crossfit import Targets, cross_fit
from bandit.estimators import CONFIDENCE, Estimate, Label, Scores, Weights, interval
from bandit.logged import Log
from bandit.ramp import STATIC_INDEX
from server.logged.logs import Loaded

JUDGE = "dr"
"""The estimator that the sentence goes by: it uses all of the log, and is right if propensities are."""

_DIGITS = 12
"""Decimals beyond which values differ by rounding alone."""


@dataclass(frozen=True, slots=True)
class Valued:
    """A policy's value by one estimator. `uplift` over static; None for static, or where static has none."""

    value: Estimate
    uplift: Estimate | None


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One policy. `by` estimator; empty where the label is NO_SUPPORT. `matched`: decisions of the replay."""

    name: str
    kind: PolicyKind
    weights: Weights
    matched: int | None
    by: Mapping[str, Valued]


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `logged` is what the log itself earned; `clusters` None: decisions count as independent."""

    source: str
    placement: str
    rows: int
    decisions: int
    left_out: Mapping[str, int]
    clusters: int | None
    rewarded: int
    logged: Estimate
    uniform: bool
    policies: Sequence[PolicyResult]
    verdict: str
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "source": self.source,
            "placement": self.placement,
            "rows": self.rows,
            "decisions": self.decisions,
            "left_out": dict(self.left_out),
            "clusters": self.clusters,
            "rewarded": self.rewarded,
            "logged": self.logged._asdict(),
            "uniform": self.uniform,
            "policies": [_plain(policy) for policy in self.policies],
            "verdict": self.verdict,
            "notes": self.notes,
        }


def _plain(policy: PolicyResult) -> dict[str, object]:
    weights = policy.weights._asdict() | {"mean": policy.weights.mean._asdict()}
    label = weights.pop("label")
    by = {
        name: valued.value._asdict() | {"uplift": valued.uplift and valued.uplift._asdict()}
        for name, valued in policy.by.items()
    }
    return {
        "policy": policy.name, "kind": policy.kind, "label": label, "weights": weights,
        "matched": policy.matched, "by": by,
    }  # fmt: skip


def evaluate(source: str, placement: Placement, loaded: Loaded) -> Report:
    """Judge every policy of the placement, and uniform, by the log."""
    log = loaded.log
    targets = cross_fit(placement, log)
    weights = [
        estimators.weights(chosen / log.propensity, float(outside.mean()), log.cluster, inflation)
        for chosen, outside, inflation in zip(
            targets.chosen, targets.outside, targets.inflations, strict=True
        )
    ]
    scores = [
        {} if weighed.label is Label.NO_SUPPORT else _scores(log, targets, policy)
        for policy, weighed in enumerate(weights)
    ]
    policies = [
        PolicyResult(
            targets.names[policy],
            targets.kinds[policy],
            weights[policy],
            int(targets.matched[policy].sum()) if log.uniform else None,
            {
                name: Valued(interval(own, log.cluster), _uplift(log, scores, policy, name))
                for name, own in scores[policy].items()
            },
        )
        for policy in range(len(weights))
    ]
    return Report(
        source,
        placement.name,
        loaded.rows,
        log.arm.size,
        loaded.left_out,
        None if log.cluster is None else np.unique(log.cluster).size,
        int((log.reward > 0.0).sum()),
        interval(estimators.ips(log.reward, np.ones_like(log.reward)), log.cluster),
        log.uniform,
        policies,
        _verdict(log, policies, scores),
        [*loaded.notes, *_degraded(targets)],
    )


def _scores(log: Log, targets: Targets, policy: int) -> dict[str, Scores]:
    weight, expected = targets.chosen[policy] / log.propensity, targets.expected[policy]
    scores = {
        "ips": estimators.ips(log.reward, weight),
        "snips": estimators.snips(log.reward, weight),
        "dm": estimators.dm(expected),
        "dr": estimators.dr(log.reward, weight, targets.predicted, expected),
    }
    if log.uniform:
        scores["replay"] = estimators.replay(log.reward, targets.matched[policy])
    inflation = targets.inflations[policy]
    return {name: one._replace(inflation=inflation) for name, one in scores.items()}


def _uplift(log: Log, scores: Sequence[Mapping[str, Scores]], policy: int, name: str) -> Estimate | None:
    if policy == STATIC_INDEX or not scores[STATIC_INDEX]:
        return None
    return interval(scores[policy][name].minus(scores[STATIC_INDEX][name]), log.cluster)


def _degraded(targets: Targets) -> list[str]:
    return [
        f"the model of {name} could not be used in {times} decisions: static answered for it"
        for name, times in zip(targets.names, targets.degraded, strict=True)
        if times
    ]


def _verdict(log: Log, policies: Sequence[PolicyResult], scores: Sequence[Mapping[str, Scores]]) -> str:
    """Say which policy is best supported, by doubly robust values, allowing for how many are compared."""
    usable = [number for number, policy in enumerate(policies) if policy.weights.label is Label.OK]
    if STATIC_INDEX not in usable or len(usable) == 1:
        unsupported = "static itself" if STATIC_INDEX not in usable else "any policy but static"
        return f"Nothing can be recommended: this log does not support an estimate of {unsupported}."
    confidence = 1.0 - (1.0 - CONFIDENCE) / (len(usable) - 1)  # Bonferroni

    def between(one: int, other: int) -> tuple[float, float, float]:
        found = interval(scores[one][JUDGE].minus(scores[other][JUDGE]), log.cluster, confidence)
        return found.value or 0.0, found.low or 0.0, found.high or 0.0

    best = max(usable, key=lambda number: round(scores[number][JUDGE].value, _DIGITS))  # equals: static
    name, others = policies[best].name, f"{len(usable)} policies compared"
    if best == STATIC_INDEX:
        return f"Best supported: static. No other policy is estimated to earn more ({others}, by {JUDGE})."
    value, low, high = between(best, STATIC_INDEX)
    if low <= 0.0:
        return (
            f"{name} has the highest estimate, {value:+.4g} over static ({low:.4g} to {high:.4g}), and this "
            f"log does not show that it earns more than static ({others}, by {JUDGE})."
        )
    alike = [policies[k].name for k in usable if k != best and between(best, k)[1] <= 0.0]
    rest = f" This log cannot tell it from {', '.join(alike)}." if alike else ""
    return (
        f"Best supported: {name}, {value:+.4g} over static ({low:.4g} to {high:.4g}, allowing for {others}, "
        f"by {JUDGE}).{rest}"
    )
