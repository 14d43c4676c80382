"""grpc.health.v1 and reflection through every door: they are what streams."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from server import limits
from tests.server.running import WAIT_S, unary
from tests.server.test_health_reflection import NOT_SERVING, SERVING, UNKNOWN, ask, check, watch
from tests.transport.doors import SidecarDoor
from tests.transport.http2_client import Http2Client, message

WATCH = "/grpc.health.v1.Health/Watch"


@contextmanager
def not_serving(service: SidecarDoor) -> Iterator[None]:
    """Health says NOT_SERVING for as long as the block lasts."""
    health = service.sidecar.sidecar.health
    service.sidecar.loop.call(lambda: health._set(serving=False))
    try:
        yield
    finally:
        service.sidecar.loop.call(lambda: health._set(serving=True))


def watches(service: SidecarDoor) -> int:
    """How many health watches there are."""
    return service.sidecar.loop.call(lambda: service.sidecar.sidecar.health._watches)


def wait_for_watches(service: SidecarDoor, count: int) -> None:
    """Return once there are so many."""
    end_s = time.monotonic() + WAIT_S
    while watches(service) != count:
        assert time.monotonic() < end_s


def test_check_and_list(service: SidecarDoor) -> None:
    """The process and its services, and NOT_FOUND for others."""
    channel = service.sidecar.channel
    assert [check(channel, name) for name in ("", "bandit.v1.BanditService")] == [SERVING] * 2
    with pytest.raises(grpc.RpcError) as caught:
        check(channel, "unknown")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "unknown service")
    listed = health_pb2.HealthListResponse.FromString(unary(channel, "/grpc.health.v1.Health/List"))
    assert set(listed.statuses) >= {"", "bandit.v1.BanditService"}


def test_watch_sees_each_change(service: SidecarDoor) -> None:
    """Now, and whenever it changes; an unknown service may come to be."""
    answers = watch(service.sidecar.channel)
    assert next(answers) == SERVING
    with not_serving(service):
        assert next(answers) == NOT_SERVING
    assert next(answers) == SERVING
    assert next(watch(service.sidecar.channel, "unknown")) == UNKNOWN


def test_many_watches_see_a_change(service: SidecarDoor) -> None:
    """A hundred on one connection, each sees it."""
    with service.channel() as channel:
        answers = [watch(channel) for _ in range(100)]
        assert [next(each) for each in answers] == [SERVING] * 100
        with not_serving(service):
            assert [next(each) for each in answers] == [NOT_SERVING] * 100
    wait_for_watches(service, 0)


def test_a_cancelled_watch_is_let_go_of(service: SidecarDoor) -> None:
    """Cancelled by the call, by a deadline, or with its connection: none stays behind."""
    with service.channel() as channel:
        call: Any = channel.unary_stream(WATCH, None, health_pb2.HealthCheckResponse.FromString)
        streams = [call(b"", timeout=WAIT_S) for _ in range(3)]
        for stream in streams:
            assert next(stream).status == SERVING
        assert watches(service) == 3
        streams[0].cancel()
        wait_for_watches(service, 2)
        short = call(b"", timeout=0.05)
        with pytest.raises(grpc.RpcError) as caught:
            list(short)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_for_watches(service, 2)
    wait_for_watches(service, 0)


def test_watches_are_bounded(service: SidecarDoor) -> None:
    """1,000 in all, however many connections they come on; one more is RESOURCE_EXHAUSTED, until one goes."""

    def open_watches(client: Http2Client, count: int) -> list[int]:
        with client.one_write():
            streams = [client.open(WATCH) for _ in range(count)]
            for stream_id in streams:
                client.send(stream_id, message(b""), end=True)
        client.until(lambda: all(client.responses[stream_id].headers for stream_id in streams))
        return streams

    with service.raw() as first, service.raw() as second:
        open_watches(first, limits.HEALTH_WATCHES_MAX - 100)
        last = open_watches(second, 100)[-1]
        refused = second.call(WATCH)
        assert (refused.grpc_status, refused.trailers_only) == (8, True)
        second.reset(last)
        wait_for_watches(service, limits.HEALTH_WATCHES_MAX - 1)
        open_watches(second, 1)
    wait_for_watches(service, 0)


def test_a_watch_is_pushed_while_calls_go_on(service: SidecarDoor) -> None:
    """A watch and many decisions share a connection; neither stops the other."""
    seen: list[int] = []
    with service.channel() as channel:
        answers = watch(channel)
        seen.append(next(answers))
        thread = threading.Thread(target=lambda: seen.extend([next(answers), next(answers)]))
        thread.start()
        for _ in range(50):
            check(channel)
        with not_serving(service):
            assert check(channel) == NOT_SERVING
        thread.join(WAIT_S)
    assert seen == [SERVING, NOT_SERVING, SERVING]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(service: SidecarDoor, version: str) -> None:
    """Both versions list the data port's services and give their files, one question or several a stream."""
    listed = ask(service.sidecar.channel, version, list_services="").list_services_response.service
    assert "bandit.v1.BanditService" in {entry.name for entry in listed}
    found = ask(service.sidecar.channel, version, file_containing_symbol="bandit.v1.ChooseRequest")
    assert len(found.file_descriptor_response.file_descriptor_proto) > 1
    missing = ask(service.sidecar.channel, version, file_containing_symbol="bandit.v9.Nothing")
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_reflecting_client(service: SidecarDoor) -> None:
    """grpcio-reflection's client asks its questions on one stream."""
    database = ProtoReflectionDescriptorDatabase(service.sidecar.channel)
    found = descriptor_pool.DescriptorPool(database).FindServiceByName("bandit.v1.BanditService")
    assert [method.name for method in found.methods] == ["Choose", "ChooseBatch", "Reward", "RewardBatch"]
