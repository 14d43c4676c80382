"""The data directory: made for its owner alone, and used by one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bandit.files import Files
from server.exit_codes import ExitCode, StartError

LOCK_FILE_NAME = "lock"
"""Held by the process that serves; what it contains, that process's number, is for people."""


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Make the data directory if it is missing, and keep other processes out of it until the block ends.

    The lock is the kernel's and goes with the process, however that ends; the file stays. Raises
    `StartError` if the directory cannot be made or written to, or if another process serves from it.
    """
    _make(data_dir)
    path = data_dir / LOCK_FILE_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            ExitCode.FILES,
            f"the data directory {str(data_dir)!r} cannot be locked ({error.strerror}); "
            "make it writable for the service's user",
        ) from error
    try:
        _lock(descriptor, data_dir)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(descriptor)


def _make(data_dir: Path) -> None:
    try:
        if not data_dir.is_dir():
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            Files().fsync_dir(data_dir.parent)  # a power cut must not take the name of what is in it
    except OSError as error:
        raise StartError(
            ExitCode.FILES,
            f"the data directory {str(data_dir)!r} cannot be made ({error.strerror}); "
            "give another with --data-dir, or make it for the service's user",
        ) from error


def _lock(descriptor: int, data_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        raise StartError(
            ExitCode.FILES,
            f"another process (number {holder}) serves from the data directory {str(data_dir)!r}; "
            "stop it, or give another with --data-dir",
        ) from None
    except OSError as error:
        raise StartError(
            ExitCode.FILES,
            f"the data directory {str(data_dir)!r} cannot be locked ({error.strerror}); "
            "put it on a file system that has locks",
        ) from error
