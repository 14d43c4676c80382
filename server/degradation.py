"""Says in the log when a policy answers as static because its model cannot be used.

The core only counts, since it must not wait; this looks at the counts from time to time.
"""

from collections.abc import Iterable

import structlog

from bandit.placement import PlacementState

LOOK_EVERY_S = 10
"""Seconds between looks: one costs a microsecond a placement, on the event loop."""


class Degradation:
    """Remembers how many decisions were degraded, and warns of those that came since the last look."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}
        self._log = structlog.get_logger()

    def look(self, placements: Iterable[PlacementState]) -> None:
        """Warn once for each policy that was degraded since the last look."""
        for state in placements:
            if not state.counters.degraded.any():
                continue
            for policy, count in zip(state.config.policies, state.counters.degraded.tolist(), strict=True):
                key = (state.config.name, policy.name)
                since = count - self._seen.get(key, 0)
                self._seen[key] = count
                if since > 0:
                    self._log.warning(
                        "a policy answers as static: its model is not finite or not positive definite",
                        placement=state.config.name,
                        policy=policy.name,
                        decisions=since,
                    )
