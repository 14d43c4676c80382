"""A client's channel to a sidecar. It imports grpc only when one is opened: `probe --help` needs none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True)
class Security:
    """TLS of a client, PEM bytes. `ca` alone: server authentication; `cert` and `key` too: mutual.

    `server_name`: what the sidecar's certificate is for, where that is not the target's host.
    """

    ca: bytes
    cert: bytes | None = None
    key: bytes | None = None
    server_name: str = ""


def open_channel(target: str, security: Security | None) -> grpc.Channel:
    """A channel to `host:port` or `unix:PATH`, through no proxy; `security` None: plain text."""
    import grpc

    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
    if security is None:
        return grpc.insecure_channel(target, options)
    if security.server_name:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    tls = grpc.ssl_channel_credentials(security.ca, security.key, security.cert)
    return grpc.secure_channel(target, tls, options)
