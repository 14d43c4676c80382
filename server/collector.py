"""The cyclic garbage collector, kept away from requests: it holds the interpreter while it looks around."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc's; it keeps what is freed otherwise."""


def freeze() -> None:
    """Take what lives now for permanent: the collector does not look at it again, which would cost ms."""
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Collect garbage and give free memory back to the system, after a crowd has left: takes milliseconds."""
    gc.collect()
    if _malloc_trim is not None:
        _malloc_trim(0)


@contextmanager
def resting() -> Iterator[None]:
    """Let it rest while a thread makes very many objects that no cycle holds.

    A scrape of a thousand placements would trigger it again and again, with pauses of a tenth of a second
    in the event loop. Two that overlap may wake it early, which costs a pause and no more.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
