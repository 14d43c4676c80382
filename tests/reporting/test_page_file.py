"""The page's file: whole or not at all, and an error that says what to do."""

import os
import re
from pathlib import Path

import pytest

from server.exit_codes import ExitCode, StartError
from server.reporting.page import page, write_page
from tests.reporting.reports import campaign


def test_it_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    """The file is the page, and nothing else is left beside it."""
    path = tmp_path / "report.html"
    path.write_text("yesterday's")
    write_page(campaign(), path)
    assert path.read_text("utf-8") == page(campaign())
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is written."""
    path, link = tmp_path / "report.html", tmp_path / "latest.html"
    link.symlink_to(path)
    write_page(campaign(1), link)
    assert link.is_symlink()
    assert path.read_text("utf-8") == page(campaign(1))


def test_nothing_is_written_through_a_link_that_lies_in_wait(tmp_path: Path) -> None:
    """In a folder that others write to, at the name that the page has until it is whole."""
    path, victim = tmp_path / "report.html", tmp_path / "victim"
    victim.write_text("mine")
    Path(f"{path}.{os.getpid()}.part").symlink_to(victim)
    with pytest.raises(StartError, match="File exists"):
        write_page(campaign(1), path)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["gone/report.html", "taken/report.html", ".", "x" * 300])
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    """The path, why, and the remedy; nothing is left behind."""
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(StartError, match=re.escape(str(tmp_path / name))) as refused:
        write_page(campaign(1), tmp_path / name)
    assert refused.value.code is ExitCode.FILES
    assert "name a file in a folder that is there" in str(refused.value)
    assert list(tmp_path.iterdir()) == [taken]
