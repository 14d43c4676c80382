"""Why connections end. A closed list, for the metric that counts them."""

from enum import StrEnum


class Cause(StrEnum):
    """Why a connection ended; `docs/operations.md` says what to do about each."""

    CLIENT = "client"
    """the client closed it, or the network did"""
    LEFT = "left"
    """its client was asked to leave, for the connection's age or our stop, and all its calls were answered"""
    OVERSTAYED = "overstayed"
    """the same, but calls were not ended in time"""
    TOO_MANY = "too_many"
    """there were as many as we take"""
    NO_HTTP2 = "no_http2"
    """TLS without h2 in ALPN, or no HTTP/2 settings in time"""
    PROTOCOL = "protocol"
    """the client broke HTTP/2's rules or libnghttp2's bounds, or sent GOAWAY"""
    FLOOD = "flood"
    """too many frames without a call in them, or too many pings"""
    SLOW = "slow"
    """a frame that did not end in time"""
    SILENT = "silent"
    """a ping was not answered"""
    FAULT = "fault"
    """a fault of ours met it; the log says which"""
    UNREAD = "unread"
    """answers were not read"""
