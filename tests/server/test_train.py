"""`banditd train`: what a log teaches is what serving would have taught, and a server starts from it."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
import yaml

from bandit.config import STATIC
from bandit.tally import Tally
from server.clock import LearningClock
from server.exit_codes import ExitCode
from server.reporting.message import report_message
from tests.core.world import DAY, Document, hero, simple
from tests.server.data_dirs import Served
from tests.server.evaluated import traffic
from tests.server.running import Loop, running
from tests.server.stored import Stored
from tests.server.training import Desk, campaign, command, desk, drawn, targeted


@pytest.fixture
def here(tmp_path: Path) -> Desk:
    """A desk of its own for each test."""
    return desk(tmp_path)


def arms(found: Document, audience: int = 0) -> dict[str, Document]:
    """The arms that were compared in an audience, by id."""
    return {one["arm"]: one for one in found["audiences"][audience]["arms"]}


def test_a_uniform_log_gives_the_plain_counts(here: Desk) -> None:
    """In the tally and in the stratum, to the last bit; whether it names its propensities or not."""
    lines = drawn(2_000)
    cells = [line.split(",") for line in lines]
    n = Counter(arm for arm, *_ in cells)
    won = Counter(arm for arm, _, visit, *_ in cells if visit == "1")
    for keys in ({"propensity": "pscore"}, {}):
        here.map(**keys)
        found = here.learned(lines)
        state = here.state()
        (stratum,) = state.strata
        for sums in (state.tally.sums, stratum.tally.sums):
            assert sums.tolist() == [[n["a"], n["b"]], [won["a"], won["b"]], [won["a"], won["b"]]]
        assert [arm["effective"] for arm in arms(found).values()] == [n["a"], n["b"]]
        (here.data / "snapshots" / "00000000000000000000.snapshot").unlink()


def test_a_campaign_of_fixed_weights_needs_no_propensities(here: Desk) -> None:
    """Nine of ten saw b, whoever they were: every decision counts 1, and thompson begins with a."""
    here.map()
    seen = [line for i, line in enumerate(drawn(4_000)) if line.startswith("b") or i % 9 == 0]
    found = here.learned(seen)
    assert arms(found)["a"]["effective"] == arms(found)["a"]["rows"] < 0.15 * found["rows"]
    assert arms(found)["b"]["effective"] == arms(found)["b"]["rows"]
    assert arms(found)["a"]["pmf"]["best"] > 0.99


def test_a_targeted_log_is_weighed(here: Desk) -> None:
    """Its plain counts would choose a, which web saw, and earns less everywhere; by propensities it is b.

    Both at 4,000 rows with α below 1e-6: the plain means are 0.2 apart, the weighted 0.1, at 0.02 each.
    """
    found = here.learned(targeted(4_000))
    by_context = {arm["arm"]: arm for arm in found["arms"]}
    assert by_context["a"]["mean"] > by_context["b"]["mean"] + 0.1
    compared = arms(found)
    assert compared["b"]["mean"] == pytest.approx(0.4, abs=0.08)
    assert compared["a"]["mean"] == pytest.approx(0.3, abs=0.08)
    assert compared["b"]["pmf"]["best"] > 0.9
    assert compared["a"]["effective"] < 0.5 * compared["a"]["rows"]
    assert here.state().tally.n.tolist() == [by_context["a"]["rows"], by_context["b"]["rows"]]


def test_without_propensities_a_targeted_log_is_refused(here: Desk) -> None:
    """With the column that it depends on; where only linear policies learn, it is taken, and said."""
    here.map()
    code, output = here.train(here.log(targeted(2_000)))
    assert code == ExitCode.FAILURE
    assert "has no propensities ($.propensity of the mapping names their column)" in output
    assert "in the column 'platform=" in output
    assert "configure no thompson policy: linear ones need none" in output
    assert not here.data.exists()
    here.configure(p=campaign("a", "b", policies={"personal": {"kind": "linear_thompson"}}, ramp=None))
    found = here.learned(targeted(2_000))
    assert any("nothing is learned for policies that do not look at it" in note for note in found["notes"])
    state = here.state()
    assert state.tally.n.sum() == 2_000
    assert not any(stratum.tally.sums.any() for stratum in state.strata)


def test_an_arm_that_some_could_not_see_is_not_compared(here: Desk) -> None:
    """The log says 1 / p for half of its visitors only: thompson begins with that arm as without training."""
    rng = np.random.default_rng(1)
    lines = []
    for i in range(2_000):
        platform = rng.choice(["web", "app"])
        arm = rng.choice(["a", "b"]) if platform == "web" else "b"
        lines.append(f"{arm},{0.5 if platform == 'web' else 1.0},{i % 2},visitor-{i},{platform}")
    found = here.learned(lines)
    assert arms(found)["a"]["effective"] == 0.0
    assert arms(found)["a"]["mean"] is None
    assert any("a 0.5" in note and "could not be shown in some contexts" in note for note in found["notes"])
    (stratum,) = here.state().strata
    assert (stratum.tally.n[0], stratum.tally.n[1] > 1_000) == (0.0, True)


def test_an_export_teaches_what_its_sidecar_knows(tmp_path: Path) -> None:
    """Every sum of every stratum, but for the last decision, whose window was open: to rounding.

    A half-life is forgotten by the log's own times.
    """
    here = Desk(tmp_path)
    for number, half_life in enumerate((None, "5d")):
        document = hero(half_life=half_life)
        served = Served(tmp_path / f"served-{number}", p=document)
        traffic(served, 400)
        last = served.engine.state.placements["p"]
        out = tmp_path / "out.parquet"
        assert command("export", "--data-dir", str(served.path), "--out", str(out))[0] == 0
        here.configure(p=document)
        code, output = here.train(out)
        assert code == 0, output
        state = here.state()
        ours, theirs = state.forgetting.scale(served.now), last.forgetting.scale(served.now)
        missing = theirs * last.tally.n.sum() - ours * state.tally.n.sum()
        assert missing == pytest.approx(1.0, rel=1e-6)
        np.testing.assert_allclose(ours * state.tally.r1, theirs * last.tally.r1, rtol=1e-9)
        np.testing.assert_allclose(ours * state.tally.b, theirs * last.tally.b, rtol=1e-9, atol=1e-12)
        known = {(one.mask, one.in_scope): one.tally for one in state.strata}
        assert len(known) >= 2
        for stratum in last.strata:
            mine = known.get((stratum.mask, stratum.in_scope), Tally.zeros(3))
            np.testing.assert_allclose(ours * mine.r1, theirs * stratum.tally.r1, rtol=1e-9)
        (here.data / "snapshots" / "00000000000000000000.snapshot").unlink()


def test_a_parquet_file_of_another_program_is_read_as_csv_is(here: Desk) -> None:
    """By the same mapping, whatever its types: the same sums, to the bit."""
    lines = targeted(500)
    found = here.learned(lines)
    before = [array.tobytes() for array in here.state().tally.arrays()]
    (here.data / "snapshots" / "00000000000000000000.snapshot").unlink()
    columns = list(zip(*(line.split(",") for line in lines), strict=True))
    table = {
        "segment": pa.array(columns[0]),
        "pscore": pa.array([float(cell) for cell in columns[1]]),
        "visit": pa.array([cell == "1" for cell in columns[2]]),
        "platform": pa.array(columns[4]).dictionary_encode(),
        "unread": pa.array([[1]] * 500),
    }
    path = here.path / "log.parquet"
    pq.write_table(pa.table(table), path)
    code, output = here.train(path, "--mapping", str(here.path / "mapping.yaml"))
    assert code == 0, output
    assert [array.tobytes() for array in here.state().tally.arrays()] == before
    assert f"learned │       {found['decisions']}" in output


def test_nothing_is_lost_silently(here: Desk) -> None:
    """Arms it does not have or would not show there, rewards beyond the maximum: all counted."""
    document = campaign(
        "a", "b", arms={"a": {}, "b": {"when": {"platform": ["web"]}}, "d": {"state": "draining"}}
    )
    here.configure(p=document | {"features": document["features"] | {"new": {"kind": "boolean"}}})
    here.map()
    lines = [*drawn(400), "x,,1,v,web", "x,,0,v,web", "y,,0,v,app", "d,,1,v,web", "a,,7,v,web", "a,,1,v,tv"]
    found = here.learned(lines)
    apps = sum(line.startswith("b,") and line.endswith(",app") for line in lines)
    assert found["left_out"] == {
        "of arms that the placement does not have: 'x' (2), 'y' (1)": 3,
        f"of arms that it would not show there: 'b' ({apps}), 'd' (1)": apps + 1,
    }
    assert found["rows"] == 406
    assert found["decisions"] == 406 - 4 - apps
    notes = " ".join(found["notes"])
    assert "the mapping has no column for the features new" in notes
    assert "no decision has new, so linear policies begin unsure" in notes
    assert "R of 1 decisions lies outside 0 to 1 (reward.max)" in notes
    assert "never shown" not in notes
    state = here.state()
    assert state.counters.exposures == [0, 0, 0]
    assert state.started_us is None


def test_arms_that_the_log_lacks_stay_as_they_were(here: Desk) -> None:
    """One was never shown: said, and thompson tries it as a new one; another was shown seldom: said too."""
    here.configure(p=campaign("a", "b", "c"))
    here.map()
    found = here.learned([line for line in drawn(800) if line[0] == "a"] + drawn(40))
    notes = " ".join(found["notes"])
    assert "never shown, so as without training: c" in notes
    assert "so little is known of: b" in notes
    assert arms(found)["c"]["pmf"]["best"] > 0.3


def test_weight_and_half_life(here: Desk) -> None:
    """Everything counts so much; a CSV log has no times, so its rows count as of now."""
    here.configure(p=campaign("a", "b", half_life="30d"))
    found = here.learned(drawn(1_000), "--weight", "0.25")
    state = here.state()
    now = state.forgetting.scale(state.latest_us)
    assert (now * state.tally.n).sum() == pytest.approx(250, rel=1e-12)
    assert sum(arm["counts"] for arm in found["arms"]) == pytest.approx(250, rel=1e-12)
    assert found["weight"] == 0.25
    for wrong in ("0", "1.5", "much"):
        assert here.train(here.log(drawn(10)), "--weight", wrong)[0] == ExitCode.USAGE


def test_a_server_starts_from_it(here: Desk) -> None:
    """Policies know what the log taught; the ramp begins with the first exposure; a restart goes on."""
    here.configure(p=campaign("a", "b"))
    here.learned(drawn(2_000))
    placements = {"p": campaign("a", "b")}
    first = Stored(here.data, placements=placements)
    assert first.state().started_us is None
    nothing = report_message(first.state(), first.now)
    assert [policy.served for policy in nothing.policies] == [0, 0, 0]
    assert not any(policy.HasField("value") for policy in nothing.policies)
    assert first.store.taken is not None
    chosen: Counter[tuple[str, str]] = Counter()
    for visitor in range(600):
        choice = first.choose(unit=str(visitor), categories={"platform": "web"})
        chosen[choice.policy, choice.arm] += 1
    assert first.state().started_us == first.now
    for name in ("best", "personal"):
        assert chosen[name, "a"] > 0.9 * (chosen[name, "a"] + chosen[name, "b"]) > 90
    assert chosen[STATIC, "b"] > 100
    first.kill()
    learned = first.learned()
    again = Stored(here.data, placements=placements)
    assert again.learned()[1:] != []
    assert again.state().counters.exposures == first.state().counters.exposures
    assert again.learned()[5:] == learned[5:]


def test_a_trained_directory_may_wait_for_its_first_start(here: Desk, loop: Loop) -> None:
    """Trained today and served two months later: nobody was served since, so the clock is believed."""
    document = {"p": campaign("a", "b")}
    here.configure(**document)
    here.learned(drawn(200))
    text = yaml.safe_dump({"version": 1, "placements": document})
    trained_us = here.state().latest_us
    later = LearningClock(lambda: time.time_ns() + 60 * DAY * 1_000)
    with structlog.testing.capture_logs() as lines, running(loop, here.path, text, clock=later) as server:
        assert server.engine.state.placements["p"].tally.n.sum() == 200
        assert server.engine.state.time_us > trained_us + 59 * DAY
    assert not [line for line in lines if "wall clock" in line["event"]]


def test_what_was_learned_outlives_a_changed_configuration(here: Desk) -> None:
    """Another ramp, payload and policy: sums stay, by arm id and column; a new arm begins at its prior."""
    here.learned(drawn(1_000))
    before = here.state()
    ramp = {"policies": {"best": 1.0}, "from": 0.1, "to": 0.5}
    arms_now = {"a": {"payload": "x"}, "b": {"weight": 3}, "c": {}}
    changed = campaign(arms=arms_now, ramp=ramp, policies={"best": {"kind": "thompson", "explore": 0.05}})
    state = Stored(here.data, placements={"p": changed}).state()
    assert state.tally.n.tolist() == [*before.tally.n.tolist(), 0.0]
    assert (state.tally.b[:2] == before.tally.b).all()
    (stratum,) = [one for one in state.strata if one.tally.n.any()]
    assert stratum.tally.n.tolist() == [*before.tally.n.tolist(), 0.0]


def test_placements_are_trained_one_by_one(here: Desk) -> None:
    """Into one directory, each by its own log, in any order; and none twice."""
    here.configure(p=campaign("a", "b"), o=campaign("a", "b"), q=simple())
    log = here.log(drawn(300))
    assert here.train(log)[0] == ExitCode.USAGE
    assert here.train(log, "--placement", "p")[0] == 0
    assert here.train(here.log(targeted(400)), "--placement", "o")[0] == 0
    assert (here.state("p").tally.n.sum(), here.state("o").tally.n.sum()) == (300, 400)
    code, output = here.train(log, "--placement", "p")
    assert (code, "holds what 'p' learned from a log already" in output) == (ExitCode.FILES, True)
    served = Stored(here.data, placements={"p": campaign("a", "b"), "o": campaign("a", "b"), "q": simple()})
    assert served.state("p").tally.n.sum() == 300
    served.kill()
    code, output = here.train(log, "--placement", "q")
    assert (code, "has been served from" in output) == (ExitCode.FILES, True)


def test_the_tools_read_it(here: Desk) -> None:
    """What was learned is shown, and that nobody was served; nothing is wrong, and nothing differs."""
    here.learned(drawn(1_000))
    code, output = command("inspect", str(here.data))
    assert code == 0
    assert "0 decisions, 0 exposures" in output
    assert "not begun" in output
    code, output = command("verify", str(here.data))
    assert (code, "a start would restore 00000000000000000000.snapshot" in output) == (0, True)
    snapshot = str(here.data / "snapshots" / "00000000000000000000.snapshot")
    assert command("diff", snapshot, snapshot)[0] == 0
    assert command("repair", str(here.data))[0] == 0
    assert command("export", "--data-dir", str(here.data), "--out", str(here.path / "x.parquet"))[0] == 0


def test_it_is_for_its_owner_alone(here: Desk) -> None:
    """Folders 0700, files 0600, no name of a visitor, and nothing half-written."""
    code, output = here.train(here.log(drawn(300)))
    assert code == 0
    assert "visitor-" not in output
    for path in (here.data, *here.data.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
        assert path.is_dir() or b"visitor-" not in path.read_bytes()
    assert {path.name for path in here.data.rglob("*") if path.is_file()} == {
        "lock",
        "00000000000000000000.snapshot",
    }
