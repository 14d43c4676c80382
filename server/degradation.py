"""Says in the log when a policy answers as static, which nobody asked for.

The core only counts, since it must not wait; this looks at the counts from time to time.
"""

from collections.abc import Iterable

import structlog

from bandit.placement import PlacementState

LOOK_EVERY_S = 10
"""Seconds between looks: one costs a microsecond a placement, on the event loop."""


class Degradation:
    """Remembers how many decisions were answered so, and warns of those that came since the last look."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}
        self._log = structlog.get_logger()

    def look(self, placements: Iterable[PlacementState]) -> None:
        """Warn once for each policy that was degraded, or short of strata, since the last look."""
        for state in placements:
            self._look_at_strata(state)
            if not state.counters.degraded.any():
                continue
            for policy, count in zip(state.config.policies, state.counters.degraded.tolist(), strict=True):
                since = self._since(state.config.name, policy.name, count)
                if since > 0:
                    self._log.warning(
                        "a policy answers as static: its model is not finite or not positive definite",
                        placement=state.config.name,
                        policy=policy.name,
                        decisions=since,
                    )

    def _look_at_strata(self, state: PlacementState) -> None:
        since = self._since(state.config.name, "", state.counters.strata_overflow)
        if since > 0:
            self._log.warning(
                "thompson answers as static: too many combinations of eligible arms to learn apart; send "
                "fewer different lists of arms, or none",
                placement=state.config.name,
                decisions=since,
            )

    def _since(self, placement: str, policy: str, count: int) -> int:
        since = count - self._seen.get((placement, policy), 0)
        self._seen[placement, policy] = count
        return since
