"""`banditd train` on what cannot teach, or must not be written to: what was wrong, where, and what to do."""

import errno
import os
from pathlib import Path

import pytest

from bandit.files import Files
from server.data_dir import held
from server.exit_codes import ExitCode
from server.logged.logs import listed
from tests.core.world import Document, simple
from tests.server.data_dirs import Served
from tests.server.stored import Stored
from tests.server.training import Desk, campaign, command, desk, drawn

SNAPSHOT = "00000000000000000000.snapshot"


@pytest.fixture
def here(tmp_path: Path) -> Desk:
    """A desk of its own for each test."""
    return desk(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "log.csv: has no row; check the file and the mapping's where"),
        ([*drawn(20), "a,0.5,maybe,v,web"], "line 22, column 'visit': 'maybe' is not a finite number"),
        ([*drawn(20), "a,0.5,1e300,v,web"], "'1e300' is not a finite number within -1e+09 to 1e+09"),
        ([*drawn(20), "a,0.5,nan,v,web"], "line 22, column 'visit': 'nan' is not a finite number"),
        ([*drawn(20), "a,,1,v,web"], "line 22, column 'pscore': '' is not a finite number within 0 to 1"),
        ([*drawn(20), "a,0,1,v,web"], "line 22, column 'pscore': 0.0 cannot be the propensity of what"),
        ([*drawn(20), "a,2,1,v,web"], "line 22, column 'pscore': '2' is not a finite number within 0 to 1"),
        ([*drawn(20), "a,0.5,1"], "line 22 has 3 cells, the header 5; mend the line"),
        (
            ["x,1,1,v,web"],
            "shows the arms x, and the placement 'p' has a, b: none is common; give the log of this ",
        ),
        (
            ["a,1,0,v,web"] * 9,
            "none of its 9 decisions has a reward: the placement values visit",
        ),
    ],
)
def test_logs_that_cannot_teach(here: Desk, lines: list[str], message: str) -> None:
    """Exit code 1 with file and line; nothing is made."""
    code, output = here.train(here.log(lines))
    assert (code, message in output) == (ExitCode.FAILURE, True), output
    assert not here.data.exists()


def test_a_log_of_other_arms_alone_says_so(here: Desk) -> None:
    """One arm in common that may never be shown."""
    here.configure(p=campaign(arms={"a": {"state": "draining"}, "b": {}}))
    code, output = here.train(here.log(["a,1,1,v,web"]))
    assert (code, "can be used (of arms that it would not show there: 'a' (1): 1)" in output) == (1, True)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"arm": {"column": "banner"}}, "has no column 'banner', which the mapping names at $.arm.column"),
        ({"propensity": "p"}, "has no column 'p', which the mapping names at $.propensity"),
    ],
)
def test_mappings_that_do_not_fit(here: Desk, keys: Document, message: str) -> None:
    """Named with the column, and where the mapping names it."""
    here.map(**keys)
    code, output = here.train(here.log(drawn(10)))
    assert (code, message in output) == (ExitCode.FAILURE, True), output


def test_what_is_wrong_on_the_command_line(here: Desk) -> None:
    """2: no mapping, a mapping too many, no such log, no such placement; 3: a refused file."""
    log = here.log(drawn(10))
    config = ["--config", str(here.path / "config.yaml"), "--data-dir", str(here.data)]
    code, output = command("train", str(log), *config)
    assert (code, "a CSV log needs --mapping FILE" in output) == (ExitCode.USAGE, True)
    code, output = command("train", str(here.path), *config, "--mapping", str(here.path / "mapping.yaml"))
    assert (code, "a data directory needs none" in output) == (ExitCode.USAGE, True)
    assert command("train", str(here.path / "nothing.csv"), *config)[0] == ExitCode.USAGE
    code, output = here.train(log, "--placement", "q")
    assert (code, "the configuration has no placement 'q', but p" in output) == (ExitCode.USAGE, True)
    here.configure(p={"arms": {}})
    assert here.train(log)[0] == ExitCode.CONFIG
    here.configure(p=campaign())
    here.map(unknown=1)
    code, output = here.train(log)
    assert (code, "$.unknown" in output) == (ExitCode.CONFIG, True)
    code, output = here.train(here.path / "nothing.csv")
    assert code == ExitCode.USAGE
    assert not here.data.exists()


