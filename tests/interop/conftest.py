"""The transport's servers, for clients that are programs of their own."""

from tests.transport.conftest import _patience, authority, loop, sidecars

__all__ = ["_patience", "authority", "loop", "sidecars"]
