"""Whatever bytes arrive, a handler answers with bytes or refuses with a reason; it never hangs or breaks."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from bandit.engine import Engine
from bandit.errors import BanditError
from bandit.token import Keys
from server import config_files
from server.counts import Counts
from server.errors import ShellError
from server.failures import Failures
from server.handlers import BanditHandlers
from server.health import Health
from server.methods import CallError
from server.operator_handlers import OperatorHandlers
from server.pb import bandit_pb2 as pb
from server.reflection import Reflection
from tests.core.world import snapshot
from tests.server.running import CONFIG, SECRET

INPUTS = 20_000
"""Inputs of each method, the same on every machine: about a second's."""

STREAMS = 10_000
"""Streams of each streaming method: the same."""

REFUSALS_TRIED = 4_000
"""Inputs after which a test that looks at refusals has seen enough of them."""

SLOWEST_S = 1.0
"""Seconds of CPU that no single input may take: far above a handler's microseconds, far below a hang."""

NOW_US = 1_800_000_000_000_000


def made_handlers() -> tuple[BanditHandlers, OperatorHandlers, Counts]:
    """Handlers on a real engine, without a transport."""
    config = config_files.load_text(CONFIG.encode(), "test")
    counts = Counts()
    bandit, operator = (
        BanditHandlers(lambda: NOW_US, counts, Failures(counts)),
        OperatorHandlers(lambda: NOW_US),
    )
    engine = Engine(config, Keys.derive(SECRET), origin="fuzz", start_id=bytes(16), now_us=NOW_US)
    bandit.engine = operator.engine = engine
    return bandit, operator, counts


def choose(rng: random.Random) -> pb.ChooseRequest:
    """A request of odd but well-formed parts."""
    return pb.ChooseRequest(
        placement=rng.choice(["hero", "hero", "web-only", "", "\x00"]),
        unit=rng.choice(["", "u", "ü" * 500, "u" * 513]),
        categories={
            rng.choice(["platform", "page", "", "returning", "history"]): rng.choice(
                ["web", "", "\n", "x" * 999]
            )
            for _ in range(rng.randrange(4))
        },
        numbers={
            rng.choice(["history", "returning", "platform", ""]): rng.choice(
                [0.0, -0.0, 1.0, 5e-324, 1e308, -1e308, float("nan"), float("inf"), 0.5]
            )
            for _ in range(rng.randrange(4))
        },
        arms=[rng.choice(["a", "b", "c", "old", "", "zz"]) for _ in range(rng.randrange(4))],
        defer_exposure=rng.random() < 0.5,
    )


