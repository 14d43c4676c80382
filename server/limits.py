"""Every bound of the shell, with its unit (last in the name), its reason and its precedent."""

MESSAGE_BYTES_MAX = 1_048_576
"""Bytes of a message received. 256 rewards with the largest decision_ids and event_ids take 0.4 MB; gRPC's
default is 4 MB. Decoding one such message takes some milliseconds, and nothing else is served meanwhile."""

REQUEST_BYTES_MAX = 65_536
"""Bytes of one Choose or Reward, alone or in a batch, checked before it is looked at. The largest that the
core accepts (256 context entries, 256 arms, a unit) comes to about 50,000."""

METADATA_BYTES_MAX = 16_384
"""Bytes of a call's metadata, twice gRPC's soft default of 8 KB: room for tracing and a bearer token."""

STREAMS_MAX = 1_000
"""Calls at once on one connection, as a Go server's usual setting; a client with more opens a second one."""

REPLY_TEXT_BYTES_MAX = 2_048
"""Bytes, in UTF-8, of an error's message on the wire. A client accepts 8 KB of trailers as a rule, and the
text travels twice: as grpc-message and in grpc-status-details-bin."""

METADATA_VALUE_BYTES_MAX = 256
"""Bytes of one value in an ErrorInfo's metadata, for the same reason."""

METADATA_BYTES_FATAL = 65_536
"""Bytes of a call's metadata beyond which the connection is closed instead of the call refused: decoding them
is what costs."""

CONTINUATIONS_MAX = 64
"""CONTINUATION frames of a header block, enough for the largest in pieces of 1 KB; libnghttp2's default is 8.
A flood of them (CVE-2024-28182) is a connection's end."""

STREAM_WINDOW_BYTES = 262_144
"""Bytes a client may send in a call before it waits for us: most messages then take no round trip."""

CONNECTION_WINDOW_BYTES = 1_048_576
"""The same for all calls of a connection."""

RESETS_PER_STREAM = 10
"""Resets a second, and at once, for each stream a connection may have. Clients cancel on deadlines, all
their calls if we are slow; libnghttp2's default of 33 a second closed such connections."""

QUIET_BYTES_MAX = 65_536
"""Bytes a connection may send in a second without a request or data in them: pings, settings, windows,
resets. An ordinary client's come to some hundreds; a flood is closed after a millisecond's work."""

EMPTY_PART_BYTES = 128
"""What an empty part of a call counts for among them: it costs as much as a full one, and nobody needs it."""

PINGS_EARLY_MAX = 2
"""Pings that may come too soon with no answer of ours in between, gRPC's own tolerance."""

CALLS_MAX = 2_000
"""Calls in flight in the process. Beyond it reading stops and what was read is refused: it would wait
longer than `WAIT_MAX_S` as it is."""

CALL_BYTES_MAX = 67_108_864
"""Bytes of the messages of calls that wait."""

WAIT_MAX_S = 0.050
"""Seconds a call may wait before it is refused: a page that waited so long has shown its static campaign."""

TURN_S = 0.002
"""Seconds of answering calls before sockets are read and timers run again."""

VISIT_S = 0.0005
"""Seconds of answering one connection's calls before the next has its turn."""

RETRY_S = 0.5
"""Seconds after which a client that we refused for overload may try again."""

CONNECTIONS_MAX = 10_000
"""Connections at once; more are closed when they are made. Each takes about 30 KB."""

CROWD = 500
"""Connections that must have ended before it is worth a pause to give their memory back; one of a client that
misbehaved, and may have held much, counts for all of them."""

CROWD_PAUSE_S = 10.0
"""Seconds between two such pauses, of some milliseconds."""

DESCRIPTORS_SPARE = 64
"""File descriptors that are kept from connections: listeners, logs, files, the HTTP port."""

PART_BYTES_MAX = 67_108_864
"""Bytes of messages whose turn cannot come yet, of all connections: not whole, of calls that have not ended,
or of streaming calls that are slow to take them. Ordinary ones come whole in one read."""

MESSAGES_AHEAD_MAX = 64
"""Messages of a streaming call that wait for the answers to those before."""