def test_files_that_are_neither(here: Desk) -> None:
    """A text named .parquet; a CSV under another name."""
    text = here.path / "log.parquet"
    text.write_text("hello")
    code, output = here.train(text)
    assert (code, "cannot be read as Parquet" in output) == (ExitCode.FAILURE, True)
    code, output = here.train(text, "--mapping", str(here.path / "mapping.yaml"))
    assert (code, "expected Parquet, or CSV named .csv or .csv.gz" in output) == (ExitCode.FAILURE, True)


def test_a_directory_that_was_served_from_is_left_alone(here: Desk) -> None:
    """Whatever is there of a server: a journal, snapshots, what was kept aside; nothing is changed."""
    served = Stored(here.data, placements={"p": campaign()})
    served.stop()
    before = {path: path.stat().st_mtime_ns for path in here.data.rglob("*")}
    code, output = here.train(here.log(drawn(50)))
    assert code == ExitCode.FILES
    assert "has been served from" in output
    assert "give a new directory with --data-dir" in output
    assert {path: path.stat().st_mtime_ns for path in here.data.rglob("*")} == before
    kept = here.path / "kept" / "journal" / "00000000000000000001.journal.torn"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert here.train(here.log(drawn(50)), "--data-dir", str(here.path / "kept"))[0] == ExitCode.FILES


def test_a_key_that_is_there_already_does_no_harm(here: Desk) -> None:
    """Nor do leftovers of a training that was cut off, or of the file system."""
    (here.data / "snapshots").mkdir(parents=True)
    (here.data / "secret.key").write_text("00" * 32)
    (here.data / "lost+found").mkdir()
    (here.data / "snapshots" / f"{SNAPSHOT}.tmp").write_text("half")
    assert here.train(here.log(drawn(50)))[0] == 0
    assert [path.name for path in (here.data / "snapshots").iterdir()] == [SNAPSHOT]


def test_a_directory_that_cannot_be_written_to(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in its place; a full disk, which leaves no snapshot behind, so that it can be tried again."""
    here.data.write_text("")
    code, output = here.train(here.log(drawn(50)))
    assert code != 0, output
    here.data.unlink()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Files, "write", full)
        code, output = here.train(here.log(drawn(50)))
    assert (code, "make room, and train again" in output) == (ExitCode.DISK, True), output
    assert list((here.data / "snapshots").iterdir()) == []
    assert here.train(here.log(drawn(50)))[0] == 0


def test_a_directory_in_use_is_refused(here: Desk) -> None:
    """By another process's number: two trainings do not meet."""
    log = here.log(drawn(50))
    with held(here.data):
        code, output = here.train(log)
    assert (code, "another process (number" in output) == (ExitCode.FILES, True)


def test_a_damaged_snapshot_is_named(here: Desk) -> None:
    """When a second placement is to be added to it."""
    here.configure(p=campaign(), q=campaign())
    assert here.train(here.log(drawn(50)), "--placement", "p")[0] == 0
    path = here.data / "snapshots" / SNAPSHOT
    path.write_bytes(path.read_bytes()[:-3])
    code, output = here.train(here.log(drawn(50)), "--placement", "q")
    assert (code, SNAPSHOT in output, "train its placements again" in output) == (ExitCode.DATA, True, True)


def test_an_export_of_another_placement(here: Desk) -> None:
    """Names those that it has."""
    served = Served(here.path / "served", other=simple())
    served.choose("other")
    out = here.path / "out.parquet"
    assert command("export", "--data-dir", str(served.path), "--out", str(out))[0] == 0
    code, output = here.train(out)
    assert (code, "it has decisions of other" in output) == (ExitCode.FAILURE, True)


def test_names_are_listed_within_reason() -> None:
    """Ten of them, then three dots."""
    assert listed([f"arm-{k}" for k in range(12)]).endswith("arm-7, …")


def test_a_weight_that_is_no_number_is_refused(here: Desk) -> None:
    """Ranges let nan pass."""
    code, output = here.train(here.log(drawn(50)), "--weight", "nan")
    assert (code, "nan is no number: give one above 0, up to 1" in output) == (2, True), output


def test_a_log_without_a_header_says_so(here: Desk) -> None:
    """An empty line is none."""
    log = here.path / "log.csv"
    log.write_text("\n")
    code, output = here.train(log)
    assert (code, "; it has no header" in output) == (ExitCode.FAILURE, True), output
