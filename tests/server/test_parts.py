"""The small parts: clock, keys, addresses, logs."""

import io
import json
import logging
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from server import keys, logs
from server.addresses import Address, parse_address
from server.clock import LearningClock

HOUR_NS = 3_600_000_000_000


class Clocks:
    """A wall clock and a monotonic one that a test moves."""

    def __init__(self) -> None:
        self.wall_ns = 1_800_000_000_000_000_000
        self.monotonic_ns = 77

    def learning(self) -> LearningClock:
        """The learning clock on both."""
        return LearningClock(lambda: self.wall_ns, lambda: self.monotonic_ns)


@pytest.mark.parametrize("step_ns", [-HOUR_NS, 10 * 365 * 24 * HOUR_NS])
def test_learning_time_does_not_step(step_ns: int) -> None:
    """A wall clock set back an hour or forward ten years moves nothing, and is found out once."""
    clocks = Clocks()
    clock = clocks.learning()
    before_us = clock.now_us()
    clocks.wall_ns += step_ns
    clocks.monotonic_ns += 5_000
    assert clock.now_us() == before_us + 5
    assert clock.departure_s() == pytest.approx(step_ns / 1e9)
    assert [clock.newly_departed() for _ in range(3)] == [True, False, False]
    clocks.wall_ns -= step_ns
    assert [clock.newly_departed(), clock.departure_s() < 1] == [False, True]
    clocks.wall_ns += step_ns
    assert clock.newly_departed()


def test_small_departures_are_no_news() -> None:
    """NTP's corrections are below five minutes."""
    clocks = Clocks()
    clock = clocks.learning()
    clocks.wall_ns += 299 * 10**9
    assert not clock.newly_departed()


def test_origin_and_start_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's name in the characters of names; a start's id never twice."""
    monkeypatch.setattr("socket.gethostname", lambda: "häuschen im wald." + "x" * 99)
    name = keys.origin_name()
    assert name.startswith("h-uschen-im-wald.x")
    assert len(name) <= 64
    monkeypatch.setattr("socket.gethostname", lambda: "ö")
    assert keys.origin_name() == "origin"
    assert keys.new_start_id() != keys.new_start_id()


@pytest.mark.parametrize(
    ("text", "address", "local"),
    [
        ("127.0.0.1:50051", Address("127.0.0.1", 50051), True),
        ("127.8.8.8:1", Address("127.8.8.8", 1), True),
        ("localhost:0", Address("localhost", 0), True),
        ("[::1]:50051", Address("::1", 50051), True),
        ("unix:/run/x.sock", Address(path="/run/x.sock"), True),
        ("0.0.0.0:50051", Address("0.0.0.0", 50051), False),  # noqa: S104 - it is parsed
        ("[::]:50051", Address("::", 50051), False),
        ("example.com:443", Address("example.com", 443), False),
    ],
)
def test_addresses_are_parsed_and_written(text: str, address: Address, local: bool) -> None:
    """There and back; loopback and Unix sockets are local, names of other hosts are not."""
    assert parse_address(text) == address
    assert str(address) == text
    assert address.is_local == local


@pytest.mark.parametrize(
    "text", ["", "50051", ":50051", "host", "host:", "host:x", "host:65536", "::1:50051", "unix:", "host:-1"]
)
def test_other_addresses_are_refused(text: str) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match=r"expected|brackets"):
        parse_address(text)


def test_a_socket_path_too_long_for_the_system_is_refused() -> None:
    """It would be cut or refused by the system, with less of an explanation."""
    with pytest.raises(ValueError, match="107"):
        parse_address("unix:/" + "x" * 107)


def test_a_wildcard_is_called_at_the_loopback() -> None:
    """A probe cannot connect to 0.0.0.0 everywhere."""
    assert str(parse_address("0.0.0.0:1").reachable) == "127.0.0.1:1"
    assert str(parse_address("[::]:1").reachable) == "[::1]:1"
    assert str(parse_address("10.0.0.1:1").reachable) == "10.0.0.1:1"


def test_logs_are_json_without_what_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object a line; private names are blanked whatever they hold; libraries' lines come along."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    try:
        logs.configure()
        structlog.get_logger().info("something", unit="visitor-1", count=3)
        structlog.get_logger().debug("too fine")
        try:
            raise ValueError("visitor-2")  # noqa: TRY301 - it is caught here to be logged
        except ValueError:
            logging.getLogger("library").exception("failed %s", "visitor-3")
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert list(first)[:3] == ["timestamp", "level", "event"]
    assert (first["event"], first["unit"], first["count"]) == ("something", "[private]", 3)
    assert (second["level"], second["logger"], second["error"]) == ("error", "library", "ValueError")
    assert any("test_parts.py" in place for place in second["places"])
    assert "visitor" not in stream.getvalue()


def test_a_log_that_cannot_be_written_is_no_fault() -> None:
    """A full disk behind standard error, or a reader that left, must not fail calls."""
    stream = logs.Unfailing(Path("/dev/full").open("w", buffering=1))  # noqa: SIM115 - it stays open on purpose
    stream.write("a line\n")
    stream.flush()
    with suppress(OSError):
        stream._stream.close()
    stream.write("a line\n")
    stream.flush()
    assert stream._stream.closed
