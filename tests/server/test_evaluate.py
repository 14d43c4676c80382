"""`banditd evaluate`: the whole way from an engine's export to each policy's value, and every refusal."""

import json
import random
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from bandit.config import EXPOSURE
from server.cli import cli
from server.exit_codes import ExitCode, StartError
from tests.core.world import DAY, SECOND, Document, hero, simple
from tests.server.data_dirs import Served

Found = dict[str, Any]


class Case(NamedTuple):
    """An export, the data directory it is of, and room for candidates."""

    served: Served
    file: Path

    def run(self, candidate: Document, *arguments: str, log: Path | None = None) -> tuple[int, str]:
        """Exit code and output of `banditd evaluate`; a refusal's code and message."""
        return invoke(log or self.file, candidate, *arguments)

    def report(self, candidate: Document, log: Path | None = None) -> Found:
        """What it found, from --json."""
        code, output = self.run(candidate, "--json", log=log)
        assert code == 0, output
        found: Found = json.loads(output)
        return found

    def altered(self, name: str, column: pa.Array) -> Path:
        """The file with another column, in a file of its own."""
        table = pq.read_table(self.file)
        path = self.file.with_name("altered.parquet")
        pq.write_table(table.set_column(table.column_names.index(name), name, column), path)
        return path


def invoke(log: Path, candidate: Document, *arguments: str) -> tuple[int, str]:
    """Run the command on a log and a candidate that has the one placement `p`."""
    path = log.parent / "candidate.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "placements": {"p": candidate}}))
    return command(str(log), "--config", str(path), *arguments)


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output; a refusal's code and message."""
    result = CliRunner().invoke(cli, ["evaluate", *arguments])
    if isinstance(result.exception, StartError):
        return result.exception.code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def policy(found: Found, name: str) -> Found:
    """One policy of a report."""
    (one,) = [one for one in found["policies"] if one["policy"] == name]
    return dict(one)


