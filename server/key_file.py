"""The text of a key file: a line a key, as docs/operations.md describes them. Its secrets are never quoted.

    SECRET           the first line, the root: salts derive from it, and key 1
    root SECRET      the same once key 1 is retired: salts alone
    ID SECRET        a further key, under an id that grows from line to line
    ID next SECRET   the last line: a key that opens tokens already and seals none yet

Every key opens tokens; the last one that is not `next` seals them. The highest id is never retired, so a
fresh key gets one that no key had before.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bandit.token import KEY_ID_MAX, SECRET_BYTES, Keys
from server.limits import KEY_FILE_BYTES_MAX

ROOT_ID = 1
"""The id of the key that derives from the root."""

_ID_DIGITS = 3
_REMEDY = f"`(umask 077; openssl rand -hex {SECRET_BYTES} > FILE)` makes one"


class KeyFileError(ValueError):
    """A key file that cannot be read, or a change that it does not allow. The message has the remedy."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a key file says: the root, and the secret of each key by its id, ascending.

    `prepared` is the id of the key that seals nothing yet.
    """

    root: bytes
    secrets: Mapping[int, bytes]
    prepared: int | None = None

    @property
    def current(self) -> int:
        """The id of the key that seals."""
        return max(self.secrets.keys() - {self.prepared})

    def keys(self) -> Keys:
        """Return what is derived."""
        return Keys.derive(self.root, self.secrets, self.current)

    def rotated(self, fresh: bytes) -> "KeyFile":
        """Return it with another key that seals: the prepared one, else `fresh`."""
        if self.prepared is not None:
            return replace(self, prepared=None)
        return replace(self, secrets={**self.secrets, self._next_id(): fresh})

    def preparing(self, fresh: bytes) -> "KeyFile":
        """Return it with `fresh` as a key that opens tokens and seals none yet."""
        if self.prepared is not None:
            raise KeyFileError(f"key {self.prepared} is prepared already: rotate, then it seals")
        key_id = self._next_id()
        return replace(self, secrets={**self.secrets, key_id: fresh}, prepared=key_id)

    def retiring(self, key_id: int) -> "KeyFile":
        """Return it without the key of this id, whose tokens do not open any more."""
        if key_id not in self.secrets:
            raise KeyFileError(f"there is no key {key_id}: it has the keys {sorted(self.secrets)}")
        if key_id in {self.current, self.prepared}:
            raise KeyFileError(f"key {key_id} seals, or is the next to: rotate first, then retire it")
        return replace(self, secrets={known: s for known, s in self.secrets.items() if known != key_id})

    def text(self) -> str:
        """Return the file's text, secrets in hex."""
        lines = [self.root.hex() if ROOT_ID in self.secrets else f"root {self.root.hex()}"]
        for key_id, secret in self.secrets.items():
            if key_id != ROOT_ID:
                role = "next " if key_id == self.prepared else ""
                lines.append(f"{key_id} {role}{secret.hex()}")
        return "".join(f"{line}\n" for line in lines)

    def __repr__(self) -> str:
        return f"KeyFile(current={self.current}, keys={sorted(self.secrets)}, secrets hidden)"

    def _next_id(self) -> int:
        key_id = max(self.secrets) + 1
        if key_id > KEY_ID_MAX:
            raise KeyFileError(f"key {KEY_ID_MAX} was the last: there is no id for another")
        return key_id


def parse_key_file(raw: bytes) -> KeyFile:
    """Return what a key file says. Raises KeyFileError, with the line."""
    if len(raw) > KEY_FILE_BYTES_MAX:
        raise KeyFileError(f"it has over {KEY_FILE_BYTES_MAX} bytes: expected a line of some 70 a key")
    lines = [(number, line.split()) for number, line in enumerate(raw.splitlines(), 1) if line.split()]
    if not lines:
        raise KeyFileError(f"it is empty: {_REMEDY}")
    (number, words), further = lines[0], lines[1:]
    if words[0] == b"root":
        words, opens = words[1:], False
    else:
        opens = True
    root = _secret(number, words)
    file = KeyFile(root, {ROOT_ID: root} if opens else {})
    for number, words in further:
        file = _with_line(file, number, words)
    if not file.secrets.keys() - {file.prepared}:
        raise KeyFileError("no key in it seals: expected a line `ID SECRET` after the one with the root")
    return file


def _with_line(file: KeyFile, number: int, words: list[bytes]) -> KeyFile:
    last = max(file.secrets, default=ROOT_ID)
    key_id = int(words[0]) if words[0].isdigit() and len(words[0]) <= _ID_DIGITS else 0
    if not last < key_id <= KEY_ID_MAX:
        raise KeyFileError(
            f"line {number} does not begin with a key's id: expected a number from {last + 1}, above those "
            f"of the lines before, to {KEY_ID_MAX}"
        )
    if file.prepared is not None:
        raise KeyFileError(f"line {number} follows a key that is `next`: expected that one to be the last")
    is_next = words[1:2] == [b"next"]
    secret = _secret(number, words[2:] if is_next else words[1:])
    if secret in {file.root, *file.secrets.values()}:
        raise KeyFileError(f"line {number} repeats a secret: expected one of its own")
    return replace(
        file,
        secrets={**file.secrets, key_id: secret},
        prepared=key_id if is_next else None,
    )


def _secret(number: int, words: list[bytes]) -> bytes:
    """Return the secret that is alone in `words`, in hex or base64, whichever gives its size."""
    if len(words) == 1:
        for decode in (_hex, _base64):
            secret = decode(words[0])
            if secret is not None and len(secret) == SECRET_BYTES:
                return secret
    raise KeyFileError(f"line {number} does not hold {SECRET_BYTES} bytes in hex or base64: {_REMEDY}")


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
