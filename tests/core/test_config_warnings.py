"""What is allowed but may not be meant: each warning, and that ordinary configurations have none."""

from pathlib import Path

import pytest

from bandit.config import Config, parse, warnings
from server.config_files import load
from tests.core.config_documents import Document, document


def messages(config: Config) -> str:
    """All warnings, as lines."""
    return "\n".join(str(problem) for problem in warnings(config))


BEST = {"policies": {"best": {"kind": "thompson"}}, "reward": {"values": {"click": 1}, "max": 1}}
RAMP = {"policies": {"best": 1}, "start": "2026-12-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (BEST | {"ramp": RAMP}, "$.placements.p.ramp: has no gate"),
        (BEST | {"ramp": RAMP | {"gate": {}, "from": 0}}, "$.placements.p.ramp.gate: cannot see what serves"),
        (BEST | {"ramp": RAMP | {"gate": {}, "from": 0, "to": 0}}, "has nothing to judge"),
        (BEST | {"ramp": RAMP | {"gate": {"max_loss": 1}}}, "never takes the ramp back"),
        (BEST | {"ramp": RAMP | {"gate": {"max_loss": 0}}}, "where they earn the same for ever"),
        (BEST | {"ramp": RAMP | {"gate": {}, "over": "12h"}}, "longer than `over`"),
        (
            {
                "policies": {"x": {"kind": "linucb", "explore": 0}},
                "ramp": {"policies": {"x": 1}, "to": 1, "gate": {}},
            },
            "$.placements.p.ramp.gate: is blind once all",
        ),
        (BEST | {"arms": {"a": {}, "b": {"weight": 0}}}, "static never shows 'b'"),
        (
            BEST | {"arms": {"a": {}, "b": {"weight": 0}}, "ramp": RAMP | {"from": 0}},
            "static never shows 'b'",
        ),
        ({"arms": {"a": {"weight": 0}}}, "only 'a' is active"),
        ({"arms": {"a": {"weight": 0}, "b": {"weight": 0}}}, "every active arm has weight 0"),
        ({"policies": {"x": {"kind": "linucb"}}}, "$.placements.p.policies.x: learns from the context"),
        ({"policies": {"x": {"kind": "thompson"}}}, "$.placements.p.policies.x: takes rewards as normal"),
        ({"policies": {"x": {"kind": "linucb", "explore": 0}}}, "has explore 0"),
        ({"reward": {"values": {"refund": -1}}}, "$.placements.p.reward.values: has no value above 0"),
        (
            {"features": {"zip_code": {"kind": "hashed", "buckets": 9}}},
            "$.placements.p.features.zip_code: 'zip'",
        ),
        (
            {
                "features": {"shop": {"kind": "category", "values": ["x"]}},
                "arms": {"a": {"when": {"shop": ["x"]}}, "b": {"when": {"shop": ["x"]}}},
            },
            "every active arm has a `when`",
        ),
    ],
)
def test_warnings(keys: Document, expected: str) -> None:
    """What is allowed but may not be meant is said, with its path."""
    assert expected in messages(parse(document(**keys)))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        BEST,
        BEST | {"ramp": RAMP | {"gate": {}}},
        BEST | {"ramp": {"policies": {"best": 1}, "from": 1.0}},
        BEST | {"arms": {"a": {}, "b": {"weight": 0}}, "ramp": {"policies": {"best": 1}, "from": 1.0}},
    ],
)
def test_nothing_to_warn_of(keys: Document) -> None:
    """Ordinary placements, and one that serves the learned policies to everyone at once, warn of nothing."""
    assert not messages(parse(document(**keys)))


def test_the_examples_are_accepted() -> None:
    """The embedded placement and the example of the repository have nothing to warn of."""
    root = Path(__file__).resolve().parents[2]
    assert not messages(load(root / "server" / "defaults" / "demo.yaml"))
    assert not messages(load(root / "examples" / "home-hero.yaml"))
