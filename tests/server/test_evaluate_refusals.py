"""`banditd evaluate` on what it cannot judge: what was wrong, where, what was expected, what to do."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from server.exit_codes import ExitCode
from tests.core.world import Document, hero, simple
from tests.server.data_dirs import Served
from tests.server.evaluated import Case, command, invoke, made


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """What `made` makes, once for all tests of this file."""
    return made(tmp_path_factory.mktemp("evaluate"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"features": {"country": {"kind": "hashed", "buckets": 2}}, "arms": {"mens": {}}},
            "placement's feature 'country' is hashed to 2 buckets: an export holds mapped values",
        ),
        (
            {"features": {"platform": {"kind": "boolean"}}, "arms": {"mens": {}}},
            "placement's feature 'platform' is a boolean: an export holds mapped values",
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
            "shows the arms mens, none, womens, and the placement 'p' has x, y: none is common",
        ),
        (
            {"reward": {"values": {"like": 1}}},
            "has a reward: the placement values like, the log has purchase, visit",
        ),
        (
            {"reward": {"window": "30d", "values": {"visit": 1}}},
            "can be used (never shown: ",
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
    assert (code, "is 0.0, expected 1e-12 to 1" in output) == (ExitCode.FAILURE, True)
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


def test_a_damaged_export_is_not_believed(case: Case, tmp_path: Path) -> None:
    """Whichever byte of it is another one, it is refused, or says the same as before."""
    whole, damaged = case.file.read_bytes(), tmp_path / "damaged.parquet"
    expected = case.run(hero(ramp=None), "--json")[1].replace(str(case.file), str(damaged))
    refused = 0
    for at in range(4, len(whole), len(whole) // 40):
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        code, output = case.run(hero(ramp=None), "--json", log=damaged)
        refused += code != 0
        assert code == ExitCode.FAILURE or output == expected, f"byte {at}"
    assert refused > 0


def test_an_empty_log_says_so(tmp_path: Path) -> None:
    """A data directory without a decision, one of another placement, and a folder that is none."""
    served = Served(tmp_path / "data", p=simple(), q=simple())
    served.choose("q")
    code, output = invoke(served.path, simple())
    assert code == ExitCode.FAILURE
    assert "its journal has no decision of the placement 'p': it holds what came after" in output
    assert "--journal-keep" in output
    other = Served(tmp_path / "other", q=simple(), r=simple())
    code, output = invoke(other.path, simple())
    assert (code, "does not know the placement 'p': it knows q, r" in output) == (ExitCode.FAILURE, True)
    (tmp_path / "empty").mkdir()
    code, output = invoke(tmp_path / "empty", simple())
    assert (code, "is no data directory, since it has no journal" in output) == (
        ExitCode.FAILURE,
        True,
    )
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
    for name in ("server.exporting.run", "server.exporting.columns", "server.logged.exported"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("server.logged.exported", raising=False)
    monkeypatch.delattr("server.exporting.run", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, output = case.run(hero(ramp=None))
    assert (code, output) == (
        ExitCode.FAILURE, "evaluate needs pyarrow to read exports: pip install 'banditd[export]'",
    )  # fmt: skip
