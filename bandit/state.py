"""The whole state: placements, the ledger, and what tokens in the wild refer to."""

from typing import NamedTuple

from bandit.config import Config, Placement
from bandit.decision import Decision
from bandit.features import entries, packed
from bandit.ledger import Ledger, decision_key
from bandit.limits import WINDOW_US_MAX
from bandit.migrate import migrated
from bandit.placement import CONTEXT_FREE, PlacementState
from bandit.strata import Stratum

SCHEMA_KEEP_US = 30 * 86_400 * 1_000_000
"""How long a configuration is remembered after its last use, so that a journal that is kept can be read."""

EXPIRE_EVERY_US = 1_000_000
"""How often the ledger is looked through for what has passed its window."""


class Start(NamedTuple):
    """A process's start: its number in the keys of the ledger, and when it began."""

    number: int
    time_us: int


class Located(NamedTuple):
    """Where a decision stands in today's state: its arm, stratum and x under the current configuration.

    `schema` is the configuration it was made under, which says what its events are worth and until when:
    `window_us` after the decision. `stratum` None: the decision teaches nothing context-free. `key` is its
    key in the ledger.
    """

    placement: PlacementState
    schema: Placement
    arm: int
    stratum: Stratum | None
    x: bytes
    key: int
    window_us: int


class State:
    """A function of the sequence of records applied to it (see `apply`).

    `placements` are known by name, in `serving` by the id of the configuration that they serve now. `schemas`
    are the configurations that decisions may still refer to, `outdated_us` says until when for those that are
    served no more; `starts` are the process starts whose decisions this state holds, `decided` the counter of
    each one's last, where it is known. `time_us` is that of the latest record; from `expire_us` on, `expire`
    is due. While `replaying` nothing is derived: see `derive`.
    """

    def __init__(self, ledger_bytes_max: int, *, replaying: bool = False) -> None:
        self.ledger = Ledger(ledger_bytes_max)
        self.replaying = replaying
        self.placements: dict[str, PlacementState] = {}
        self.serving: dict[bytes, PlacementState] = {}
        self.schemas: dict[bytes, Placement] = {}
        self.starts: dict[bytes, Start] = {}
        self.decided: dict[bytes, int] = {}
        self.outdated_us: dict[bytes, int] = {}
        self.time_us = 0
        self.expire_us = 0

    def begin(self, start: bytes, time_us: int) -> None:
        """Number a start. A start whose last decisions are past the longest window gives its number back."""
        self.expire(time_us)
        ends = [held.time_us for held in self.starts.values()][1:]  # each ended before the next began
        for known, end_us in zip(list(self.starts), ends, strict=False):
            if end_us + WINDOW_US_MAX < time_us:
                del self.starts[known]
                self.decided.pop(known, None)
        taken = {held.number for held in self.starts.values()}
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        self.starts[start] = Start(number, time_us)
        self.decided[start] = 0

    def derive(self) -> None:
        """Make, of all that was learned while replaying, what serving needs."""
        self.replaying = False
        for placement in self.placements.values():
            placement.derive()

    def configure(self, config: Config, now_us: int) -> None:
        """Take over a configuration; what was learned about arms and features that remain stays."""
        held = self.placements
        self.placements = {
            name: self._configured(held.get(name), placement, now_us)
            for name, placement in config.placements.items()
        }
        self.serving = {placement.config.schema_id: placement for placement in self.placements.values()}
        for placement in config.placements.values():
            self.schemas[placement.schema_id] = placement
        current = {placement.schema_id for placement in config.placements.values()}
        for schema_id, schema in self.schemas.items():
            if schema_id in current:
                self.outdated_us.pop(schema_id, None)
            else:
                kept_us = max(schema.reward.window_us, SCHEMA_KEEP_US)
                self.outdated_us.setdefault(schema_id, now_us + kept_us)

    def _configured(self, held: PlacementState | None, placement: Placement, now_us: int) -> PlacementState:
        if held is None:
            return PlacementState(placement, now_us, replaying=self.replaying)
        if held.config.schema_id == placement.schema_id:
            return held
        return migrated(held, placement, now_us)

    def locate(self, decision: Decision) -> Located | None:
        """Return where a decision stands today.

        None if this state does not hold it, or its placement, arm or configuration is gone.
        """
        start = self.starts.get(decision.start)
        if start is None or not decision.recorded:
            return None
        placement = self.serving.get(decision.schema_id)
        if placement is not None:
            schema, arm, x = placement.config, decision.arm, decision.x
            context_free = placement.context_free[decision.policy]
        else:
            earlier = self.schemas.get(decision.schema_id)
            placement = self.placements.get(earlier.name) if earlier else None
            if earlier is None or placement is None:
                return None
            schema, arm = earlier, placement.arm_index(earlier.arms[decision.arm].id)
            x = _translated(placement, earlier, decision.x)
            context_free = earlier.policies[decision.policy].kind in CONTEXT_FREE
        if decision.time_us < placement.born_us or arm < 0 or not placement.takes_rewards[arm]:
            return None
        stratum = placement.strata.at(decision.stratum) if context_free else None
        key = decision_key(start.number, decision.counter)
        return Located(placement, schema, arm, stratum, x, key, schema.reward.window_us)

    def lost(self, decision: Decision) -> bool:
        """Whether a decision came behind the last one of its start that this state holds.

        A power cut took its record then, or the state is an older one's, from a backup: its exposure is not
        counted, so nothing else of it may be.
        """
        return decision.counter > self.decided.get(decision.start, decision.counter)

    def outlived(self, decision: Decision) -> bool:
        """Whether this state once held a decision, and has dropped its configuration since: it is late."""
        return decision.recorded and decision.start in self.starts and decision.schema_id not in self.schemas

    def expire(self, now_us: int) -> None:
        """Drop what no event may ask for any more, and say when that is due again.

        By the time of decisions alone, so that it is a function of the records too.
        """
        self.expire_us = now_us + EXPIRE_EVERY_US
        self.ledger.expire(now_us)
        for schema_id in [known for known, until_us in self.outdated_us.items() if until_us < now_us]:
            del self.outdated_us[schema_id], self.schemas[schema_id]


def _translated(placement: PlacementState, schema: Placement, x: bytes) -> bytes:
    index, value = entries(x)
    columns = placement.columns_of_schema(schema)[index]
    kept = columns >= 0
    return packed(columns[kept], value[kept])
