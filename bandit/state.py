"""The whole state: placements, the exposures of deferred decisions, and what old tokens refer to."""

from dataclasses import dataclass

import numpy as np

from bandit.config import ArmState, Config, Placement, PolicyKind
from bandit.decision import Decision
from bandit.ledger import Budget, ExposureBitmap, decision_key
from bandit.migrate import migrated
from bandit.placement import PlacementState
from bandit.strata import Stratum
from bandit.tally import Indices, Values

CONTEXT_FREE = frozenset({PolicyKind.STATIC, PolicyKind.UNIFORM, PolicyKind.THOMPSON})
"""Kinds of policy whose decisions do not depend on x, so that arms may be compared over them."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a decision stands in today's state: its arm, stratum and x under the current configuration.

    `stratum` None: the decision teaches nothing context-free.
    """

    placement: PlacementState
    arm: int
    stratum: Stratum | None
    index: Indices
    value: Values


class State:
    """A function of the sequence of records applied to it (see `apply`).

    `schemas` are the configurations that decisions may still refer to; `starts` numbers the process starts
    whose decisions this state holds.
    """

    def __init__(self, ledger_bytes_max: int) -> None:
        self.budget = Budget(ledger_bytes_max)
        self.exposures = ExposureBitmap(self.budget)
        self.placements: dict[str, PlacementState] = {}
        self.schemas: dict[bytes, Placement] = {}
        self.starts: dict[bytes, int] = {}
        self.unlocated_rewards = 0

    def configure(self, config: Config, now_us: int) -> None:
        """Take over a configuration; what was learned about arms and features that remain stays."""
        placements = {}
        for name, placement in config.placements.items():
            held = self.placements.get(name)
            if held is None:
                placements[name] = PlacementState(placement, self.budget, now_us)
            elif held.config.schema_id == placement.schema_id:
                placements[name] = held
            else:
                placements[name] = migrated(held, placement, self.budget, now_us)
            self.schemas[placement.schema_id] = placement
        for name, held in self.placements.items():
            if name not in placements:
                held.ledger.clear()
        self.placements = placements

    def locate(self, decision: Decision) -> Located | None:
        """Return where a decision stands today; None if its placement, arm or configuration is gone."""
        schema = self.schemas.get(decision.schema_id)
        placement = self.placements.get(schema.name) if schema else None
        if schema is None or placement is None:
            return None
        context_free = schema.policies[decision.policy].kind in CONTEXT_FREE
        stratum = placement.strata.at(decision.stratum) if context_free else None
        if placement.config.schema_id == decision.schema_id:
            arm, index, value = decision.arm, decision.index, decision.value
        else:
            arm = _arm_index(placement.config, schema.arms[decision.arm].id)
            index, value = _translated(placement, schema, decision)
        if arm < 0 or placement.config.arms[arm].state is ArmState.RETIRED:
            return None
        return Located(placement, arm, stratum, index, value)

    def key(self, decision: Decision) -> int | None:
        """Return the decision's key in the ledgers; None if this state does not hold its process's start."""
        start = self.starts.get(decision.start)
        return None if start is None else decision_key(start, decision.counter)

    def expire(self, now_us: int) -> None:
        """Drop what no event may ask for any more."""
        for placement in self.placements.values():
            placement.ledger.expire(now_us)
        self.exposures.expire(now_us)


def _arm_index(placement: Placement, arm: str) -> int:
    return next((k for k, candidate in enumerate(placement.arms) if candidate.id == arm), -1)


def _translated(placement: PlacementState, schema: Placement, decision: Decision) -> tuple[Indices, Values]:
    columns = placement.columns_of_schema(schema)
    index = columns[decision.index]
    kept = index >= 0
    return index[kept].astype(np.uint16), decision.value[kept]