UNSENT_BYTES_MAX = 262_144
"""Bytes of answers a client may leave unread before it gets no more of a stream."""

READ_BYTES = 16_384
"""Bytes read from a connection before the others get their turn."""

HELLO_S = 10.0
"""Seconds for a TLS handshake, and for the client's HTTP/2 settings after it."""

REQUEST_S = 10.0
"""Seconds from a call's headers to the end of its message, and from a frame's first byte to its last."""

STALL_S = 20.0
"""Seconds in which a client that has answers waiting must read some of them."""

STALL_BYTES_MIN = 16_384
"""What it must read in that time, if there is so much."""

CONNECTION_AGE_S = 3_600.0
"""Seconds after which a client is asked to connect anew, give or take a tenth by chance, so that connections
spread over servers that were started later."""

LEAVE_NOTICE_S = 0.1
"""Seconds between telling a client to leave and saying which calls were taken: a round trip, at least."""

LEAVE_S = 10.0
"""Seconds a client that was told to leave may still take for its calls (when the server stops,
--drain-timeout), and then for reading the last answers."""

FAREWELL_S = 1.0
"""Seconds a closing connection has for its last bytes, unless they are answers and its client still reads."""

KEEPALIVE_MIN_S = 5
"""Seconds between two keepalive pings of a client: half of the 10 that clients may set, since pings arrive
unevenly. gRPC's default of 300 disconnects ordinary clients."""

KEEPALIVE_S = 60
"""Seconds of silence after which the server pings a client, to find connections that are half open."""

KEEPALIVE_TIMEOUT_S = 20
"""Seconds until an unanswered ping closes the connection. gRPC's default."""

HEALTH_WATCHES_MAX = 1_000
"""Health watches at once, over all connections: each is a task that lives as long as its client likes."""

STREAMING_CALLS_MAX = 4_000
"""Streaming calls at once, over all connections (health watches, reflection): each is a task of some 6 KB."""

HTTP_REQUESTS_MAX = 8
"""Requests at once on the HTTP port; more are closed unanswered. A scraper and two probes need three."""

HTTP_TIMEOUT_S = 5.0
"""Seconds an HTTP client may be silent while it sends its request or reads the answer."""

HTTP_REQUEST_MAX_S = 30.0
"""Seconds for one HTTP request in all. Prometheus gives up after 10 by default."""

KEY_FILE_BYTES_MAX = 32_768
"""Bytes of a key file at most: 255 keys, of 64 characters in hex each with its id."""

FSYNC_INTERVAL_S = 1.0
"""Seconds between two fsyncs of the journal with `--fsync interval`, as Redis's `everysec`."""

SNAPSHOT_PAUSE_S = 0.002
"""Seconds between two placements of a snapshot, each of which holds up calls for a thirtieth of that: so few
calls meet one, and fewer the milliseconds that beginning it, syncing it and removing an older one take."""

CLOCK_AHEAD_MAX_S = 31 * 86_400
"""Seconds after the last record at which a start takes the wall clock without being told to: a month off."""

CLOCK_DEPARTURE_MAX_S = 300
"""Seconds by which the wall clock may depart from the learning clock before it is a warning."""

SWITCH_INTERVAL_S = 0.0005
"""Seconds a thread may hold the interpreter while the event loop wants it: a scrape or a configuration
being parsed delays a request by this at a time. Python's default of 5 ms would show in p99."""

LOOP_SILENCE_MAX_S = 30
"""Seconds without a turn of the event loop after which /healthz says the process is not alive."""

TLS_LOOK_S = 5
"""Seconds between two looks at the TLS files' times and sizes, some microseconds each. A renewed pair is
served after two looks; tools renew days before the end."""

TLS_WARNING_DAYS = 7
"""Days before a certificate's end from which the log warns once a day. Renewal, as Let's Encrypt's at 30 days
of 90, was due long before, and a week holds a working day."""

TLS_WARNING_PART = 0.25
"""Part of a certificate's life, its last, in which the log warns at all: one that lives for a day or an hour
is renewed at half or two thirds of it."""
