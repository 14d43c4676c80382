"""The end of a snapshot, as docs/format.md describes it: what must be there besides."""

import re
from typing import NamedTuple

from bandit.fields import Fields, pack
from bandit.limits import PLACEMENTS_MAX

FOOTER = "footer"
"""Value of the field `kind`."""

_LEDGER_FILE = re.compile(r"[0-9A-Za-z_-]{1,64}\.ledger")


class Listed(NamedTuple):
    """A file of the ledger, as far as it belongs to a snapshot."""

    name: str
    """within the folder of the ledger's files"""
    bytes: int
    """how many, from its first"""
    chain: int
    """the CRC of the last frame among them"""


class Footer(NamedTuple):
    """The end of a snapshot: what must be there besides."""

    sections: int
    """how many placements"""
    sequence: int
    """the highest sequence number that a section holds"""
    closed: bool
    """whether the process ended in good order behind it"""
    ledger: tuple[Listed, ...]

    def pack(self) -> bytes:
        """Return the payload of the last frame."""
        ledger = {name: {"bytes": size, "chain": chain} for name, size, chain in self.ledger}
        fields = {"kind": FOOTER, "sections": self.sections, "sequence": self.sequence}
        return pack(fields | {"closed": self.closed, "ledger": ledger})

    @classmethod
    def unpack(cls, payload: bytes) -> "Footer":
        """Return the footer in a payload. Raises SectionError."""
        fields = Fields.of_kind("the footer", payload, FOOTER)
        ledger = []
        files = fields.inner("ledger")
        for name in fields.members("ledger"):
            if not _LEDGER_FILE.fullmatch(name):
                raise fields.refuse("ledger", "names of ledger files", name)
            file = files.inner(name)
            ledger.append(Listed(name, file.integer("bytes", 0), file.integer("chain", 0, 2**32 - 1)))
        sections = fields.integer("sections", 0, PLACEMENTS_MAX)
        return cls(sections, fields.integer("sequence", 0), fields.flag("closed"), tuple(ledger))
