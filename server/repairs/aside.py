"""Taking files out of the way: they keep their bytes under a name that ends in `.broken`, and is free."""

import os
from itertools import chain, count
from pathlib import Path

from bandit.files import Files, write_all
from server.recovery import BROKEN


def renamed(path: Path, files: Files) -> None:
    """Keep a file aside. That is on the disk then."""
    _rename(path, _free(path), files)


def copied(path: Path, files: Files) -> None:
    """Keep a copy of a file aside. That is on the disk then; if it is interrupted, it may be repeated."""
    fresh = path.with_name(f"{path.name}.tmp")
    descriptor = files.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(files, descriptor, path.read_bytes(), 0)
        files.fsync(descriptor)
    finally:
        files.close(descriptor)
    _rename(fresh, _free(path), files)


def _rename(path: Path, target: Path, files: Files) -> None:
    files.rename(path, target)
    files.fsync_dir(path.parent)


def _free(path: Path) -> Path:
    names = chain([BROKEN], (f".{again}{BROKEN}" for again in count(2)))
    return next(aside for name in names if not (aside := path.with_name(path.name + name)).exists())
