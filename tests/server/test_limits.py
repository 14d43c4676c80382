"""What is too large or too late is refused before it costs anything."""

import time
from pathlib import Path

import grpc
import pytest

from bandit.limits import BATCH_MAX, NAME_BYTES_MAX, PAYLOAD_BYTES_MAX
from server import limits
from server.counts import Counts
from server.errors import ShellError, ShellReason
from server.failures import Failures
from server.grpcio_engine import _check_deadline, channel_options
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.server.running import WAIT_S, Loop, Running, refused, running

MINTED_CHARS_MAX = 1_300
"""Characters of the largest decision_id there is: `tests/core/test_token.py` makes it."""

CLIENTS_BYTES_MAX = 4 * 2**20
"""Bytes of a message that gRPC clients accept unless they are told otherwise."""


def test_a_giant_message_is_refused(shared: Running) -> None:
    """Beyond MESSAGE_BYTES_MAX gRPC itself answers RESOURCE_EXHAUSTED; the connection lives on."""
    with pytest.raises(grpc.RpcError) as caught:
        shared.choose(unit="u" * (limits.MESSAGE_BYTES_MAX + 1))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    shared.choose()


def test_a_hundred_thousand_arms_are_refused(shared: Running) -> None:
    """A Choose beyond REQUEST_BYTES_MAX is refused by its size alone."""
    request = pb.ChooseRequest(placement="hero", arms=[f"a{i}" for i in range(100_000)])
    code, info = refused(lambda: shared.bandit.Choose(request, timeout=WAIT_S))
    assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert info.metadata["limit"] == str(limits.REQUEST_BYTES_MAX)


def test_a_compressed_giant_is_refused(shared: Running) -> None:
    """The limit holds for what a gzip message inflates to; small compressed ones are read."""
    with grpc.insecure_channel(shared.target, compression=grpc.Compression.Gzip) as channel:
        stub: pb_grpc.BanditServiceStub = pb_grpc.BanditServiceStub(channel)
        stub.Choose(pb.ChooseRequest(placement="hero", unit="u" * 500), timeout=WAIT_S)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Choose(pb.ChooseRequest(placement="hero", unit="u" * 20_000_000), timeout=WAIT_S)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_raised_limit_is_raised(loop: Loop, tmp_path: Path) -> None:
    """--message-bytes-max reaches batches; a single request keeps its bound."""
    full = pb.ChooseRequest(placement="hero", arms=["a" * 60] * 1_000)
    batch = pb.ChooseBatchRequest(requests=[full] * 20)
    assert limits.MESSAGE_BYTES_MAX < batch.ByteSize() < 2 * limits.MESSAGE_BYTES_MAX
    with running(loop, tmp_path, message_bytes_max=2 * limits.MESSAGE_BYTES_MAX) as server:
        assert len(server.bandit.ChooseBatch(batch, timeout=WAIT_S).results) == 20
        assert refused(lambda: server.choose(unit="u" * 70_000))[1].reason == "MESSAGE_TOO_LARGE"


def test_a_giant_item_hides_in_no_batch(shared: Running) -> None:
    """An item that would be refused alone is refused in a batch."""
    giant = pb.ChooseRequest(placement="hero", arms=["arm"] * 20_000)
    batch = pb.ChooseBatchRequest(requests=[pb.ChooseRequest(placement="hero"), giant])
    code, info = refused(lambda: shared.bandit.ChooseBatch(batch, timeout=WAIT_S))
    assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")


def test_the_largest_request_the_core_takes_fits() -> None:
    """The core's own limits lie within REQUEST_BYTES_MAX, a full batch of true rewards within half a message.

    A decision_id of TOKEN_CHARS_MAX characters was never minted: a batch of those may be refused.
    """
    name = "n" * 64
    choose = pb.ChooseRequest(
        placement=name,
        unit="u" * 512,
        categories={f"{i:064}": "v" * 64 for i in range(256)},
        arms=[f"{i:064}" for i in range(256)],
    )
    assert choose.ByteSize() <= limits.REQUEST_BYTES_MAX
    reward = pb.RewardRequest(decision_id="d" * MINTED_CHARS_MAX, event=name, value=1.0, event_id="i" * 256)
    batch = pb.RewardBatchRequest(requests=[reward] * BATCH_MAX)
    assert batch.ByteSize() <= limits.MESSAGE_BYTES_MAX / 2


def test_the_largest_reply_is_taken_by_clients_as_they_come() -> None:
    """256 choices of the largest payload, each with the largest token, stay below gRPC's default of 4 MiB."""
    name = "n" * NAME_BYTES_MAX
    choice = pb.ChooseResponse(
        decision_id="d" * MINTED_CHARS_MAX,
        arm=name,
        policy=name,
        propensity=0.5,
        payload="p" * PAYLOAD_BYTES_MAX,
    )
    reply = pb.ChooseBatchResponse(results=[pb.ChooseResult(response=choice)] * BATCH_MAX)
    assert reply.ByteSize() < 3_600_000 < CLIENTS_BYTES_MAX


def test_a_lot_of_metadata_is_refused(shared: Running) -> None:
    """20 KB of metadata get RESOURCE_EXHAUSTED, 8 KB are fine."""
    request = pb.ChooseRequest(placement="hero")
    shared.bandit.Choose(request, metadata=[("trace", "x" * 8_000)], timeout=WAIT_S)
    with pytest.raises(grpc.RpcError) as caught:
        shared.bandit.Choose(request, metadata=[("trace", "x" * 20_000)], timeout=WAIT_S)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    shared.choose()


class Context:
    """As much of a call's context as the deadline's check looks at."""

    def __init__(self, remaining_s: float | None) -> None:
        self._remaining_s = remaining_s

    def time_remaining(self) -> float | None:
        """What is left of the deadline; None without one."""
        return self._remaining_s


@pytest.mark.parametrize("remaining_s", [0.0, -1.0])
def test_a_passed_deadline_is_refused(remaining_s: float) -> None:
    """Nobody waits for the answer: DEADLINE_PASSED."""
    with pytest.raises(ShellError) as caught:
        _check_deadline(Context(remaining_s))  # type: ignore[arg-type]
    assert Failures(Counts()).of(caught.value, "").reason == ShellReason.DEADLINE_PASSED


@pytest.mark.parametrize("remaining_s", [None, 0.5])
def test_a_deadline_ahead_is_no_refusal(remaining_s: float | None) -> None:
    """No deadline, or one that is still to come, lets the call through."""
    _check_deadline(Context(remaining_s))  # type: ignore[arg-type]


def test_a_call_whose_deadline_passes_in_the_queue_is_not_applied(sidecar: Running) -> None:
    """The loop is busy until the client has given up: it gets DEADLINE_EXCEEDED, and nothing was decided."""
    counters = sidecar.engine.state.placements["hero"].counters
    sidecar.choose()
    with sidecar.loop.held():
        with pytest.raises(grpc.RpcError) as caught:
            sidecar.bandit.Choose(pb.ChooseRequest(placement="hero"), timeout=0.2)
        time.sleep(0.2)  # in which the client's reset leaves
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    sidecar.choose()  # whatever was queued before it has been looked at
    assert int(counters.decisions.sum()) == 2


def test_options_carry_the_limits() -> None:
    """Ports are not shared, pings of ordinary clients are welcome, streams are bounded."""
    options = dict(channel_options(1_000, 7))
    assert options["grpc.so_reuseport"] == 0
    assert options["grpc.max_receive_message_length"] == 1_000
    assert options["grpc.max_concurrent_streams"] == 7
    assert options["grpc.http2.min_ping_interval_without_data_ms"] < 10_000
