"""Whether a server runs on a data directory, without touching its lock: a start must get it just now."""

import os
import re
from pathlib import Path

from server.data_dir import LOCK_FILE_NAME

_LOCKS = Path("/proc/locks")
"""Linux's list of held locks, a line each: `1: FLOCK  ADVISORY  WRITE 4711 fd:01:262171 0 EOF`."""


def holder(data_dir: Path) -> int | None:
    """Return the number of the process that serves from a data directory; None if none does.

    Where the system does not list its locks, it is the process that wrote its number last, if it lives.
    """
    path = data_dir / LOCK_FILE_NAME
    try:
        said = path.read_text("ascii").strip()
        inode = path.stat().st_ino
    except (OSError, UnicodeDecodeError):
        return None
    if not re.fullmatch(r"[0-9]{1,10}", said):
        return None
    try:
        held = re.search(rf"FLOCK .*:{inode} ", _LOCKS.read_text("ascii")) is not None
    except OSError:
        held = _lives(int(said))
    return int(said) if held else None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
