"""`banditd diff`: what changed between two snapshots is what happened between them."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.exit_codes import ExitCode
from tests.core.world import DAY, hero, simple
from tests.server.damage import flip, invoke
from tests.server.stored import Stored


@pytest.fixture
def world(tmp_path: Path) -> Stored:
    """Placements `hero` and `p`, some traffic, nothing reloaded yet."""
    world = Stored(tmp_path / "data")
    world.visits(60)
    world.visits(30, "hero")
    return world


def difference(old: Path, new: Path) -> dict[str, Any]:
    """What `diff --json` says."""
    code, said = invoke("diff", old, new, "--json")
    assert code == ExitCode.OK, said
    return dict(json.loads(said))


def test_what_came_between_is_counted(world: Stored) -> None:
    """Chosen, exposures and reward by arm; the other placement has not changed."""
    old, counters = world.snapshot(), world.state("p").counters
    before = [list(counters.exposures), list(counters.reward_sum), counters.decisions.sum(0).tolist()]
    world.visits(40)
    found = difference(old, world.snapshot())
    assert (found["added"], found["removed"]) == ([], [])
    hero_change, change = found["placements"]
    assert (hero_change["placement"], hero_change["decisions"]) == ("hero", 0)
    for k, arm in enumerate(change["arms"]):
        assert arm["exposures"] == counters.exposures[k] - before[0][k]
        assert arm["reward"] == counters.reward_sum[k] - before[1][k]
        assert arm["chosen"] == int(counters.decisions[:, k].sum()) - before[2][k]
        assert arm["traffic"] == arm["chosen"] / 40
    assert change["decisions"] == 40
    said = invoke("diff", old, world.path)[1]
    assert "p\n  40 decisions" in said
    assert "hero" not in said
    assert "1 placement unchanged" in said


def test_what_came_and_went_is_named(world: Stored) -> None:
    """Placements, arms, policies and features; another schema; a feature of another kind."""
    old = world.snapshot()
    features = hero()["features"]
    changed = hero(
        features={"country": {"kind": "category", "values": ["de", "fr"]}, "age": {"kind": "boolean"}}
        | {"platform": features["platform"], "history": features["history"]},
        policies={"best-arm": {"kind": "thompson"}, "late": {"kind": "linucb"}},
        ramp=None,
    )
    world.reload(hero=changed | {"arms": {"mens": {}, "kids": {}, "none": {"state": "draining"}}}, q=simple())
    new = world.snapshot()
    found = difference(old, new)
    assert (found["added"], found["removed"]) == (["q"], ["p"])
    (change,) = found["placements"]
    assert change["old_schema"] != change["new_schema"]
    assert change["features"] == {"added": ["age"], "removed": ["returning"], "changed": ["country"]}
    came = {arm["arm"]: (arm["old"] is not None, arm["new"] is not None) for arm in change["arms"]}
    assert came == {
        "kids": (False, True),
        "mens": (True, True),
        "none": (True, True),
        "womens": (True, False),
    }
    policies = {one["policy"]: (one["old"] is not None, one["new"] is not None) for one in change["policies"]}
    assert policies["late"] == (False, True)
    assert policies["personal"] == (True, False)
    said = invoke("diff", old, new)[1]
    for line in (
        "added: placement q",
        "removed: placement p",
        "features added: age",
        "another configuration",
    ):
        assert line in said
    assert "active → draining" in said


def test_the_same_and_the_other_way_round(world: Stored) -> None:
    """Nothing changed is said so; the older one second gives negative numbers, and a word of it."""
    old = world.snapshot()
    assert "2 placements unchanged" in invoke("diff", old, old)[1]
    world.visits(10)
    new = world.snapshot()
    assert difference(new, old)["placements"][1]["decisions"] == -10
    assert "the second is the older one" in invoke("diff", new, old)[1]


def test_what_a_gate_did_is_told(tmp_path: Path) -> None:
    """The ramp's state before and after; `inspect` shows what the gate concluded."""
    ramp = {"policies": {"even": 1.0}, "gate": {"min_exposures": 9}}
    gated = simple(policies={"even": {"kind": "uniform"}}, ramp=ramp)
    world = Stored(tmp_path / "data", placements={"p": gated})
    world.visits(3)
    old = world.snapshot()
    world.look()
    new = world.snapshot()
    (change,) = difference(old, new)["placements"]
    assert (change["old_ramp"], change["new_ramp"], change["decisions"]) == ("running", "waiting", 0)
    assert "  ramp: running → waiting\n" in invoke("diff", old, new)[1]
    said = invoke("inspect", new)[1]
    assert "  ramp: waiting, learned share 5.0%, from 5.0%, began 2027-01-15T08:00:02Z\n" in said
    assert "  gate: 0 of the 9 learned decisions that are wanted have had their reward window (" in said
    (placement,) = json.loads(invoke("inspect", new, "--json")[1])["placements"]
    gate = placement["ramp"]["gate"]
    assert gate["next_us"] == gate["time_us"] + DAY
    assert json.loads(invoke("inspect", old, "--json")[1])["placements"][0]["ramp"]["gate"] is None


def test_damage_is_said(world: Stored) -> None:
    """Of a damaged snapshot nothing is shown; both of two are checked."""
    old = world.snapshot()
    world.visits(5)
    new = world.snapshot()
    flip(new, 100)
    code, said = invoke("diff", old, new)
    assert (code, "byte" in said) == (ExitCode.DATA, True)
    code, said = invoke("diff", world.path, old)
    assert code == ExitCode.DATA
    assert "problem: " in said
