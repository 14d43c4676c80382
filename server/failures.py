"""From any exception to the one failure that is counted, logged if it is ours, and told to the client."""

import structlog

from bandit.errors import BanditError
from server.counts import Counts
from server.errors import INTERNAL, Failure, ShellError, failure
from server.logs import places
from server.methods import CallError


class Failures:
    """Turns exceptions into failures.

    An exception that nobody expected is logged by its places, when it comes for the 1st, 2nd, 4th, 8th …
    time: a fault that every call meets must not fill the disk.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._log = structlog.get_logger()
        self._met: dict[tuple[str, str], int] = {}

    def of(self, error: Exception, method: str) -> Failure:
        """What the client of `method` is told of `error`. Counts it by reason."""
        if isinstance(error, CallError):
            return Failure(error.code, "", error.message, {})
        if isinstance(error, BanditError | ShellError):
            found = failure(error)
        else:
            found = INTERNAL
            self.report(error, method)
        self._counts.refuse(found.reason)
        return found

    def report(self, error: Exception, method: str) -> None:
        """Log an exception that nobody expected."""
        name, where = type(error).__name__, places(error)
        times = self._met[name, where[-1]] = self._met.get((name, where[-1]), 0) + 1
        if times & (times - 1) == 0:
            self._log.error("internal error", method=method, error=name, places=where, times=times)
