"""Golden files: what must not change unnoticed, since tokens, journals and other languages depend on it.

`BANDITD_REWRITE_GOLDEN=1 pytest` writes them anew; the difference then shows in the commit.
"""

import os
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
REWRITE = "BANDITD_REWRITE_GOLDEN"


def check_golden(name: str, lines: Iterable[str]) -> None:
    """Compare `lines` with the golden file `name`, or write it if the environment says so."""
    path = FOLDER / name
    text = "".join(f"{line}\n" for line in lines)
    if os.environ.get(REWRITE) == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, f"{path} differs; if that is meant, set {REWRITE}=1"
