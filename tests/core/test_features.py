"""Contexts become sparse x: every kind of feature, what is missing or new, and what is refused."""

import math

import pytest

from bandit.config import column_names
from bandit.errors import BanditError, Reason
from bandit.features import Encoder, column_meanings, entries, packed
from bandit.hashing import feature_bucket
from tests.core.world import World, config, hero, simple

LINEAR = {"f": {"kind": "number", "min": -10, "max": 30}}
LOG = {"f": {"kind": "number", "min": 0, "max": 3000, "scale": "log"}}


def encoded(features: object, categories: dict[str, str], numbers: dict[str, float]) -> dict[str, float]:
    """Return column name → value of a context."""
    placement = config(p=simple(features=features)).placements["p"]
    x, _ = Encoder(placement).encode(categories, numbers)
    index, value = entries(x)
    assert packed(index, value) == x
    names = column_names(placement)
    assert len(set(index.tolist())) == index.size
    return {names[i]: float(v) for i, v in zip(index, value, strict=True)}


def mapped(features: object, number: float) -> float:
    """Return what a number of feature `f` is mapped to."""
    return encoded(features, {}, {"f": number}).get("f", 0.0)


def test_a_full_context_by_hand() -> None:
    """Bias, the country's bucket, log of history, platform's and returning's column; one entry each."""
    bucket = feature_bucket("country", "de", 4)
    assert encoded(
        hero()["features"], {"platform": "web", "country": "de"}, {"history": 3000.0, "returning": 1.0}
    ) == {"bias": 1.0, "platform=web": 1.0, f"country#{bucket}": 1.0, "history": 1.0, "returning": 1.0}


def test_an_empty_context_sets_every_missing_column() -> None:
    """Nothing sent, or categories sent as empty text: the bias and the `missing` column of each feature."""
    missing = {"bias": 1.0} | {
        f"{feature}=(missing)": 1.0 for feature in ("platform", "country", "history", "returning")
    }
    assert encoded(hero()["features"], {}, {}) == missing
    assert encoded(hero()["features"], {"platform": "", "country": ""}, {}) == missing


def test_without_features_x_is_the_bias() -> None:
    """A placement without features learns one number an arm."""
    assert encoded({}, {}, {}) == {"bias": 1.0}


def test_a_value_never_configured_is_other() -> None:
    """A new platform goes to `other`; a hashed feature has no other, every value has a bucket."""
    x = encoded(hero()["features"], {"platform": "fridge", "country": "\U0001f600" * 100}, {})
    assert x["platform=(other)"] == 1.0
    assert sum(name.startswith("country#") for name in x) == 1


@pytest.mark.parametrize(
    ("number", "expected"), [(-10, 0), (30, 1), (10, 0.5), (0, 0.25), (-1e308, 0), (1e308, 1), (31, 1)]
)
def test_linear_mapping_by_hand(number: float, expected: float) -> None:
    """(v - min) / (max - min), clipped to [0, 1] however large."""
    assert mapped(LINEAR, number) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, 0),
        (3000, 1),
        (99, math.log(100) / math.log(3001)),
        (-5, 0),
        (1e308, 1),
        (1, math.log(2) / math.log(3001)),
    ],
)
def test_log_mapping_by_hand(number: float, expected: float) -> None:
    """ln(1 + v - min) / ln(1 + max - min), clipped to [0, 1]."""
    assert mapped(LOG, number) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize(("low", "high"), [(-1e300, 1e300), (0, 5e-324), (9e299, 9.000001e299), (-3, -2)])
@pytest.mark.parametrize("number", [-1.7e308, -2.5, 0.0, 5e-324, 1.7e308])
def test_extreme_ranges_stay_within_0_and_1(scale: str, low: float, high: float, number: float) -> None:
    """Whatever range is accepted, whatever number is sent: a finite value in [0, 1]."""
    value = mapped({"f": {"kind": "number", "min": low, "max": high, "scale": scale}}, number)
    assert 0.0 <= value <= 1.0


def test_booleans() -> None:
    """1 sets the column, 0 (and -0.0) no column at all, absence `missing`."""
    features = {"f": {"kind": "boolean"}}
    assert encoded(features, {}, {"f": 1.0}) == {"bias": 1.0, "f": 1.0}
    assert encoded(features, {}, {"f": 0.0}) == encoded(features, {}, {"f": -0.0}) == {"bias": 1.0}
    assert encoded(features, {}, {}) == {"bias": 1.0, "f=(missing)": 1.0}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("feature", ["history", "returning"])
def test_a_number_that_is_not_finite_is_refused_by_name(feature: str, number: float) -> None:
    """FEATURE_NOT_FINITE names the placement and the feature, and nothing was decided or learned."""
    world = World(p=hero())
    before = len(world.journal)
    with pytest.raises(BanditError) as refused:
        world.choose(numbers={feature: number})
    assert refused.value.reason is Reason.FEATURE_NOT_FINITE
    assert refused.value.metadata == {"placement": "p", "feature": feature}
    assert feature in refused.value.message
    assert len(world.journal) == before


@pytest.mark.parametrize("number", [0.5, 2.0, -1.0, 1e308])
def test_a_boolean_is_0_or_1(number: float) -> None:
    """Other numbers are refused, naming the feature: they would be a misunderstanding."""
    with pytest.raises(BanditError) as refused:
        World(p=hero()).choose(numbers={"returning": number})
    assert refused.value.reason is Reason.FEATURE_NOT_BOOLEAN
    assert refused.value.metadata["feature"] == "returning"


def test_unknown_features_are_ignored_and_counted() -> None:
    """Names not configured, or sent as the other kind, even NaN: x does not change, the counter does."""
    world = World(p=hero())
    first = world.choose(categories={"platform": "web"})
    second = world.choose(
        categories={"platform": "web", "colour": "red", "history": "9"},
        numbers={"platform": 1.0, "height": math.nan},
    )
    assert world.state().counters.unknown_features == 4
    opened = [world.engine._sealer.open(choice.decision_id) for choice in (first, second)]
    assert opened[0].x == opened[1].x


@pytest.mark.parametrize("entries", [257, 10_000])
def test_too_many_features_are_refused(entries: int) -> None:
    """Over 256 categories and numbers together: CONTEXT_TOO_LARGE with the limit; 256 are taken."""
    world = World(p=hero())
    half = entries // 2
    categories = {f"c{i}": "x" for i in range(half)}
    with pytest.raises(BanditError) as refused:
        world.choose(categories=categories, numbers={f"n{i}": 1.0 for i in range(entries - half)})
    assert refused.value.reason is Reason.CONTEXT_TOO_LARGE
    assert refused.value.metadata["limit"] == "256"
    world.choose(numbers={f"n{i}": 1.0 for i in range(256)})


def test_meanings_tell_columns_apart_that_share_a_name() -> None:
    """Every column means something of its own; other buckets or ranges change it, other neighbours do not."""
    placement = config(p=hero()).placements["p"]
    meanings = column_meanings(placement)
    assert len(set(meanings)) == len(meanings) == Encoder(placement).columns == len(column_names(placement))
    changed = hero()
    changed["features"]["country"]["buckets"] = 8
    changed["features"]["platform"]["values"] = ["tv", "app", "web"]
    other = column_meanings(config(p=changed).placements["p"])
    shared = {str(meaning[0]) for meaning in set(meanings) & set(other) if isinstance(meaning, tuple)}
    assert not any(name.startswith("country") for name in shared)
    assert {"platform=tv", "platform=web", "platform=(other)", "history", "bias"} <= shared
