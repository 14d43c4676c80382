"""Bound sockets, before anybody listens on them: an address in use is reported at once."""

import ipaddress
import os
import socket
from pathlib import Path

from server.addresses import Address, clear_socket_file
from server.exit_codes import ExitCode, StartError

BACKLOG = 1_024
"""Connections that wait to be accepted."""


def bind(address: Address, *, private: bool = False) -> tuple[list[socket.socket], Address]:
    """Bind `address`; return its sockets, and the address with its port where a free one was asked for.

    A `private` Unix socket is open to its owner alone. A host's name may stand for several addresses; all are
    bound, unless the port is free to choose: then the first. Never shares a port with another server (no
    SO_REUSEPORT). Raises `StartError`.
    """
    try:
        if address.path:
            return [_bind_unix(address.path, private=private)], address
        sockets = _bind_tcp(address)
    except OSError as error:
        raise StartError(
            ExitCode.LISTEN,
            f"cannot listen on {address} ({error.strerror or error}): it is in use, not an address of this "
            "machine, or not permitted; stop the other server, or give another address",
        ) from error
    return sockets, Address(host=address.host, port=sockets[0].getsockname()[1])


def _bind_unix(path: str, *, private: bool) -> socket.socket:
    clear_socket_file(Path(path))
    umask = os.umask(0o177) if private else None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        if umask is not None:
            os.umask(umask)
    return listener


def _is_number(host: str) -> bool:
    """Whether `host` is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _bind_tcp(address: Address) -> list[socket.socket]:
    # a name's addresses as far as this machine has such; a number is meant as it stands: [::] is good for
    # IPv4 where there is no other IPv6 than the loopback's
    which = 0 if _is_number(address.host) else socket.AI_ADDRCONFIG
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | which
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, where in found[:1] if address.port == 0 else found:
            listener = socket.socket(family, kind, protocol)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address.host != "::"))
            listener.bind(where)
            listener.listen(BACKLOG)
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets
