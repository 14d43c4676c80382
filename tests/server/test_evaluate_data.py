"""`banditd evaluate` on CSV logs: small ones that are made here, and real ones where they are.

The Open Bandit sample (`make data`) has each campaign twice: chosen by a Bernoulli Thompson sampler `bts`,
and by `random`. So what uniform would have earned can be estimated from the one, and looked up in the other.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bandit.config import Placement
from bandit.crossfit import cross_fit
from bandit.estimators import Estimate, interval, ips, snips
from server.config_files import load
from server.evaluating.judging import judging
from server.evaluating.report import Report, evaluate
from server.exit_codes import ExitCode
from server.logged import rows
from server.logged.logs import Loaded
from server.replays.mapping import read_mapping
from tests.clients.test_studies import EXAMPLES, ROOT, hillstrom
from tests.core.world import Document, simple
from tests.server.evaluated import command
from tests.server.training import targeted

CAMPAIGNS = {"all": 80, "men": 34, "women": 46}
"""Of the Open Bandit data, with their items."""


def open_bandit(policy: str, campaign: str) -> Path:
    """A log of the Open Bandit sample, or a skipped test."""
    path = ROOT / "data" / "obd" / policy / campaign / f"{campaign}.csv"
    if not path.exists():
        pytest.skip("the Open Bandit sample is not here: `make data` fetches it")
    return path


def example(file: str, name: str) -> Placement:
    """A placement of examples/evaluate."""
    return load(ROOT / "examples" / "evaluate" / file).placements[name]


def found(path: Path, mapping: str, of: Placement) -> tuple[Loaded, Report]:
    """A log and what it says of a placement."""
    loaded = judging(rows.load(path, read_mapping(EXAMPLES / mapping), of), of)
    return loaded, evaluate(str(path), of, loaded)


def difference(one: Estimate, other: Estimate) -> tuple[float, float]:
    """The interval of the difference of two values of independent logs."""
    assert one.value is not None
    assert one.high is not None
    assert other.value is not None
    assert other.high is not None
    margin = ((one.high - one.value) ** 2 + (other.high - other.value) ** 2) ** 0.5
    value = one.value - other.value
    return value - margin, value + margin


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_uniform_by_the_log_of_bts_earns_what_random_did(campaign: str) -> None:
    """The interval of the difference covers 0, or the policy is labelled: of women it must be."""
    of = example("open-bandit.yaml", campaign)
    _, judged = found(open_bandit("bts", campaign), "open-bandit-mapping.yaml", of)
    random, truth = found(open_bandit("random", campaign), "open-bandit-mapping.yaml", of)
    uniform = judged.policies[-1]
    assert uniform.name == "uniform"
    assert truth.logged.value == random.log.reward.mean()
    assert (uniform.weights.label == "UNUSABLE") is (campaign == "women")
    for name in ("ips", "snips", "dr"):
        low, high = difference(uniform.by[name].value, truth.logged)
        assert low <= 0.0 <= high, name


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_a_uniform_log_values_uniform_as_it_is(campaign: str) -> None:
    """By ips and snips the click rate of the log itself; and it takes the log for uniform."""
    _, report = found(
        open_bandit("random", campaign), "open-bandit-mapping.yaml", example("open-bandit.yaml", campaign)
    )
    uniform = report.policies[-1]
    for name in ("ips", "snips"):
        assert uniform.by[name].value.value == pytest.approx(report.logged.value, rel=1e-9)
    assert report.uniform
    assert uniform.matched is not None
    assert abs(uniform.matched - 10_000 / CAMPAIGNS[campaign]) < 4 * (10_000 / CAMPAIGNS[campaign]) ** 0.5


def test_hillstroms_best_arm_earns_its_visit_rate() -> None:
    """For each e-mail as the only one: by ips with the share it really had, its visit rate, exactly.

    By a third as propensity, what was aimed at, ips is off as the share is; snips is the rate by either.
    """
    mapping = read_mapping(EXAMPLES / "hillstrom-mapping.yaml")
    of = example("hillstrom.yaml", "hillstrom")
    rates = {"mens": 0.1828, "none": 0.1062, "womens": 0.1514}
    log = judging(rows.load(hillstrom(), mapping, of), of).log
    for arm, expected in rates.items():
        arms = tuple(replace(one, weight=float(one.id == arm)) for one in of.arms)
        chosen = cross_fit(replace(of, arms=arms, policies=of.policies[:1]), log).chosen[0]
        own = log.arm == list(rates).index(arm)
        rate = float(log.reward[own].mean())
        assert rate == pytest.approx(expected, abs=5e-5)
        share = np.bincount(log.arm)[log.arm] / log.arm.size
        assert ips(log.reward, chosen / share).value == pytest.approx(rate, rel=1e-12)
        assert snips(log.reward, chosen / log.propensity).value == pytest.approx(rate, rel=1e-12)
        by_design = interval(ips(log.reward, chosen / log.propensity))
        assert by_design.value == pytest.approx(rate, rel=0.01)
        assert by_design.low is not None
        assert by_design.high is not None
        assert by_design.low < rate < by_design.high


def test_hillstrom_has_nothing_left_for_personalising() -> None:
    """Best arm for all earns a quarter more than static; what sees 21 columns is not told from it."""
    of = example("hillstrom.yaml", "hillstrom")
    _, report = found(hillstrom(), "hillstrom-mapping.yaml", of)
    best = report.policies[1]
    assert best.name == "best"
    assert best.by["dr"].uplift is not None
    assert best.by["dr"].uplift.low is not None
    assert best.by["dr"].uplift.low > 0.025
    assert report.verdict.startswith("Best supported: ")
    for name in ("best", "personal", "ucb"):
        assert name in report.verdict


def test_the_output_of_the_document_is_real() -> None:
    """What docs/evaluate.md shows of Hillstrom's log is what the command prints, but for where lines end."""
    log, examples = hillstrom(), ROOT / "examples"
    flags = "--config", str(examples / "evaluate" / "hillstrom.yaml")
    code, output = command(str(log), *flags, "--mapping", str(EXAMPLES / "hillstrom-mapping.yaml"))
    assert code == 0
    shown = (ROOT / "docs" / "evaluate.md").read_text("utf-8").split("```")[5]
    _, *printed = output.split()[2:]
    assert shown.split()[3:] == printed


