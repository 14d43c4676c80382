"""`banditd evaluate`: the whole way from an engine's export to each policy's value."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.core.world import DAY, SECOND, Document, hero, simple
from tests.server.data_dirs import Served
from tests.server.evaluated import Case, invoke, made, policy


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """What `made` makes, once for all tests of this file."""
    return made(tmp_path_factory.mktemp("evaluate"))


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


def test_decisions_that_cannot_be_named_are_noted(tmp_path: Path) -> None:
    """Those whose configuration is nowhere any more; those whose arms are not known still count."""
    served = Served(tmp_path / "data", p=simple())
    served.trim()
    for _ in range(10):
        served.choose()
    served.reload(p=simple(reward={"values": {"click": 2}}))
    for _ in range(200):
        served.reward(served.choose())
    served.now += 2 * DAY
    served.choose()
    code, output = invoke(served.path, simple())
    assert code == 0, output
    assert "note: 10 decisions of a configuration that is not known are not in here" in output
    assert "note: in 200 decisions it is not known which arms could be shown" in output


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


def test_the_tables_fit_a_terminal(case: Case) -> None:
    """80 columns, no cell cut; what each estimator assumes stands below."""
    code, output = case.run(hero(ramp=None))
    assert code == 0
    assert "…" not in output
    assert max(len(line) for line in output.splitlines() if line and line[0] in "┏┃┡│└") <= 80
    for name in ("ips", "snips", "dm", "dr"):
        assert f"\n{name}: " in output
    assert "replay: " not in output


def test_a_label_is_whole_beside_wide_figures(case: Case) -> None:
    """Where weights are huge, lines grow beyond a terminal, and no label is cut."""
    propensities = pq.read_table(case.file)["propensity"].to_pylist()
    rare = case.altered("propensity", pa.array([1e-6, *propensities[1:]]))
    code, output = case.run(hero(ramp=None), log=rare)
    assert code == 0
    assert "…" not in output
    assert output.count("static UNUSABLE") == 2


def test_nobody_is_named(case: Case) -> None:
    """No visitor, in no output."""
    assert "visitor-" not in case.run(hero(ramp=None))[1] + case.run(hero(ramp=None), "--json")[1]
