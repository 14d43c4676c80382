"""Lets the ramps' gates look when it is time, and says in the log what came of it."""

from collections.abc import Iterator

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from bandit.engine import Engine, Looked
from bandit.gate import GATE, Verdict
from bandit.ramp import RampStatus
from server.logs import places

RETRY_US = 3_600_000_000
"""A gate that failed is left alone for so long: an hour of seconds would fill the log."""

LOOKS_A_TURN = 10
"""Gates that look at once, which takes 3 ms at most: calls wait meanwhile. All of a host are due together."""

FAILED = "failed"

RESULTS = {Verdict.GO_ON: "go_on", Verdict.WAIT: "wait", Verdict.BACK: "back_to_static"}
"""What came of a look, as the metric calls it."""


class Gates(Collector):
    """Looks for all placements of an engine, and counts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looks: dict[tuple[str, str], int] = {}
        self._retry_us: dict[str, int] = {}
        self._log = structlog.get_logger()

    def look(self, now_us: int) -> None:
        """Let gates look that are due, some each turn. One that fails does not keep the others from it."""
        due = self._engine.gates_due(now_us)
        ready = [placement for placement in due if now_us >= self._retry_us.get(placement, now_us)]
        for placement in ready[:LOOKS_A_TURN]:
            try:
                looked = self._engine.look(placement, now_us)
            except Exception as error:  # noqa: BLE001 - the ramp stays as it is, and calls go on
                self._retry_us[placement] = now_us + RETRY_US
                self._count(placement, FAILED)
                self._log.error(
                    "a gate could not look; hold its ramp if in doubt, and report this",
                    placement=placement,
                    error=type(error).__name__,
                    places=places(error),
                )
            else:
                if looked is not None:
                    self._count(placement, RESULTS[looked.verdict])
                    self._say(looked)

    def describe(self) -> list[Metric]:
        """Nothing: names are not checked against a first collection."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metric now."""
        looks = CounterMetricFamily(
            "banditd_gate_looks",
            "looks of ramps' gates, by what came of them",
            labels=["placement", "result"],
        )
        for state in list(self._engine.state.placements.values()):
            if state.gate is not None:
                for result in (*RESULTS.values(), FAILED):
                    name = state.config.name
                    looks.add_metric([name, result], self._looks.get((name, result), 0))
        yield looks

    def _count(self, placement: str, result: str) -> None:
        self._looks[placement, result] = self._looks.get((placement, result), 0) + 1

    def _say(self, looked: Looked) -> None:
        if looked.moved is not None:
            say = self._log.error if looked.moved is RampStatus.STATIC else self._log.info
            facts = {"to": looked.moved.name, "reason": looked.look.sentence, "actor": GATE}
            say("ramp moved", placement=looked.placement, **facts)
