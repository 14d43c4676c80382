"""A raw HTTP/2 client for tests: one blocking socket and ngh2, so that each frame is the test's own decision.

It sends what gRPC's clients never would, and shows what they hide: which frame carried what, resets, GOAWAY.
It never raises for what the server does: resets, GOAWAYs and the end of the connection are recorded. Only
waiting longer than `wait_s` for something is an error.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import ngh2

Pairs = Sequence[tuple[bytes, bytes]]

CHOOSE = "/bandit.v1.BanditService/Choose"

CLIENT_WAIT_S = 20.0
"""Seconds after which an answer is given up."""

READ_BYTES_MAX = 65_536

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
"""Types of frames, RFC 9113 section 6."""

END_STREAM, END_HEADERS, PADDED = 0x1, 0x4, 0x8
"""Flags of frames."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first, before its SETTINGS."""


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A frame as it travels, well-formed or not: RFC 9113 section 4.1."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + (stream_id & 0x7FFF_FFFF).to_bytes(4) + payload


def message(data: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A gRPC message with its five bytes of prefix; `length` may lie."""
    return bytes([compressed]) + (len(data) if length is None else length).to_bytes(4) + data


def request_headers(
    path: str = CHOOSE, extra: Pairs = (), *, method: bytes = b"POST", scheme: bytes = b"http"
) -> list[tuple[bytes, bytes]]:
    """Headers of a gRPC request; a name in `extra` replaces the usual field, an empty value removes it."""
    given = {name for name, _ in extra}
    usual = [
        (b":method", method),
        (b":scheme", scheme),
        (b":path", path.encode()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    fields = [pair for pair in usual if pair[0] not in given] + [pair for pair in extra if pair[1]]
    return sorted(fields, key=lambda pair: not pair[0].startswith(b":"))  # pseudo-headers come first


@dataclass
class Response:
    """What has come on one stream so far. `frames` counts DATA frames that held anything."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False
    trailers_only: bool = False
    closed: bool = False
    reset: int | None = None
    frames: int = 0

    @property
    def http_status(self) -> int:
        """`:status`, or 0 while there are no headers."""
        return int(self.headers.get(b":status", b"0"))

    @property
    def grpc_status(self) -> int | None:
        """The call's status code, None while (or where) there is none."""
        value = self.closing.get(b"grpc-status")
        return None if value is None else int(value)

    @property
    def grpc_message(self) -> str:
        """The status message, decoded."""
        return unquote(self.closing.get(b"grpc-message", b"").decode("ascii"), errors="strict")

    @property
    def closing(self) -> dict[bytes, bytes]:
        """The block that carries the status: the only one of a Trailers-Only answer, the last of another."""
        return self.headers if self.trailers_only else self.trailers

    @property
    def messages(self) -> list[bytes]:
        """The whole gRPC messages in the data; all of them must be uncompressed."""
        found, rest = [], self.data
        while len(rest) >= 5:
            assert rest[0] == 0
            end = 5 + int.from_bytes(rest[1:5])
            if len(rest) < end:
                break
            found.append(rest[5:end])
            rest = rest[end:]
        return found


class Http2Client:
    """One connection. `target` is `host:port` or `unix:path`; with `tls` its context needs ALPN set.

    `settings` are the client's first SETTINGS; with `auto_window` False windows open only by
    `open_window`. Use it as a context manager.
    """

    def __init__(
        self,
        target: str,
        tls: ssl.SSLContext | None = None,
        settings: Mapping[int, int] | None = None,
        *,
        auto_window: bool = True,
        wait_s: float = CLIENT_WAIT_S,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self.wait_s = wait_s
        self.scheme = b"https" if tls else b"http"
        self.responses: dict[int, Response] = {}
        self.pongs: list[bytes] = []
        self.pings = 0
        self.server_settings: dict[int, int] = {}
        self.acknowledged = 0
        self.goaways: list[ngh2.GoAwayReceived] = []
        self.over = False
        self.disconnected = False
        self._held: bytearray | None = None
        self.socket = connect(target, tls, wait_s, receive_buffer_bytes)
        config = ngh2.Configuration(
            auto_window_update=auto_window,
            max_outbound_ack=10**6,
            max_send_header_block_length=10**6,
            peer_max_concurrent_streams=10**6,
        )
        self.connection = ngh2.Connection(ngh2.Role.CLIENT, config)
        self.connection.initiate_connection(dict(settings or {}))
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket without a word."""
        self.socket.close()

    def greet(self) -> None:
        """Return when both sides know each other's settings: until then neither holds the other to them."""
        self.until(lambda: self.server_settings and self.acknowledged)

    # What goes out

    def open(
        self, path: str = CHOOSE, extra: Pairs = (), *, method: bytes = b"POST", end: bool = False
    ) -> int:
        """Send request headers; return the stream's id. See `request_headers` for `extra`."""
        headers = request_headers(path, extra, method=method, scheme=self.scheme)
        stream_id = self.connection.send_request(headers, end_stream=end)
        self.responses[stream_id] = Response()
        self.flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Send a DATA frame (more, where the server's window or frame size asks for it)."""
        self.connection.send_data(stream_id, data, end_stream=end)
        self.flush()

    def end(self, stream_id: int) -> None:
        """Half-close: an empty DATA frame with END_STREAM."""
        self.connection.end_stream(stream_id)
        self.flush()

    def reset(self, stream_id: int, code: int = ngh2.ErrorCode.CANCEL) -> None:
        """Send RST_STREAM."""
        self.connection.reset_stream(stream_id, code)
        self.flush()

    def ping(self, opaque: bytes = b"12345678") -> None:
        """Send a PING of eight bytes; its answer appears in `pongs`."""
        self.connection.ping(opaque)
        self.flush()

    def goaway(self, code: int = 0) -> None:
        """Say that we open no more streams."""
        self.connection.send_goaway(code)
        self.flush()

    def update_settings(self, settings: Mapping[int, int]) -> None:
        """Send SETTINGS in the middle of things."""
        self.connection.update_settings(dict(settings))
        self.flush()

    def open_window(self, window_bytes: int, stream_id: int = 0) -> None:
        """Let the server have so many bytes under way on a stream, or (0) on the connection."""
        self.connection.set_local_window_size(window_bytes, stream_id=stream_id)
        self.flush()

    def raw(self, data: bytes) -> None:
        """Send bytes of the test's own making, after everything that ngh2 has to say."""
        self.flush()
        self._write(data)

    def flush(self) -> None:
        """Write what ngh2 has to say."""
        data = self.connection.data_to_send()
        if data:
            self._write(data)

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Everything sent inside leaves in one piece, so that the server (as a rule) reads it in one."""
        self._held = held = bytearray()
        try:
            yield
        finally:
            self._held = None
            if held:
                self._write(bytes(held))

    def _write(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data
            return
        try:
            self.socket.settimeout(self.wait_s)
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.disconnected = True

    # What comes in

    def call(
        self,
        path: str = CHOOSE,
        body: bytes = b"",
        extra: Pairs = (),
        *,
        wait_s: float | None = None,
    ) -> Response:
        """A whole unary call: headers, `body` as one gRPC message, the answer."""
        stream_id = self.open(path, extra)
        self.send(stream_id, message(body), end=True)
        return self.response(stream_id, wait_s=wait_s)

    def response(self, stream_id: int, *, wait_s: float | None = None) -> Response:
        """The answer of a stream when it is closed, by its end, a reset or the connection's end."""
        found = self.responses[stream_id]
        self.until(lambda: found.closed or found.ended or self.disconnected, wait_s)
        return found

    def until(self, true: Callable[[], object], wait_s: float | None = None) -> None:
        """Read until `true()`; raises TimeoutError when that takes over `wait_s` seconds."""
        end_s = time.monotonic() + (self.wait_s if wait_s is None else wait_s)
        while not true():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("what the test waits for did not come")
            if self.disconnected:
                raise ConnectionError("the connection ended before what the test waits for came")
            self._read(left_s)

    def idle(self, seconds: float) -> None:
        """Read whatever comes for so long, or until the connection ends."""
        end_s = time.monotonic() + seconds
        while not self.disconnected and (left_s := end_s - time.monotonic()) > 0:
            self._read(left_s)

    def until_disconnected(self, wait_s: float | None = None) -> None:
        """Read until the server has closed the connection."""
        self.until(lambda: self.disconnected, wait_s)

    def until_readable(self) -> None:
        """Return when the server has said something that is not read yet, without reading it."""
        self.socket.settimeout(self.wait_s)
        assert self.socket.recv(1, socket.MSG_PEEK)

    def synchronise(self) -> None:
        """Return when the server has read all that was sent so far: a PING and its answer.

        It counts as a ping to the server's own bound on pings.
        """
        before = len(self.pongs)
        self.ping(b"in order")
        self.until(lambda: len(self.pongs) > before)

    def _read(self, wait_s: float) -> None:
        self.socket.settimeout(max(wait_s, 0.001))
        try:
            data = self.socket.recv(READ_BYTES_MAX)
        except TimeoutError:
            return
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            data = b""
        if not data:
            self.disconnected = True
            return
        if self.over:
            return  # HTTP/2 has ended; what the server still sends before it closes means nothing
        self.connection.receive_data(data)
        self._heed()
        if not self.over:
            self.flush()
            self._heed()  # ngh2 closes the streams of malformed answers as it sends their resets

    def _heed(self) -> None:
        for event in self.connection.events():
            self._take(event)

    def _take(self, event: ngh2.Event) -> None:  # noqa: C901 - a case for each event
        match event:
            case ngh2.ResponseReceived(stream_id, headers, end):
                found = self.responses[stream_id]
                found.headers, found.trailers_only = dict(headers), end
                found.ended |= end
            case ngh2.DataReceived(stream_id, data, end):
                found = self.responses[stream_id]
                found.data += data
                found.frames += bool(data)
                found.ended |= end
            case ngh2.TrailersReceived(stream_id, headers):
                found = self.responses[stream_id]
                found.trailers, found.ended = dict(headers), True
            case ngh2.StreamReset(stream_id, code):
                self.responses[stream_id].reset = code
            case ngh2.StreamClosed(stream_id):
                self.responses[stream_id].closed = True
            case ngh2.PingAcknowledged(opaque):
                self.pongs.append(opaque)
            case ngh2.PingReceived():
                self.pings += 1
            case ngh2.SettingsReceived(settings):
                self.server_settings.update(settings)
            case ngh2.SettingsAcknowledged():
                self.acknowledged += 1
            case ngh2.ConnectionClosed():
                self.over = True
            case ngh2.GoAwayReceived():
                self.goaways.append(event)
            case _:
                pass


def connect(
    target: str,
    tls: ssl.SSLContext | None = None,
    wait_s: float = CLIENT_WAIT_S,
    receive_buffer_bytes: int | None = None,
) -> socket.socket:
    """A connected socket, encrypted with `tls`. `target` is `host:port` or `unix:path`."""
    if target.startswith("unix:"):
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address: str | tuple[str, int] = target.removeprefix("unix:")
    else:
        host, _, port = target.rpartition(":")
        plain = socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET, socket.SOCK_STREAM)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = (host.strip("[]"), int(port))
    plain.settimeout(wait_s)
    if receive_buffer_bytes is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    try:
        plain.connect(address)
        return tls.wrap_socket(plain, server_hostname="localhost") if tls is not None else plain
    except BaseException:
        plain.close()
        raise


def client_tls(
    ca: Path, certificate: tuple[Path, Path] | None = None, protocols: Sequence[str] = ("h2",)
) -> ssl.SSLContext:
    """A context that trusts `ca`, shows `certificate` (certificate, key), and offers `protocols` by ALPN."""
    context = ssl.create_default_context(cafile=str(ca))
    if certificate is not None:
        context.load_cert_chain(*map(str, certificate))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
