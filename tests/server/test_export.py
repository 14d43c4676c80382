"""`banditd export`: the kept journal as Parquet, read back and compared with the engine's own state."""

import math
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bandit.config import EXPOSURE
from bandit.hashing import BUCKETS
from bandit.records import Decided, Exposed, Rewarded
from server.cli import cli
from server.data_reading import frames
from server.exit_codes import ExitCode, StartError
from server.exporting import run
from server.exporting.columns import COLUMNS
from server.exporting.events import EventTable
from server.readable import Event
from tests.core.world import SECOND, START, hero, simple
from tests.server.data_dirs import Served

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Rows = list[dict[str, Any]]


def invoke(data_dir: Path, out: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of `banditd export`; a refusal's code and message."""
    flags = ["export", "--data-dir", str(data_dir), "--out", str(out), *arguments]
    result = CliRunner().invoke(cli, flags)
    if isinstance(result.exception, StartError):
        return result.exception.code, str(result.exception)
    return result.exit_code, result.output


def exported(served: Served, *arguments: str) -> Rows:
    """The rows of an export."""
    out = out_of(served)
    code, output = invoke(served.path, out, *arguments)
    assert code == 0, output
    rows: Rows = pq.read_table(out).to_pylist(maps_as_pydicts="strict")
    return rows


def out_of(served: Served) -> Path:
    """Where `exported` puts its file."""
    return served.path.parent / "out.parquet"


def traffic(served: Served, visits: int, seed: int = 1) -> None:
    """Visitors to `p`, a `hero`, and what they do: deferred exposures, several events, repeated ones."""
    rng = random.Random(seed)
    for visit in range(visits):
        served.now += SECOND
        choice = served.choose(
            unit=f"visitor-{rng.randrange(visits)}",
            categories={"platform": rng.choice(["web", "app", "tv"]), "country": rng.choice(["de", "fr"])},
            numbers={"history": rng.uniform(0, 3000), "returning": float(rng.random() < 0.5)},
            deferred=rng.random() < 0.3,
        )
        if rng.random() < 0.3:
            served.reward(choice, EXPOSURE)
        if rng.random() < 0.4:
            served.reward(choice, "visit")
        for purchase in range(rng.randrange(4)):
            served.reward(choice, "purchase", rng.uniform(0, 90), f"{visit}-{purchase}")


@pytest.fixture
def busy(tmp_path: Path) -> Served:
    """A data directory with 600 decisions of two placements."""
    served = Served(tmp_path / "data", p=hero(), q=simple())
    traffic(served, 500)
    for _ in range(100):
        served.reward(served.choose("q"))
    return served


def test_rows_are_the_decisions(busy: Served) -> None:
    """One row for each, in order, with every field as it was decided; never a unit."""
    rows = exported(busy)
    decided = [(number, r) for number, r in enumerate(busy.journal, 1) if isinstance(r, Decided)]
    assert len(rows) == len(decided) == 600
    for row, (sequence, (decision, _, _)) in zip(rows, decided, strict=True):
        schema = busy.engine.state.schemas[decision.schema_id]
        assert (row["sequence"], row["counter"]) == (sequence, decision.counter)
        assert (row["origin"], row["start"]) == ("test", START.hex())
        assert row["time"] == EPOCH + timedelta(microseconds=decision.time_us)
        assert row["window_end"] - row["time"] == timedelta(microseconds=schema.reward.window_us)
        assert (row["placement"], row["schema"]) == (schema.name, decision.schema_id.hex())
        assert row["policy"] == schema.policies[decision.policy].name
        assert row["arm"] == schema.arms[decision.arm].id
        assert (row["propensity"], row["deferred"]) == (decision.propensity, decision.deferred)
        assert row["probabilities"] == dict(
            zip([policy.name for policy in schema.policies], decision.probabilities, strict=True)
        )
        assert 0 <= row["bucket"] == decision.bucket < BUCKETS
    assert b"visitor-" not in out_of(busy).read_bytes()


def test_rewards_are_those_of_the_engine(busy: Served) -> None:
    """Exposures and Σ R by arm equal the engine's counters; events are those that were counted, in order."""
    rows = exported(busy)
    for name in ("p", "q"):
        held = busy.state(name)
        for number, arm in enumerate(held.config.arms):
            mine = [row for row in rows if (row["placement"], row["arm"]) == (name, arm.id)]
            assert sum(row["exposed"] for row in mine) == held.counters.exposures[number]
            total = math.fsum(row["reward"] for row in mine)
            assert total == pytest.approx(held.counters.reward_sum[number], rel=1e-12, abs=1e-12)
            assert all(row["exposed"] or not row["events"] for row in mine)
    events: dict[int, Rows] = {row["counter"]: [] for row in rows}
    for record in busy.journal:
        if isinstance(record, Rewarded):
            time = EPOCH + timedelta(microseconds=record.time_us)
            found = {"event": record.event, "value": record.value, "time": time}
            events[record.decision.counter].append(found)
    assert {row["counter"]: row["events"] for row in rows} == events
    assert any(len(found) > 3 for found in events.values())
    assert any(isinstance(record, Exposed) for record in busy.journal)
    assert max(row["reward"] for row in rows) == busy.state().config.reward.maximum == 5.0


def test_contexts_and_eligible_arms_have_names(busy: Served) -> None:
    """Columns by name, without the bias; eligible arms follow the platform; the chosen one is among them."""
    rows = [row for row in exported(busy) if row["placement"] == "p"]
    for row in rows:
        context = row["context"]
        (platform,) = [name for name in context if name.startswith("platform=")]
        mens = ["mens"] if platform in {"platform=web", "platform=app"} else []
        assert row["eligible"] == [*mens, "none", "womens"]
        assert row["arm"] in row["eligible"]
        assert (row["in_scope"], row["stratum"] in {0, 1}) == (True, True)
        assert (context[platform], "bias" in context) == (1.0, False)
        assert 0.0 < context["history"] <= 1.0
        assert sum(name.startswith("country#") for name in context) == 1
    assert len({tuple(row["eligible"]) for row in rows}) == 2


def test_an_ips_estimate_equals_one_by_hand(busy: Served) -> None:
    """Σ w R / n of a policy from the file is, to rounding, that from the records themselves."""
    exported(busy)
    table = pq.read_table(out_of(busy), filters=[("placement", "=", "p"), ("exposed", "=", True)])
    reward, propensity = (table[name].to_numpy() for name in ("reward", "propensity"))
    for number, policy in enumerate(busy.state().config.policies):
        probability = np.array([dict(row)[policy.name] for row in table["probabilities"].to_pylist()])
        by_hand = ips_by_hand(busy, number)
        assert float(np.mean(probability / propensity * reward)) == pytest.approx(by_hand, rel=1e-12)
        assert by_hand > 0.0


def test_the_example_of_the_document_evaluates_an_export(busy: Served) -> None:
    """The script runs as the page says, prints each policy's estimate, and stands there to the letter."""
    exported(busy)
    script = DOCUMENT.parents[1] / "examples" / "evaluate_export.py"
    (text, _) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert text in script.read_text("utf-8")
    command = [sys.executable, str(script), str(out_of(busy)), "p"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for number, policy in enumerate(busy.state().config.policies):
        assert lines[number].startswith(f"{policy.name} {ips_by_hand(busy, number):.4f} ± ")


def ips_by_hand(served: Served, policy: int) -> float:
    """The mean of π(arm) R / μ(arm) over exposed decisions, from the journal's records."""
    schema = served.state().config
    decisions, totals, shown = {}, dict[int, float](), set()
    for record in served.journal:
        if isinstance(record, Decided | Exposed | Rewarded) and record.decision.schema_id == schema.schema_id:
            counter = record.decision.counter
            decisions[counter] = record.decision
            if not record.decision.deferred or not isinstance(record, Decided):
                shown.add(counter)
            if isinstance(record, Rewarded):
                worth = dict(schema.reward.values)[record.event]
                totals[counter] = totals.get(counter, 0.0) + worth * record.value
    weighed = [
        decisions[counter].probabilities[policy]
        / decisions[counter].propensity
        * min(max(totals.get(counter, 0.0), 0.0), schema.reward.maximum)
        for counter in shown
    ]
    return math.fsum(weighed) / len(weighed)


def test_selections(busy: Served) -> None:
    """By placement, and by the decision's time: `since` is in, `until` is not; events come along."""
    assert {row["placement"] for row in exported(busy, "--placement", "q")} == {"q"}
    times = [row["time"] for row in exported(busy)]
    since, until = times[100], times[200]
    rows = exported(busy, "--since", since.isoformat(), "--until", until.isoformat())
    assert [row["time"] for row in rows] == times[100:200]
    assert sum(len(row["events"]) for row in rows) > 100
    whole = {row["counter"]: row for row in exported(busy)}
    assert all(whole[row["counter"]] == row for row in rows)


def test_a_selection_of_nothing_says_so(busy: Served) -> None:
    """A file without rows that has every column, and warnings that say why."""
    out = out_of(busy)
    code, output = invoke(busy.path, out, "--placement", "elsewhere")
    assert code == 0
    assert "no placement 'elsewhere' is known there, but p, q" in output
    assert "--journal-keep" in output
    table = pq.read_table(out)
    assert (table.num_rows, table.column_names) == (0, [column.name for column in COLUMNS])
    assert invoke(busy.path, out, "--since", "yesterday")[0] == ExitCode.USAGE


def test_configurations_of_a_snapshot_and_of_the_journal(tmp_path: Path) -> None:
    """Rows are named by the configuration they were decided under, also where its record is gone."""
    served = Served(tmp_path / "data", p=simple("a", "b"))
    served.choose()
    served.snapshot()
    served.trim()
    first = served.choose()
    served.reload(p=simple("b", "c", "a", reward={"values": {"click": 3}}))
    served.choose(arms=["c", "a"])
    served.reward(first)
    rows = exported(served)
    assert [row["eligible"] for row in rows] == [["a", "b"], ["a", "c"]]
    assert [row["reward"] for row in rows] == [1.0, 0.0]
    assert rows[0]["arm"] == first.arm
    assert rows[0]["schema"] != rows[1]["schema"]


def test_strata_older_than_the_oldest_snapshot_are_known(tmp_path: Path) -> None:
    """With a kept journal that begins before it, but not with the first record."""
    served = Served(tmp_path / "data", p=simple("a", "b", "c"))
    served.trim()
    served.choose(arms=["a", "b"])
    served.choose(arms=["a", "c"])
    served.snapshot()
    served.choose(arms=["b", "c"])
    served.choose(arms=["a", "b"])
    eligible = [["a", "b"], ["a", "c"], ["b", "c"], ["a", "b"]]
    assert [row["eligible"] for row in exported(served)] == eligible


def test_without_a_snapshot_names_may_be_missing(tmp_path: Path) -> None:
    """Decisions whose configuration is nowhere are counted and said to be left out."""
    served = Served(tmp_path / "data", p=simple())
    served.trim()
    served.choose()
    served.reload(p=simple("a", "b", "c"))
    served.choose()
    code, output = invoke(served.path, out_of(served))
    assert (code, "1 decisions are left out" in output) == (0, True)
    (row,) = pq.read_table(out_of(served)).to_pylist()
    assert (row["counter"], row["eligible"], row["stratum"]) == (2, None, None)


def test_strata_are_unknown_behind_a_gap(tmp_path: Path) -> None:
    """Where the journal does not go on from the snapshot, strata may have been opened in between."""
    served = Served(tmp_path / "data", p=simple("a", "b", "c"))
    served.choose(arms=["a", "b"])
    served.snapshot()
    served.choose(arms=["a", "c"])
    served.trim()
    served.choose(arms=["b", "c"])
    (row,) = exported(served)
    assert (row["placement"], row["eligible"]) == ("p", None)


def test_overflowing_strata_are_not_known(tmp_path: Path) -> None:
    """Beyond the strata that are kept, the eligible arms of a decision are nowhere."""
    arms = [f"a{k:02}" for k in range(20)]
    served = Served(tmp_path / "data", p=simple(*arms))
    for arm in arms:
        served.choose(arms=[arm])
    eligible = [row["eligible"] for row in exported(served)]
    assert eligible == [*([arm] for arm in arms[:8]), *[None] * 12]


def test_row_groups_are_bounded(busy: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a group's make several; the content is the same."""
    whole = exported(busy)
    monkeypatch.setattr(run, "BATCH_ROWS", 50)
    monkeypatch.setattr(run, "GROUP_BATCHES", 4)
    assert exported(busy) == whole
    assert pq.ParquetFile(out_of(busy)).num_row_groups == 4


def test_the_second_pass_goes_as_far_as_the_first(busy: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions that a server makes in between are left for the next export: their events were not seen."""
    sort = EventTable.sort

    def and_go_on(table: EventTable) -> None:
        sort(table)
        busy.reward(busy.choose("q"))

    monkeypatch.setattr(EventTable, "sort", and_go_on)
    assert len(exported(busy)) == 600
    monkeypatch.undo()
    assert exported(busy)[-1]["reward"] == 1.0


def test_a_journal_that_is_trimmed_meanwhile_is_read_again(
    busy: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is exported whole, once."""
    passes = []

    def and_trim(data_dir: Path) -> Any:
        passes.append(data_dir)
        for number, frame in enumerate(frames(data_dir)):
            if len(passes) == 2 and number == 50:
                busy.snapshot()
                busy.trim()
                busy.choose("q")
            yield frame

    monkeypatch.setattr(run, "frames", and_trim)
    assert [row["placement"] for row in exported(busy)] == ["q"]
    assert len(passes) == 4


def test_a_journal_that_is_trimmed_all_the_time_is_given_up_on(
    busy: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five attempts, then a message; what was there before stays."""
    exported(busy)
    before = out_of(busy).read_bytes()

    def gone(data_dir: Path) -> Any:
        yield 1, (data_dir / "gone").read_bytes()

    monkeypatch.setattr(run, "frames", gone)
    code, message = invoke(busy.path, out_of(busy))
    assert (code, "were removed 5 times" in message) == (ExitCode.FAILURE, True)
    assert out_of(busy).read_bytes() == before


def test_the_file_is_whole_or_as_it_was(busy: Served) -> None:
    """Damage in the journal, folders that are missing: exit codes, and nothing half written stays."""
    out = out_of(busy)
    out.write_text("precious")
    assert invoke(busy.path, out.parent / "no" / "out.parquet")[0] == ExitCode.FILES
    code, message = invoke(busy.path.parent / "nothing", out)
    assert (code, "there is no data directory" in message) == (ExitCode.FILES, True)
    segment = min((busy.path / "journal").glob("*.journal"))
    data = bytearray(segment.read_bytes())
    data[2500] ^= 1
    segment.write_bytes(data)
    code, message = invoke(busy.path, out)
    assert (code, segment.name in message, "banditd verify" in message) == (ExitCode.DATA, True, True)
    assert out.read_text() == "precious"
    assert {path.name for path in out.parent.iterdir()} == {"out.parquet", "data"}


def test_the_file_is_for_its_owner_alone(busy: Served) -> None:
    """It holds what single visitors did."""
    exported(busy)
    assert out_of(busy).stat().st_mode & 0o777 == 0o600


def test_without_pyarrow_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named, as pip wants it."""
    for name in ("server.exporting.run", "server.exporting.columns"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("server.exporting.run")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, message = invoke(tmp_path, tmp_path / "out.parquet")
    assert (code, message) == (ExitCode.FAILURE, "export needs pyarrow: pip install 'banditd[export]'")


def test_events_of_many_starts() -> None:
    """Each decision's own, in the order in which they came, whatever the order of decisions."""
    table, expected = EventTable(), dict[tuple[bytes, int], list[Event]]()
    rng = random.Random(5)
    for time_us in range(2000):
        start, counter = bytes([rng.randrange(3)]) * 16, rng.choice([1, 2, 3, 2**43, 2**44 - 1])
        event = Event(rng.choice("ab"), rng.random(), time_us)
        table.add(start, counter, event.event, event.value, time_us)
        expected.setdefault((start, counter), []).append(event)
    table.sort()
    assert {key: table.of(*key) for key in expected} == expected
    assert table.of(bytes(16), 7) == table.of(b"x" * 16, 1) == []
    empty = EventTable()
    empty.sort()
    assert empty.of(bytes(16), 1) == []


def test_every_column_is_documented() -> None:
    """docs/export.md has a row for each, in order, and for no other."""
    names = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert names == [column.name for column in COLUMNS]
