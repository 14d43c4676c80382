"""Deadlines and cancellations: what they stop, what they leave, and that they cost nobody a connection."""

import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from server.pb import bandit_pb2 as pb
from tests.server.running import WAIT_S, Loop, unary
from tests.transport.doors import BareDoor, Door, SidecarDoor
from tests.transport.http2_client import message
from tests.transport.stand_in import BUSY, ECHO, LATER, Bare

CANCELLED_CALLS = 2_000
"""Twice the 1,000 resets that libnghttp2 lets a connection send at once, and sixty times its 33 a second."""


def test_a_deadline_that_passes_in_the_queue(service: SidecarDoor) -> None:
    """The server is busy until the client has given up: DEADLINE_EXCEEDED there, and no decision."""
    service.sidecar.choose()
    before = service.decisions()
    with service.sidecar.loop.held():
        with pytest.raises(grpc.RpcError) as caught:
            service.sidecar.bandit.Choose(pb.ChooseRequest(placement="hero"), timeout=0.1)
        time.sleep(0.2)  # in which the client's reset leaves
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    service.sidecar.choose()  # whatever was queued before it has been looked at
    assert service.decisions() == before + 1


def test_a_deadline_that_passed_before_its_turn(door: BareDoor) -> None:
    """Behind a slow call two others wait: the one past its deadline is refused and not executed."""
    before = door.bare.executed()
    with door.raw() as client:
        with client.one_write():
            client.send(client.open(BUSY), message(b"50"), end=True)
            late = client.open(ECHO, [(b"grpc-timeout", b"5m")])
            client.send(late, message(b"late"), end=True)
            generous = client.open(ECHO, [(b"grpc-timeout", b"1M")])
            client.send(generous, message(b"generous"), end=True)
        assert client.response(generous).messages == [b"generous"]
        assert client.response(late).grpc_status == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    assert door.bare.executed() == before + 1


def test_a_call_that_waited_too_long_is_shed(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ngh2 refuses what waited over 50 ms, not executed, and says when to come back; others are served."""
    monkeypatch.setattr("server.turns.WAIT_NS", 50_000_000)
    bare = Bare(loop, "ngh2", tmp_path, None)
    try:
        with Door("ngh2", "tcp", bare.targets["tcp"]).raw() as client:
            with client.one_write():
                client.send(client.open(BUSY), message(b"100"), end=True)
                shed = client.open(ECHO)
                client.send(shed, message(b"too late"), end=True)
            got = client.response(shed)
            assert client.call(ECHO, b"next").messages == [b"next"]
    finally:
        bare.stop()
    assert (got.grpc_status, got.trailers_only) == (grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], True)
    encoded = got.headers[b"grpc-status-details-bin"]
    status = status_pb2.Status.FromString(b64decode(encoded + b"=" * (-len(encoded) % 4)))
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain) == ("OVERLOADED", "bandit.v1")
    assert retry.retry_delay.ToMilliseconds() > 0
    assert bare.service.executed[ECHO] == 1


def test_a_deadline_that_passes_under_way(door: BareDoor) -> None:
    """A call that waits for something is ended by the client at its deadline; what it began stays begun."""
    door.bare.hold()
    before = door.bare.executed(LATER)
    with door.channel() as channel:
        call: Any = channel.unary_unary(LATER)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"later", timeout=0.1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert unary(channel, ECHO, b"next") == b"next"
    assert door.bare.executed(LATER) == before + 1
    door.bare.release()


def test_cancelled_calls_cost_no_connection(door: BareDoor) -> None:
    """2,000 calls on one connection, each third cancelled under way: no GOAWAY, and all others answered."""
    door.bare.hold()
    try:
        with door.raw() as client:
            for round_number in range(CANCELLED_CALLS // 20):
                waiting = [client.open(LATER) for _ in range(20)]
                asked = [client.open(ECHO) for _ in range(40)]
                for stream_id in (*waiting, *asked):
                    client.send(stream_id, message(b"%d" % round_number), end=True)
                for stream_id in waiting:
                    client.reset(stream_id)
                for stream_id in asked:
                    assert client.response(stream_id).messages == [b"%d" % round_number]
            assert (client.goaways, client.disconnected) == ([], False)
    finally:
        door.bare.release()


def test_clients_that_cancel_on_deadlines_stay_connected(door: BareDoor) -> None:
    """Grpcio's client with a third of its calls on deadlines too short: its channel never leaves READY."""
    door.bare.hold()
    states: list[grpc.ChannelConnectivity] = []
    try:
        with door.channel() as channel, ThreadPoolExecutor(16) as pool:
            unary(channel, ECHO, b"hello")
            channel.subscribe(states.append)

            def call(number: int) -> grpc.StatusCode | None:
                if number % 3:
                    assert unary(channel, ECHO, b"%d" % number) == b"%d" % number
                    return None
                late: Any = channel.unary_unary(LATER)
                with pytest.raises(grpc.RpcError) as caught:
                    late(b"", timeout=0.005)
                return caught.value.code()

            codes = list(pool.map(call, range(1_500)))
    finally:
        door.bare.release()
    assert set(codes) == {None, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert set(states) <= {grpc.ChannelConnectivity.READY}


def test_explicit_cancellations(door: BareDoor) -> None:
    """Futures cancelled at once: CANCELLED at the client, the server goes on."""
    door.bare.hold()
    try:
        with door.channel() as channel:
            call: Any = channel.unary_unary(LATER)
            futures = [call.future(b"") for _ in range(100)]
            for future in futures:
                future.cancel()
            assert all(future.cancelled() for future in futures)
            assert unary(channel, ECHO, b"next") == b"next"
            kept = call.future(b"kept", timeout=WAIT_S)
            door.bare.release()
            assert kept.result() == b"kept"
    finally:
        door.bare.release()
