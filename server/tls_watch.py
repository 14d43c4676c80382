"""TLS files that change while they are served: a good pair is taken over, a bad one is refused out loud.

Renewal tools replace two or three files one after another, or a symbolic link to a folder of them, as
Kubernetes does. So what changed is read once it has stood still from one look to the next, and whatever is
wrong with it, the last good pair stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from server import limits
from server.counts import Counts
from server.exit_codes import StartError
from server.logs import places
from server.tls import Tls, TlsFiles, load_tls

Stamp = tuple[tuple[int, ...] | None, ...]
"""What tells a file's versions apart, for each file; None for one that is not there."""


class TlsWatch:
    """Looks at the files from time to time. `renew` gives new connections another pair; it may raise OSError.

    `now` is the wall clock, in UTC: certificates end by it.
    """

    def __init__(
        self,
        files: TlsFiles,
        tls: Tls,
        renew: Callable[[Tls], Awaitable[None]],
        counts: Counts,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files = files
        self._tls = tls
        self._renew = renew
        self._counts = counts
        self._now = now
        self._turn = asyncio.Lock()
        self._seen: Stamp | None = None
        self._good: Stamp | None = None
        self._problem = ""
        self._warned: datetime | None = None
        self._log = structlog.get_logger()
        self._counts.tls_expires_s = tls.expires.timestamp()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(limits.TLS_LOOK_S)

    async def look(self, *, now: bool = False) -> None:
        """Take over what is new and good in the files; `now`: without waiting for it to stand still.

        Whatever happens, we go on serving: there is no caller to tell, the log and the metric say it.
        """
        async with self._turn:
            try:
                found = await asyncio.to_thread(self._read, now=now)
                if found is not None:
                    await self._take(*found)
            except (StartError, OSError) as error:
                self._refuse(str(error))
            except Exception as error:  # noqa: BLE001 - a certificate we do not understand must not end us
                self._refuse(f"internal error {type(error).__name__} in {places(error)}")
            self._warn_of_the_end()

    def _read(self, *, now: bool) -> tuple[Stamp, Tls] | None:
        """Off the event loop: what is new, or None if nothing is or is being written. Raises `StartError`."""
        before = self._stamp()
        still = now or before == self._seen
        self._seen = before
        if before == self._good or not still:
            return None
        problem: StartError | None = None
        try:
            tls = load_tls(self._files, self._now())
        except StartError as error:
            problem = error
        if self._stamp() != before:
            return None  # certificate and key may be of different pairs: at the next look
        if problem is not None:
            raise problem
        return before, tls

    async def _take(self, stamp: Stamp, tls: Tls) -> None:
        if tls != self._tls:
            await self._renew(tls)
            self._tls = tls
            self._counts.tls_expires_s = tls.expires.timestamp()
            self._counts.tls_reloads["applied"] += 1
            self._warned = None
            self._log.info("TLS renewed", expires=tls.expires.isoformat())
        elif self._problem:
            self._log.info("TLS files are those that are served again", expires=tls.expires.isoformat())
        self._problem = ""
        self._good = stamp

    def _refuse(self, problem: str) -> None:
        """Say what is wrong, once; it is tried again at each look."""
        self._good = None
        self._counts.tls_reloads["refused"] += 1
        if problem != self._problem:
            self._problem = problem
            self._log.error(
                "TLS files refused, the last good pair stays",
                problem=problem,
                expires=self._tls.expires.isoformat(),
            )

    def _warn_of_the_end(self) -> None:
        """Once a day from some days before the end, and louder after it."""
        now = self._now()
        left = self._tls.expires - now
        life = self._tls.expires - self._tls.begins
        if left > min(timedelta(days=limits.TLS_WARNING_DAYS), life * limits.TLS_WARNING_PART):
            return
        if self._warned is not None and now - self._warned < timedelta(days=1):
            return
        self._warned = now
        expires = self._tls.expires.isoformat()
        if left > timedelta():
            self._log.warning(
                "TLS certificate ends soon", expires=expires, days=round(left / timedelta(days=1), 1)
            )
        else:
            self._log.error("TLS certificate has ended, clients refuse it", expires=expires)

    def _stamp(self) -> Stamp:
        """Size, times and identity of each file, through symbolic links."""
        paths = (self._files.cert, self._files.key, self._files.client_ca)
        stamps: list[tuple[int, ...] | None] = []
        for path in paths:
            try:
                seen = path.stat() if path is not None else None
            except OSError:
                seen = None
            stamps.append(
                seen and (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            )
        return tuple(stamps)
