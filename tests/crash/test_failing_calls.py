"""Each call of the file system fails once, or the disk is full for a while: errors lose nothing either.

A server does with errors what server/durability.py does: a full disk passes, any other error is the end.
"""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from bandit.errors import BanditError, Reason
from bandit.journal import JournalFull
from server.exit_codes import ExitCode, StartError
from server.store import is_full
from tests.crash.course import History, Process, course, go_on
from tests.crash.disk import Disk
from tests.crash.test_failpoints import stops, whole

EVERY = {"open", "write", "fallocate", "truncate", "rename", "unlink", "fsync", "fsync_dir"}
ALLOCATE = {"open", "fallocate", "growing write"}
"""Calls that take space. Others may find late that there is none, as over a network."""


class Failing(Disk):
    """From call number `first` on, those among `count` calls that have one of these names fail."""

    def __init__(self, error: int, names: set[str], first: int, count: int) -> None:
        super().__init__()
        self._error = error
        self._names = names
        self._failing = range(first, first + count)
        self._grows = False

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """As Disk."""
        self._grows = offset + len(data) > os.fstat(descriptor).st_size
        return super().write(descriptor, data, offset)

    def _call(self, name: str) -> bool:
        half = super()._call(name)
        kinds = {name, "growing write"} if name == "write" and self._grows else {name}
        if len(self.calls) in self._failing and kinds & self._names:
            raise OSError(self._error, "it fails here")
        return half


class Enduring(Process):
    """A process that goes on while the disk is full; it does not start then."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            super().__init__(*arguments, **options)
        except (OSError, BanditError) as error:
            raise StartError(ExitCode.DISK, str(error)) from error

    def tell(self, back: int, *event: Any) -> None:
        """As Process, or refused; nothing before there is a decision that was recorded."""
        try:
            if back <= len(self.history.chosen):
                super().tell(back, *event)
        except BanditError as error:
            assert error.reason is Reason.JOURNAL_FULL  # noqa: PT017 - it is right that others are raised

    def reload(self) -> None:
        """As Process, or refused."""
        try:
            super().reload()
        except BanditError as error:
            assert error.reason is Reason.JOURNAL_FULL  # noqa: PT017 - it is right that others are raised

    def allocate(self) -> None:
        """As Process, or later."""
        try:
            super().allocate()
        except (OSError, JournalFull) as error:
            if not is_full(error):
                raise

    def snapshot(self, *, reload: bool = False, closed: bool = False) -> None:
        """As Process, or given up."""
        try:
            super().snapshot(reload=reload, closed=closed)
        except (OSError, JournalFull) as error:
            if not is_full(error):
                raise


@pytest.mark.parametrize(
    ("number", "names", "count", "least", "most"),
    [
        (errno.EIO, EVERY, 1, 0.99, 1.0),  # not for what is left of a snapshot that is begun anew
        (errno.ENOSPC, EVERY, 1, 0.1, 0.6),
        (errno.ENOSPC, ALLOCATE, 40, 0.0, 0.0),
    ],
)
def test_each_call_fails(
    tmp_path: Path, number: int, names: set[str], count: int, least: float, most: float
) -> None:
    """Faults 6 and 7: whether it goes on or ends, all that was acknowledged is found, bit for bit.

    A full disk ends no process that serves, unless it is found late; other errors always do.
    """
    ended = 0
    firsts = list(stops(whole(tmp_path / "whole"), half=False))
    for first in firsts:
        history = History(tmp_path / f"{first}")
        disk = Failing(number, names, first, count)
        try:
            course(history, disk, Enduring)
        except StartError:
            ended += number == errno.EIO
        except OSError:
            ended += 1
        disk.close_all()
        go_on(history)
    assert least * len(firsts) <= ended <= most * len(firsts)
