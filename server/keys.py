"""The secret from which tokens and routing derive, and the names of this origin.

The secret outlives the process: with another one, tokens handed out before are refused and visitors are
routed anew. It lives in `--key-file`, or is made once in the data directory.
"""

import base64
import binascii
import os
import re
import secrets
import socket
import stat
from contextlib import suppress
from pathlib import Path

from server import limits
from server.exit_codes import ExitCode, StartError

SECRET_BYTES = 32
KEY_FILE_NAME = "secret.key"
_TOO_OPEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def load_secret(key_file: Path | None, data_dir: Path) -> bytes:
    """The 32 secret bytes of `key_file`, or of the data directory's own file, which is made when missing."""
    if key_file is not None:
        return _read(key_file)
    own = data_dir / KEY_FILE_NAME
    _create(own)
    return _read(own)


def origin_name() -> str:
    """This origin's name: the host's, in the characters and the length that names may have."""
    return _NOT_IN_NAMES.sub("-", socket.gethostname())[:64].strip("-") or "origin"


def new_start_id() -> bytes:
    """Sixteen random bytes that no other start of this or another process has."""
    return os.urandom(16)


def _create(path: Path) -> None:
    """Write a new secret to `path` unless there is a file; whole or not at all, whenever we crash."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write(temporary, secrets.token_hex(SECRET_BYTES).encode() + b"\n")
            with suppress(FileExistsError):  # made between our look and our link: that one is the key
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(
            ExitCode.FILES,
            f"no key can be made at {str(path)!r} ({error.strerror}); "
            "make the data directory writable for the service's user, or give --key-file",
        ) from error


def _write(path: Path, content: bytes) -> None:
    """Write a new file, for its owner alone, through to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:  # which writes on after a short write
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            raw = file.read(limits.KEY_FILE_BYTES_MAX)
    except OSError as error:
        raise StartError(
            ExitCode.FILES, f"the key file {str(path)!r} cannot be read ({error.strerror}); check the path"
        ) from error
    if status.st_mode & _TOO_OPEN:
        raise StartError(
            ExitCode.FILES,
            f"the key file {str(path)!r} has permissions {stat.S_IMODE(status.st_mode):04o}: others could "
            f"read or change it; chmod 600 {path}",
        )
    return _decoded(raw, path)


def _decoded(raw: bytes, path: Path) -> bytes:
    """The secret in `raw`: hex or base64, whichever gives 32 bytes. The file's content is never quoted."""
    text = raw.strip()
    for decode in (_hex, _base64):
        secret = decode(text)
        if secret is not None and len(secret) == SECRET_BYTES:
            return secret
    raise StartError(
        ExitCode.FILES,
        f"the key file {str(path)!r} does not hold {SECRET_BYTES} bytes in hex or base64; "
        f"make one: (umask 077; openssl rand -hex {SECRET_BYTES} > {path})",
    )


def _hex(text: bytes) -> bytes | None:
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        return None


def _base64(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, altchars=b"-_" if b"-" in text or b"_" in text else None, validate=True)
    except binascii.Error:
        return None
