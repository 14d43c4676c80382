"""Flow control: what a client takes no bytes of is held back, and holds up nobody else."""

import pytest
from ngh2 import Setting

from server.pb import bandit_pb2 as pb
from tests.transport.doors import BareDoor, SidecarDoor
from tests.transport.http2_client import Http2Client, message
from tests.transport.stand_in import ECHO, LARGE, REFUSE

FIRST_WINDOW_BYTES = 65_535
"""What every window begins with, unless SETTINGS say otherwise: RFC 9113, 6.9.2."""


def ask_for(client: Http2Client, size: int) -> int:
    """Ask for a reply of `size` bytes, without waiting for it."""
    stream_id = client.open(LARGE)
    client.send(stream_id, message(b"%d" % size), end=True)
    return stream_id


def test_a_closed_window_gets_nothing_until_it_opens(door: BareDoor) -> None:
    """With windows of 0 no DATA comes; other connections are served; then the answer comes whole."""
    with door.raw(settings={Setting.INITIAL_WINDOW_SIZE: 0}) as client, door.raw() as other:
        stream_id = ask_for(client, 100)
        assert other.call(ECHO, b"meanwhile").messages == [b"meanwhile"]
        client.synchronise()
        assert client.responses[stream_id].data == b""
        assert not client.responses[stream_id].ended
        client.open_window(1_000, stream_id)
        assert len(client.response(stream_id).messages[0]) == 100


def test_a_closed_stream_holds_up_no_other_of_its_connection(door: BareDoor) -> None:
    """Ten streams wait for a window; the one whose window opens is answered."""
    with door.raw(settings={Setting.INITIAL_WINDOW_SIZE: 0}) as client:
        waiting = [ask_for(client, 100) for _ in range(10)]
        client.open_window(1_000, waiting[7])
        assert len(client.response(waiting[7]).messages[0]) == 100
        assert [client.responses[each].data for each in waiting if each != waiting[7]] == [b""] * 9


def test_a_window_of_one_byte(door: BareDoor) -> None:
    """300 bytes arrive one by one."""
    with door.raw(settings={Setting.INITIAL_WINDOW_SIZE: 1}) as client:
        got = client.response(ask_for(client, 300))
        assert (len(got.messages[0]), got.frames, got.grpc_status) == (300, 305, 0)


def test_the_connection_window_bounds_all_streams(door: BareDoor) -> None:
    """Without a WINDOW_UPDATE 65,535 bytes come in all; others are served; then the rest comes."""
    with (
        door.raw(settings={Setting.INITIAL_WINDOW_SIZE: 2**20}, auto_window=False) as client,
        door.raw() as other,
    ):
        streams = [ask_for(client, 50_000) for _ in range(3)]
        client.until(lambda: received(client) == FIRST_WINDOW_BYTES)
        client.synchronise()
        assert received(client) == FIRST_WINDOW_BYTES
        assert other.call(ECHO, b"meanwhile").messages == [b"meanwhile"]
        client.open_window(2**20)
        assert [len(client.response(stream_id).messages[0]) for stream_id in streams] == [50_000] * 3


def test_a_full_batch_through_a_small_window(service: SidecarDoor) -> None:
    """256 choices arrive whole at a client that takes 1,000 bytes at a time."""
    batch = pb.ChooseBatchRequest(requests=[pb.ChooseRequest(placement="hero", arms=["a"])] * 256)
    with service.raw(settings={Setting.INITIAL_WINDOW_SIZE: 1_000}) as client:
        got = client.call("/bandit.v1.BanditService/ChooseBatch", batch.SerializeToString())
    (reply,) = got.messages
    assert [result.response.arm for result in pb.ChooseBatchResponse.FromString(reply).results] == ["a"] * 256


def test_a_client_without_a_header_table(door: BareDoor) -> None:
    """HPACK's table may be switched off by the client, before or in the middle of a connection."""
    with door.raw(settings={Setting.HEADER_TABLE_SIZE: 0}) as client:
        assert [client.call(ECHO, b"hi").grpc_status for _ in range(3)] == [0] * 3
        assert client.call(REFUSE, b"no").grpc_status == 5
    with door.raw() as client:
        assert client.call(REFUSE, b"no").grpc_status == 5
        client.update_settings({Setting.HEADER_TABLE_SIZE: 0})
        assert [client.call(REFUSE, b"no").grpc_status for _ in range(3)] == [5] * 3


def received(client: Http2Client) -> int:
    """Bytes of DATA that have come on all streams."""
    return sum(len(response.data) for response in client.responses.values())


def test_settings_change_on_the_way(door: BareDoor) -> None:
    """A larger initial window lets go what the smaller one held, on streams that are open, too."""
    with door.raw(settings={Setting.INITIAL_WINDOW_SIZE: 10}, auto_window=False) as client:
        stream_id = ask_for(client, 1_000)
        found = client.responses[stream_id]
        client.until(lambda: len(found.data) == 10)
        client.synchronise()
        assert len(found.data) == 10
        client.update_settings({Setting.INITIAL_WINDOW_SIZE: 100_000})
        assert len(client.response(stream_id).messages[0]) == 1_000


def test_what_is_held_back_goes_with_its_stream(door: BareDoor) -> None:
    """A client that resets instead of opening the window gets no more of it; the connection goes on."""
    with door.raw(settings={Setting.INITIAL_WINDOW_SIZE: 0}) as client:
        waiting = [ask_for(client, 1_000_000) for _ in range(5)]
        client.until(lambda: all(client.responses[each].headers for each in waiting))
        for each in waiting:
            client.reset(each)
        client.update_settings({Setting.INITIAL_WINDOW_SIZE: FIRST_WINDOW_BYTES})
        assert client.call(ECHO, b"next").messages == [b"next"]
        assert [client.responses[each].data for each in waiting] == [b""] * 5


@pytest.mark.parametrize("size", [16_384, 300_000])
def test_many_uploads_at_once(door: BareDoor, size: int) -> None:
    """Ten requests in pieces by turns, beyond the server's windows: it opens them, and answers all."""
    body = message(bytes(size))
    with door.raw() as client:
        streams = [client.open(ECHO) for _ in range(10)]
        for at in range(0, len(body), 10_000):
            for stream_id in streams:
                client.send(stream_id, body[at : at + 10_000], end=at + 10_000 >= len(body))
        assert [len(client.response(stream_id).data) for stream_id in streams] == [len(body)] * 10
