"""The form of answers on the wire, frame by frame, and what becomes of streams that do not end as usual."""

from base64 import b64decode
from collections import Counter

import pytest
from google.rpc import status_pb2

from server.codes import Code
from tests.server.running import item_info
from tests.transport.conftest import NGH2_DOORS
from tests.transport.doors import BareDoor
from tests.transport.http2_client import DATA, frame, message
from tests.transport.stand_in import CHAT, ECHO, LARGE, LATER, PLAIN, REFUSE


def test_a_good_answer(door: BareDoor) -> None:
    """HEADERS with status 200 and gRPC's content type, DATA with one message, trailers with grpc-status 0."""
    with door.raw() as client:
        got = client.call(ECHO, b"hi")
    assert got.headers[b":status"] == b"200"
    assert got.headers[b"content-type"] == b"application/grpc"
    assert b"grpc-status" not in got.headers
    assert got.data == message(b"hi")
    assert got.trailers[b"grpc-status"] == b"0"
    assert (got.reset, got.closed) == (None, True)


def test_a_refusal_is_one_block_of_headers(door: BareDoor) -> None:
    """Trailers-Only: HEADERS with END_STREAM, the message escaped, the details in base64 without padding."""
    text = "naïve 100 %\n"
    with door.raw() as client:
        got = client.call(REFUSE, text.encode())
    assert (got.trailers_only, got.data, got.trailers, got.reset) == (True, b"", {}, None)
    assert got.headers[b":status"] == b"200"
    assert got.headers[b"content-type"] == b"application/grpc"
    assert got.headers[b"grpc-status"] == b"5"
    assert got.headers[b"grpc-message"] == b"na%C3%AFve 100 %25%0A"
    encoded = got.headers[b"grpc-status-details-bin"]
    assert b"=" not in encoded
    status = status_pb2.Status.FromString(b64decode(encoded + b"=" * (-len(encoded) % 4)))
    assert (status.code, status.message, item_info(status).metadata["placement"]) == (5, text, text)


def test_a_refusal_without_a_reason_has_no_details(door: BareDoor) -> None:
    """Code and message alone."""
    with door.raw() as client:
        got = client.call(PLAIN, b"\x07no")
    assert (got.grpc_status, got.grpc_message) == (7, "no")
    assert b"grpc-status-details-bin" not in got.headers


@pytest.mark.parametrize("text", [" lead", "trail ", " ", " both ways "])
@pytest.mark.parametrize("door", NGH2_DOORS, indirect=True)
def test_spaces_at_the_ends_of_a_message(door: BareDoor, text: str) -> None:
    """They are escaped, since HTTP/2 takes a field with them for malformed; grpcio as a server does not."""
    with door.raw() as client:
        got = client.call(PLAIN, b"\x07" + text.encode())
    assert (got.grpc_status, got.grpc_message) == (7, text)


def test_an_unknown_encoding_learns_the_known_ones(door: BareDoor) -> None:
    """UNIMPLEMENTED names identity and gzip; grpcio answers otherwise, but names them with good answers."""
    with door.raw() as client:
        extra = [] if door.engine == "grpcio" else [(b"grpc-encoding", b"zstd")]
        got = client.call(ECHO, b"hi", extra)
    accepted = got.headers[b"grpc-accept-encoding"].replace(b" ", b"").split(b",")
    assert {b"identity", b"gzip"} <= set(accepted)


def test_several_calls_in_one_write(door: BareDoor) -> None:
    """A hundred requests that arrive together are all answered, each with its own bytes."""
    with door.raw() as client:
        with client.one_write():
            streams = [client.open(ECHO) for _ in range(100)]
            for stream_id in streams:
                client.send(stream_id, message(b"%d" % stream_id), end=True)
        assert [client.response(each).messages for each in streams] == [[b"%d" % each] for each in streams]


def test_a_request_reset_in_the_same_write_is_never_executed(door: BareDoor) -> None:
    """Fifty requests, each followed by its reset: none runs, and the next call does."""
    before = door.bare.executed()
    with door.raw() as client:
        with client.one_write():
            for _ in range(50):
                stream_id = client.open(ECHO)
                client.send(stream_id, message(b"hi"), end=True)
                client.reset(stream_id)
        assert client.call(ECHO, b"next").messages == [b"next"]
        assert [each.headers for each in client.responses.values()].count({}) == 50
    assert door.bare.executed() == before + 1


def test_a_request_reset_before_its_end_is_never_executed(door: BareDoor) -> None:
    """The body was not whole: there was no call yet."""
    before = door.bare.executed()
    with door.raw() as client:
        stream_id = client.open(ECHO)
        client.send(stream_id, message(b"hi")[:-1])
        client.synchronise()
        client.reset(stream_id)
        assert client.call(ECHO, b"next").messages == [b"next"]
    assert door.bare.executed() == before + 1


def test_a_reset_of_a_call_under_way(door: BareDoor) -> None:
    """Calls that wait for something are let go of; their late answers disturb nobody."""
    door.bare.hold()
    with door.raw() as client:
        waiting = [client.open(LATER) for _ in range(20)]
        for stream_id in waiting:
            client.send(stream_id, message(b"later"), end=True)
        before = door.bare.executed()
        assert client.call(ECHO, b"meanwhile").messages == [b"meanwhile"]
        assert door.bare.executed() == before + 1
        for stream_id in waiting[::2]:
            client.reset(stream_id)
        client.synchronise()
        door.bare.release()
        assert [client.response(each).messages for each in waiting[1::2]] == [[b"later"]] * 10
        assert client.call(ECHO, b"next").messages == [b"next"]


