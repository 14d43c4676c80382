"""Smaller versions of the studies in docs/simulate.md and docs/replay.md, through a running sidecar."""

import os
from pathlib import Path

import pytest
import yaml

from bandit.report import report
from loadtest.crossover_study import LINEAR, POLICIES, crossover
from loadtest.replay_study import study
from server.replays.mapping import read_mapping
from server.replays.rows import read_rows
from tests.core.world import SECOND, World

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "replay"
NAME = "hillstrom.csv.gz"
OPEN_BANDIT = ROOT / "data" / "obd" / "random"


def test_context_counts() -> None:
    """The best arm flips with a feature: seeing it earns most of the oracle's gain, shuffled contexts do not.

    8,000 shoppers, one seed. Of twenty trials and more the least gain with context was 87 %, the largest
    without it one point above the best single arm's 22 %; the bounds leave 7 and 14 points to chance.
    """
    runs = crossover(seeds=1, shoppers=8000)
    gains = {(run.placement, run.shuffled): run for run in runs}
    for placement in LINEAR:
        assert gains[placement, False].gain > 0.8
    for placement in POLICIES:
        blind = gains[placement, True]
        assert blind.gain < blind.gain_best_arm + 0.15


def hillstrom() -> Path:
    """The Hillstrom log: where HILLSTROM_LOG says, in data/, or where CI keeps it beside the checkout."""
    if named := os.environ.get("HILLSTROM_LOG"):
        return Path(named)
    for path in (ROOT / "data" / NAME, ROOT.parent / "shared" / "data" / NAME):
        if path.exists():
            return path
    pytest.skip(f"the Hillstrom log is not here: put it into data/{NAME}, docs/replay.md says what it is")


def test_hillstrom_replays() -> None:
    """One seed, 24,000 rows, best arm for all: clearly above the log's visit rate, and warns of nothing.

    About 8,000 rows match at 0.177; the bound lies 4 standard errors (0.0043 each) below, α = 3e-5.
    """
    rows = read_rows(hillstrom(), read_mapping(EXAMPLES / "hillstrom-mapping.yaml"))
    assert len(rows) == 64_000
    (report,) = study(EXAMPLES / "hillstrom.yaml", rows, ["hillstrom-thompson"], 1, 64, 24_000)[
        "hillstrom-thompson"
    ]
    assert 7_500 < report.matched.rows < 8_500
    assert report.matched.interval == "wilson"
    assert report.matched.mean is not None
    assert report.matched.mean > 0.160
    assert report.warnings == []


@pytest.mark.parametrize("campaign", ["men", "women"])
def test_open_bandit_replays(campaign: str) -> None:
    """A real log with logged propensities, 34 or 46 arms: it replays whole, and the log is uniform."""
    log = OPEN_BANDIT / campaign / f"{campaign}.csv"
    if not log.exists():
        pytest.skip("the Open Bandit sample is not here: make data")
    rows = read_rows(log, read_mapping(EXAMPLES / "open-bandit-mapping.yaml"))
    (report,) = study(EXAMPLES / "open-bandit.yaml", rows, [f"{campaign}-thompson"], 1, 64, None)[
        f"{campaign}-thompson"
    ]
    assert report.rows == 10_000
    assert 100 < report.matched.rows < 500
    assert report.warnings == []


def test_hillstrom_is_reported_for_what_it_is() -> None:
    """The best arm for all earns what that arm earned, nearly everything; static and it are told apart.

    Rows whose logged arm is chosen count, as in a replay: a third of 64,000. The true values are the log's
    visit rates: 0.1468 for uniform, 0.1828 for the best arm, which policies approach.
    """
    rows = read_rows(hillstrom(), read_mapping(EXAMPLES / "hillstrom-mapping.yaml"))
    document = yaml.safe_load((EXAMPLES / "hillstrom.yaml").read_text())["placements"]["hillstrom-thompson"]
    document["policies"] = {"best-arm": {"kind": "thompson"}, "personal": {"kind": "linear_thompson"}}
    document["ramp"] = {"policies": {"best-arm": 0.5, "personal": 0.5}, "from": 0.5, "to": 0.5}
    world = World(p=document)
    for number, row in enumerate(rows):
        world.now += SECOND
        choice = world.choose(
            unit=f"u{number}", categories=row.categories, numbers=row.numbers, deferred=True
        )
        if choice.arm == row.arm:
            world.reward(choice, "exposure")
            for event, value in row.events:
                world.reward(choice, event, value)
    found = report(world.state(), world.now)
    static, best = found.policies[0].value, found.policies[1].value
    assert static is not None
    assert best is not None
    assert static.low < 0.1468 < static.high
    assert best.low < 0.1828 < best.high
    first, second = found.ladder
    assert "it pays" in first.sentence
    assert "adds nearly nothing" in second.sentence
    assert "the best arm for all (best-arm) earns nearly everything" in second.sentence
