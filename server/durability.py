"""Keeps a store's promises while calls are answered: hands records over, syncs, takes snapshots, makes room.

What may wait for the disk runs in threads; the event loop never does, but for the short write of `commit`.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import NoReturn

import structlog

from bandit.fields import SectionError
from bandit.journal import JournalFull
from bandit.ledger_reader import CorruptLedger
from server import limits
from server.exit_codes import ExitCode
from server.logs import places
from server.recovery import Taken
from server.settings import Fsync
from server.store import Store, Work, is_full

LOOK_S = 1.0
"""Seconds between two looks at whether a snapshot is due."""


def end_process(error: BaseException) -> NoReturn:
    """End at once, without a reply: nobody can tell what of the last records is on the disk.

    Or, for what is no OSError, in which order they would have to be applied to give what is in memory.
    """
    log = structlog.get_logger()
    if isinstance(error, OSError):
        log.critical(
            "the disk failed; ending without a reply, so that nothing is acknowledged that was not written",
            error=str(error),
            exit_code=int(ExitCode.DISK),
        )
        os._exit(ExitCode.DISK)
    log.critical(
        "a record could not be applied; ending without a reply, so that nothing is acknowledged that no "
        "start could recover",
        error=type(error).__name__,
        places=places(error),
        exit_code=int(ExitCode.FAILURE),
    )
    os._exit(ExitCode.FAILURE)


class Durability:
    """Runs a store within an event loop. `end` is called on an error of the disk that does not pass.

    `snapshot_interval_s` 0: snapshots are taken when asked for, and at the end.
    """

    def __init__(
        self,
        store: Store,
        fsync: Fsync,
        snapshot_interval_s: float,
        end: Callable[[BaseException], NoReturn] = end_process,
    ) -> None:
        self.store = store
        self.snapshots = {"taken": 0, "refused": 0}
        """how often one was taken, or given up: on a full disk mostly, the log says why"""
        self.snapshot_s = 0.0
        """how long the last one took"""
        self.snapshot_at_s = 0.0
        """when the last one was taken, by the wall clock"""
        self._fsync = fsync
        self._interval_s = snapshot_interval_s
        self._end = end
        self._closing = asyncio.Event()
        self._last = -1  # the journal's last record, once it is at its end
        self._running: asyncio.Future[tuple[None, None]] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Task[Taken | None]] = set()
        self._taking = asyncio.Lock()
        self._was_full = False
        self._log = structlog.get_logger()

    def commit(self) -> None:
        """Hand every record to the kernel: to be called before a reply leaves, after the end too."""
        if self.store.sequence == self._last:
            return
        try:
            self.store.flush()
        except OSError as error:
            self._fail(error)

    async def settled(self) -> None:
        """Return when what was recorded so far may be acknowledged: with `always`, when it is synced.

        One fsync serves all that wait.
        """
        self.commit()
        through = self.store.sequence
        while self._fsync == "always" and self.store.synced < through:
            if self._syncing is None or self._syncing.done():
                self._syncing = asyncio.get_running_loop().create_task(self._sync())
            await asyncio.shield(self._syncing)

    async def run(self) -> None:
        """Sync, allocate and take snapshots, until `close`."""
        self._running = asyncio.gather(self._look_after(), self._take_snapshots())
        await self._running

    async def _look_after(self) -> None:
        """Sync once a second, keep the journal's next segment allocated, and begin it in good time."""
        while not await self._closes_within(limits.FSYNC_INTERVAL_S):
            await self._allocate()
            if self.store.ends_soon or (
                self._fsync == "interval" and self.store.synced < self.store.sequence
            ):
                await self._sync()
            self._rotate()

    async def _take_snapshots(self) -> None:
        """Take a snapshot whenever it is time, if anything was recorded since the last one."""
        interval_s = self._interval_s or math.inf
        due_s = time.monotonic() + interval_s
        while not await self._closes_within(min(interval_s, LOOK_S)):
            is_due = time.monotonic() >= due_s
            if is_due:
                due_s = time.monotonic() + interval_s
            if (is_due and self.store.news) or self.store.overdue:
                await self.take_snapshot()

    async def _closes_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()

    async def take_snapshot(self, *, closed: bool = False) -> Taken | None:
        """Take a snapshot now; None if there is no space for one. `closed`: nothing follows it.

        It comes to its end though whoever asked for it waits no more: a thread may be writing it.
        """
        taking = asyncio.get_running_loop().create_task(self._taken(closed=closed))
        self._asked.add(taking)
        taking.add_done_callback(self._asked.discard)
        return await asyncio.shield(taking)

    async def _taken(self, *, closed: bool) -> Taken | None:
        async with self._taking:
            began_s = time.monotonic()
            try:
                with closing(self.store.snapshot(closed=closed)) as steps:
                    for work in steps:
                        await self._done(work)
            except (OSError, JournalFull, SectionError, CorruptLedger) as error:
                if isinstance(error, OSError) and not is_full(error):
                    self._fail(error)
                self.snapshots["refused"] += 1
                self._log.error("no snapshot was taken; the journal still has everything", problem=str(error))
                return None
            self.snapshots["taken"] += 1
            self.snapshot_s, self.snapshot_at_s = time.monotonic() - began_s, time.time()
            return self.store.taken

    async def close(self) -> None:
        """Take a last snapshot and end the journal. No more records may come."""
        self._closing.set()
        for work in (self._running, self._syncing):
            if work is not None:
                await work  # what is under way on the disk comes to its end
        await self.take_snapshot(closed=True)
        self.commit()
        self._last = self.store.sequence
        try:
            await asyncio.to_thread(self.store.close)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        self._end(self.store.spoiled or error)

    async def _done(self, work: Work | None) -> None:
        if work is None:
            await asyncio.sleep(0.0 if self._closing.is_set() else limits.SNAPSHOT_PAUSE_S)
        else:
            await asyncio.to_thread(work)

    async def _sync(self) -> None:
        self.commit()
        try:
            await asyncio.to_thread(self.store.begin_sync().run)
        except OSError as error:
            self._fail(error)

    def _rotate(self) -> None:
        """Begin the next segment before this one is full: calls would wait for all that is not synced."""
        try:
            if self.store.ends_soon:
                self.store.rotate()
        except OSError as error:
            self._fail(error)

    async def _allocate(self) -> None:
        """Allocate the journal's next segment, if it is due; say when that begins or ceases to fail."""
        try:
            allocation = self.store.begin_allocation()
            if allocation is not None:
                await asyncio.to_thread(allocation.run)
        except (OSError, JournalFull) as error:
            if not is_full(error):
                self._fail(error)
            if not self._was_full:
                self._log.error(
                    "the disk is full: once the segment is, Choose goes on unlearned and rewards "
                    "are refused; make room",
                    problem=str(error),
                )
            self._was_full = self.store.full = True
            return
        self.store.full = False
        if self._was_full:
            self._was_full = False
            self._log.info("the journal has space again")
