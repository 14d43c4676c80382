"""One accepted and one refused example file per rule, with what comes of it written below the example.

`BANDITD_REWRITE_GOLDEN=1 pytest` writes what is below anew; the difference then shows in the commit.
"""

import os
from pathlib import Path

import pytest

from bandit.config import Config, ConfigError, canonical, parse
from server.commands.check import describe
from server.config_files import load_text
from tests.goldens import REWRITE

EXAMPLES = Path(__file__).resolve().parent.parent / "config"
ACCEPTED = sorted((EXAMPLES / "accepted").glob("*.yaml"))
REFUSED = sorted((EXAMPLES / "refused").glob("*.yaml"))
MARKER = "\n# ---- "


def load(path: Path) -> Config:
    """The configuration in a file, which problems call by its name alone."""
    return load_text(path.read_bytes(), path.name)


def compare(path: Path, title: str, lines: list[str]) -> None:
    """Compare with what is written below the example, or write it there."""
    example, _, _ = path.read_text("utf-8").partition(MARKER)
    expected = example + MARKER + f"{title}\n" + "".join(f"# {line}".rstrip() + "\n" for line in lines)
    if os.environ.get(REWRITE) == "1":
        path.write_text(expected, "utf-8")
    assert path.read_text("utf-8") == expected


def test_every_rule_has_both() -> None:
    """A rule without a refused example is not enforced, one without an accepted one refuses too much."""
    assert [path.name for path in ACCEPTED] == [path.name for path in REFUSED]
    assert len(ACCEPTED) > 40


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_accepted(path: Path) -> None:
    """The example is accepted and means what is written below it, schema ids and warnings included."""
    compare(path, "accepted:", list(describe(load(path))))


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_refused(path: Path) -> None:
    """The example is refused with the problems written below it, all of them, each with its place."""
    with pytest.raises(ConfigError) as refused:
        load(path)
    compare(path, "refused:", [str(problem) for problem in refused.value.problems])


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_canonical_form_means_the_same(path: Path) -> None:
    """Writing a placement down and reading it again gives an equal placement with an equal schema id."""
    for name, placement in load(path).placements.items():
        again = parse(canonical(placement)).placements[name]
        assert again == placement
