"""The secrets from which tokens and routing derive, on the disk, and the names of this origin.

They outlive the process: with others, tokens handed out before are refused and visitors are routed anew. They
live in `--key-file`, or are made once in the data directory; `server/key_file.py` says what a file holds.
"""

import fcntl
import os
import re
import secrets
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bandit.token import SECRET_BYTES, Keys
from server import limits
from server.exit_codes import ExitCode, StartError
from server.key_file import KeyFile, KeyFileError, parse_key_file

KEY_FILE_NAME = "secret.key"
_TOO_OPEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def key_path(key_file: Path | None, data_dir: Path) -> Path:
    """Where the keys are: `key_file`, without one the data directory's own file."""
    return data_dir / KEY_FILE_NAME if key_file is None else key_file


def load(key_file: Path | None, data_dir: Path) -> Keys:
    """The keys to start with. The data directory's own file is made when it is missing. Raises StartError."""
    path = key_path(key_file, data_dir)
    if key_file is None:
        _create(path)
    return read(path)


def read(path: Path) -> Keys:
    """The keys of a file that exists. Raises StartError, whose message quotes nothing of it."""
    with _open(path) as file:
        return _parsed(file, path).keys()


def rewrite(path: Path, change: Callable[[KeyFile], KeyFile]) -> KeyFile:
    """Put what `change` makes of a key file in its place; whole or not at all, whenever we crash.

    Owner and permissions stay as they are. Raises StartError.
    """
    path = path.resolve()
    with _open(path) as file:
        _lock(file, path)
        try:
            changed = change(_parsed(file, path))
            _replace(path, changed.text().encode(), os.fstat(file.fileno()))
        except OSError as error:
            raise StartError(
                ExitCode.FILES,
                f"the key file {str(path)!r} cannot be replaced ({error.strerror}); it is as it was. Change "
                "it where it comes from, as its owner",
            ) from error
        except KeyFileError as error:
            raise StartError(ExitCode.FAILURE, f"the key file {str(path)!r} is as it was: {error}") from None
    return changed


def fresh_secret() -> bytes:
    """A secret that nobody has."""
    return secrets.token_bytes(SECRET_BYTES)


def origin_name() -> str:
    """This origin's name: the host's, in the characters and the length that names may have."""
    return _NOT_IN_NAMES.sub("-", socket.gethostname())[:64].strip("-") or "origin"


def new_start_id() -> bytes:
    """Sixteen random bytes that no other start of this or another process has."""
    return os.urandom(16)


def _create(path: Path) -> None:
    """Write a new key file to `path` unless there is one; whole or not at all, whenever we crash."""
    if path.exists():
        return
    try:
        content = fresh_secret().hex().encode() + b"\n"
        with _written_beside(path, content) as temporary, suppress(FileExistsError):
            os.link(temporary, path)  # unless made since our look: that one is the key
        _sync_folder(path.parent)
    except OSError as error:
        raise StartError(
            ExitCode.FILES,
            f"no key can be made at {str(path)!r} ({error.strerror}); "
            "make the data directory writable for the service's user, or give --key-file",
        ) from error


def _replace(path: Path, content: bytes, like: os.stat_result) -> None:
    """Write a file in place of `path`, with the owner and the permissions of `like`."""
    with _written_beside(path, content) as temporary:
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(temporary, like.st_uid, like.st_gid)
        temporary.chmod(stat.S_IMODE(like.st_mode))
        temporary.rename(path)
    _sync_folder(path.parent)


@contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    """A new file for its owner alone, through to the disk, in the folder of `path`; gone after the block."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:  # which writes on after a short write
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Have the disk hold the folder's names."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> BinaryIO:
    """Open a key file that nobody else may read or change."""
    try:
        file = path.open("rb")
        status = os.fstat(file.fileno())
    except OSError as error:
        raise StartError(
            ExitCode.FILES, f"the key file {str(path)!r} cannot be read ({error.strerror}); check the path"
        ) from error
    if status.st_mode & _TOO_OPEN:
        file.close()
        raise StartError(
            ExitCode.FILES,
            f"the key file {str(path)!r} has permissions {stat.S_IMODE(status.st_mode):04o}: others could "
            f"read or change it; chmod 600 {path}",
        )
    return file


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep other changes out until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(file.fileno()), path.stat())  # or replaced since we opened it
    except OSError:
        ours = False
    if not ours:
        raise StartError(
            ExitCode.FILES, f"the key file {str(path)!r} is being changed by another process; try again"
        )


def _parsed(file: BinaryIO, path: Path) -> KeyFile:
    try:
        return parse_key_file(file.read(limits.KEY_FILE_BYTES_MAX + 1))
    except OSError as error:
        raise StartError(
            ExitCode.FILES, f"the key file {str(path)!r} cannot be read ({error.strerror}); check the path"
        ) from error
    except KeyFileError as error:
        raise StartError(ExitCode.FILES, f"the key file {str(path)!r} is refused: {error}") from None
