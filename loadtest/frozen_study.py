"""Is what a policy would earn, seen from its shadow, what it then earns? With the learner frozen it must be.

    python -m loadtest.frozen_study

Each run: a policy learns from a uniform static campaign, is frozen, is measured as a shadow at share 0, and
then serves everyone, which begins another measurement epoch. Both estimates are compared with each other and
with the truth, which a simulation knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import click
import numpy as np

from bandit.config import format_time, parse
from bandit.engine import Engine
from bandit.kernels.jit import compile_all
from bandit.measurement import Estimate, Measurement
from bandit.measuring import Measuring
from bandit.placement import PlacementState
from bandit.sequences import Sequence
from bandit.token import Keys

KINDS = ("thompson", "linear_thompson")
LEARNING, MEASURED = 1000, 3000
"""Decisions until a policy is frozen, and of each of the two epochs."""
CLICKS = {"x": {"a": 0.30, "b": 0.10, "c": 0.18}, "y": {"a": 0.08, "b": 0.25, "c": 0.15}}
"""Click rate by context and arm; contexts are equally frequent."""
UNITS = 1000
NOW_US = 1_800_000_000_000_000
SECOND_US = 1_000_000
RAMP_US = NOW_US + (LEARNING + MEASURED) * SECOND_US + SECOND_US // 2
"""When everyone is served by the policy from one decision to the next."""
POLICY = 1
"""Its number: static is 0."""
SEQUENCE = Sequence.planned(0.05, 500)


class Judged(NamedTuple):
    """An estimate with half the width of its interval, and what is true."""

    mean: float
    half: float
    truth: float

    @property
    def covered(self) -> bool:
        """Whether its interval holds the truth."""
        return abs(self.mean - self.truth) <= self.half

    def agrees(self, other: "Judged") -> bool:
        """Whether two estimates of independent decisions differ by no more than their intervals together."""
        return abs(self.mean - other.mean) <= float(np.hypot(self.half, other.half))


@dataclass(frozen=True, slots=True)
class Found:
    """A value, or an uplift over static: from the shadow, and when the policy served everyone."""

    shadow: Judged
    earned: Judged

    @property
    def agree(self) -> bool:
        """Whether they do."""
        return self.shadow.agrees(self.earned)


class Trial:
    """One campaign of a policy of this kind; everything follows from the seed."""

    def __init__(self, kind: str, seed: int) -> None:
        document = {
            "arms": {arm: {} for arm in "abc"},
            "features": {"kind": {"kind": "category", "values": list(CLICKS)}},
            "reward": {"values": {"click": 1.0}, "max": 1.0},
            "policies": {"learned": {"kind": kind, "explore": 0.05}},
            "ramp": {"policies": {"learned": 1.0}, "start": format_time(RAMP_US), "from": 1.0, "to": 1.0},
        }
        self._engine = Engine(
            parse({"version": 1, "placements": {"p": document}}),
            Keys.derive(seed.to_bytes(32, "little")),
            origin="study",
            start_id=bytes(16),
            now_us=NOW_US,
        )
        self._now_us = NOW_US
        self._luck = np.random.default_rng(seed)

    @property
    def placement(self) -> PlacementState:
        """What is learned and measured."""
        return self._engine.state.placements["p"]

    @property
    def measurement(self) -> Measurement:
        """What is measured in the epoch that is going on."""
        return self.placement.measuring.epoch.measurement

    def visit(self, count: int) -> None:
        """Let `count` of the units visit, a second apart; a unit always has the same context."""
        units, luck = self._luck.integers(UNITS, size=count).tolist(), self._luck.random(count).tolist()
        for unit, uniform in zip(units, luck, strict=True):
            context = "xy"[unit % 2]
            self._now_us += SECOND_US
            choice = self._engine.choose("p", f"u{unit}", {"kind": context}, {}, (), False, self._now_us)
            if uniform < CLICKS[context][choice.arm]:
                self._engine.reward(choice.decision_id, "click", 1.0, "", self._now_us)

    def freeze(self) -> None:
        """From now on measure, and learn nothing; what was measured while it learned is forgotten."""

        def nothing(*_: object) -> None: ...

        placement = self.placement
        placement.expose = placement.credit = nothing  # type: ignore[assignment,method-assign]
        config = placement.config
        placement.measuring = Measuring(len(config.policies), len(config.reward.values))

    def truth(self) -> tuple[float, float]:
        """What the frozen policy earns a decision, and its uplift over static."""
        placement = self.placement
        (stratum,) = placement.strata
        earned = np.zeros(2)
        for context, rates in CLICKS.items():
            x, _ = placement.encoder.encode({"kind": context}, {})
            placement.draw(stratum, x, POLICY, 1.0, 0.5, self._now_us)
            earned += stratum.pmfs @ np.array([rates[arm.id] for arm in placement.config.arms])
        static, learned = (earned / len(CLICKS)).tolist()
        return learned, learned - static


def trial(kind: str, seed: int) -> tuple[Found, Found]:
    """Value and uplift of one campaign."""
    run = Trial(kind, seed)
    run.visit(LEARNING)
    run.freeze()
    run.visit(MEASURED)
    truths, shadow = run.truth(), _estimates(run.measurement)
    run.visit(MEASURED)
    assert run.truth() == truths, "a frozen policy has learned"
    earned = _estimates(run.measurement)
    value, uplift = (
        Found(_judged(seen, truth), _judged(then, truth))
        for seen, then, truth in zip(shadow, earned, truths, strict=True)
    )
    return value, uplift


def _estimates(measurement: Measurement) -> tuple[Estimate | None, Estimate | None]:
    assert measurement.decisions == MEASURED, "an epoch of its own"
    return measurement.value(POLICY), measurement.uplift(POLICY)


def _judged(estimate: Estimate | None, truth: float) -> Judged:
    assert estimate is not None, "every arm is shown now and then"
    low, high = SEQUENCE.interval(*estimate)
    return Judged(estimate.mean, (high - low) / 2.0, truth)


def rows(kind: str, seeds: int) -> Iterator[str]:
    """Two lines of the table: what of all runs held."""
    runs = [trial(kind, seed) for seed in range(seeds)]
    for name, found in zip(("value", "uplift"), zip(*runs, strict=True), strict=True):
        shadow, earned = ([getattr(run, side) for run in found] for side in ("shadow", "earned"))
        figures = [
            f"{np.mean([run.covered for run in shadow]):.1%}",
            f"{np.mean([run.covered for run in earned]):.1%}",
            f"{np.mean([run.agree for run in found]):.1%}",
            f"{np.mean([one.mean - other.mean for one, other in zip(shadow, earned, strict=True)]):+.4f}",
            f"{np.mean([run.half for run in shadow]):.3f}",
            f"{np.mean([run.half for run in earned]):.3f}",
        ]
        yield f"| {kind} | {name} | " + " | ".join(figures) + " |"


@click.command(help=__doc__)
@click.option("--seeds", default=200, show_default=True, type=click.IntRange(1))
def main(seeds: int) -> None:
    """Print the table."""
    compile_all()
    print(
        "| policy | of its | shadow holds the truth | earned holds it | they agree | mean difference | "
        "shadow ± | earned ± |\n|---|---|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        for row in rows(kind, seeds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
