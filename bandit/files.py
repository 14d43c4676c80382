"""Every change of a file on the way through one object, so that tests can make each of them fail."""

from __future__ import annotations

import errno
import os
from pathlib import Path

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The numbers of the errors that say that a file cannot grow."""

_ZEROS = bytes(2**20)


class Files:
    """What is asked of the file system. All of it may raise OSError."""

    def open(self, path: Path, flags: int) -> int:
        """Open, for the owner alone if that makes the file; return a descriptor."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def duplicate(self, descriptor: int) -> int:
        """Return another descriptor of the same open file."""
        return os.dup(descriptor)

    def close(self, descriptor: int) -> None:
        """Close."""
        os.close(descriptor)

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """Write some of `data` at `offset`; return how many bytes."""
        return os.pwrite(descriptor, data, offset)

    def fsync(self, descriptor: int) -> None:
        """Have the disk hold what was written."""
        os.fsync(descriptor)

    def fallocate(self, descriptor: int, size: int) -> None:
        """Take the space for the first `size` bytes of an empty file; they read as zeros."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
            return
        for offset in range(0, size, len(_ZEROS)):  # macOS has no such call
            write_all(self, descriptor, _ZEROS[: size - offset], offset)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of a file that has it."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def fsync_dir(self, folder: Path) -> None:
        """Have the disk hold the folder's names."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_all(files: Files, descriptor: int, data: bytes | bytearray, offset: int) -> None:
    """Write all of `data` at `offset`, however many calls that takes."""
    with memoryview(data) as rest:
        done = 0
        while done < len(rest):
            try:
                count = files.write(descriptor, rest[done:], offset + done)
            except InterruptedError:
                continue
            if count <= 0:
                raise OSError(errno.EIO, "a write wrote nothing")
            done += count
