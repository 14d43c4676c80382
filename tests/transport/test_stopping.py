"""A server that stops: nothing under way is cut off, no client sees a call fail that it could not repeat."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.causes import Cause
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from server.tls import load_tls
from tests.server.certificates import Authority
from tests.server.running import WAIT_S, Loop, unary
from tests.transport.conftest import running_at
from tests.transport.doors import CARRIERS, ENGINES, Door, server_files
from tests.transport.http2_client import Http2Client, message
from tests.transport.stand_in import CHAT, ECHO, LARGE, LATER, Bare

CLIENTS = 6

CONNECTIONS = 5
"""Connections that a client with calls all the time is asked to leave, one after another."""

GRACE_S = 0.2
FAREWELLS_S = 4.0
"""Seconds a stop may take beyond its grace: clients that do not say farewell are waited for a little."""

RETRIES = """{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.3s",
"maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
"""What a careful client sets: to repeat what was UNAVAILABLE."""

BOTH = pytest.mark.parametrize("engine", ENGINES)


class Load:
    """Clients that call without a pause until they are told to stop, and keep what became of their calls."""

    def __init__(self, door: Door, *options: tuple[str, Any], keep_on: bool = False) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._channel = door.channel(*options)
        self._keep_on = keep_on
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, calls: int) -> None:
        """Return once so many more calls were answered, or a client gave up."""
        end_s = time.monotonic() + WAIT_S
        goal = self.answered + calls
        while self.answered < goal and not self.failed:
            assert time.monotonic() < end_s
            self._end.wait(0.005)

    def join(self) -> None:
        """Stop calling."""
        self._end.set()
        for thread in self._threads:
            thread.join()
        self._channel.close()

    def _call(self) -> None:
        stub: pb_grpc.BanditServiceStub = pb_grpc.BanditServiceStub(self._channel)
        request = pb.ChooseRequest(placement="hero")
        while not self._end.is_set():
            try:
                stub.Choose(request, timeout=WAIT_S)
            except grpc.RpcError as error:
                with self._lock:
                    self.failed.append(f"{error.code().name}: {error.details()}")
                if not self._keep_on:
                    return
            else:
                with self._lock:
                    self.answered += 1


