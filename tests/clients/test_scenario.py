"""Scenario files and the rates that follow from them."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from bandit.config.reader import Reader
from server.simulation.scenario import Scenario
from server.simulation.scenario_file import DEMO, build_scenario, read_scenario

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "placement": "home-hero",
    "returning": 0.25,
    "arms": {"mens": 1, "womens": 3},
    "contexts": {
        "platform": {"kind": "category", "values": {"web": 3, "app": 1}},
        "loyal": {"kind": "boolean", "probability": 0.5},
        "history": {"kind": "uniform", "low": 0, "high": 1000},
    },
    "events": {
        "visit": {
            "worth": 2.0,
            "rates": {"mens": 0.1, "womens": 0.2},
            "effects": [
                {"when": {"platform": "app", "loyal": 1}, "add": {"mens": 1.5}},
                {"per": {"feature": "history", "from": 500, "unit": 250}, "add": {"womens": -0.5}},
            ],
        }
    },
}


def scenario(document: dict[str, Any]) -> Scenario:
    """The scenario of a document without problems."""
    reader = Reader(document)
    built = build_scenario(reader)
    assert reader.noted == []
    return built


def test_rates_follow_the_effects() -> None:
    """Log-odds add up as written: by hand for four visits, (platform, loyal, history) each."""
    visits = {
        "platform": np.array([0, 1, 1, 0]),
        "loyal": np.array([1.0, 1.0, 0.0, 0.0]),
        "history": np.array([500.0, 500.0, 500.0, 1000.0]),
    }
    rates = scenario(DOCUMENT).events[0].probability(visits, 4)
    lifted = 1 / (1 + np.exp(-(np.log(0.1 / 0.9) + 1.5)))
    lowered = 1 / (1 + np.exp(-(np.log(0.2 / 0.8) - 0.5 * 2)))
    assert np.allclose(rates, [[0.1, 0.2], [lifted, 0.2], [0.1, 0.2], [0.1, lowered]])


def test_identity_scale_adds_to_the_rate_and_clips() -> None:
    """On the identity scale 0.1 + 1.5 is a rate of 1."""
    document = deepcopy(DOCUMENT)
    document["events"]["visit"]["scale"] = "identity"
    visits = {"platform": np.array([1]), "loyal": np.array([1.0]), "history": np.array([750.0])}
    assert scenario(document).events[0].probability(visits, 1).tolist() == [[1.0, 0.0]]


def test_expected_reward_weighs_rate_worth_and_value() -> None:
    """Worth 2 times mean value 30 times the rate."""
    document = deepcopy(DOCUMENT)
    document["events"]["visit"]["value"] = {"mean": 30, "sd": 10}
    del document["events"]["visit"]["effects"]
    visits = {"platform": np.array([0]), "loyal": np.array([0.0]), "history": np.array([0.0])}
    assert np.allclose(scenario(document).expected_reward(visits, 1), [[6.0, 12.0]])


def test_values_have_the_stated_mean_and_spread() -> None:
    """10⁵ log-normal values, mean 30 and sd 10: mean within 4 standard errors (α = 6e-5), sd within 3 %."""
    document = deepcopy(DOCUMENT)
    document["events"]["visit"]["value"] = {"mean": 30, "sd": 10}
    values = scenario(document).events[0].draw_values(np.random.default_rng(7), 100_000)
    assert abs(values.mean() - 30) < 4 * 10 / np.sqrt(100_000)
    assert abs(values.std() / 10 - 1) < 0.03


def test_weights_are_normalised() -> None:
    """Arms 1 and 3 are a quarter and three quarters of the static campaign."""
    built = scenario(DOCUMENT)
    assert built.weights == (0.25, 0.75)
    assert built.returning == 0.25


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("version",), 2, "$.version: got 2"),
        (("placement",), None, "$.placement: got nothing, expected text"),
        (("returning",), 1.5, "$.returning: got 1.5"),
        (("arms",), {}, "$.arms: got 0 entries, expected 1 to 256"),
        (("arms",), {"mens": 0, "womens": 0}, "$.arms: every weight is 0"),
        (("arms", "mens"), -1, "$.arms.mens: got -1"),
        (("events",), {}, "$.events: got 0 entries"),
        (("events", "visit", "rates", "mens"), 0, "$.events.visit.rates.mens: got 0, expected"),
        (("events", "visit", "rates"), {"mens": 0.1}, "$.events.visit.rates.womens: missing"),
        (("events", "visit", "rates", "kids"), 0.1, "$.events.visit.rates.kids: unknown key 'kids'"),
        (("events", "visit", "scale"), "probit", "$.events.visit.scale: got 'probit', expected one of logit"),
        (("events", "visit", "effects", 0, "when", "platform"), "tv", "expected one of web, app"),
        (("events", "visit", "effects", 0, "when", "loyal"), 2, "when.loyal: got 2"),
        (
            ("events", "visit", "effects", 0, "when", "age"),
            2,
            "effects[0].when.age: 'age' is not among contexts",
        ),
        (("events", "visit", "effects", 0, "when", "history"), 2, "use per for numbers"),
        (("events", "visit", "effects", 1, "per", "feature"), "platform", "expected a number among contexts"),
        (
            ("events", "visit", "effects", 1, "per", "unit"),
            0,
            "per.unit: got 0",
        ),
        (("events", "visit", "wrth"), 1, "$.events.visit.wrth: unknown key 'wrth', did you mean 'worth'?"),
        (
            ("contexts", "history", "high"),
            -1,
            "$.contexts.history.high: got -1 with low 0",
        ),
        (
            ("contexts", "history", "kind"),
            "poisson",
            "$.contexts.history.kind: got 'poisson', expected one of",
        ),
        (("contexts", "loyal", "probability"), 3, "$.contexts.loyal.probability: got 3, expected"),
    ],
)
def test_refuses_with_path_and_remedy(path: tuple[Any, ...], value: object, problem: str) -> None:
    """Each rule's violation is reported at its path."""
    document = deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    reader = Reader(document)
    build_scenario(reader)
    assert [str(noted) for noted in reader.noted if problem in str(noted)], reader.noted


def test_the_embedded_scenario_has_a_crossover() -> None:
    """The demo's scenario is valid, and no single arm is best for every context."""
    demo = read_scenario(DEMO)
    visits = {feature.name: feature.draw(np.random.default_rng(1), 2000) for feature in demo.features}
    best = demo.expected_reward(visits, 2000).argmax(axis=1)
    assert np.bincount(best, minlength=len(demo.arms)).max() < 1600
