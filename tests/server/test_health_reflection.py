"""The standard services on the data port: grpc.health.v1 and reflection."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.server.running import WAIT_S, Loop, Running, running, stream, unary
from tests.server.test_errors import _never

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def check(channel: grpc.Channel, service: str = "") -> int:
    """The answer of Check."""
    call = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return int(call(health_pb2.HealthCheckRequest(service=service), timeout=WAIT_S).status)


def watch(channel: grpc.Channel, service: str = "") -> Iterator[int]:
    """The answers of Watch."""
    call = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    for response in call(health_pb2.HealthCheckRequest(service=service), timeout=WAIT_S):
        yield int(response.status)


def ask(channel: grpc.Channel, version: str, **question: str) -> reflection_pb2.ServerReflectionResponse:
    """One question to reflection."""
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=WAIT_S)
    response: reflection_pb2.ServerReflectionResponse = answer
    return response


@pytest.mark.parametrize("service", ["", "bandit.v1.BanditService", "bandit.v1.OperatorService"])
def test_check_answers_for_the_process_and_each_service(shared: Running, service: str) -> None:
    """SERVING on the data port and on the operator's."""
    assert check(shared.channel, service) == SERVING
    assert check(shared.operator_channel, service) == SERVING


def test_check_knows_no_other_service(shared: Running) -> None:
    """NOT_FOUND, as the protocol wants it."""
    with pytest.raises(grpc.RpcError) as caught:
        check(shared.channel, "bandit.v2.BanditService")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_list_names_every_service(shared: Running) -> None:
    """The process and both services, all SERVING."""
    reply = unary(shared.channel, "/grpc.health.v1.Health/List")
    statuses = health_pb2.HealthListResponse.FromString(reply).statuses
    assert {name: entry.status for name, entry in statuses.items()} == dict.fromkeys(
        ["", "bandit.v1.BanditService", "bandit.v1.OperatorService"], SERVING
    )


def test_watch_sees_the_drain_and_ends(loop: Loop, tmp_path: Path) -> None:
    """SERVING at once, NOT_SERVING when the drain begins, then the end: watches do not hold up the stop."""
    with running(loop, tmp_path) as server:
        answers = watch(server.channel)
        assert next(answers) == SERVING
        loop.call(server.sidecar.request_stop)
        assert list(answers) == [NOT_SERVING]


def test_watch_of_an_unknown_service_waits(shared: Running) -> None:
    """SERVICE_UNKNOWN instead of an error: it may come to be."""
    assert next(watch(shared.channel, "nothing")) == UNKNOWN


def test_it_does_not_serve_before_it_is_ready(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NOT_SERVING while kernels are prepared."""
    monkeypatch.setattr("server.lifecycle.Sidecar._make_ready", _never)
    with running(loop, tmp_path, wait=False) as server:
        assert check(server.channel) == NOT_SERVING


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_what_the_port_carries(shared: Running, version: str) -> None:
    """Each listener names its own services."""
    standard = {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for channel, service in (
        (shared.channel, "bandit.v1.BanditService"),
        (shared.operator_channel, "bandit.v1.OperatorService"),
    ):
        listed = ask(channel, version, list_services="").list_services_response.service
        assert {entry.name for entry in listed} == {service, *standard}


@pytest.mark.parametrize(
    "symbol",
    [
        "bandit.v1.BanditService",
        "bandit.v1.ChooseRequest",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ],
)
def test_reflection_gives_whole_files(shared: Running, symbol: str) -> None:
    """The files of a symbol's answer are all that a client needs to build its descriptor."""
    answer = ask(shared.channel, "v1", file_containing_symbol=symbol)
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(raw)
        for raw in answer.file_descriptor_response.file_descriptor_proto
    ]
    pool = descriptor_pool.DescriptorPool()
    for file in reversed(files):  # what is imported comes after what imports it
        pool.Add(file)
    assert pool.FindFileContainingSymbol(symbol).name == files[0].name
    again = ask(shared.channel, "v1", file_by_filename=files[0].name)
    assert again.file_descriptor_response == answer.file_descriptor_response


def test_a_reflecting_client_needs_no_proto(shared: Running) -> None:
    """grpcio-reflection's own client finds the service, its methods and their messages' fields."""
    database = ProtoReflectionDescriptorDatabase(shared.channel)
    service = descriptor_pool.DescriptorPool(database).FindServiceByName("bandit.v1.BanditService")
    assert [method.name for method in service.methods] == ["Choose", "ChooseBatch", "Reward", "RewardBatch"]
    assert service.methods_by_name["Choose"].input_type.fields_by_name["unit"].number == 2


def test_reflection_knows_what_it_does_not_have(shared: Running) -> None:
    """An error inside the answer, not of the call, which goes on."""
    answer = ask(shared.channel, "v1", file_containing_symbol="bandit.v9.Nothing")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])
def test_malformed_requests_are_refused(shared: Running, path: str) -> None:
    """INVALID_ARGUMENT for bytes that are no message."""
    with pytest.raises(grpc.RpcError) as caught:
        list(stream(shared.channel, path, iter([b"\xff\xff"])))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_unknown_method_is_unimplemented(shared: Running) -> None:
    """As gRPC has it."""
    with pytest.raises(grpc.RpcError) as caught:
        unary(shared.channel, "/bandit.v1.BanditService/Guess")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
