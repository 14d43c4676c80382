"""Tokens: a decision sealed for its way through clients and browsers, opaque and unforgeable.

    token  = base64url( version 1 · key id 1 · start 16 · counter 8 · AES-256-GCM(packed decision) 16 more )

The first 26 bytes travel in clear and are authenticated. Every start of a process seals under a subkey of its
own, BLAKE2b(master key, start), with the counter as the nonce: a nonce never repeats under one key, with no
state kept (NIST SP 800-38D, 8.2.1). Masters are known by an id, so that keys rotate; the counter goes on.
"""

import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bandit.decision import START_BYTES, Decision, unpack
from bandit.errors import BanditError, Reason
from bandit.limits import TOKEN_CHARS_MAX

VERSION = 1
SECRET_BYTES = 32
SALT_BYTES = 16
KEY_ID_MAX = 255

_HEAD = struct.Struct(f"<BB{START_BYTES}sQ")
_NONCE_REST = bytes(4)
"""A nonce is the counter, 8 bytes little-endian as in the head, and this."""
_SUBKEYS_MAX = 1024
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
"""What a token has none of becomes what base64 has none of."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets of a fleet.

    `masters` maps key ids (0 to 255) to 32 bytes each, all of which open tokens; `current` seals. The salts
    (16 bytes each) are independent and stay when masters rotate: they decide which unit goes where. Raises
    ValueError for ids or sizes that are not so.
    """

    current: int
    masters: Mapping[int, bytes]
    unit_salt: bytes
    draw_salt: bytes

    def __post_init__(self) -> None:
        if self.current not in self.masters:
            message = f"the current key id {self.current} is not among the masters {sorted(self.masters)}"
            raise ValueError(message)
        for key_id, master in self.masters.items():
            if not 0 <= key_id <= KEY_ID_MAX or len(master) != SECRET_BYTES:
                message = (
                    f"key id {key_id} has {len(master)} bytes: expected an id from 0 to {KEY_ID_MAX} and "
                    f"{SECRET_BYTES} bytes"
                )
                raise ValueError(message)

    @classmethod
    def derive(cls, root: bytes, secrets: Mapping[int, bytes] | None = None, current: int = 1) -> "Keys":
        """Derive the salts from `root` and a master from each of `secrets`, by BLAKE2b with labels.

        A secret is 32 random bytes; `secrets` maps key ids to them, None: `root` alone, as key 1. Raises
        ValueError for other sizes and ids, and without a secret for `current`.
        """
        secrets = {1: root} if secrets is None else secrets
        for secret in (root, *secrets.values()):
            if len(secret) != SECRET_BYTES:
                message = f"a secret has {SECRET_BYTES} bytes, this one has {len(secret)}"
                raise ValueError(message)
        return cls(
            current=current,
            masters={key_id: _labelled("token", secret, SECRET_BYTES) for key_id, secret in secrets.items()},
            unit_salt=_labelled("unit", root, SALT_BYTES),
            draw_salt=_labelled("draw", root, SALT_BYTES),
        )

    def check_follows(self, served: "Keys") -> None:
        """Refuse what may not replace the keys that are served.

        Raises ValueError if the salts differ, or an id that both have stands for another master.
        """
        if (self.unit_salt, self.draw_salt) != (served.unit_salt, served.draw_salt):
            message = (
                "its root is another one, which would route every visitor anew: keep the first line as it was"
            )
            raise ValueError(message)
        for key_id in sorted(self.masters.keys() & served.masters.keys()):
            if self.masters[key_id] != served.masters[key_id]:
                message = (
                    f"its key {key_id} is not the key {key_id} that is served, so tokens would not open: "
                    "give a new key an id that no key had"
                )
                raise ValueError(message)

    def __repr__(self) -> str:
        return f"Keys(current={self.current}, masters={sorted(self.masters)}, secrets hidden)"


class Sealer:
    """Seals decisions of one start and opens those of any start whose master key it has."""

    __slots__ = ("_current", "_masters", "_sealing", "_subkeys")

    def __init__(self, keys: Keys) -> None:
        self._masters = dict(keys.masters)
        self._current = keys.current
        self._subkeys: dict[tuple[int, bytes], AESGCM] = {}
        self._sealing: dict[bytes, tuple[bytes, AESGCM]] = {}  # by start: a head without counter, its subkey

    def seal(self, decision: Decision, packed: bytes | None = None) -> str:
        """Return the decision's token. `packed`: what its `pack` returns, if that is at hand."""
        start, counter = decision.start, decision.counter.to_bytes(8, "little")
        kind, subkey = self._sealing.get(start) or self._prepared(start)
        head = kind + counter
        return _encoded(head + subkey.encrypt(counter + _NONCE_REST, packed or decision.pack(), head))

    def open(self, token: str) -> Decision:
        """Return the decision that was sealed.

        Raises BanditError TOKEN_INVALID for anything that `seal` under one of our keys did not make.
        """
        data = _decoded(token)
        if len(data) < _HEAD.size:
            raise _invalid("it is too short")
        version, key_id, start, counter = _HEAD.unpack_from(data)
        if version != VERSION:
            raise _invalid(f"its version is {version}, this server reads version {VERSION}")
        if key_id not in self._masters:
            raise _invalid(f"its key id {key_id} is not known here")
        known = self._subkeys.get((key_id, start))
        subkey, head = known or self._subkey(key_id, start), data[: _HEAD.size]
        try:
            packed = subkey.decrypt(head[-8:] + _NONCE_REST, data[_HEAD.size :], head)
        except InvalidTag:
            raise _invalid(
                "its seal does not hold: it was changed, cut, or sealed under another key"
            ) from None
        if known is None:
            self._remember(key_id, start, subkey)  # only now: a forged start must not fill the memory
        return unpack(start, counter, packed)

    def _prepared(self, start: bytes) -> tuple[bytes, AESGCM]:
        """Return what all tokens of a start begin with, and its subkey, ready for the next one."""
        subkey = self._remember(self._current, start, self._subkey(self._current, start))
        self._sealing[start] = bytes((VERSION, self._current)) + start, subkey
        return self._sealing[start]

    def _subkey(self, key_id: int, start: bytes) -> AESGCM:
        return AESGCM(blake2b(b"seal" + start, key=self._masters[key_id], digest_size=32).digest())

    def _remember(self, key_id: int, start: bytes, subkey: AESGCM) -> AESGCM:
        if (key_id, start) not in self._subkeys:
            if len(self._subkeys) >= _SUBKEYS_MAX:
                self._subkeys.clear()
            self._subkeys[key_id, start] = subkey
        return subkey


def _labelled(label: str, secret: bytes, size: int) -> bytes:
    return blake2b(label.encode(), key=secret, digest_size=size).digest()


def _encoded(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")


def _decoded(token: str) -> bytes:
    if len(token) > TOKEN_CHARS_MAX:
        raise _invalid(f"it has {len(token)} characters, at most {TOKEN_CHARS_MAX} are read")
    try:
        standard = token.encode("ascii").translate(_STANDARD) + b"=" * (-len(token) % 4)
        data = binascii.a2b_base64(standard, strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _invalid("it is not base64url") from None
    rest = len(data) % 3
    if rest and _encoded(data[-rest:]) != token[-rest - 1 :]:  # bits behind the last byte
        raise _invalid("it is not base64url in its one canonical form")
    return data


def _invalid(why: str) -> BanditError:
    message = f"decision_id was not accepted: {why}; send back exactly the decision_id that Choose returned"
    return BanditError(Reason.TOKEN_INVALID, message)
