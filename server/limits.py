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

REPLY_TEXT_CHARS_MAX = 2_048
"""Characters of an error's message on the wire. A client accepts 8 KB of trailers as a rule, and the text
travels twice: as grpc-message and in grpc-status-details-bin."""

METADATA_VALUE_CHARS_MAX = 256
"""Characters of one value in an ErrorInfo's metadata, for the same reason."""

KEEPALIVE_MIN_S = 10
"""Seconds between two keepalive pings of a client. gRPC's default of 300 disconnects ordinary clients."""

KEEPALIVE_S = 60
"""Seconds of silence after which the server pings a client, to find connections that are half open."""

KEEPALIVE_TIMEOUT_S = 20
"""Seconds until an unanswered ping closes the connection. gRPC's default."""

HEALTH_WATCHES_MAX = 1_000
"""Health watches at once, over all connections: each is a task that lives as long as its client likes."""

HTTP_REQUESTS_MAX = 8
"""Requests at once on the HTTP port; more are closed unanswered. A scraper and two probes need three."""

HTTP_TIMEOUT_S = 5.0
"""Seconds an HTTP client may be silent while it sends its request or reads the answer."""

HTTP_REQUEST_MAX_S = 30.0
"""Seconds for one HTTP request in all. Prometheus gives up after 10 by default."""

KEY_FILE_BYTES_MAX = 4_096
"""Bytes of a key file that are read: 32 secret bytes take 64 characters in hex."""

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
