"""The service's answers, codes and details through every door, with grpcio's clients, sync and asyncio."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest

from bandit.errors import Reason
from server import limits
from server.errors import ShellReason
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.server.running import WAIT_S, error_info, item_info, refused, unary
from tests.server.test_errors import CASES
from tests.transport.doors import BareDoor, SidecarDoor
from tests.transport.stand_in import ECHO, LARGE, PLAIN, REFUSE

APPLIED, DUPLICATE = pb.REWARD_OUTCOME_APPLIED, pb.REWARD_OUTCOME_DUPLICATE

AWKWARD = [
    "plain",
    "ünïcødé, 日本語, \N{GRINNING FACE}",
    "100 % of %41 and %zz",
    "tab\t, line\n, return\r, null\0, delete\x7f",
    "  spaces around  ",
    "",
    'quotes " and \\ and ~ and !',
]


def test_a_decision_and_its_reward(service: SidecarDoor) -> None:
    """Choose answers with every field, Reward is applied once."""
    chosen = service.sidecar.choose(unit="visitor", categories={"platform": "web"}, arms=["a"])
    assert (chosen.arm, chosen.payload, chosen.propensity) == ("a", '{"banner": "a"}', 1.0)
    assert [service.sidecar.reward(chosen.decision_id) for _ in range(2)] == [APPLIED, DUPLICATE]


def test_batches(service: SidecarDoor) -> None:
    """Results stand where they were asked, refused items with their status."""
    good, bad = pb.ChooseRequest(placement="hero", arms=["b"]), pb.ChooseRequest(placement="nowhere")
    stub = service.sidecar.bandit
    chosen = stub.ChooseBatch(pb.ChooseBatchRequest(requests=[good, bad, good]), timeout=WAIT_S).results
    assert [result.WhichOneof("result") for result in chosen] == ["response", "error", "response"]
    assert item_info(chosen[1].error).reason == Reason.PLACEMENT_UNKNOWN
    rewards = [
        pb.RewardRequest(decision_id=decision, event="click")
        for decision in (chosen[0].response.decision_id, "forged", chosen[0].response.decision_id)
    ]
    rewarded = stub.RewardBatch(pb.RewardBatchRequest(requests=rewards), timeout=WAIT_S).results
    assert [result.response.outcome for result in rewarded] == [APPLIED, 0, DUPLICATE]
    assert item_info(rewarded[1].error).reason == Reason.TOKEN_INVALID


@pytest.mark.parametrize("reason", CASES)
def test_every_refusal(service: SidecarDoor, reason: Reason | ShellReason) -> None:
    """Code, message and ErrorInfo of each reason that a client can provoke."""
    code, provoke = CASES[reason]
    got, info = refused(lambda: provoke(service.sidecar))
    assert (got.value[0], info.reason) == (code, reason)


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_survives(door: BareDoor, text: str) -> None:
    """grpc-message and the details carry any text: non-ASCII, control characters, percent signs."""
    with door.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, REFUSE, text.encode())
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, text)
        assert error_info(caught.value).metadata["placement"] == text
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, PLAIN, b"\x05" + text.encode())
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, text)


@pytest.mark.parametrize("code", range(1, 17))
def test_every_code_travels(door: BareDoor, code: int) -> None:
    """Each of gRPC's codes reaches the client as it is, those without a reason carry no details."""
    with door.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        unary(channel, PLAIN, bytes([code]) + b"why")
    assert (caught.value.code().value[0], caught.value.details()) == (code, "why")
    assert not caught.value.trailing_metadata()


def test_the_longest_message_reaches_a_client_as_it_comes(door: BareDoor) -> None:
    """As long as refusals get, with bytes that are escaped: within the 8 KB of trailers that clients take.

    grpcio does not cut what escapes have made longer, so there the same length has none.
    """
    text = ("x" if door.engine == "grpcio" else "\N{GRINNING FACE}") * 250 + "x" * (
        limits.REPLY_TEXT_BYTES_MAX - 250
    )
    with door.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        unary(channel, REFUSE, text.encode())
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    details = caught.value.details()
    assert details is not None
    assert text.startswith(details[:300])


def test_gzip_both_ways(door: BareDoor) -> None:
    """A client that compresses is understood; what inflates beyond the limit is RESOURCE_EXHAUSTED."""
    with door.channel(compression=grpc.Compression.Gzip) as channel:
        for size in (0, 1, 1_000, limits.MESSAGE_BYTES_MAX):
            assert unary(channel, ECHO, bytes(size)) == bytes(size)
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, ECHO, bytes(limits.MESSAGE_BYTES_MAX + 1))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert unary(channel, ECHO, b"next") == b"next"


