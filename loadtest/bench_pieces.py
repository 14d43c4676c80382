"""The pieces of a Choose and of a Reward, timed one by one, from bytes to bytes: all but the transport."""

# ruff: noqa: SLF001 - the pieces lie inside

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bandit.apply import apply
from bandit.config import Config, parse
from bandit.decision import Decision
from bandit.engine import Choice, Engine
from bandit.records import Decided
from bandit.token import Keys
from loadtest.bench_subjects import ARMS, FEATURES, NOW_US, PLACEMENT, contexts
from server.codec import decode, encode_choice
from server.counts import Counts
from server.failures import Failures
from server.handlers import BanditHandlers
from server.limits import REQUEST_BYTES_MAX
from server.pb import bandit_pb2 as pb

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
    """A service that has decided a while, without its transport, and single steps of it."""

    def __init__(self) -> None:
        counts = Counts()
        keys = Keys.derive(bytes(range(32)))
        self.engine = Engine(_config(), keys, origin="bench", start_id=bytes(16), now_us=NOW_US)
        self.now_us = NOW_US
        self.handlers = BanditHandlers(self.clock, counts, Failures(counts))
        self.handlers.engine = self.engine
        self.frames = [
            pb.ChooseRequest(
                placement=PLACEMENT, unit=f"unit-{visitor}", categories=categories, numbers=numbers
            ).SerializeToString()
            for visitor, (categories, numbers) in enumerate(contexts())
        ]
        self.luck = np.random.default_rng(6).random(WARM_UP + CALLS)
        for call in range(WARM_UP):
            token = self.answer(call).decision_id
            if self.luck[call] < 0.2:
                self.engine.reward(token, "click", 1.0, "", self.now_us)
        self.answers = [self.answer(call) for call in range(CALLS)]
        self.tokens = [answer.decision_id for answer in self.answers]
        self.decisions = [self.engine._sealer.open(token) for token in self.tokens]
        self.rewards = [
            pb.RewardRequest(decision_id=token, event="click").SerializeToString() for token in self.tokens
        ]

    def clock(self) -> int:
        self.now_us += PERIOD_US
        return self.now_us

    def frame(self, call: int) -> bytes:
        return self.frames[call % len(self.frames)]

    def request(self, call: int) -> pb.ChooseRequest:
        return decode(pb.ChooseRequest, self.frame(call), REQUEST_BYTES_MAX)

    def answer(self, call: int) -> pb.ChooseResponse:
        return pb.ChooseResponse.FromString(self.handlers.choose(self.frame(call)))

    def choose_pieces(self) -> Iterator[tuple[str, Piece]]:
        """What a Choose does, in order, then a whole one."""
        engine, decisions = self.engine, self.decisions
        state = engine.state.placements[PLACEMENT]
        requests = [self.request(call) for call in range(len(self.frames))]
        contexts = [(request.categories, request.numbers) for request in requests] * 4
        stratum = engine._stratum(state, *contexts[0], (), recorded=True)
        share = state.share(self.now_us)
        records = [Decided(decision, 0.0, 0.0) for decision in decisions]
        choices = [
            Choice(answer.decision_id, answer.arm, answer.policy, answer.propensity, answer.payload)
            for answer in self.answers
        ]

        def hashes(call: int) -> None:
            unit = b"uunit-%d" % call
            engine._units[PLACEMENT](unit)
            engine._draws(call)

        def refreshed(call: int) -> None:
            stratum.credit(0, 1.0, (0.0, 0.0))
            state.draw(stratum, decisions[call].x, 0, share, 0.5, self.now_us + call * 60_000)

        yield "read the request", self.request
        yield "encode the context", lambda call: state.encoder.encode(*contexts[call])
        yield (
            "eligible arms, stratum",
            lambda call: engine._stratum(state, *contexts[call], (), recorded=True),
        )
        yield "hashes: routing, draw, bucket", hashes
        yield (
            "the learned share, the unit's policy",
            lambda call: state.router.policy(call << 51, state.share(self.now_us)),
        )
        yield (
            "score, every pmf, draw (one kernel)",
            lambda call: state.draw(stratum, decisions[call].x, 1, share, self.luck[call], self.now_us),
        )
        yield "with thompson computed again (every 50 ms at most)", refreshed
        yield "the record", lambda call: Decided(Decision(*decisions[call]), 0.0, 0.0)
        yield "apply it: exposure in tally and model", lambda call: apply(engine.state, records[call])
        yield "seal the token", lambda call: engine._sealer.seal(decisions[call])
        yield "write the response", lambda call: encode_choice(choices[call])
        yield "**a whole Choose, bytes to bytes**", lambda call: self.handlers.choose(self.frame(call))

    def reward_pieces(self) -> Iterator[tuple[str, Piece]]:
        """What a Reward does, in order, then a whole one, and a repeated one."""
        engine, decisions = self.engine, self.decisions
        state = engine.state.placements[PLACEMENT]
        yield "open the token", lambda call: engine._sealer.open(self.tokens[call])
        yield (
            "credit: tally and model",
            lambda call: state.credit(decisions[call].arm, None, decisions[call].x, self.now_us, (0.0, 1.0)),
        )
        yield "**a whole Reward, bytes to bytes**", lambda call: self.handlers.reward(self.rewards[call])
        yield "a Reward sent again (DUPLICATE)", lambda call: self.handlers.reward(self.rewards[call])
