"""From any exception to the one failure that is counted, logged if it is ours, and told to the client."""

import structlog

from bandit.errors import BanditError
from server.counts import Counts
from server.errors import INTERNAL, Failure, ShellError, failure
from server.logs import places
from server.methods import CallError


class Failures:
    """Turns exceptions into failures. An exception that nobody expected is logged once, by its places."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._log = structlog.get_logger()

    def of(self, error: Exception, method: str) -> Failure:
        """What the client of `method` is told of `error`. Counts it by reason."""
        if isinstance(error, CallError):
            return Failure(error.code, "", error.message, {})
        if isinstance(error, BanditError | ShellError):
            found = failure(error)
        else:
            found = INTERNAL
            self._log.error("internal error", method=method, error=type(error).__name__, places=places(error))
        self._counts.refuse(found.reason)
        return found
