"""One HTTP/2 connection and the calls on it, without a socket: bytes in, calls out; replies in, bytes out.

libnghttp2 (through ngh2) keeps HTTP/2's own rules: frames, header compression, windows, streams' states.
Here a stream becomes a gRPC call, and an answer a stream's headers, data and trailers.
"""

from collections.abc import Mapping
from contextlib import suppress

import ngh2

from server import limits
from server.causes import Cause
from server.codes import Code
from server.counts import MethodCounts
from server.errors import Failure, ShellError
from server.http2 import headers, terms
from server.http2.call import Budget, Call, Route
from server.http2.messages import framed, plain, whole
from server.methods import CallError

Routes = Mapping[bytes, Route]

NS = 10**9

FIELDS_FEW = 16
"""Header fields that a call has as a rule, with tracing and a token."""

ENDED = (ngh2.StreamClosed, ngh2.StreamReset)


class Session:
    """One connection's state. It has no clock: the time of what is received comes in.

    `routes` are the methods by path, as bytes. `streams_max` bounds the calls at once, `message_bytes_max`
    the bytes of a message, `parts` those of messages that have not come whole, of all sessions that share it.
    """

    def __init__(
        self,
        routes: Routes,
        parts: Budget,
        message_bytes_max: int = limits.MESSAGE_BYTES_MAX,
        streams_max: int = limits.STREAMS_MAX,
    ) -> None:
        self.calls: dict[int, Call] = {}
        """calls that are not answered yet, oldest first"""
        self.over: Cause | None = None
        """why the connection cannot go on; None while it can"""
        self.greeted = False
        """whether the client's settings have come"""
        self.leaving = False
        """whether the client is told, or was, which of its streams are the last"""
        self.quiet_bytes = 0
        """bytes received since the last request or data: what a flood of other frames is made of"""
        self.unheard_bytes = 0
        """bytes received since the last frame that was whole"""
        self.unheard_ns = 0
        """when the first of them came"""
        self.heard_ns = 0
        """when the last frame that was whole came"""
        self._routes = routes
        self._parts = parts
        self._bytes_max = message_bytes_max
        self._now_ns = 0
        self._ready: list[Call] = []
        self._early: list[int] = []
        self._told = False
        self._owed_bytes = self._owed_s = 0
        self._pings = 0
        self._pinged_ns = -limits.KEEPALIVE_MIN_S * NS
        self._http2 = ngh2.Connection(ngh2.Role.SERVER, terms.configuration(streams_max))
        self._http2.initiate_connection(terms.settings(streams_max))
        self._http2.set_local_window_size(limits.CONNECTION_WINDOW_BYTES)

    def receive(self, data: bytes | memoryview, now_ns: int) -> list[Call]:
        """Take in bytes; return the calls that can be answered now, in their order.

        One may be reset by its client further on in the same bytes: look at `open`. Then look at `over`: the
        peer may have broken HTTP/2's rules or our bounds, and nothing it says is looked at any more;
        `outgoing` may have a farewell.
        """
        if self.over:
            return []
        self._now_ns = now_ns
        ready = self._ready = []
        self.quiet_bytes += len(data)
        if not self.unheard_bytes:
            self.unheard_ns = now_ns
        self.unheard_bytes += len(data)
        try:
            self._http2.receive_data(data)
        except ngh2.NGH2Error as error:
            self.over = Cause.FLOOD if isinstance(error, ngh2.DenialOfServiceError) else Cause.PROTOCOL
            self._react()
            self.abandon()  # nothing can be sent any more, so nothing is to be executed
            return ready
        self._react()
        if self.quiet_bytes > limits.QUIET_BYTES_MAX + self._owed_bytes:
            self._calm("too many bytes without a call in them")
        return ready

    def outgoing(self) -> bytes:
        """The bytes to send now: none if there is nothing to say, or if the peer's windows are closed.

        Look at `over` afterwards.
        """
        try:
            if self.leaving and not self._told:
                self._told = True
                self._http2.send_goaway()  # not before: what was read until now is answered, so it was taken
            data = self._http2.data_to_send()
            if self._early:
                data += self._hush()
        except ngh2.NGH2Error:
            self.over = self.over or Cause.PROTOCOL
            return b""
        self._react()
        return data

    def abandon(self) -> None:
        """Give up every call: the connection is gone."""
        calls = list(self.calls.values())
        self.calls.clear()
        self._ready = []
        for call in calls:
            self._closed(call)

    def pass_second(self) -> None:
        """Count anew what is bounded by the second."""
        self.quiet_bytes = 0
        self._owed_s -= 1
        if self._owed_s <= 0:
            self._owed_bytes = self._owed_s = 0

    @property
    def unsent(self) -> int:
        """Bytes of answers that the peer's windows hold back."""
        return self._http2.queued_body_size()

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        with suppress(ngh2.NGH2Error):  # it may be closing by itself
            self._http2.ping()

    def announce_leave(self) -> None:
        """Tell the client to open no more streams; those it opens before it hears of it are still served."""
        with suppress(ngh2.NGH2Error):
            self._http2.send_shutdown_notice()

    def leave(self) -> None:
        """Tell the client, with what goes out next, which streams were taken: others it may repeat elsewhere.

        When all of them are answered and the answers are out, it is `over`.
        """
        self.leaving = True

    def next(self, call: Call) -> bytes:
        """Take the first of the messages that a call has said. Raises what `messages.inflated` raises."""
        message = call.messages.pop(0)
        if call.held:
            self._weigh(call, call.weight)
        return plain(message, self._bytes_max)

    def reply(self, call: Call, message: bytes) -> None:
        """Answer an open unary call."""
        http2, stream_id = self._http2, call.stream_id
        http2.send_response(stream_id, headers.ANSWER)
        http2.send_data(stream_id, framed(message))
        http2.send_trailers(stream_id, headers.OK)
        self._answered(call)

    def send(self, call: Call, message: bytes) -> None:
        """Send one of an open streaming call's messages."""
        self._begin(call)
        self._http2.send_data(call.stream_id, framed(message))
        self._pings = 0

    def finish(self, call: Call) -> None:
        """End an open streaming call well."""
        self._begin(call)
        self._http2.send_trailers(call.stream_id, headers.OK)
        self._answered(call)

    def fail(self, call: Call, failure: Failure) -> None:
        """End an open call with a failure: headers alone (Trailers-Only), or trailers if it has begun."""
        trailers = headers.failed(failure)
        if call.begun:
            self._http2.send_trailers(call.stream_id, trailers)
        else:
            self._http2.send_response(call.stream_id, (*headers.ANSWER, *trailers), end_stream=True)
        self._answered(call)

    def _react(self) -> None:
        """Act on what HTTP/2 found in the bytes, in their order; other events mean nothing to us."""
        for event in self._http2.events():
            self.heard_ns = self._now_ns
            self.unheard_bytes = 0
            if type(event) is ngh2.RequestReceived:
                self._on_request(event)
            elif type(event) is ngh2.DataReceived:
                self._on_data(event.stream_id, event.data, event.end_stream)
            elif isinstance(event, ENDED):
                self._on_end(event.stream_id)
            elif isinstance(event, ngh2.TrailersReceived):
                self._on_data(event.stream_id, b"", True)  # they say nothing in gRPC, but end a request
            elif isinstance(event, ngh2.PingReceived):
                self._on_ping()
            elif isinstance(event, ngh2.SettingsReceived):
                self.greeted = True
            elif isinstance(event, ngh2.ConnectionClosed):
                self.over = self.over or (Cause.LEFT if self.leaving else Cause.PROTOCOL)

    def _begin(self, call: Call) -> None:
        if not call.begun:
            call.begun = True
            self._http2.send_response(call.stream_id, headers.ANSWER)

    def _answered(self, call: Call) -> None:
        call.open = False
        del self.calls[call.stream_id]
        if call.held:
            self._let_go(call)
        if not call.ended:
            self._early.append(call.stream_id)
        self._pings = 0

    def _hush(self) -> bytes:
        """Stop clients that go on speaking in an answered call: RST_STREAM, once the answer is out.

        What they have sent meanwhile, up to a window, is no flood.
        """
        waiting = [stream_id for stream_id in self._early if self._http2.queued_body_size(stream_id)]
        for stream_id in self._early:
            if stream_id not in waiting:
                self._owed_bytes, self._owed_s = limits.STREAM_WINDOW_BYTES, 2
                self._http2.reset_stream(stream_id, ngh2.ErrorCode.NO_ERROR)
        self._early = waiting
        return self._http2.data_to_send()

    def _on_request(self, event: ngh2.RequestReceived) -> None:
        """Begin a call, or refuse what is none."""
        fields = dict(event.headers)
        if fields.get(b"content-type") != headers.CONTENT_TYPE or fields[b":method"] != b"POST":
            refusal = headers.http_refusal(fields)
            if refusal is not None:
                self._refuse_http(event, refusal)
                return
        route = self._routes.get(fields[b":path"], UNKNOWN)
        stream_id = event.stream_id
        call = self.calls[stream_id] = Call(self, stream_id, route, self._now_ns)
        self.quiet_bytes = 0
        try:
            self._check(call, event.headers, fields)
        except (CallError, ShellError) as error:
            self._refuse(call, error)
        if route.stream is not None:
            self._offer(call)
        if event.end_stream:
            self._take(call, b"", ended=True)

    def _check(self, call: Call, fields: headers.Headers, by_name: Mapping[bytes, bytes]) -> None:
        """Look at how a call was made. Raises ShellError METADATA_TOO_LARGE, CallError."""
        if len(fields) > FIELDS_FEW or sum(map(len, by_name.values())) > limits.METADATA_BYTES_MAX // 2:
            size = headers.list_bytes(fields)  # takes three times as long, so only where it may matter
            if size > limits.METADATA_BYTES_MAX:
                raise terms.metadata_too_large(size)
        if call.route is UNKNOWN:
            raise CallError(Code.UNIMPLEMENTED, "there is no such method here")
        if b"grpc-timeout" in by_name:
            call.deadline_ns = call.arrived_ns + headers.timeout_ns(by_name[b"grpc-timeout"])
        if b"grpc-encoding" in by_name:
            call.gzip = headers.is_gzip(by_name[b"grpc-encoding"])

    def _refuse_http(self, event: ngh2.RequestReceived, refusal: headers.Headers) -> None:
        """Answer what is no gRPC call, unless it, or the connection, ended further on in the same bytes."""
        with suppress(ngh2.NGH2Error):
            self._http2.send_response(event.stream_id, refusal, end_stream=True)
            if not event.end_stream:
                self._early.append(event.stream_id)

    def _on_data(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Take in a part of a body; most often it is the one message of a unary call."""
        if data:
            self.quiet_bytes = 0
        elif not ended:
            self.quiet_bytes += limits.EMPTY_PART_BYTES
        call = self.calls.get(stream_id)
        if call is None:
            return
        if ended and call.untouched:
            message = whole(data, self._bytes_max)
            if message is not None:
                call.ended = True
                call.messages.append(message)
                self._offer(call)
                return
        self._take(call, data, ended=ended)

    def _take(self, call: Call, data: bytes, *, ended: bool) -> None:
        """Take in bytes of any kind; a unary call is ready at its end, a streaming one from the start."""
        call.ended = ended
        call.untouched = False
        if call.error is not None:
            return
        try:
            call.take(data, self._bytes_max)
            self._weigh(call, call.weight)
        except (CallError, ShellError) as error:
            self._let_go(call)
            self._refuse(call, error)
            return
        if call.on_input is not None:
            call.on_input()
        elif ended:
            self._offer(call)

    def _offer(self, call: Call) -> None:
        """Let a call be answered; once."""
        if not call.offered:
            call.offered = True
            self._ready.append(call)

    def _refuse(self, call: Call, error: CallError | ShellError) -> None:
        """Let a call be refused for how it was made; a streaming one may be under way."""
        call.error = error
        if call.on_input is not None:
            call.on_input()
        else:
            self._offer(call)

    def _on_end(self, stream_id: int) -> None:
        """Close a call that its client reset, or that HTTP/2 ended for a fault of its own."""
        if stream_id in self.calls:
            self._closed(self.calls.pop(stream_id))

    def _closed(self, call: Call) -> None:
        call.open = False
        self._let_go(call)
        if call.on_input is not None:
            call.on_input()

    def _weigh(self, call: Call, weight: int) -> None:
        """Let a call weigh so many bytes. Raises ShellError OVERLOADED, changing nothing."""
        self._parts.change(weight - call.held)
        call.held = weight

    def _let_go(self, call: Call) -> None:
        call.let_go()
        self._weigh(call, 0)

    def _on_ping(self) -> None:
        """Count pings that come too soon and with no answer of ours between them, as gRPC's core does."""
        if self._now_ns - self._pinged_ns < limits.KEEPALIVE_MIN_S * NS:
            self._pings += 1
        self._pinged_ns = self._now_ns
        if self._pings > limits.PINGS_EARLY_MAX:
            self._calm("too_many_pings")

    def _calm(self, why: str) -> None:
        """Tell the peer that it is too much, which is the last it hears."""
        if not self.over:
            self.over = Cause.FLOOD
            self._http2.send_goaway(ngh2.ErrorCode.ENHANCE_YOUR_CALM, debug_data=why.encode())


UNKNOWN = Route("", MethodCounts(), unary=lambda _: b"")
"""Stands for methods that are not here; such a call is refused before its route is used."""
