"""What a name may look like, and which names of features mean a person.

A feature that identifies a person would put that identity in every token and journal row, so it is refused
by its name: the only thing that is known of it before the first request.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from bandit.limits import NAME_BYTES_MAX

NAME_FORM = (
    f"1 to {NAME_BYTES_MAX} of the characters a-z, A-Z, 0-9, '_', '-', '.', ':', "
    "beginning with a letter, a digit or '_'"
)

_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.:-]{{0,{NAME_BYTES_MAX - 1}}}")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_PERSON = frozenset(
    (
        "account billing buyer client contact cookie customer device family father first full given guest "
        "last login maiden member middle mother nick owner person session shipper shopper subscriber user "
        "visitor"
    ).split()
)
_OF_A_PERSON = frozenset(
    ("guid", "hash", "id", "ident", "key", "name", "no", "nr", "number", "token", "uuid")
)
"""A person word followed by one of these names a person: `customer_id`, `lastName`; `product_id` does not."""

_IDENTITY = frozenset(
    (
        "addr address birthdate birthday birthname cellphone dateofbirth dob driverlicence driverlicense "
        "email fax fingerprint firstname forename fullname gps iban ip ipaddr ipaddress ipv latlon lastname "
        "macaddress mailbox mobilephone msisdn nickname passport phone phonenumber recipient sessionid ssn "
        "street surname taxid telephone uid userid username visitorid"
    ).split()
)
"""Parts, or neighbouring parts written together, that name a person wherever they stand."""

_IDENTITY_ALONE = frozenset(
    (
        "cookie",
        "customer",
        "guid",
        "id",
        "login",
        "name",
        "person",
        "shopper",
        "unit",
        "user",
        "uuid",
        "visitor",
    )
)
"""Names that mean a person only when nothing qualifies them: `name`, but not `campaign_name`."""

_QUASI = frozenset(
    "birthyear lat latitude lng lon longitude plz postal postalcode postcode zip zipcode".split()
)
"""Parts of names that find a person together with little else."""


def is_name(text: str) -> bool:
    """Return whether `text` may name a placement, arm, feature, policy or event."""
    return _NAME.fullmatch(text) is not None


def identity_in(feature: str) -> str | None:
    """Return the part of a feature's name that names a person, or None.

    `customerEmail`, `customer-email` and `CUSTOMER_EMAIL` are the same name, plurals and numbers included.
    """
    parts = _parts(feature)
    if len(parts) == 1 and parts[0] in _IDENTITY_ALONE:
        return parts[0]
    for run in _runs(parts):
        joined = "".join(run)
        if joined in _IDENTITY or "email" in joined:
            return "_".join(run)
    for first, second in pairwise(parts):
        if first in _PERSON and second in _OF_A_PERSON:
            return f"{first}_{second}"
    return None


def quasi_identity_in(feature: str) -> str | None:
    """Return the part of a feature's name that, with a little more, finds a person: a postcode, a place."""
    return next(("_".join(run) for run in _runs(_parts(feature)) if "".join(run) in _QUASI), None)


def _parts(name: str) -> list[str]:
    parts = [part.lower() for part in _PARTS.findall(name)]
    return [_singular(part) for part in parts if not part.isdigit()]


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "gps")) else word


def _runs(parts: list[str]) -> Iterator[list[str]]:
    for length in (1, 2, 3):
        for start in range(len(parts) - length + 1):
            yield parts[start : start + length]
