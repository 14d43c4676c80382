"""Our terms: what libnghttp2 holds clients to, what clients are told, and how more is refused."""

from collections.abc import Mapping
from functools import cache

import ngh2

from server import limits
from server.errors import ShellError, ShellReason


def metadata_too_large(size: int) -> ShellError:
    """The refusal of a header list of `size` bytes."""
    return ShellError(
        ShellReason.METADATA_TOO_LARGE,
        f"the metadata has {size} bytes; at most {limits.METADATA_BYTES_MAX} are read: send less",
        limit=str(limits.METADATA_BYTES_MAX),
    )


@cache
def configuration(streams_max: int) -> ngh2.Configuration:
    """libnghttp2's bounds. Beyond the first three it closes the connection by itself."""
    resets = limits.RESETS_PER_STREAM * streams_max
    return ngh2.Configuration(
        max_inbound_header_list_size=limits.METADATA_BYTES_FATAL,
        max_continuations=limits.CONTINUATIONS_MAX,
        stream_reset_rate_limit=(resets, resets),
    )


@cache
def settings(streams_max: int) -> Mapping[int, int]:
    """What we tell clients of ourselves."""
    return {
        ngh2.Setting.MAX_CONCURRENT_STREAMS: streams_max,
        ngh2.Setting.INITIAL_WINDOW_SIZE: limits.STREAM_WINDOW_BYTES,
        ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.METADATA_BYTES_MAX,
        ngh2.Setting.NO_RFC7540_PRIORITIES: 1,
    }
