"""The transport's servers, for clients that are programs of their own."""

from tests.transport.conftest import authority, loop, sidecars

__all__ = ["authority", "loop", "sidecars"]
