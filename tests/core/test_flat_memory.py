"""Memory does not grow with traffic: an engine holds as much after five times as many decisions."""

from collections import deque

import pytest

from bandit.engine import Engine
from bandit.kernels.entries import CHUNK_BITS
from loadtest.held import held_bytes
from tests.core.world import HOUR, KEYS, NOW, START, config, hero

CHUNK = 1 << CHUNK_BITS
"""Decisions that the ledger keeps and drops together."""
AHEAD = 100
"""Decisions after a chunk's last at which memory is looked at: its window has not passed yet."""
TOGETHER = 100
"""Decisions at the same time, every twelve hours: a chunk is most of a year, and a window 200 decisions."""


def test_the_engine_holds_as_much_after_five_times_the_traffic() -> None:
    """Every unit and context is a new one; exposures, rewards and repeated events come up to a day later."""
    engine = Engine(config(p=hero(half_life="30d")), KEYS, origin="test", start_id=START, now_us=NOW)
    tokens, held = deque[str](), list[int]()
    for i in range(5 * CHUNK + AHEAD):
        now = NOW + i // TOGETHER * 12 * HOUR
        context, numbers = {"country": f"c{i}", "platform": "web"}, {"history": float(i % 3001)}
        tokens.append(engine.choose("p", f"unit-{i}", context, numbers, (), i % 2 == 0, now).decision_id)
        if len(tokens) > AHEAD:
            token = tokens.popleft()
            if i % 8 == 0:
                engine.reward(token, "visit", 1.0, "", now)
            if i % 16 == 0:
                engine.reward(token, "purchase", 20.0, f"order-{i}", now)
            if i % 4 == 2:
                engine.reward(token, "exposure", 1.0, "", now)
        if i + 1 in {CHUNK + AHEAD, 5 * CHUNK + AHEAD}:
            held.append(held_bytes(engine))
    assert held[0] > held_bytes(engine.state.placements) + 200_000  # there is something in the ledger
    assert held[1] == pytest.approx(held[0], rel=0.01)
