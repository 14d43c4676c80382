"""Addresses that are bound: numbers as they stand, names as far as the machine has such addresses."""

import socket
from typing import Any

import pytest

from server.addresses import parse_address
from server.listeners import bind


@pytest.mark.parametrize("text", ["[::]:0", "[::1]:0", "0.0.0.0:0", "localhost:0"])
def test_without_ipv6_beyond_the_loopback(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's network as a rule: an IPv6 number that is to be checked is then no address at all.

    Needs a machine that has IPv6 at all, as Linux has by default.
    """
    find = socket.getaddrinfo

    def here(host: str, *others: Any, **options: Any) -> Any:
        if options.get("flags", 0) & socket.AI_ADDRCONFIG and ":" in host:
            raise socket.gaierror(socket.EAI_FAMILY, "Address family for hostname not supported")
        return find(host, *others, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    sockets, bound = bind(parse_address(text))
    with socket.create_connection(sockets[0].getsockname()[:2]):
        assert bound.port
    for each in sockets:
        each.close()