def test_a_call_is_executed_once_its_request_is_whole(door: BareDoor) -> None:
    """Without END_STREAM a second message may follow, so ngh2 waits for it; grpcio does not."""
    with door.raw() as client:
        stream_id = client.open(ECHO)
        client.send(stream_id, message(b"hi"))
        before = door.bare.executed()
        client.call(ECHO, b"between")
        if door.engine == "ngh2":
            assert door.bare.executed() == before + 1
            client.end(stream_id)
        assert client.response(stream_id).messages == [b"hi"]


def test_messages_share_and_split_frames(door: BareDoor) -> None:
    """A stream's messages come back in order, whether frames hold several or a part of one."""
    said = [b"", b"a", b"bc" * 100, b"", b"d"]
    body = b"".join(map(message, said))
    with door.raw() as client:
        for size in (1, 3, 7, 100, len(body)):
            stream_id = client.open(CHAT)
            for at in range(0, len(body), size):
                client.send(stream_id, body[at : at + size])
            client.end(stream_id)
            got = client.response(stream_id)
            assert (got.messages, got.grpc_status) == (said, 0)


def test_a_conversation(door: BareDoor) -> None:
    """Each message is answered before the next is said, on two streams by turns; the end comes last."""
    with door.raw() as client:
        streams = [client.open(CHAT) for _ in range(2)]
        for number in range(1, 6):
            for stream_id in streams:
                client.send(stream_id, message(b"%d" % number))
                found = client.responses[stream_id]
                client.until(lambda found=found, number=number: len(found.messages) == number)  # type: ignore[misc]
                assert not found.ended
        for stream_id in streams:
            client.end(stream_id)
            assert client.response(stream_id).grpc_status == 0


def test_a_stream_without_messages_ends_well(door: BareDoor) -> None:
    """Nothing said, nothing answered: OK."""
    with door.raw() as client:
        got = client.response(client.open(CHAT, end=True))
    assert (got.grpc_status, got.data) == (0, b"")


def test_half_a_message_ends_a_stream_badly(door: BareDoor) -> None:
    """INTERNAL after what came whole was answered; grpcio leaves the rest and ends well."""
    with door.raw() as client:
        stream_id = client.open(CHAT)
        client.send(stream_id, message(b"whole"))
        client.until(lambda: client.responses[stream_id].messages)
        client.send(stream_id, message(b"half")[:-1], end=True)
        got = client.response(stream_id)
    assert got.messages == [b"whole"]
    assert got.grpc_status == (0 if door.engine == "grpcio" else 13)


def test_answers_hold_up_no_smaller_ones(door: BareDoor) -> None:
    """A small answer arrives while a large one of the same connection is still on its way."""
    with door.raw() as client:
        with client.one_write():
            large, small = client.open(LARGE), client.open(ECHO)
            client.send(large, message(b"3000000"), end=True)
            client.send(small, message(b"hi"), end=True)
        assert client.response(small).messages == [b"hi"]
        assert len(client.response(large).messages[0]) == 3_000_000


def test_a_client_that_was_refused_early_is_told_to_stop(door: BareDoor) -> None:
    """The answer to half a request is followed by RST_STREAM with NO_ERROR: RFC 9113, 8.1."""
    with door.raw() as client:
        stream_id = client.open(ECHO)
        client.send(stream_id, message(b"", length=2**21))
        found = client.responses[stream_id]
        client.until(lambda: found.closed)
        assert (found.grpc_status, found.reset) == (8, 0)


def test_the_rest_of_a_refused_message_is_no_flood(door: BareDoor) -> None:
    """What was on its way when a call was refused is dropped, time after time; the connection goes on."""
    with door.raw() as client:
        for _ in range(3):
            stream_id = client.open(ECHO)
            client.send(stream_id, message(b"", length=2**21) + bytes(10_000))
            assert client.response(stream_id).grpc_status == 8
            # by hand, as the client's own side of the stream is closed by now; within the stream's window
            for _ in range(12):
                client.raw(frame(DATA, 0, stream_id, bytes(16_000)))
            assert client.call(ECHO, b"between").messages == [b"between"]
        assert client.goaways == []


def test_messages_ahead_of_their_answers(door: BareDoor) -> None:
    """A client that says 300 things at once on a stream is welcome at grpcio; ngh2 holds 64 and refuses more.

    Nothing of ours is asked like that: the streams are health watches and questions to reflection.
    """
    with door.raw() as client:
        stream_id = client.open(CHAT)
        client.send(stream_id, message(b"x") * 300, end=True)
        got = client.response(stream_id)
    assert got.grpc_status == (0 if door.engine == "grpcio" else 8)


def test_calls_are_counted_by_what_became_of_them(door: BareDoor) -> None:
    """Answered, refused, given up while they waited: once each."""

    def counted() -> Counter[tuple[str, Code]]:
        methods = door.bare.loop.call(lambda: door.bare.service.counts.methods)
        return Counter(
            {(path, code): methods[path].codes[code] for path in (ECHO, REFUSE, LATER) for code in Code}
        )

    door.bare.hold()
    before = counted()
    with door.raw() as client:
        for _ in range(3):
            client.call(ECHO, b"hi")
        for _ in range(2):
            client.call(REFUSE, b"no")
        waiting = client.open(LATER)
        client.send(waiting, message(b""), end=True)
        client.call(ECHO, b"hi")
        client.reset(waiting)
        client.call(ECHO, b"hi")
        door.bare.release()
        client.call(ECHO, b"hi")
    new = counted() - before
    assert new == {(ECHO, Code.OK): 6, (REFUSE, Code.NOT_FOUND): 2, (LATER, Code.CANCELLED): 1}