LINES = "segment,pscore,visit,person,platform"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a candidate `p` and a mapping of the columns above."""
    policies = {"personal": {"kind": "linear_thompson"}}
    features = {"platform": {"kind": "category", "values": ["web", "app"]}, "new": {"kind": "boolean"}}
    document = simple(policies=policies, features=features, reward={"values": {"visit": 1}})
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"version": 1, "placements": {"p": document}}))
    write_mapping(tmp_path, propensity="pscore", unit="person")
    return tmp_path


def write_mapping(folder: Path, **keys: str) -> None:
    """The mapping, with these keys."""
    mapping: Document = {
        "version": 1,
        "arm": {"column": "segment"},
        "categories": {"platform": "platform"},
        "events": {"visit": {"column": "visit"}},
    }
    (folder / "mapping.yaml").write_text(yaml.safe_dump(mapping | keys))


def run(folder: Path, lines: list[str], *arguments: str) -> tuple[int, str]:
    """The command on a CSV of these lines."""
    (folder / "log.csv").write_text("\n".join([LINES, *lines, ""]))
    flags = "--config", str(folder / "p.yaml"), "--mapping", str(folder / "mapping.yaml")
    return command(str(folder / "log.csv"), *flags, *arguments)


def drawn(number: int, share: float = 0.25, likes: float = 0.5) -> list[str]:
    """Lines of a log that shows `a` to `share` of its visitors, who come twice; `b` earns 0.2."""
    rng = np.random.default_rng(5)
    lines = []
    for i in range(number):
        arm, platform = ("a", share) if rng.random() < share else ("b", 1 - share), rng.choice(["web", "app"])
        visit = int(rng.random() < (likes if arm[0] == "a" else 0.2))
        lines.append(f"{arm[0]},{arm[1]},{visit},visitor-{i // 2},{platform}")
    return lines


def test_a_csv_log_with_propensities(folder: Path) -> None:
    """Values by the log's propensities; units are clusters; what the mapping lacks is said."""
    code, output = run(folder, drawn(4000), "--json")
    assert code == 0, output
    report: dict[str, Any] = json.loads(output)
    static, personal, uniform = report["policies"]
    assert (report["decisions"], report["clusters"], report["uniform"]) == (4000, 256, False)
    for name in ("ips", "snips", "dr"):
        assert static["by"][name] == uniform["by"][name] | {"uplift": None}
        assert static["by"][name]["low"] < 0.35 < static["by"][name]["high"]
        assert personal["by"][name]["low"] < 0.5 < personal["by"][name]["high"]
    assert "the mapping has no column for the features new" in " ".join(report["notes"])
    assert "visitor-" not in output