@pytest.mark.parametrize("carrier", ["tcp", "tls"])
@BOTH
def test_clients_with_a_second_server_see_no_failed_call(
    loop: Loop,
    tmp_path: Path,
    authority: Authority,
    engine: str,
    carrier: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of two servers stops under load: every call is answered, by one or the other.

    grpcio refuses calls as it goes, with UNAVAILABLE, and its clients repeat that only when told to. ngh2
    answers whatever was sent before the client heard of the end, so its clients need no policy: what
    they had not sent yet they send elsewhere by themselves, unless all their retries are switched off.
    """
    monkeypatch.setattr("server.lifecycle.QUIET_S", 0.15)  # as below; less than clients wait to try again
    with ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            servers.append(stack.enter_context(running_at(loop, tmp_path / name, engine, carrier, authority)))
        target = "ipv4:" + ",".join(server.target for server in servers)
        door = Door(engine, carrier, target, authority if carrier == "tls" else None)
        options: list[tuple[str, Any]] = [("grpc.ssl_target_name_override", "localhost")]
        if engine == "grpcio":
            options.append(("grpc.service_config", RETRIES))
        load = Load(door, *options)
        load.wait_for(300)
        servers[0].stop()
        load.wait_for(300)
        load.join()
        decisions = [
            int(server.engine.state.placements["hero"].counters.decisions.sum()) for server in servers
        ]
    assert load.failed == []
    assert min(decisions) > 0
    assert sum(decisions) == load.answered


@pytest.mark.parametrize("carrier", CARRIERS)
@BOTH
def test_what_is_applied_is_answered(
    loop: Loop,
    tmp_path: Path,
    authority: Authority,
    engine: str,
    carrier: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The only server stops under load: each decision's answer arrived; calls fail as UNAVAILABLE alone."""
    # so that a client's thread that gets no turn on a busy machine does not pass for one that left
    monkeypatch.setattr("server.lifecycle.QUIET_S", 0.5)
    monkeypatch.setattr("server.lifecycle.QUIET_MAX_S", 10.0)
    with running_at(loop, tmp_path, engine, carrier, authority) as server:
        load = Load(Door(engine, carrier, server.target, authority if carrier == "tls" else None))
        load.wait_for(300)
        server.stop()
        load.join()
        decisions = int(server.engine.state.placements["hero"].counters.decisions.sum())
    assert load.answered == decisions
    assert {each.partition(":")[0] for each in load.failed} == {"UNAVAILABLE"}


@BOTH
def test_a_call_under_way_is_finished(loop: Loop, tmp_path: Path, engine: str) -> None:
    """A stop waits for a call that has begun, and its answer arrives; the client was told to go elsewhere."""
    bare = Bare(loop, engine, tmp_path, None)
    with Door(engine, "tcp", bare.targets["tcp"]).raw() as client:
        stream_id = client.open(LATER)
        client.send(stream_id, message(b"late, but not too late"), end=True)
        client.synchronise()
        stopping = threading.Thread(target=bare.stop, args=(WAIT_S,))
        stopping.start()
        client.until(lambda: client.goaways)
        bare.release()
        assert client.response(stream_id).messages == [b"late, but not too late"]
        client.until_disconnected()
        assert [goaway.error_code for goaway in client.goaways] == [0] * len(client.goaways)
        stopping.join()


def test_calls_sent_before_the_goaway_was_heard_are_answered(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ngh2's first GOAWAY announces the end, a second one says which calls were taken: what came between is.

    grpcio refuses such calls, which is why its drain refuses all calls before it closes.
    """
    monkeypatch.setattr("server.limits.LEAVE_NOTICE_S", 1.0)
    bare = Bare(loop, "ngh2", tmp_path, None)
    with Door("ngh2", "tcp", bare.targets["tcp"]).raw() as client:
        stopping = threading.Thread(target=bare.stop, args=(WAIT_S,))
        stopping.start()
        client.until_readable()  # the GOAWAY is there, and not heard yet
        assert client.call(ECHO, b"on its way").messages == [b"on its way"]
        assert client.goaways[0].last_stream_id == 2**31 - 1
        client.until_disconnected()
        stopping.join()


def idle(client: Http2Client) -> None:
    """Say nothing."""


def half_a_request(client: Http2Client) -> None:
    """Begin a call and leave it at that."""
    client.send(client.open(ECHO), message(b"half")[:-1])
    client.synchronise()


def an_answer_unread(client: Http2Client) -> None:
    """Ask for more than its window lets through."""
    client.send(client.open(LARGE), message(b"500000"), end=True)
    client.until(lambda: client.responses[1].headers)


def a_stream(client: Http2Client) -> None:
    """Say something on a stream that stays open."""
    client.send(client.open(CHAT), message(b"hello"))
    client.until(lambda: client.responses[1].messages)


@pytest.mark.parametrize("do", [idle, half_a_request, an_answer_unread, a_stream])
@pytest.mark.parametrize("carrier", ["tcp", "tls"])
@BOTH
def test_nobody_holds_up_a_stop(
    loop: Loop,
    tmp_path: Path,
    authority: Authority,
    engine: str,
    carrier: str,
    do: Callable[[Http2Client], None],
) -> None:
    """Whatever a client has begun or left unread, the grace ends it, and its connection is closed."""
    bare = Bare(loop, engine, tmp_path, load_tls(server_files(authority)))
    trust = authority if carrier == "tls" else None
    with Door(engine, carrier, bare.targets[carrier], trust).raw(auto_window=False) as client:
        do(client)
        begun_s = time.monotonic()
        bare.stop(GRACE_S)
        assert time.monotonic() - begun_s < GRACE_S + FAREWELLS_S
        client.until_disconnected()


def test_a_stop_that_had_no_turn_in_its_grace_ends_streams_well(loop: Loop, tmp_path: Path) -> None:
    """The process stands still for longer than the grace: ngh2's streams get their end all the same."""
    bare = Bare(loop, "ngh2", tmp_path, None)
    with Door("ngh2", "tcp", bare.targets["tcp"]).raw() as client:
        a_stream(client)

        async def stand_still() -> None:
            asyncio.get_running_loop().call_later(0.01, time.sleep, 2 * GRACE_S)

        loop.run(stand_still())
        bare.stop(GRACE_S)
        assert client.response(1).grpc_status == 0
        client.until_disconnected()


def test_old_connections_are_left_without_a_failed_call(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection past its age is asked to go, and goes; its client's calls move on, none fails."""
    monkeypatch.setattr("server.limits.CONNECTION_AGE_S", 0.1)
    monkeypatch.setattr("server.ngh2_engine.LOOK_EVERY_S", 0.02)
    bare = Bare(loop, "ngh2", tmp_path, None)
    ended = bare.service.counts.connections_ended
    door = Door("ngh2", "tcp", bare.targets["tcp"])
    try:
        with door.raw() as client:
            client.until_disconnected()
            assert [goaway.error_code for goaway in client.goaways] == [0] * len(client.goaways)
            assert client.goaways[0].last_stream_id == 2**31 - 1
        with door.channel() as channel:
            end_s = time.monotonic() + WAIT_S
            while sum(ended.values()) <= CONNECTIONS:
                assert unary(channel, ECHO, b"again") == b"again"
                assert time.monotonic() < end_s
    finally:
        bare.stop()
    assert ended[Cause.LEFT] + ended[Cause.CLIENT] == sum(ended.values())


def test_the_last_answers_may_take_a_while(loop: Loop, tmp_path: Path) -> None:
    """Answers that are given when the connection is left already reach a client that reads slowly."""
    bare = Bare(loop, "ngh2", tmp_path, None)
    bare.hold()
    body = message(bytes(500_000))
    windows: dict[str, Any] = {"settings": {4: 2**30}, "receive_buffer_bytes": 8_192}
    with Door("ngh2", "tcp", bare.targets["tcp"]).raw(**windows) as client:
        client.open_window(2**30)
        streams = [client.open(LATER) for _ in range(8)]
        for stream_id in streams:
            client.send(stream_id, body, end=True)
        client.synchronise()
        stop = threading.Thread(target=bare.stop, args=(WAIT_S,))
        stop.start()
        client.until(lambda: len(client.goaways) == 2)
        bare.release()
        time.sleep(1.5)  # longer than others have to take their leave
        assert [len(client.response(stream_id).data) for stream_id in streams] == [len(body)] * 8
        stop.join()