def test_messages_up_to_the_limit(door: BareDoor) -> None:
    """The limit itself is taken, a byte more is RESOURCE_EXHAUSTED, and the channel lives on."""
    with door.channel() as channel:
        most = bytes(range(256)) * (limits.MESSAGE_BYTES_MAX // 256)
        assert unary(channel, ECHO, most) == most
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, ECHO, most + b"x")
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert unary(channel, ECHO, b"next") == b"next"


def test_a_lot_of_metadata(door: BareDoor) -> None:
    """20 KB are RESOURCE_EXHAUSTED, 8 KB are fine, binary metadata too, and the next call works."""
    with door.channel() as channel:
        call: Any = channel.unary_unary(ECHO)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=[("trace", "x" * 20_000)], timeout=WAIT_S)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call(b"a", metadata=[("trace", "x" * 8_000)], timeout=WAIT_S) == b"a"
        assert call(b"b", metadata=[("trace-bin", bytes(range(256)))], timeout=WAIT_S) == b"b"


@pytest.mark.parametrize("path", ["/bandit.v1.BanditService/Guess", "/bandit.v9.BanditService/Choose"])
def test_what_is_not_here_is_unimplemented(service: SidecarDoor, path: str) -> None:
    """Unknown methods, unknown services, and the operator's, which have a listener of their own."""
    for unknown in (path, "/bandit.v1.OperatorService/ListPlacements"):
        with pytest.raises(grpc.RpcError) as caught:
            unary(service.sidecar.channel, unknown)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_many_calls_at_once_on_one_channel(door: BareDoor) -> None:
    """500 calls from 16 threads, each with its own answer."""
    with door.channel() as channel, ThreadPoolExecutor(16) as pool:
        asked = [b"%d" % number for number in range(500)]
        assert list(pool.map(lambda data: unary(channel, ECHO, data), asked)) == asked


def test_many_calls_at_once_with_asyncio(door: BareDoor) -> None:
    """Several hundred calls at once on one connection, each with its own answer."""
    count = 400

    async def all_at_once() -> list[bytes]:
        async with door.aio_channel() as channel:
            call: Any = channel.unary_unary(ECHO)
            await call(b"hello", timeout=WAIT_S)  # the client knows the server's settings from here on
            calls = (call(b"%d" % number, timeout=WAIT_S) for number in range(count))
            replies: list[bytes] = await asyncio.gather(*calls)
            return replies

    assert door.bare.loop.run(all_at_once()) == [b"%d" % number for number in range(count)]


def test_asyncio_clients_get_the_same(service: SidecarDoor) -> None:
    """Answers, refusals with details, and a cancellation through grpcio's asyncio half."""

    async def calls() -> tuple[str, int, grpc.StatusCode, str]:
        async with service.aio_channel() as channel:
            stub: Any = pb_grpc.BanditServiceStub(channel)
            chosen = await stub.Choose(pb.ChooseRequest(placement="hero", arms=["b"]), timeout=WAIT_S)
            reward = pb.RewardRequest(decision_id=chosen.decision_id, event="click")
            outcome = (await stub.Reward(reward, timeout=WAIT_S)).outcome
            try:
                await stub.Choose(pb.ChooseRequest(placement="nowhere"), timeout=WAIT_S)
            except grpc.aio.AioRpcError as error:
                return chosen.arm, outcome, error.code(), error_info(error).reason
            raise AssertionError("the call was answered")

    arm, outcome, code, reason = service.sidecar.loop.run(calls())
    assert (arm, outcome) == ("b", APPLIED)
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, Reason.PLACEMENT_UNKNOWN)


def test_large_replies(door: BareDoor) -> None:
    """Replies of up to 3.6 MB, the largest batch there is, to clients as they come, several at once."""
    sizes = [0, 1, 16_384, 65_535, 65_536, 1_000_000, 3_600_000]
    with door.channel() as channel, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda size: unary(channel, LARGE, b"%d" % size), sizes))
    assert [len(reply) for reply in replies] == sizes
    assert replies[5][:512] == bytes(range(256)) * 2


def test_a_full_batch(service: SidecarDoor) -> None:
    """256 choices in one reply."""
    batch = pb.ChooseBatchRequest(requests=[pb.ChooseRequest(placement="hero", arms=["a"])] * 256)
    results = service.sidecar.bandit.ChooseBatch(batch, timeout=WAIT_S).results
    assert [result.response.arm for result in results] == ["a"] * 256
