"""docs/inspect.md shows what the tools print: every example is the real output."""

import os
import re
from pathlib import Path

import pytest

from server.inspection import words
from tests.core.world import DAY, simple
from tests.server.damage import behind_newest, flip, invoke
from tests.server.stored import Stored

DOCUMENT = Path(__file__).parents[2] / "docs" / "inspect.md"
EXAMPLE = re.compile(r"^```text\n\$ banditd ([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

PLACEMENT = simple(
    "mens", "none", "womens",
    policies={"best-arm": {"kind": "thompson"}},
    ramp={"policies": {"best-arm": 1.0}, "from": 0.05, "to": 0.9, "over": "60d"},
)  # fmt: skip


def comparable(text: str) -> str:
    """Text without what may differ: line breaks and sizes."""
    return " ".join(re.sub(r"[\d.]+ (B|KiB)\b", "N B", text).split())


@pytest.mark.parametrize("number", range(4))
def test_examples_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A server has run for ten days and was killed; for `repair` a byte is damaged."""
    monkeypatch.chdir(tmp_path)
    world = Stored(Path("data"), segment_bytes=2**16, placements={"home-hero": PLACEMENT})
    for _ in range(2):
        world.visits(700, "home-hero")
        world.now += 5 * DAY
        path = world.snapshot()
        os.utime(path, (world.now / 1e6, world.now / 1e6))
    world.visits(60, "home-hero")
    world.kill()
    monkeypatch.setattr(words, "now_s", lambda: world.now / 1e6 + 3.0)
    arguments, expected = EXAMPLE.findall(DOCUMENT.read_text())[number]
    if arguments.startswith("repair"):
        flip(behind_newest(Path("data"), 0), 3000)
    _, said = invoke(*arguments.split())
    assert comparable(said) == comparable(expected), said
