"""A placement that went through a hundred days under a gate: how much of a snapshot it takes then.

By the core alone, with a clock of its own: the calls that a sidecar would get, each in its turn.
"""

import heapq
import random

from bandit.config import parse
from bandit.engine import Engine
from bandit.limits import HISTORY_DAYS_MAX
from bandit.records import Record
from bandit.sections import pack_placement
from bandit.token import Keys
from loadtest.bench_subjects import NOW_US, Context, contexts

DAY_US = 86_400_000_000
VISITS = 500
"""A day: enough for every sum to be one of many."""
VISITORS = 20_000
REWARDED = 0.2
DELAY_US = DAY_US / 12
"""Mean delay of a reward: exponential, and none after a day, the window."""
LEFT_OUT, UNKNOWN = 0.05, 0.1
"""How often a feature is not sent, and how often a category has a value that is not configured."""


class Unkept:
    """A journal that keeps nothing."""

    def takes(self) -> bool:
        """Whether there is room."""
        return True

    def __call__(self, record: Record, packed: bytes | None = None) -> None:
        """Take a record."""

    def spoil(self, error: Exception) -> None:
        """No record is such that it cannot be applied."""
        raise error


def section_after_a_season(document: dict[str, object]) -> int:
    """Return the bytes of the section of the only placement of a configuration, which has a gate."""
    engine = Engine(
        parse(document), Keys.derive(bytes(32)), origin="bench", start_id=bytes(16), now_us=NOW_US,
        journal=Unkept(),
    )  # fmt: skip
    (placement,) = engine.state.placements
    luck, known = random.Random(5), contexts()
    due: list[tuple[int, str]] = []
    for visit in range((HISTORY_DAYS_MAX + 1) * VISITS):
        now_us = NOW_US + visit * DAY_US // VISITS
        while due and due[0][0] <= now_us:
            time_us, decision_id = heapq.heappop(due)
            engine.reward(decision_id, "click", 1.0, "", time_us)
        for name in engine.gates_due(now_us):
            engine.look(name, now_us)
        unit = f"unit-{luck.randrange(VISITORS)}"
        choice = engine.choose(placement, unit, *_seen(luck, luck.choice(known)), (), False, now_us)
        delay_us = luck.expovariate(1.0 / DELAY_US)
        if luck.random() < REWARDED and delay_us < DAY_US:
            heapq.heappush(due, (now_us + int(delay_us), choice.decision_id))
    held = engine.state.placements[placement]
    assert len(held.history.days) == HISTORY_DAYS_MAX
    assert held.gate is not None
    assert held.gate.look is not None
    return len(pack_placement(held, 1))


def _seen(luck: random.Random, context: Context) -> Context:
    """What a request carries of it: now and then a feature less, or another value."""
    words = {
        name: "another" if luck.random() < UNKNOWN else word
        for name, word in context[0].items()
        if luck.random() >= LEFT_OUT
    }
    return words, {name: number for name, number in context[1].items() if luck.random() >= LEFT_OUT}
