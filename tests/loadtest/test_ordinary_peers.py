"""The program that shows how ordinary clients fare: its verdict, and a short run of it."""

from collections import Counter
from collections.abc import Mapping

import grpc
import pytest
from click.testing import CliRunner

from loadtest.ordinary_peers import Watched, main, verdict

GOOD = {"OK": 70, "DEADLINE_EXCEEDED": 30}


@pytest.mark.parametrize(
    ("lost", "codes", "good", "says"),
    [
        ({"busy channel": 0}, GOOD, True, "100 calls: 70 OK, 30 DEADLINE_EXCEEDED"),
        ({"busy channel": 1}, GOOD, False, "busy channel: 1 disconnections"),
        ({"busy channel": 0}, {"OK": 99, "DEADLINE_EXCEEDED": 1}, False, "too few calls were cancelled"),
        ({"busy channel": 0}, GOOD | {"UNAVAILABLE": 1}, False, "ended as they never should"),
    ],
)
def test_the_verdict(lost: Mapping[str, int], codes: Mapping[str, int], good: bool, says: str) -> None:
    """Good only without disconnections, with enough cancelled, and no call that failed otherwise."""
    text, found = verdict(lost, Counter(codes))
    assert found == good
    assert says in text


def test_disconnections_are_counted_from_states() -> None:
    """To be ready once is none; ready again, or a failure, is one."""
    watched = Watched.__new__(Watched)
    watched.states = Counter([grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.READY])
    assert watched.disconnections == 0
    watched.states[grpc.ChannelConnectivity.TRANSIENT_FAILURE] += 1
    assert watched.disconnections == 1
    watched.states[grpc.ChannelConnectivity.READY] += 1
    assert watched.disconnections == 2


def test_ordinary_clients_stay_connected() -> None:
    """Two seconds of it; the minute is `python -m loadtest.ordinary_peers`."""
    done = CliRunner().invoke(main, ["--seconds", "2"])
    assert done.exit_code == 0, done.output
    assert "idle channel: 0 disconnections" in done.output
