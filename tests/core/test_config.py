"""What `parse` makes of documents: defaults, order, ids, columns, memory, several files as one."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from bandit.config import (
    STATIC,
    ArmState,
    ConfigError,
    ExposureMode,
    Placement,
    PolicyKind,
    canonical,
    column_names,
    columns,
    columns_of,
    combine,
    memory_bytes,
    parse,
)
from bandit.limits import (
    ARMS_MAX,
    COLUMNS_MAX,
    CONFIG_PROBLEMS_MAX,
    MODEL_BYTES_MAX,
    MODEL_BYTES_TOTAL_MAX,
    PLACEMENTS_MAX,
)
from tests.core.config_documents import Document, contract, document

DAY_US = 86_400_000_000


def placement(**keys: object) -> Placement:
    """The placement of `document`."""
    return parse(document(**keys)).placements["p"]


def test_the_contract_means_what_it_says() -> None:
    """Every value of the contract's example arrives, in µs and fractions, sorted."""
    hero = parse(contract()).placements["home-hero"]
    assert (hero.name, hero.owner) == ("home-hero", "onsite-crm")
    assert [(arm.id, arm.state.value, arm.payload) for arm in hero.arms] == [
        ("mens", "active", ""), ("none", "draining", ""), ("womens", "active", '{"banner": "w"}'),
    ]  # fmt: skip
    assert hero.arms[0].when == {"platform": frozenset({"web", "app"})}
    assert hero.reward.window_us == DAY_US
    assert hero.reward.values == (("purchase", 0.02), ("visit", 1.0))
    assert hero.reward.maximum == 5.0
    assert hero.reward.repeatable == {"purchase"}
    assert hero.half_life_us == 30 * DAY_US
    assert [(policy.name, policy.kind.value, policy.explore) for policy in hero.policies] == [
        ("static", "static", 0.01), ("best-arm", "thompson", 0.01),
        ("explorer", "linucb", 0.02), ("personal", "linear_thompson", 0.01),
    ]  # fmt: skip
    assert hero.ramp is not None
    assert hero.ramp.policies == (("personal", 1.0),)
    assert hero.ramp.start_us == int(datetime(2026, 12, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert (hero.ramp.over_us, hero.ramp.share_from, hero.ramp.share_to) == (60 * DAY_US, 0.05, 0.9)
    assert hero.ramp.only_when == {"platform": frozenset({"web"})}
    assert hero.ramp.gate is not None
    assert (hero.ramp.gate.min_exposures, hero.ramp.gate.max_loss, hero.ramp.gate.confidence) == (
        2000,
        0.05,
        0.95,
    )


def test_defaults() -> None:
    """A placement of arms and a reward alone: equal weights, a day, no bound, static alone."""
    least = placement()
    assert [(arm.weight, arm.payload, arm.when, arm.state) for arm in least.arms] == [
        (1.0, "", {}, ArmState.ACTIVE)
    ] * 2
    assert least.reward.window_us == DAY_US
    assert least.reward.maximum == float("inf")
    assert least.reward.repeatable == frozenset()
    assert least.exposure is ExposureMode.ON_CHOOSE
    assert least.half_life_us is None
    assert least.ramp is None
    assert [(policy.name, policy.kind) for policy in least.policies] == [(STATIC, PolicyKind.STATIC)]
    assert (least.owner, least.features) == ("", ())


@pytest.mark.parametrize(
    ("given", "shares"),
    [
        ({}, (0.05, 0.9)),
        ({"from": 0.95}, (0.95, 0.95)),
        ({"from": 1.0}, (1.0, 1.0)),
        ({"to": 0.05}, (0.05, 0.05)),
    ],
)
def test_defaults_of_a_ramp(given: Document, shares: tuple[float, float]) -> None:
    """From 5 % to 90 % over 60 days, beginning with the first exposure; `from` above 0.9 stays there."""
    ramp = placement(policies={"best": {"kind": "thompson"}}, ramp={"policies": {"best": 1}} | given).ramp
    assert ramp is not None
    assert (ramp.share_from, ramp.share_to) == shares
    assert (ramp.start_us, ramp.over_us, ramp.gate) == (None, 60 * DAY_US, None)


def test_names_of_columns() -> None:
    """Bias first, then the features by name; every category has `(other)`, every feature `(missing)`."""
    hero = parse(contract()).placements["home-hero"]
    assert column_names(hero) == (
        "bias",
        "country#0", "country#1", "country#2", "country#3", "country=(missing)",
        "history", "history=(missing)",
        "platform=web", "platform=app", "platform=tv", "platform=(other)", "platform=(missing)",
        "returning", "returning=(missing)",
    )  # fmt: skip
    assert columns(hero) == 15
    assert [columns_of(feature) for feature in hero.features] == [5, 2, 5, 2]


def reversed_keys(value: object) -> object:
    """The same document with the keys of every mapping in reverse."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return value


def test_schema_id_ignores_how_a_document_is_written() -> None:
    """The order of keys, spelled-out defaults, units of durations and zones of times do not matter."""
    plain = parse(contract()).placements["home-hero"]
    assert len(plain.schema_id) == 8
    spelled = contract()
    hero = spelled["placements"]["home-hero"]
    hero["arms"]["none"] |= {"payload": "", "when": {}}
    hero["features"]["history"]["min"] = 0.0
    hero["policies"]["best-arm"]["explore"] = 0.01
    hero["reward"]["window"] = "1440m"
    hero["arms"]["mens"]["when"]["platform"].reverse()
    hero["ramp"]["start"] = "2026-12-01T02:00:00+02:00"
    for same in (reversed_keys(contract()), reversed_keys(spelled), canonical(plain)):
        assert parse(same).placements["home-hero"] == plain
    hero["ramp"]["start"] = datetime(2026, 12, 1, tzinfo=UTC)
    assert parse(spelled).placements["home-hero"] == plain


def test_schema_id_follows_every_change() -> None:
    """Whatever changes, the name and the owner included, changes the id."""
    seen = {parse(contract()).placements["home-hero"].schema_id}
    edits: list[tuple[list[str], object]] = [
        (["arms", "mens", "weight"], 2), (["arms", "mens", "payload"], "x"),
        (["arms", "mens", "state"], "draining"), (["arms", "mens", "when"], {}),
        (["features", "platform", "values"], ["app", "web", "tv"]),
        (["features", "country", "buckets"], 5), (["features", "history", "max"], 3001.0),
        (["features", "history", "scale"], "linear"), (["reward", "window"], "25h"), (["reward", "max"], 6),
        (["reward", "values", "visit"], 2), (["reward", "repeatable"], []), (["exposure"], "on_event"),
        (["half_life"], "31d"), (["policies", "best-arm", "explore"], 0.02),
        (["policies", "personal", "prior_precision"], 2), (["policies", "explorer", "alpha"], 2),
        (["ramp", "from"], 0.06), (["ramp", "to"], 0.91), (["ramp", "over"], "61d"),
        (["ramp", "only_when"], {}), (["ramp", "start"], "2026-12-01T00:00:01Z"),
        (["ramp", "gate", "max_loss"], 0.06),
    ]  # fmt: skip
    for path, value in edits:
        changed = contract()
        inner = changed["placements"]["home-hero"]
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        seen.add(parse(changed).placements["home-hero"].schema_id)
    seen.add(parse(contract() | {"owner": "other"}).placements["home-hero"].schema_id)
    renamed = contract()
    renamed["placements"]["x"] = renamed["placements"].pop("home-hero")
    seen.add(parse(renamed).placements["x"].schema_id)
    assert len(seen) == 1 + len(edits) + 2


def test_schema_id_is_stable() -> None:
    """The id of a document is a fact: tokens and records of earlier releases refer to it."""
    assert parse(contract()).placements["home-hero"].schema_id.hex() == "6e8b11f83ba2c4a5"


def test_parsing_changes_nothing() -> None:
    """The document stays as it was, the result cannot be changed, and a second parse gives the same."""
    given = contract()
    before = deepcopy(given)
    config = parse(MappingProxyType(given))
    assert given == before
    assert isinstance(config.placements, MappingProxyType)
    assert parse(json.loads(json.dumps(given))) == config


WAITING = 17 * 4 * 16 * 2 + 16 * 26


def test_memory_of_the_smallest_placement() -> None:
    """Two arms, the bias: tally 2·1² + 2·1 + 3·2 = 10 numbers, strata 16·3·2 = 96; 8 bytes each.

    Measured are one policy, static, 256 · 5 + 6, and one event, 256 + 2; 100 days take 2 · 5 + 4 each. For
    rewards to come there are 17 rings of 4 · 16 · 2, and 16 · 26.
    """
    assert memory_bytes(placement()) == 8 * (10 + 96 + 1_286 + 258 + 1_400 + WAITING)
    reward = {"window": "10m", "values": {"click": 1}}
    assert memory_bytes(placement(reward=reward)) == 8 * (10 + 96 + 1_286 + 258 + 1_400)


def test_memory_counts_a_model_per_prior_precision() -> None:
    """Three linear policies with two distinct prior precisions keep two models; thompson keeps none.

    And what is awaited in linear models takes 2 · 1².
    """
    policies = {
        "a": {"kind": "linucb"}, "b": {"kind": "linear_thompson"},
        "c": {"kind": "linucb", "prior_precision": 2}, "d": {"kind": "thompson"},
    }  # fmt: skip
    measured, event, days = 256 * 21 + 2 + 15 + 25, 256 * 5 + 2, 100 * (2 * 5 + 5 * 4 + 4 * 3)
    learned = 3 * 10 + 96 + WAITING + 2
    assert memory_bytes(placement(policies=policies)) == 8 * (learned + measured + event + days)
    gated = placement(policies=policies, ramp={"policies": {"a": 1}, "gate": {}})
    assert memory_bytes(gated) == 8 * (learned + measured + event + days + 3 * (256 * 5 + 8))


def wide(arms: int, buckets: int, *precisions: float) -> Document:
    """Keys of a placement with many arms and columns, and linear policies of these prior precisions."""
    return {
        "arms": {f"a{i}": {} for i in range(arms)},
        "features": {"page": {"kind": "hashed", "buckets": buckets}},
        "policies": {f"p{p:g}": {"kind": "linucb", "prior_precision": p} for p in precisions},
    }


def test_too_much_memory_is_refused_with_the_figure() -> None:
    """256 arms, 256 columns: 128.6 MiB a tally, so with a model and what is awaited over 256 MiB."""
    assert memory_bytes(placement(**wide(ARMS_MAX, COLUMNS_MAX - 2))) <= MODEL_BYTES_MAX
    with pytest.raises(
        ConfigError, match=r"\$\.placements\.p: needs 388\.\d MiB of memory, expected at most 256"
    ):
        placement(**wide(ARMS_MAX, COLUMNS_MAX - 2, 1))


def test_too_much_memory_in_all_is_refused_with_the_figure() -> None:
    """Placements that fit one by one are counted together, within a file and over files."""
    keys = document(**wide(ARMS_MAX, COLUMNS_MAX - 2))["placements"]["p"]
    each = memory_bytes(placement(**wide(ARMS_MAX, COLUMNS_MAX - 2)))
    count = MODEL_BYTES_TOTAL_MAX // each + 1
    with pytest.raises(ConfigError, match=r"together need 4\.\d GiB of memory, expected at most 4\.0 GiB"):
        parse({"version": 1, "placements": {f"p{i}": keys for i in range(count)}})
    half = [
        parse({"version": 1, "placements": {f"{n}{i}": keys for i in range(count // 2 + 1)}}) for n in "ab"
    ]
    with pytest.raises(ConfigError, match="together need"):
        combine(dict(zip(("a.yaml", "b.yaml"), half, strict=True)))


def test_several_files_are_one() -> None:
    """Placements of all files, sorted, each with its own file's owner."""
    one = parse(document() | {"owner": "crm"})
    two = parse({"version": 1, "placements": {"a": document()["placements"]["p"]}})
    both = combine({"one.yaml": one, "two.yaml": two})
    assert [(entry.name, entry.owner) for entry in both.placements.values()] == [("a", ""), ("p", "crm")]


def test_two_files_with_one_placement_are_refused_with_both_names() -> None:
    """The message names the other file; the problem carries its own."""
    with pytest.raises(ConfigError) as refused:
        combine({"one.yaml": parse(document()), "two.yaml": parse(document())})
    assert [str(problem) for problem in refused.value.problems] == [
        "two.yaml: $.placements.p: placement 'p' is defined in one.yaml too; keep it in one file"
    ]


def test_too_many_placements() -> None:
    """One more than fit, in one document and over several."""
    keys = document()["placements"]["p"]
    entries = {f"p{i}": keys for i in range(PLACEMENTS_MAX + 1)}
    with pytest.raises(ConfigError, match="got 1001 entries, expected 1 to 1000"):
        parse({"version": 1, "placements": entries})
    entries.popitem()
    with pytest.raises(ConfigError, match="got 1001 placements in all files, expected at most 1000"):
        combine({"a": parse({"version": 1, "placements": entries}), "b": parse(document())})


def test_problems_end_somewhere() -> None:
    """A document of nothing but mistakes is answered with as many as anybody reads."""
    keys = {"arms": {f"a{i}": {"weight": -1} for i in range(250)}, "reward": {}}
    with pytest.raises(ConfigError) as refused:
        parse({"version": 1, "placements": {f"p{i}": keys for i in range(900)}})
    assert len(refused.value.problems) == CONFIG_PROBLEMS_MAX + 1
    assert "the rest is not shown" in refused.value.problems[-1].message


@pytest.mark.parametrize("wrong", [None, [], "x", 1, {1: 2}, {"version": True}, {"placements": []}])
def test_what_is_no_document_is_refused(wrong: object) -> None:
    """Anything that is not a mapping of the known keys is refused, not an exception of another type."""
    with pytest.raises(ConfigError):
        parse(wrong)
