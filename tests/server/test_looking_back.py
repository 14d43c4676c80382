"""`explain` and `export` beside a sidecar that serves: what they say is what it answered."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bandit.state import State
from server.cli import cli
from server.pb import bandit_pb2 as pb
from tests.server.running import SECRET, WAIT_S, Loop, Running, running


@pytest.fixture
def keeping(loop: Loop, tmp_path: Path) -> Iterator[Running]:
    """A sidecar that keeps its journal."""
    key = tmp_path / "data" / "secret.key"
    key.parent.mkdir()
    key.write_text(SECRET.hex())
    key.chmod(0o600)
    with running(loop, tmp_path, journal_keep_s=3600.0) as made:
        yield made


def invoke(*arguments: str) -> str:
    """The output of a command that must succeed."""
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def explained(server: Running, token: str) -> dict[str, Any]:
    """What `explain` says of a decision."""
    data_dir = str(server.sidecar.settings.data_dir)
    told: dict[str, Any] = json.loads(invoke("explain", token, "--data-dir", data_dir, "--json"))
    return told


def exported(server: Running, out: Path) -> list[dict[str, Any]]:
    """The rows of an export."""
    invoke("export", "--data-dir", str(server.sidecar.settings.data_dir), "--out", str(out))
    rows: list[dict[str, Any]] = pq.read_table(out).to_pylist(maps_as_pydicts="strict")
    return rows


def snapshot(server: Running) -> None:
    """Have it take one."""
    server.operator.TakeSnapshot(pb.TakeSnapshotRequest(), timeout=WAIT_S)


def sums(state: State) -> dict[tuple[str, str], tuple[float, float]]:
    """Exposures and Σ R by placement and arm."""
    return {
        (name, arm.id): (float(held.counters.exposures[number]), held.counters.reward_sum[number])
        for name, held in state.placements.items()
        for number, arm in enumerate(held.config.arms)
        if held.counters.exposures[number]
    }


def test_a_decision_is_explained_while_it_is_served(keeping: Running) -> None:
    """From the moment it was answered; over snapshots; what is reported later is there at once."""
    choice = keeping.choose(unit="visitor-7", categories={"platform": "web"}, numbers={"history": 100.0})
    told = explained(keeping, choice.decision_id)
    assert (told["arm"], told["policy"], told["propensity"]) == (choice.arm, choice.policy, choice.propensity)
    assert (told["source"], told["record"]["draw_fits"], told["events"]) == ("journal", True, [])
    assert told["context"] == {"history": 1.0, "platform=web": 1.0, "returning=(missing)": 1.0}
    snapshot(keeping)
    keeping.reward(choice.decision_id, "purchase", value=4.0, event_id="one")
    snapshot(keeping)
    told = explained(keeping, choice.decision_id)
    assert (told["source"], told["reward"]) == ("journal", 2.0)
    assert [event["value"] for event in told["events"]] == [4.0]


def test_a_record_that_was_let_go_is_explained_from_the_ledger(loop: Loop, tmp_path: Path) -> None:
    """Without --journal-keep the journal loses it once snapshots hold it; the ledger knows what it earned."""
    key = tmp_path / "data" / "secret.key"
    key.parent.mkdir()
    key.write_text(SECRET.hex())
    key.chmod(0o600)
    with running(loop, tmp_path) as server:
        choice = server.choose(categories={"platform": "web"})
        server.reward(choice.decision_id)
        for _ in range(3):
            server.choose(categories={"platform": "web"})
            snapshot(server)
        told = explained(server, choice.decision_id)
        assert (told["source"], told["record"], told["reward"]) == ("ledger", None, 1.0)
        assert told["arm"] == choice.arm
        assert told["eligible"] == ["a", "b", "c"]


def test_an_export_beside_traffic_and_snapshots_is_whole(keeping: Running, tmp_path: Path) -> None:
    """Every row is a decision that was answered, in order and once; the last export has the engine's sums."""
    tokens: list[str] = []
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            choice = keeping.choose(categories={"platform": "web"}, defer_exposure=len(tokens) % 3 == 0)
            tokens.append(choice.decision_id)
            if len(tokens) % 2:
                keeping.reward(choice.decision_id)

    visitors = threading.Thread(target=visit)
    visitors.start()
    try:
        counts: list[int] = []
        while len(counts) < 4 or counts[-1] == counts[0]:
            snapshot(keeping)
            rows = exported(keeping, tmp_path / "out.parquet")
            assert [row["counter"] for row in rows] == list(range(1, len(rows) + 1))
            counts.append(len(rows))
    finally:
        done.set()
        visitors.join()
    rows = exported(keeping, tmp_path / "out.parquet")
    assert len(rows) == len(tokens) >= max(counts)
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for row in rows:
        if row["exposed"]:
            before = found.get((row["placement"], row["arm"]), (0.0, 0.0))
            found[row["placement"], row["arm"]] = before[0] + 1.0, before[1] + row["reward"]
    assert found == keeping.loop.call(lambda: sums(keeping.engine.state))