def traffic(served: Served, visits: int = 1500) -> None:
    """Visitors to `p` who come several times, whose platform says which arm they like; some is deferred."""
    rng = random.Random(3)
    for _ in range(visits):
        served.now += SECOND
        platform = rng.choice(["web", "app", "tv"])
        deferred, shown = rng.random() < 0.4, rng.random() < 0.5
        choice = served.choose(
            unit=f"visitor-{rng.randrange(visits // 3)}",
            categories={"platform": platform, "country": rng.choice(["de", "us", "nl"])},
            numbers={"history": rng.uniform(0, 3000), "returning": float(rng.random() < 0.5)},
            deferred=deferred,
        )
        if deferred and not shown:
            continue
        if deferred:
            served.reward(choice, EXPOSURE)
        liked = {"web": "mens", "app": "womens", "tv": "none"}[platform]
        if rng.random() < (0.6 if choice.arm == liked else 0.1):
            served.reward(choice, "visit")
        if rng.random() < 0.1:
            served.reward(choice, "purchase", rng.uniform(1, 90), "1")
    served.now += 2 * DAY
    served.choose(unit="last", categories={"platform": "web"})


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """1,500 decisions of a placement with everything, and one of two days later."""
    folder = tmp_path_factory.mktemp("evaluate")
    served = Served(folder / "data", p=hero(ramp=None), q=simple())
    traffic(served)
    out = folder / "out.parquet"
    result = CliRunner().invoke(cli, ["export", "--data-dir", str(served.path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return Case(served, out)


def test_what_it_finds_is_what_the_file_says(case: Case) -> None:
    """Static and uniform by ips, the logged mean and the counts, by hand from the file's columns."""
    found = case.report(hero(ramp=None))
    rows = pq.read_table(case.file).to_pylist(maps_as_pydicts="strict")
    shown = [row for row in rows if row["exposed"]][:-1]
    left_out = {"never shown": len(rows) - len(shown) - 1, "reward window still open when the log ended": 1}
    assert (found["rows"], found["decisions"], found["left_out"]) == (1501, len(shown), left_out)
    assert found["logged"]["value"] == pytest.approx(np.mean([row["reward"] for row in shown]), rel=1e-12)
    assert found["rewarded"] == sum(row["reward"] > 0 for row in shown)
    assert found["clusters"] == len({row["bucket"] for row in shown})
    for name in ("static", "even"):
        weight = np.array([row["probabilities"][name] / row["propensity"] for row in shown])
        reward = np.array([row["reward"] for row in shown])
        own = policy(found, name)
        assert own["by"]["ips"]["value"] == pytest.approx(float((weight * reward).mean()), rel=1e-12)
        assert own["weights"]["effective"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-12)
        assert own["label"] == ""


def test_what_pays_is_found(case: Case) -> None:
    """linear_thompson, which sees the platform, is best supported; its value lies where the world puts it.

    Liked arms earn 0.6, others 0.1, purchases add 0.02 · 45.5 · 0.1 = 0.09; explore costs a hundredth.
    """
    found = case.report(hero(ramp=None))
    personal = policy(found, "personal")
    for name in ("ips", "snips", "dr"):
        estimate = personal["by"][name]
        assert estimate["low"] <= 0.69 <= estimate["high"], name
        assert 0.0 < estimate["uplift"]["low"] <= estimate["uplift"]["value"] <= estimate["uplift"]["high"]
    assert personal["by"]["dr"]["uplift"]["value"] == pytest.approx(
        personal["by"]["dr"]["value"] - policy(found, "static")["by"]["dr"]["value"], abs=1e-12
    )
    assert found["verdict"].startswith(("Best supported: personal", "Best supported: explorer"))


def test_a_data_directory_gives_what_its_export_gives(case: Case) -> None:
    """To the last digit, and twice the same."""
    of_file, again = case.report(hero(ramp=None)), case.report(hero(ramp=None))
    of_folder = case.report(hero(ramp=None), case.served.path)
    assert of_file == again
    assert of_folder | {"source": ""} == of_file | {"source": ""}


def test_rewards_are_the_candidates(case: Case) -> None:
    """Its values, its maximum, its window; what it calls once counts once."""
    reward = {"window": "24h", "values": {"purchase": 1.0}, "max": 50.0, "repeatable": ["purchase"]}
    rows = pq.read_table(case.file).to_pylist()
    shown = [row for row in rows if row["exposed"]][:-1]
    bought = [
        min(sum(event["value"] for event in row["events"] if event["event"] == "purchase"), 50.0)
        for row in shown
    ]
    found = case.report(hero(ramp=None, reward=reward))
    assert found["logged"]["value"] == pytest.approx(np.mean(bought), rel=1e-12)
    assert 20 < max(bought) == 50.0


def test_events_after_the_candidates_window_do_not_count(tmp_path: Path) -> None:
    """A shorter window leaves late events out, and none of the last decisions, which are mature earlier."""
    served = Served(tmp_path / "data", p=simple(reward={"window": "24h", "values": {"click": 1}}))
    for late in (0, 2 * 3600) * 60:
        choice = served.choose()
        served.now += late * SECOND
        served.reward(choice)
    for window, share, decisions in (("1h", 0.5, 120), ("3h", 1.0, 118)):
        code, output = invoke(
            served.path, simple(reward={"window": window, "values": {"click": 1}}), "--json"
        )
        assert code == 0, output
        found = json.loads(output)
        assert found["logged"]["value"] == pytest.approx(share, abs=0.01)
        assert found["decisions"] == decisions


def test_what_the_log_never_shows_has_no_number(case: Case) -> None:
    """A new arm: static puts a fifth on it, so nothing can be said, and nothing is."""
    arms = hero()["arms"] | {"new": {"weight": 1}}
    found = case.report(hero(ramp=None, arms=arms))
    for one in found["policies"]:
        assert (one["label"], one["by"]) == ("NO_SUPPORT", {})
    assert found["verdict"] == (
        "Nothing can be recommended: this log does not support an estimate of static itself."
    )
    code, output = case.run(hero(ramp=None, arms=arms))
    assert code == 0
    assert "NO_SUPPORT: the policy chooses what the log does not show; no number stands for that" in output


def test_few_decisions_are_unusable(tmp_path: Path) -> None:
    """Below a hundred effective decisions every policy is labelled; the numbers are shown with the label."""
    served = Served(tmp_path / "data", p=simple())
    for _ in range(99):
        served.reward(served.choose())
    served.now += 2 * DAY
    served.choose()
    code, output = invoke(served.path, simple())
    assert code == 0
    assert "static UNUSABLE" in output
    assert "uniform UNUSABLE" in output
    assert "Nothing can be recommended" in output


def test_conditions_and_arms_that_are_gone(case: Case) -> None:
    """An arm that the candidate takes away has no weight; a condition it adds holds by the logged context."""
    arms = {"mens": {"weight": 1, "when": {"platform": ["web"]}}, "womens": {"weight": 1}}
    static = policy(case.report(hero(ramp=None, arms=arms)), "static")
    rows = [row for row in pq.read_table(case.file).to_pylist(maps_as_pydicts="strict") if row["exposed"]][
        :-1
    ]
    earned = 0.0
    for row in rows:
        eligible = ["mens", "womens"] if "platform=web" in row["context"] else ["womens"]
        if row["arm"] in eligible:
            earned += row["reward"] / len(eligible) / row["propensity"]
    assert static["by"]["ips"]["value"] == pytest.approx(earned / len(rows), rel=1e-12)


def test_only_the_ramps_scope_counts(case: Case) -> None:
    """Outside it static serves whatever is learned: left out, and said."""
    ramp = {"policies": {"personal": 1.0}, "only_when": {"returning": [True]}, "from": 0.1, "to": 0.9}
    found = case.report(hero(ramp=ramp))
    rows = [row for row in pq.read_table(case.file).to_pylist(maps_as_pydicts="strict") if row["exposed"]][
        :-1
    ]
    inside = sum("returning" in row["context"] for row in rows)
    assert found["decisions"] == inside
    assert found["left_out"]["outside the ramp's scope, where static alone serves"] == len(rows) - inside


def test_wider_conditions_are_noted(case: Case) -> None:
    """The log never shows mens on tv: where the candidate would, it is left out, and said how often."""
    arms = hero()["arms"] | {"mens": {"weight": 1}}
    (note,) = [note for note in case.report(hero(ramp=None, arms=arms))["notes"] if "allows arms" in note]
    assert note.startswith("in ")


def test_features_may_go_and_come(case: Case) -> None:
    """A value that is not listed any more is `(other)`; a feature of which the log has nothing is missing."""
    features = hero()["features"] | {
        "platform": {"kind": "category", "values": ["web", "app"]},
        "weather": {"kind": "category", "values": ["rain"]},
    }
    arms: Document = {"mens": {}, "none": {}, "womens": {}}
    found = case.report(hero(ramp=None, features=features, arms=arms))
    notes = " ".join(found["notes"])
    assert "the log has nothing of the features weather" in notes
    assert "made under another configuration" in notes
    assert policy(found, "personal")["by"]["dr"]["uplift"]["low"] > 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"features": {"country": {"kind": "hashed", "buckets": 2}}, "arms": {"mens": {}}},
            "candidate's feature 'country' is hashed to 2 buckets: an export holds mapped values",
        ),
        (
            {"features": {"platform": {"kind": "boolean"}}, "arms": {"mens": {}}},
            "candidate's feature 'platform' is a boolean: an export holds mapped values",
        ),
        (
            {"arms": {"mens": {"when": {"country": ["de"]}}}},
            "condition on 'country' holds cannot be told: an export holds only the buckets of a hashed",
        ),
        (
            {
                "features": {"weather": {"kind": "category", "values": ["rain"]}},
                "arms": {"mens": {"when": {"weather": ["rain"]}}},
            },
            "condition on 'weather' holds cannot be told: the log has no column of it",
        ),
        (
            {"arms": {"x": {}, "y": {}}},
            "shows the arms mens, none, womens, and the candidate 'p' has x, y: none is common",
        ),
        (
            {"reward": {"values": {"like": 1}}},
            "has a reward: the candidate values like, the log has purchase, visit",
        ),
        (
            {"reward": {"window": "30d", "values": {"visit": 1}}},
            "can be evaluated (never shown: ",
        ),
    ],
    ids=["hashes", "kind", "hashed-condition", "unknown-condition", "arms", "rewards", "window"],
)
def test_candidates_that_the_log_cannot_judge(case: Case, changes: Document, message: str) -> None:
    """Refused with what was asked for, what is there, and what to do."""
    code, output = case.run(hero(ramp=None) | changes)
    assert code == ExitCode.FAILURE
    assert str(case.file) in output
    assert message in output


