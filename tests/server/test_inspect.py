"""`banditd inspect`: its figures are the engine's, beside a running server too; every key is documented."""

import json
import math
import os
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandit.journal_reader import segments
from server.data_dir import held
from server.exit_codes import ExitCode
from server.inspection.estimates import EXPOSURES_MIN, estimate
from server.inspection.holder import holder
from server.replays.statistics import wilson
from tests.core.world import DAY, simple
from tests.server.damage import contents, flip, invoke, serve
from tests.server.stored import Stored

DOCUMENT = Path(__file__).parents[2] / "docs" / "inspect.md"


@pytest.fixture
def world(tmp_path: Path) -> Stored:
    """A killed server's data directory, with records behind the newest snapshot."""
    world = Stored(tmp_path / "data")
    serve(world)
    return world


def inspected(*arguments: str | Path) -> dict[str, Any]:
    """What `inspect --json` says."""
    code, said = invoke("inspect", *arguments, "--json")
    assert code == ExitCode.OK, said
    return dict(json.loads(said))


def test_figures_are_the_engines(world: Stored) -> None:
    """Counts, sums, shares and means of every placement and arm, with what the journal holds beyond."""
    found = inspected(world.path)
    assert found["sequence"] == world.store.sequence
    assert found["replayed"] > 100
    assert [placement["placement"] for placement in found["placements"]] == ["hero", "p"]
    for placement in found["placements"]:
        state = world.state(placement["placement"])
        counters = state.counters
        assert placement["schema"] == state.config.schema_id.hex()
        assert placement["decisions"] == int(counters.decisions.sum())
        assert [arm["chosen"] for arm in placement["arms"]] == counters.decisions.sum(0).tolist()
        assert [arm["exposures"] for arm in placement["arms"]] == counters.exposures
        assert [arm["reward"] for arm in placement["arms"]] == counters.reward_sum
        assert [one["chosen"] for one in placement["policies"]] == counters.decisions.sum(1).tolist()
        assert [one["share"] for one in placement["policies"]] == state.shares(world.now).tolist()
        assert placement["updated_us"] == state.latest_us
        for k, arm in enumerate(placement["arms"]):
            n, r1 = state.tally.n[k], state.tally.r1[k]
            assert arm["mean"] == (r1 / n if n else None)
            assert (arm["low"] is None) == (n < EXPOSURES_MIN)


def test_a_snapshot_alone(world: Stored) -> None:
    """Its own figures, without the journal's, and nothing of other files."""
    path = world.snapshot()
    expected = world.state("p").counters.exposures.copy()
    world.visits(20)
    found = inspected(path)
    assert [arm["exposures"] for arm in found["placements"][1]["arms"]] == expected
    assert (found["files"], found["start"], found["replayed"]) == (None, None, 0)
    assert inspected(path, "--placement", "p")["placements"] == found["placements"][1:]
    assert invoke("inspect", path, "--placement", "none")[0] == ExitCode.USAGE


def test_a_table_for_a_person(world: Stored) -> None:
    """The same in words: every arm with its counts, every snapshot, what a start would do."""
    code, said = invoke("inspect", world.path)
    assert code == ExitCode.OK
    counters = world.state("p").counters
    for k, arm in enumerate("abc"):
        assert re.search(
            rf"^  {arm} +active .*  {counters.exposures[k]}  +{counters.reward_sum[k]:g}  ",
            said,
            re.MULTILINE,
        )
    for snapshot in (world.path / "snapshots").iterdir():
        assert snapshot.name in said
    assert "a start would  restore" in said


def test_means_under_a_half_life(tmp_path: Path) -> None:
    """What is old weighs less: the mean is that of the weighed sums, and so is the number of exposures."""
    world = Stored(tmp_path / "data", placements={"p": simple("a", half_life="1d")})
    world.visits(60)
    world.now += 3 * DAY
    world.visits(1)
    (arm,) = inspected(world.path)["placements"][0]["arms"]
    tally = world.state("p").tally
    assert arm["mean"] == tally.r1[0] / tally.n[0]
    assert arm["exposures"] == world.state("p").counters.exposures[0]
    assert arm["low"] is None  # 49 exposures, three half-lives ago, are as good as six


def test_nothing_is_touched(world: Stored) -> None:
    """Not a byte, not a lock: it works while the lock is held, and says who holds it."""
    before = contents(world.path)
    with held(world.path):
        assert inspected(world.path)["files"]["process"] == os.getpid()
        assert invoke("verify", world.path)[0] == ExitCode.OK
    assert contents(world.path) == before
    assert inspected(world.path)["files"]["process"] is None
    assert holder(world.path / "snapshots") is None


