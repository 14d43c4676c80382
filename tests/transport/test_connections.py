"""Connections: greetings, pings, farewells, TLS, and that each stands for itself."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from ngh2 import ErrorCode

from server.tls import load_tls
from tests.server.certificates import Authority
from tests.server.running import Loop
from tests.transport.doors import ENGINES, BareDoor, Door, server_files
from tests.transport.http2_client import (
    DATA,
    PREFACE,
    SETTINGS,
    Http2Client,
    client_tls,
    connect,
    frame,
    message,
)
from tests.transport.stand_in import ECHO, LATER, Bare


def test_the_first_settings(door: BareDoor) -> None:
    """The server says how many calls it takes at once on a connection, and how large headers may be."""
    with door.raw() as client:
        assert client.server_settings[3] == 1_000
        assert client.server_settings[6] >= 16_384


def test_a_ping_is_answered(door: BareDoor) -> None:
    """With its own eight bytes, while a call waits too."""
    door.bare.hold()
    with door.raw() as client:
        client.ping(b"payload1")
        client.until(lambda: client.pongs == [b"payload1"])
        stream_id = client.open(LATER)
        client.send(stream_id, message(b"later"), end=True)
        client.ping(b"payload2")
        client.until(lambda: client.pongs == [b"payload1", b"payload2"])
        assert not client.responses[stream_id].ended
        door.bare.release()
        assert client.response(stream_id).messages == [b"later"]


def test_calls_under_way_survive_the_clients_goaway(door: BareDoor) -> None:
    """A client that says it will open no more streams still gets the answers it waits for."""
    door.bare.hold()
    with door.raw() as client:
        stream_id = client.open(LATER)
        client.send(stream_id, message(b"later"), end=True)
        client.synchronise()
        client.goaway()
        door.bare.release()
        assert client.response(stream_id).messages == [b"later"]


def test_connections_stand_for_themselves(door: BareDoor) -> None:
    """One breaks the protocol and is closed; the other's calls go on."""
    door.bare.hold()
    with door.raw() as good, door.raw() as bad:
        waiting = good.open(LATER)
        good.send(waiting, message(b"later"), end=True)
        bad.raw(frame(SETTINGS, 0, 0, b"five!"))  # six bytes an entry
        bad.until_disconnected()
        door.bare.release()
        assert good.response(waiting).messages == [b"later"]
        assert good.call(ECHO, b"next").messages == [b"next"]


def test_a_client_that_vanishes(door: BareDoor) -> None:
    """Calls of a connection that is gone are let go of, whatever state they were in."""
    door.bare.hold()
    for _ in range(5):
        with door.raw() as client:
            for at in range(4):
                client.send(client.open(LATER), message(b"later"), end=bool(at % 2))
            client.send(client.open(ECHO), message(b"half")[:-1])
    door.bare.release()
    with door.raw() as client:
        assert client.call(ECHO, b"next").messages == [b"next"]


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        PREFACE + frame(DATA, 0, 1, b"no settings"),
        PREFACE[:-2] + b"\n\r" + frame(SETTINGS, 0, 0),
    ],
    ids=["HTTP/1.1", "a TLS hello", "no settings", "nearly the preface"],
)
def test_what_is_no_http2_is_closed(door: BareDoor, said: bytes) -> None:
    """The server closes, whatever it says before; nothing is executed."""
    before = door.bare.executed()
    tls = client_tls(door.authority.pem) if door.authority else None
    with connect(door.target, tls) as plain:
        plain.sendall(said)
        try:
            while plain.recv(65_536):
                pass
        except (ConnectionResetError, ssl.SSLError):
            pass
    assert door.bare.executed() == before


def test_streams_beyond_the_limit_are_refused(door: BareDoor) -> None:
    """Of 1,010 calls at once 1,000 are taken, 10 get REFUSED_STREAM, which clients repeat by themselves.

    grpcio may say ENHANCE_YOUR_CALM instead.
    """
    door.bare.hold()
    with door.raw(greet=False) as client:  # who does not know the limit yet
        with client.one_write():
            streams = [client.open(LATER) for _ in range(1_010)]
            for stream_id in streams:
                client.send(stream_id, message(b""), end=True)
        refused = [client.responses[stream_id] for stream_id in streams[1_000:]]
        client.until(lambda: all(each.closed for each in refused))
        usual = {ErrorCode.REFUSED_STREAM}
        calm = {ErrorCode.ENHANCE_YOUR_CALM} if door.engine == "grpcio" else set()
        assert {each.reset for each in refused} <= usual | calm
        door.bare.release()
        assert {client.response(stream_id).grpc_status for stream_id in streams[:1_000]} == {0}


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)], ids=["none", "http/1.1"])
@pytest.mark.parametrize("engine", ENGINES)
def test_tls_without_http2_is_refused(
    bares: Callable[[str], Bare], authority: Authority, engine: str, protocols: tuple[str, ...]
) -> None:
    """A client that does not agree on h2 by ALPN is not served."""
    target = bares(engine).targets["tls"]
    try:
        with Http2Client(target, client_tls(authority.pem, protocols=protocols)) as client:
            client.until_disconnected()
            assert client.server_settings == {}
    except ssl.SSLError:
        pass  # refused in the handshake, which is as good


@pytest.mark.parametrize("engine", ENGINES)
def test_mutual_tls(loop: Loop, tmp_path: Path, engine: str) -> None:
    """Clients show a certificate of the client CA, or are not served."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    authority.issue("server")
    known, unknown = authority.issue("client"), stranger.issue("intruder")
    bare = Bare(loop, engine, tmp_path, load_tls(server_files(authority, authority.pem)))
    try:
        target = bare.targets["tls"]
        with Http2Client(target, client_tls(authority.pem, known)) as client:
            assert client.call(ECHO, b"hi").messages == [b"hi"]
        for certificate in (None, unknown):
            try:
                with Http2Client(target, client_tls(authority.pem, certificate)) as client:
                    client.until_disconnected()
                    assert client.server_settings == {}
            except (ssl.SSLError, ConnectionResetError):
                pass  # TLS 1.2 refuses in the handshake
        assert bare.executed() == 1
    finally:
        bare.stop()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_call_is_cut_when_the_server_stops(loop: Loop, tmp_path: Path, engine: str) -> None:
    """A call that outlives the grace is cut off, and its client sees an end, not silence."""
    bare = Bare(loop, engine, tmp_path, None)
    door = Door(engine, "tcp", bare.targets["tcp"])
    with door.raw() as client:
        stream_id = client.open(LATER)
        client.send(stream_id, message(b"never"), end=True)
        client.synchronise()
        bare.stop(0.1)
        client.until_disconnected()
        assert client.responses[stream_id].messages == []
        assert not client.responses[stream_id].headers or client.responses[stream_id].grpc_status == 14
