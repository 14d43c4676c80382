"""File descriptors for what must not wait: the journal and snapshots, though clients have taken all others.

Whoever can connect can take descriptors until there are none (with grpcio without a bound). Calls on the
connections that stand go on then, so their records must too.
"""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from bandit.files import Files

NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE})
"""The numbers of the errors that say that the process, or the system, has no more descriptors."""

RESERVED = 12
"""A segment and the one ahead, two syncs, a snapshot, a folder, and ledger files of six lengths of window."""

HANDOVER = threading.Lock()
"""Held while a descriptor changes hands, between its closing and the next opening, in whichever thread. Who
accepts clients does not meanwhile: one that waits would take each that is closed, until none is left."""

P = ParamSpec("P")


class ReservedFiles(Files):
    """Files that are opened with a descriptor which was kept for them, where there is no other."""

    def __init__(self) -> None:
        self._reserve: deque[int] = deque()
        self._refill()

    def open(self, path: Path, flags: int) -> int:
        """Open, for the owner alone if that makes the file; return a descriptor."""
        return self._surely(super().open, path, flags)

    def duplicate(self, descriptor: int) -> int:
        """Return another descriptor of the same open file."""
        return self._surely(super().duplicate, descriptor)

    def close(self, descriptor: int) -> None:
        """Close; what the reserve gave comes back to it."""
        if len(self._reserve) == RESERVED:
            super().close(descriptor)
            return
        with HANDOVER:
            super().close(descriptor)
            self._refill()

    def fsync_dir(self, folder: Path) -> None:
        """Have the disk hold the folder's names."""
        descriptor = self._surely(os.open, folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            self.close(descriptor)

    def _surely(self, work: Callable[P, int], *arguments: P.args, **named: P.kwargs) -> int:
        try:
            return work(*arguments, **named)
        except OSError as error:
            if error.errno not in NONE_LEFT or not self._reserve:
                raise
        with HANDOVER:
            while True:
                if self._reserve:
                    os.close(self._reserve.pop())
                try:
                    return work(*arguments, **named)
                except OSError as error:
                    if error.errno not in NONE_LEFT or not self._reserve:
                        raise

    def _refill(self) -> None:
        try:
            while len(self._reserve) < RESERVED:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno not in NONE_LEFT:
                raise