def test_beside_a_server(tmp_path: Path) -> None:
    """While records, snapshots and removals go on: always whole figures, and never older ones."""
    world = Stored(tmp_path / "data")
    ended = threading.Event()

    def server() -> None:
        while not ended.is_set():
            world.visits(7)
            world.snapshot(between=lambda: world.visits(3))
            ended.wait(0.1)

    with held(world.path):
        thread = threading.Thread(target=server)
        thread.start()
        try:
            last = 0
            while last <= 300:
                found = inspected(world.path, "--placement", "p")
                (placement,) = found["placements"]
                assert sum(arm["chosen"] for arm in placement["arms"]) == placement["decisions"]
                assert found["sequence"] >= last
                last = found["sequence"]
                code, said = invoke("verify", world.path)
                assert code == ExitCode.OK, said
        finally:
            ended.set()
            thread.join()
    assert inspected(world.path)["sequence"] == world.store.sequence


def test_damage_is_said_and_the_rest_is_shown(world: Stored) -> None:
    """Figures up to the damage, what is wrong with file and byte, and exit code 6."""
    damaged = segments(world.path / "journal")[-2].path
    flip(damaged, 300)
    code, said = invoke("inspect", world.path)
    assert code == ExitCode.DATA
    assert re.search(rf"^problem: .*{damaged.name}: byte \d+: expected frame", said, re.MULTILINE)
    assert "152 decisions" in said or re.search(r"^  \d+ decisions, [1-9]", said, re.MULTILINE)


def test_what_is_no_snapshot(tmp_path: Path) -> None:
    """A file that is no snapshot is refused in words; one that is not there, as click does."""
    (tmp_path / "x").write_text("x")
    code, said = invoke("inspect", tmp_path / "x")
    assert (code, "expected a header" in said) == (ExitCode.DATA, True)
    assert invoke("inspect", tmp_path / "missing")[0] == ExitCode.USAGE


def keys(value: object) -> set[str]:
    """All keys of a JSON value, but for those that are names."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    inner = (keys(member) for key, member in value.items() if key not in {"features", "only_when"})
    return value.keys() | set().union(*inner)


def test_every_key_is_documented(world: Stored) -> None:
    """docs/inspect.md names every key of the three commands' JSON, in backticks."""
    text = DOCUMENT.read_text()
    snapshots = sorted((world.path / "snapshots").iterdir())
    found = keys(inspected(world.path)) | keys(json.loads(invoke("diff", *snapshots, "--json")[1]))
    found |= keys(json.loads(invoke("verify", world.path, "--json")[1]))
    assert {key for key in found if f"`{key}`" not in text} == set()


# The interval


def test_the_interval_is_wilsons_where_rewards_are_0_or_1() -> None:
    """And for one value c it is c times Wilson's."""
    for n, k in ((30, 1), (200, 17), (5000, 2500), (40, 40)):
        low, high = wilson(k, n)
        assert estimate(n, k, k, 1.0) == pytest.approx((k / n, low, high))
        assert estimate(n, 7 * k, 49 * k, math.inf) == pytest.approx((7 * k / n, 7 * low, 7 * high))


def test_the_interval_at_its_ends() -> None:
    """Nothing shown; too little shown; nothing earned: bounded only if R is."""
    assert estimate(0, 0, 0, 1.0) == (None, None, None)
    assert estimate(29, 3, 3, 1.0) == (3 / 29, None, None)
    assert estimate(100, 0, 0, 5.0)[2] == pytest.approx(5.0 * wilson(0, 100)[1])
    assert estimate(100, 0, 0, math.inf) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    ("rate", "n", "least"), [(0.3, 30, 0.92), (0.02, 500, 0.93), (0.1, 100, 0.88), (0.1, 2000, 0.93)]
)
def test_the_interval_covers(rate: float, n: int, least: float) -> None:
    """Of 4,000 samples, as docs/inspect.md says; amounts are lognormal where the rate is 0.1."""
    rng = np.random.default_rng(1)
    amounts = np.exp(0.8 * rng.normal(size=(4000, n))) if rate == 0.1 else np.ones((4000, n))
    rewards = (rng.random((4000, n)) < rate) * amounts
    mean = rate * (math.exp(0.32) if rate == 0.1 else 1.0)
    found = [estimate(n, r.sum(), (r * r).sum(), math.inf) for r in rewards]
    covered = [low <= mean <= high for _, low, high in found if low is not None and high is not None]
    assert np.mean(covered) > least
