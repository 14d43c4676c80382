"""The pieces of a Choose and of a Reward in the core, timed one by one: a budget for what is around them."""

# ruff: noqa: SLF001 - the pieces lie inside

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bandit.config import Config, parse
from bandit.decision import Decision
from bandit.engine import Engine
from bandit.token import Keys
from loadtest.bench_subjects import ARMS, FEATURES, NOW_US, PLACEMENT, Context, contexts

CALLS = 4000
"""Timed calls a piece."""
WARM_UP = 3000
"""Decisions before the clock starts, so that models are what they are in service."""
PERIOD_US = 1000
"""Between decisions: 1,000 a second, so that thompson's pmf is refreshed as often as in service."""

Nanoseconds = NDArray[np.int64]
Piece = Callable[[int], object]
"""A call by its number."""


def pieces() -> Iterator[tuple[str, Nanoseconds]]:
    """Yield each piece's name and what CALLS calls of it took, without the clock's own cost."""
    clock = np.median(_timed(lambda _: None))
    bench = _Bench()
    for name, piece in [*bench.choose_pieces(), *bench.reward_pieces()]:
        yield name, np.maximum(_timed(piece) - int(clock), 0)


def _timed(piece: Piece) -> Nanoseconds:
    taken = np.zeros(CALLS, np.int64)
    for call in range(CALLS):
        began = time.perf_counter_ns()
        piece(call)
        taken[call] = time.perf_counter_ns() - began
    return taken


def _config() -> Config:
    """The benchmark's placement with every kind of policy; the two linear ones share a model."""
    kinds = ("uniform", "thompson", "linear_thompson", "linucb")
    return parse({
        "version": 1,
        "placements": {PLACEMENT: {
            "arms": {f"arm-{k}": {} for k in range(ARMS)},
            "features": FEATURES,
            "reward": {"values": {"click": 1.0}, "max": 1.0},
            "policies": {kind: {"kind": kind} for kind in kinds},
            "ramp": {"policies": {"thompson": 0.5, "linear_thompson": 0.3, "linucb": 0.2}, "from": 0.9},
        }},
    })  # fmt: skip


class _Bench:
    """An engine that has served a while, and single steps of it."""

    def __init__(self) -> None:
        keys = Keys.derive(bytes(range(32)))
        self.engine = Engine(_config(), keys, origin="bench", start_id=bytes(16), now_us=NOW_US)
        self.contexts = contexts()
        self.now_us = NOW_US
        self.luck = np.random.default_rng(6).random(WARM_UP + CALLS)
        for call in range(WARM_UP):
            token = self.choose(call)
            if self.luck[call] < 0.2:
                self.engine.reward(token, "click", 1.0, "", self.now_us)
        self.tokens = [self.choose(call) for call in range(CALLS)]
        self.decisions = [self.engine._sealer.open(token) for token in self.tokens]

    def context(self, call: int) -> Context:
        return self.contexts[call % len(self.contexts)]

    def choose(self, call: int) -> str:
        self.now_us += PERIOD_US
        categories, numbers = self.context(call)
        unit = f"unit-{call}"
        return self.engine.choose(PLACEMENT, unit, categories, numbers, (), False, self.now_us).decision_id

    def choose_pieces(self) -> Iterator[tuple[str, Piece]]:
        """What a Choose does, in order, then a whole one."""
        engine, decisions = self.engine, self.decisions
        state = engine.state.placements[PLACEMENT]
        stratum = engine._stratum(state, *self.context(0), ())
        share = state.share(self.now_us)

        def x(call: int) -> Decision:
            return decisions[call]

        yield "encode the context", lambda call: state.encoder.encode(*self.context(call))
        yield "eligible arms, stratum", lambda call: engine._stratum(state, *self.context(call), ())
        yield (
            "route the unit (hash)",
            lambda call: state.router.policy(engine._routing[PLACEMENT](b"u%d" % call), share),
        )
        yield (
            "score, every pmf, draw (one kernel)",
            lambda call: state.draw(stratum, x(call).x, x(call).policy, share, self.luck[call], self.now_us),
        )

        def refreshed(call: int) -> None:
            stratum.credit(0, 1.0, (0.0, 0.0))
            state.draw(stratum, x(call).x, 0, share, 0.5, self.now_us + call * 60_000)

        yield "the same with thompson computed again (every 50 ms at most)", refreshed
        yield (
            "exposure: tally and model",
            lambda call: state.expose(x(call).arm, stratum, x(call).x, self.now_us),
        )
        yield "seal the token", lambda call: engine._sealer.seal(decisions[call])
        yield "**a whole Choose**", self.choose

    def reward_pieces(self) -> Iterator[tuple[str, Piece]]:
        """What a Reward does, in order, then a whole one, and a repeated one."""
        engine, decisions = self.engine, self.decisions
        state = engine.state.placements[PLACEMENT]
        yield "open the token", lambda call: engine._sealer.open(self.tokens[call])
        yield (
            "credit: tally and model",
            lambda call: state.credit(
                decisions[call].arm,
                None,
                decisions[call].x,
                self.now_us,
                (0.0, 1.0),
            ),
        )
        yield (
            "**a whole Reward**",
            lambda call: engine.reward(self.tokens[call], "click", 1.0, "", self.now_us),
        )
        yield (
            "a Reward sent again (DUPLICATE)",
            lambda call: engine.reward(self.tokens[call], "click", 1.0, "", self.now_us),
        )
