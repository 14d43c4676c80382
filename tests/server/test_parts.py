"""The small parts: clock, keys, addresses, logs."""

import base64
import errno
import io
import json
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from server import keys, logs
from server.addresses import Address, parse_address
from server.clock import LearningClock
from server.exit_codes import ExitCode, StartError

SECRET = bytes(range(32))
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


@pytest.mark.parametrize(
    "content",
    [
        SECRET.hex(),
        SECRET.hex().upper() + "\n",
        base64.b64encode(SECRET).decode(),
        base64.urlsafe_b64encode(bytes([251, 255] * 16)).decode(),
    ],
)
def test_key_files_are_hex_or_base64(tmp_path: Path, content: str) -> None:
    """32 bytes in either writing, with or without a final line end."""
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    assert keys.load_secret(path, tmp_path) in (SECRET, bytes([251, 255] * 16))


@pytest.mark.parametrize("content", ["", "00" * 31, "zz" * 32, "00" * 33, "secret"])
def test_other_key_files_are_refused(tmp_path: Path, content: str) -> None:
    """The message says how to make one, and does not quote what it found."""
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StartError, match="openssl rand -hex 32") as caught:
        keys.load_secret(path, tmp_path)
    assert caught.value.code is ExitCode.FILES
    assert not content or content not in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize(("mode", "accepted"), [(0o600, True), (0o440, True), (0o644, False), (0o660, False)])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int, accepted: bool) -> None:
    """Its group may read it (mounted secrets are that way), nobody else; only its owner may write."""
    path = tmp_path / "key"
    path.write_text(SECRET.hex())
    path.chmod(mode)
    if accepted:
        assert keys.load_secret(path, tmp_path) == SECRET
    else:
        with pytest.raises(StartError, match=f"{mode:04o}.*chmod 600"):
            keys.load_secret(path, tmp_path)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """At the first start, for its owner alone; the second start finds it, so tokens stay good."""
    first = keys.load_secret(None, tmp_path)
    assert len(set(first)) > 8
    assert keys.load_secret(None, tmp_path) == first
    (made,) = tmp_path.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_key_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk: the message says so, no file is left, and with room again the next start makes the key."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StartError, match="No space left"):
            keys.load_secret(None, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(keys.load_secret(None, tmp_path)) == 32


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    """One that was asked for is not made: a typing error must not change the key."""
    with pytest.raises(StartError, match="cannot be read"):
        keys.load_secret(tmp_path / "kye", tmp_path)
    assert list(tmp_path.iterdir()) == []


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
