"""docs/configuration.md names every key and every word that the parser knows, where it belongs."""

import re
from pathlib import Path

import pytest

from bandit.config.keys import FEATURE_KEYS, KEYS, POLICY_KEYS
from bandit.config.model import ArmState, ExposureMode, Scale
from bandit.config.ramp import (
    CONFIDENCE_DEFAULT,
    FROM_DEFAULT,
    MAX_LOSS_DEFAULT,
    MIN_EXPOSURES_DEFAULT,
    OVER_DEFAULT,
    TO_DEFAULT,
)
from bandit.config.reward import WINDOW_DEFAULT
from server.config_files import load

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^##+ (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
"""Heading → text up to the next heading."""

TITLES = {
    "document": "The document",
    "placement": "A placement",
    "arm": "Arms",
    "reward": "Reward",
    "ramp": "Ramp",
    "gate": "Gate",
}


def rows(section: str) -> dict[str, str]:
    """The rows of a section's tables, by the word in their first cell."""
    return {
        match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", SECTIONS[section], re.MULTILINE)
    }


@pytest.mark.parametrize("table", KEYS)
def test_every_key_has_a_row(table: str) -> None:
    """The keys of a mapping and the rows of its section are the same: nothing new or gone is left out."""
    assert set(rows(TITLES[table])) == set(KEYS[table])


def test_every_feature_kind_has_a_row_with_its_keys() -> None:
    """A kind's row names each of its keys."""
    found = rows("Features")
    assert set(found) == set(FEATURE_KEYS)
    missing = [
        (kind, key)
        for kind, keys in FEATURE_KEYS.items()
        for key in keys[1:]
        if f"`{key}`" not in found[kind]
    ]
    assert not missing


def test_every_policy_kind_and_key_has_a_row() -> None:
    """A kind's row names its keys, and each key has a row of its own."""
    found = rows("Policies")
    assert set(found) == set(POLICY_KEYS) | {key for keys in POLICY_KEYS.values() for key in keys}
    missing = [
        (kind, key) for kind, keys in POLICY_KEYS.items() for key in keys[1:] if f"`{key}`" not in found[kind]
    ]
    assert not missing


@pytest.mark.parametrize("word", [*ArmState, *ExposureMode, *Scale])
def test_every_word_is_named(word: str) -> None:
    """States, modes and scales."""
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize(
    ("section", "key", "default"),
    [
        ("Reward", "window", WINDOW_DEFAULT), ("Ramp", "over", OVER_DEFAULT), ("Ramp", "from", FROM_DEFAULT),
        ("Ramp", "to", TO_DEFAULT), ("Gate", "min_exposures", MIN_EXPOSURES_DEFAULT),
        ("Gate", "max_loss", MAX_LOSS_DEFAULT), ("Gate", "confidence", CONFIDENCE_DEFAULT),
    ],
)  # fmt: skip
def test_defaults_are_those_of_the_parser(section: str, key: str, default: object) -> None:
    """The third cell of a key's row holds its default."""
    assert str(default) in rows(section)[key].split("|")[3]


def test_files_that_are_linked_are_there_and_accepted() -> None:
    """Both examples of the page can be served."""
    links = re.findall(r"\]\(\.\./([^)]+\.yaml)\)", PAGE)
    assert links
    assert all(load(ROOT / link).placements for link in links)