def test_files_that_are_no_export(case: Case, tmp_path: Path) -> None:
    """No Parquet at all; another Parquet; one cut short; a propensity of 0; nothing of the placement."""
    text = tmp_path / "notes.parquet"
    text.write_text("hello")
    code, output = case.run(hero(), log=text)
    assert (code, f"{text}: cannot be read as Parquet" in output) == (ExitCode.FAILURE, True)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(case.file.read_bytes()[:-100])
    assert "cannot be read as Parquet" in case.run(hero(), log=cut)[1]
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"placement": ["p"], "arm": ["a"]}), other)
    code, output = case.run(hero(), log=other)
    assert (code, "lacks the columns bucket, context, counter" in output) == (ExitCode.FAILURE, True)
    zero = case.altered("propensity", pa.array([0.0] * 1501, pa.float64()))
    code, output = case.run(hero(ramp=None), log=zero)
    assert (code, "is 0.0, expected above 0 and at most 1" in output) == (ExitCode.FAILURE, True)
    gap = case.altered("bucket", pa.array([None] + [1] * 1500, pa.int32()))
    code, output = case.run(hero(ramp=None), log=gap)
    assert (code, "has gaps in the columns bucket" in output) == (ExitCode.FAILURE, True)
    twice = case.altered("counter", pa.array([7, *range(1, 1501)], pa.int64()))
    code, output = case.run(hero(ramp=None), log=twice)
    assert (code, "has 1 decisions twice" in output) == (ExitCode.FAILURE, True)
    elsewhere = case.altered("placement", pa.array(["elsewhere"] * 1501))
    code, output = case.run(hero(), log=elsewhere)
    assert code == ExitCode.FAILURE
    assert "no decision of the placement 'p': it has decisions of elsewhere" in output