def reward(rng: random.Random, token: str) -> pb.RewardRequest:
    """A reward of odd but well-formed parts, some for a true decision."""
    cut = rng.randrange(len(token))
    result = pb.RewardRequest(
        decision_id=rng.choice([token, token, token[:cut], token[cut:] + token[:cut], "", "ä"]),
        event=rng.choice(["click", "purchase", "exposure", "", "smile"]),
        event_id=rng.choice(["", "one", "two", "i" * 257]),
    )
    if rng.random() < 0.7:
        result.value = rng.choice([0.0, 1.0, -1.0, 1e9, 1e308, float("nan"), float("-inf")])
    return result


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The bytes with a few of them changed, cut, repeated; sometimes nothing but noise."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(200))
    result = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(result) + 1)
        kind = rng.randrange(4)
        if kind == 0 and at < len(result):
            result[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del result[at : at + rng.randrange(1, 9)]
        elif kind == 2:
            result[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            result[at:at] = result[: rng.randrange(60)]
    return bytes(result)


METHODS = ["choose", "reward", "choose_batch", "reward_batch", "list_placements", "check", "list"]


@pytest.mark.parametrize("method", METHODS)
def test_any_bytes_get_an_answer(method: str) -> None:
    """Bytes or a typed refusal, in time and never an internal error; afterwards the engine still serves."""
    rng = random.Random(f"fuzz {method}")
    bandit, operator, counts = made_handlers()
    health = Health([])
    table: dict[str, Callable[[bytes], object]] = {
        **{name: getattr(bandit, name) for name in METHODS[:4]},
        "list_placements": operator.list_placements,
        "check": health.check,
        "list": health.list,
    }
    fresh = pb.ChooseRequest(placement="hero", arms=["a"])
    token = pb.ChooseResponse.FromString(bandit.choose(fresh.SerializeToString())).decision_id
    seeds: dict[str, Callable[[], bytes]] = {
        "choose": lambda: choose(rng).SerializeToString(),
        "reward": lambda: reward(rng, token).SerializeToString(),
        "choose_batch": lambda: pb.ChooseBatchRequest(
            requests=[choose(rng) for _ in range(rng.randrange(4))]
        ).SerializeToString(),
        "reward_batch": lambda: pb.RewardBatchRequest(
            requests=[reward(rng, token) for _ in range(rng.randrange(4))]
        ).SerializeToString(),
    }
    seed = seeds.get(method, lambda: pb.ListPlacementsRequest(placements=["hero"]).SerializeToString())
    answered = refused = 0
    for _ in range(INPUTS):
        begun_s = time.thread_time()
        try:
            assert isinstance(table[method](mutated(rng, seed())), bytes)
            answered += 1
        except (BanditError, ShellError, CallError):
            refused += 1
        assert time.thread_time() - begun_s < SLOWEST_S
    assert answered > 200
    assert refused > 0 or method == "list"
    assert "INTERNAL" not in counts.errors
    bandit.choose(fresh.SerializeToString())
    for state in bandit.engine.state.placements.values() if bandit.engine else ():
        assert bool((state.tally.n >= 0).all())


@pytest.mark.parametrize("stream", ["watch", "reflection"])
def test_streams_survive_any_bytes(stream: str) -> None:
    """A health watch and reflection answer a request or refuse it, whatever it is."""
    rng = random.Random(f"fuzz {stream}")
    names = ["", "bandit.v1.BanditService", "bandit/v1/bandit.proto", "a.b", "\x00", "ü" * 300, "..", "/"]

    def question() -> bytes:
        name = rng.choice(names)
        if stream == "watch":
            check: bytes = health_pb2.HealthCheckRequest(service=name).SerializeToString()
            return check
        kind = rng.choice(
            ["file_by_filename", "file_containing_symbol", "all_extension_numbers_of_type", "list_services"]
        )
        asked: bytes = reflection_pb2.ServerReflectionRequest(**{kind: name}).SerializeToString()
        return asked

    async def ask_on() -> int:
        method = Health(["a.b"]).watch if stream == "watch" else Reflection(["a.b"]).info
        answered = 0
        for _ in range(STREAMS):
            replies = method(_one(mutated(rng, question())))
            try:
                assert isinstance(await anext(replies), bytes)
                answered += 1
            except CallError:
                pass
            finally:
                await replies.aclose()
        return answered

    assert asyncio.run(ask_on()) > STREAMS / 10


async def _one(request: bytes) -> AsyncIterator[bytes]:
    """A stream of one request."""
    yield request


def test_refusals_change_nothing() -> None:
    """Mutated choices and rewards that are refused leave all that is learned and remembered bit-equal.

    Tallies with A and b, strata, and the ledger's entries; a stratum may only be opened by what is answered.
    """
    rng = random.Random("refusals")
    bandit, _, _ = made_handlers()
    assert bandit.engine is not None
    fresh = pb.ChooseRequest(placement="hero", arms=["a"], categories={"platform": "web"})
    token = pb.ChooseResponse.FromString(bandit.choose(fresh.SerializeToString())).decision_id
    bandit.reward(pb.RewardRequest(decision_id=token, event="click").SerializeToString())
    before = snapshot(bandit.engine.state)
    refused = {"choose": 0, "reward": 0}
    for turn in range(REFUSALS_TRIED):
        method, question = ("choose", choose(rng)) if turn % 2 else ("reward", reward(rng, token))
        try:
            getattr(bandit, method)(mutated(rng, question.SerializeToString()))
        except (BanditError, ShellError):
            refused[method] += 1
            assert snapshot(bandit.engine.state) == before
        else:
            before = snapshot(bandit.engine.state)
    assert min(refused.values()) > REFUSALS_TRIED / 4
