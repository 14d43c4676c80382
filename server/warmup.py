"""Making every kernel ready before the first request, saying how far that is."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import structlog

from bandit.kernels import jit

T = TypeVar("T")

PROGRESS_EVERY_S = 1.0
"""Seconds between two lines of progress: a warm start takes less than one and says nothing in between."""


def prepare_kernels(log: structlog.typing.FilteringBoundLogger) -> None:
    """Compile every kernel of the core, or load it from numba's cache, with progress in the log."""
    started_s = said_s = time.monotonic()

    def progress(done: int, total: int, name: str) -> None:
        nonlocal said_s
        now_s = time.monotonic()
        if done == 0 or (name and now_s - said_s >= PROGRESS_EVERY_S):
            said_s = now_s
            log.info("preparing kernels", done=done, total=total, kernel=name)

    compiled = jit.compile_all(progress)
    log.info("kernels ready", compiled=compiled, seconds=round(time.monotonic() - started_s, 3))
    if jit.uncached():
        log.warning(
            "no writable directory for compiled kernels, every start compiles them anew; "
            "set NUMBA_CACHE_DIR to a directory that the service's user owns",
            kernels=len(jit.uncached()),
        )


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread that does not keep the process alive.

    A stop during a minute of compilation must not wait for it, as it would for the loop's own executor.
    """
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="warm-up", daemon=True).start()
    return await asyncio.wrap_future(future)