def test_an_empty_log_says_so(tmp_path: Path) -> None:
    """A data directory without a decision, and a folder that is none."""
    served = Served(tmp_path / "data", p=simple())
    code, output = invoke(served.path, simple())
    assert code == ExitCode.FAILURE
    assert "has no decision of the placement 'p': it has none at all" in output
    assert "--journal-keep" in output
    (tmp_path / "empty").mkdir()
    assert invoke(tmp_path / "empty", simple())[0] == ExitCode.FAILURE
    assert invoke(tmp_path / "nowhere", simple())[0] == ExitCode.USAGE


def test_a_candidate_that_is_refused(case: Case, tmp_path: Path) -> None:
    """3 with every problem's path; 2 where the placement is not said, or is not there."""
    code, output = case.run({"arms": {}})
    assert (code, "$.placements.p.arms" in output) == (ExitCode.CONFIG, True)
    both = tmp_path / "both.yaml"
    both.write_text(yaml.safe_dump({"version": 1, "placements": {"p": hero(ramp=None), "q": simple()}}))
    code, output = command(str(case.file), "--config", str(both))
    assert (code, "name one with --placement (p, q)" in output) == (ExitCode.USAGE, True)
    code, output = command(str(case.file), "--config", str(both), "--placement", "r")
    assert (code, "the candidate has no placement 'r'" in output) == (ExitCode.USAGE, True)
    assert command(str(case.file), "--config", str(both), "--placement", "p")[0] == 0


def test_without_pyarrow_it_says_how_to_get_it(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named; a CSV log needs none."""
    for name in ("server.exporting.run", "server.exporting.columns", "server.evaluating.exported"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("server.evaluating.exported", raising=False)
    monkeypatch.delattr("server.exporting.run", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, output = case.run(hero(ramp=None))
    assert (code, output) == (
        ExitCode.FAILURE, "evaluate needs pyarrow to read exports: pip install 'banditd[export]'",
    )  # fmt: skip


def test_the_tables_fit_a_terminal(case: Case) -> None:
    """80 columns, no cell cut; what each estimator assumes stands below."""
    code, output = case.run(hero(ramp=None))
    assert code == 0
    assert "…" not in output
    assert max(len(line) for line in output.splitlines() if line and line[0] in "┏┃┡│└") <= 80
    for name in ("ips", "snips", "dm", "dr"):
        assert f"\n{name}: " in output
    assert "replay: " not in output


def test_nobody_is_named(case: Case) -> None:
    """No visitor, in no output."""
    assert "visitor-" not in case.run(hero(ramp=None))[1] + case.run(hero(ramp=None), "--json")[1]