def test_a_csv_log_without_propensities_must_look_uniform(folder: Path) -> None:
    """Then each is 1 / K, and said; else the log is refused, with the arm that is uneven."""
    write_mapping(folder)
    code, output = run(folder, drawn(4000, 0.5), "--json")
    assert code == 0
    report = json.loads(output)
    assert (report["uniform"], report["clusters"]) == (True, None)
    assert any("each is taken as 0.5" in note for note in report["notes"])
    assert any("names no unit" in note for note in report["notes"])
    code, output = run(folder, drawn(4000))
    assert code == ExitCode.FAILURE
    assert "has no propensities ($.propensity of the mapping names their column)" in output
    assert "of the rows, 50.0% expected" in output
    assert "replay" not in output


def test_a_csv_log_without_propensities_may_not_look_targeted(folder: Path) -> None:
    """Half of all saw each arm, yet web saw one of them more: refused, with the column."""
    write_mapping(folder)
    code, output = run(folder, targeted(2000))
    assert code == ExitCode.FAILURE
    assert "in the column 'platform=" in output
    assert "arms were not drawn at random" in output


@pytest.mark.parametrize(
    ("weights", "share", "likes", "verdict"),
    [
        ((1, 0), 0.5, 0.5, "Best supported: static. No other policy is estimated to earn more (2 policies"),
        ((1, 1), 0.5, 0.5, "Best supported: static. No other policy is estimated to earn more (2 policies"),
        ((0, 1), 0.5, 0.5, "Best supported: uniform, +0.1"),
        ((0, 1), 0.5, 0.2, "uniform has the highest estimate, +0.0"),
        (
            (1, 1),
            0.01,
            0.5,
            "Nothing can be recommended: this log does not support an estimate of static itself.",
        ),
        (
            (0, 1),
            0.01,
            0.5,
            "Nothing can be recommended: this log does not support an estimate of any policy but",
        ),
    ],
    ids=["static", "equal", "uniform", "unclear", "no-static", "static-alone"],
)
def test_the_sentence(
    folder: Path, weights: tuple[float, float], share: float, likes: float, verdict: str
) -> None:
    """For each outcome one: what is supported, what is only estimated to be best, what cannot be said."""
    a, b = weights
    document = simple(arms={"a": {"weight": a}, "b": {"weight": b}}, reward={"values": {"visit": 1}})
    (folder / "p.yaml").write_text(yaml.safe_dump({"version": 1, "placements": {"p": document}}))
    code, output = run(folder, drawn(1500, share, likes))
    assert code == 0
    assert output.splitlines()[-1].startswith(verdict)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,0,1,visitor-1,web", "line 402, column 'pscore': 0.0 cannot be the propensity of what was shown"),
        ("a,1.5,1,visitor-1,web", "line 402, column 'pscore': '1.5' is not a finite number within 0 to 1"),
        ("a,0.5", "line 402 has 2 cells, the header 5"),
    ],
)
def test_wrong_lines(folder: Path, line: str, message: str) -> None:
    """Named by line and column."""
    code, output = run(folder, [*drawn(400), line])
    assert (code, message in output) == (ExitCode.FAILURE, True), output


def test_a_csv_log_needs_its_mapping(folder: Path) -> None:
    """And nothing else has one."""
    run(folder, drawn(10))
    log, config = str(folder / "log.csv"), str(folder / "p.yaml")
    code, output = command(log, "--config", config)
    assert (code, "a CSV log needs --mapping FILE" in output) == (ExitCode.USAGE, True)
    code, output = command(str(folder), "--config", config, "--mapping", str(folder / "mapping.yaml"))
    assert (code, "--mapping is for a CSV log" in output) == (ExitCode.USAGE, True)
    code, output = run(folder, [])
    assert (code, "has no row" in output) == (ExitCode.FAILURE, True)
