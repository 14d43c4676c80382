"""The ledger's files: what a snapshot lists is what is read, damage is named, a fault leaves older lists good.

(Faults 1, 2, 6, 7 and 8, on the ledger alone.)
"""

import re
from pathlib import Path

from bandit.ledger import Ledger, decision_key
from bandit.ledger_files import LedgerFiles
from bandit.limits import LEDGER_BYTES_MAX
from bandit.sections import Listed
from tests.core.world import DAY

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"
PAGE_NAME = "00000000000000000042-37.ledger"


def hex_of_the_page() -> bytes:
    """The worked bytes of docs/format.md."""
    text = FORMAT.read_text("utf-8").partition("## Ledger files")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```hex\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return b"".join(bytes.fromhex(line.partition("   ")[0]) for line in block.splitlines())


def loaded(folder: Path, listed: tuple[Listed, ...]) -> Ledger:
    """What is read of a listing."""
    ledger = Ledger(LEDGER_BYTES_MAX)
    LedgerFiles(folder).load(listed, ledger)
    return ledger


def test_the_page_shows_the_bytes(tmp_path: Path) -> None:
    """The example of docs/format.md is what is written, and is read."""
    time_us = 1_800_000_000_000_000
    ledger = Ledger(LEDGER_BYTES_MAX, noting=True)
    ledger.count(DAY, time_us - DAY - 1, decision_key(1, 70), 1.0, 0)
    ledger.take_news()
    ledger.expire(time_us)
    ledger.show(DAY, time_us, decision_key(1, 65_606))
    ledger.show(DAY, time_us + 1, decision_key(1, 65_607))
    ledger.count(DAY, time_us, decision_key(1, 65_606) | 2, 1.5, int.from_bytes(b"orderaid", "little"))
    listed = LedgerFiles(tmp_path).append(ledger.take_news(), 42)
    page = hex_of_the_page()
    assert (tmp_path / PAGE_NAME).read_bytes() == page
    assert listed == (Listed(PAGE_NAME, len(page), 0x12E3F9BB),)
    assert loaded(tmp_path, listed).entries() == ledger.entries()
