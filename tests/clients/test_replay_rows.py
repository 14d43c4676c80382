"""Logs and their mappings: what is read, and what a wrong file is told."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from bandit.config import ConfigError
from server.replays.mapping import LoggedEvent, Mapping, read_mapping
from server.replays.rows import LogError, Row, read_rows, shuffled, uniformity

CSV = """segment,zip,age,visit,spend,p
Mens,Urban,30,1,12.5,0.5
Womens,Rural,,0,0,0.5
Mens,,41,0,,0.5
"""

MAPPING = """
version: 1
arm: {column: segment, values: {mens: Mens, womens: Womens}}
categories: {place: zip}
numbers: {age: age}
events:
  visit: {column: visit}
  purchase: {column: spend, worth: 0.02}
propensity: p
"""


def mapping_of(tmp_path: Path, text: str = MAPPING) -> Mapping:
    """The mapping of a text."""
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    return read_mapping(path)


def rows_of(tmp_path: Path, text: str = CSV, mapping: str = MAPPING) -> list[Row]:
    """The rows of a CSV text, in the file's order."""
    path = tmp_path / "log.csv"
    path.write_text(text)
    return read_rows(path, mapping_of(tmp_path, mapping))


def test_a_row_becomes_a_request_and_events(tmp_path: Path) -> None:
    """Empty context cells are not sent, events of 0 do not happen, the reward weighs them by worth."""
    first, second, third = rows_of(tmp_path)
    assert (first.line, first.arm, first.categories, first.numbers) == (
        2,
        "mens",
        {"place": "Urban"},
        {"age": 30.0},
    )
    assert first.events == (("visit", 1.0), ("purchase", 12.5))
    assert first.reward == pytest.approx(1.25)
    assert (second.arm, second.numbers, second.events, second.reward) == ("womens", {}, (), 0.0)
    assert (third.categories, third.propensity) == ({}, 0.5)


def test_where_keeps_some_rows_and_max_clips(tmp_path: Path) -> None:
    """Only rows with the wanted cells stay; the reward is clipped at max."""
    rows = rows_of(tmp_path, mapping=MAPPING + "where: [{column: zip, is: [Urban, '']}]\nmax: 1.1\n")
    assert [(row.line, row.reward) for row in rows] == [(2, 1.1), (4, 0.0)]


def test_the_order_is_the_seed_s_and_gzip_is_read(tmp_path: Path) -> None:
    """A gzipped log reads alike; one seed one order, another seed another; limit takes the first."""
    text = "segment,visit\n" + "".join(f"Mens,{index % 2}\n" for index in range(50))
    plain, packed = tmp_path / "log.csv", tmp_path / "log.csv.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    mapping = Mapping("segment", {"visit": LoggedEvent("visit")})
    rows = read_rows(plain, mapping)
    assert rows == read_rows(packed, mapping)
    assert shuffled(rows, 1) == shuffled(rows, 1) != shuffled(rows, 2)
    assert shuffled(rows, 1, 10) == shuffled(rows, 1)[:10]
    assert sorted(row.line for row in shuffled(rows, 1)) == list(range(2, 52))


@pytest.mark.parametrize(
    ("csv", "problem"),
    [
        ("", "log.csv: is empty; expected a header line and rows"),
        ("segment,zip,age,visit,spend,p\n", "log.csv: has no row; check"),
        (CSV.replace("segment", "arm"), "has no column 'segment', which the mapping names at $.arm.column"),
        (
            CSV.replace("spend", "visit"),
            "has 2 columns 'visit', which the mapping names at $.events.visit.column",
        ),
        (CSV.replace("41", "old"), "log.csv: line 4, column 'age': 'old' is not a finite number; mend"),
        (CSV.replace("12.5", "inf"), "log.csv: line 2, column 'spend': 'inf' is not a finite number"),
        (CSV.replace("41", "nan"), "log.csv: line 4, column 'age': 'nan' is not a finite number"),
        (CSV.replace(",0.5", ",1.5", 1), "column 'p': '1.5' is not a finite number within 0 to 1"),
        (
            CSV.replace("Womens", "Kids"),
            "line 3, column 'segment': the arm 'Kids' is not in the mapping's $.arm.values",
        ),
        (CSV + "Mens,Urban\n", "log.csv: line 5 has 2 cells, the header 6; mend the line"),
        (CSV.replace("Urban", "x" * 70_000), "log.csv: cannot be read as CSV"),
    ],
)
def test_refuses_a_wrong_log(tmp_path: Path, csv: str, problem: str) -> None:
    """The message names file, line, column, what was found and the remedy."""
    with pytest.raises(LogError) as caught:
        rows_of(tmp_path, csv)
    assert problem in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x1f\x8b\x08broken"])
def test_refuses_bytes_that_are_no_log(tmp_path: Path, content: bytes) -> None:
    """Neither text nor gzip: one message, no traceback."""
    path = tmp_path / "log.csv.gz"
    path.write_bytes(content)
    with pytest.raises(LogError, match="cannot be read as CSV"):
        read_rows(path, Mapping("a", {"b": LoggedEvent("c")}))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version: 1", "version: 9", ":2:1: $.version: got 9"),
        ("column: segment, ", "", ":3:6: $.arm.column: missing"),
        ("womens: Womens", "womens: Mens", ":3:45: $.arm.values.womens: 'Mens' already means the arm 'mens'"),
        ("numbers: {age: age}", "numbers: {age: [age]}", "$.numbers.age: got a list, expected text"),
        ("worth: 0.02", "worth: much", "$.events.purchase.worth: got 'much'"),
        ("propensity: p", "propensty: p", "$.propensty: unknown key 'propensty', did you mean 'propensity'?"),
        ("propensity: p", "where: [{column: zip, is: []}]", "$.where[0].is: got a list of 0"),
        ("propensity: p", "max: -1", "$.max: got -1"),
    ],
)
def test_refuses_a_wrong_mapping(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """Every problem comes with the file and the path."""
    with pytest.raises(ConfigError) as caught:
        mapping_of(tmp_path, MAPPING.replace(old, new))
    assert "mapping.yaml:" in str(caught.value)
    assert problem in str(caught.value)


def log_of(arms: dict[str, int], propensities: tuple[float | None, ...] = (None,)) -> list[Row]:
    """So many rows of each arm, with these propensities in turn."""
    names = [arm for arm, count in arms.items() for _ in range(count)]
    empty: dict[str, Any] = {"categories": {}, "numbers": {}, "events": (), "reward": 0.0, "unit": ""}
    return [
        Row(line=line, arm=arm, propensity=propensities[line % len(propensities)], **empty)
        for line, arm in enumerate(names)
    ]


def test_a_uniform_log_gets_no_warning() -> None:
    """Frequencies as a fair draw gives them, and equal propensities, are fine."""
    assert uniformity(log_of({"a": 1010, "b": 990, "c": 1000}, (1 / 3,))) == []


def test_an_uneven_log_is_warned_of() -> None:
    """60 % where 50 % is expected, and propensities that differ, are told with their figures."""
    uneven, propensities = uniformity(log_of({"a": 600, "b": 400}, (0.6, 0.4)))
    assert "arm 'a' has 60.0% of the rows, 50.0% expected" in uneven
    assert "run from 0.4 to 0.6" in propensities
