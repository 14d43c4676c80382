"""Reads a log: a CSV file with a header, also gzipped, whose columns a mapping names."""

import csv
import gzip
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TextIO

from bandit.limits import EVENT_VALUE_MAX
from server.replays.mapping import Mapping

ROWS_MAX = 5_000_000
"""Rows of a log: shuffling holds them in memory, about 1 KB each."""

HEADER_SHOWN = 20
"""Columns that a message lists: they fit a screen."""

CELL_CHARS_MAX = 65_536
"""Characters of a cell; Python's own limit is twice that."""

UNEVEN_Z = 4.0
"""How many standard errors an arm's frequency may lie from uniform before it is worth a warning …"""

UNEVEN_RATIO = 0.1
"""… if it also lies further than this fraction: a large log sees differences too small to matter."""

PROPENSITY_RATIO = 1.01
"""Largest over smallest logged propensity that still counts as constant."""


class LogError(Exception):
    """The log does not fit its mapping. The text names file, row, column, the datum and the remedy."""


@dataclass(frozen=True, slots=True)
class Row:
    """One logged decision. `line` is its line in the file; `reward` is Σ worth × value, clipped."""

    line: int
    arm: str
    categories: dict[str, str]
    numbers: dict[str, float]
    events: tuple[tuple[str, float], ...]
    reward: float
    unit: str
    propensity: float | None


def read_rows(path: Path, mapping: Mapping) -> list[Row]:
    """The rows of a CSV file that pass `where`, in the file's order. Raises LogError."""
    try:
        with _open(path) as file:
            rows = list(mapped(path, *_records(path, file), mapping))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise LogError(
            f"{path}: cannot be read as CSV ({error}); expected UTF-8 text, or gzip of it"
        ) from error
    if not rows:
        raise LogError(f"{path}: has no row; check the file and the mapping's where")
    return rows


def shuffled(rows: Sequence[Row], seed: int, limit: int | None = None) -> list[Row]:
    """The rows in an order of their own for each seed; the first `limit` of them."""
    order = list(rows)
    Random(seed).shuffle(order)  # noqa: S311 - an order that can be repeated, not a secret
    return order[:limit]


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    opener: Callable[..., TextIO] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield file


def _records(path: Path, file: TextIO) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header, and each further line's number and cells."""
    csv.field_size_limit(CELL_CHARS_MAX)
    reader = csv.reader(file)
    header = next(reader, None)
    if header is None:
        raise LogError(f"{path}: is empty; expected a header line and rows")
    return header, ((reader.line_num, cells) for cells in reader)


def mapped(
    path: Path, header: list[str], records: Iterable[tuple[int, list[str]]], mapping: Mapping
) -> Iterator[Row]:
    """The rows among records, each with the number of its line, that pass `where`. Raises LogError."""
    columns = _columns(path, header, mapping)
    for number, (line, cells) in enumerate(records, start=1):
        if number > ROWS_MAX:
            raise LogError(f"{path}: has more than {ROWS_MAX} rows; take a part of it")
        if len(cells) != len(header):
            if not cells:
                continue
            raise LogError(
                f"{path}: line {line} has {len(cells)} cells, the header {len(header)}; mend the line"
            )
        named = {column: cells[index] for column, index in columns.items()}
        if all(named[column] in wanted for column, wanted in mapping.where.items()):
            yield _row(_Cells(path, line, named), mapping)


def _columns(path: Path, header: list[str], mapping: Mapping) -> dict[str, int]:
    """Column → index, of those the mapping names."""
    found: dict[str, int] = {}
    for column, where in mapping.columns().items():
        count = header.count(column)
        if count != 1:
            known = ", ".join(header[:HEADER_SHOWN]) + (", …" if len(header) > HEADER_SHOWN else "")
            known = known if any(header) else "no header"
            problem = "has no column" if count == 0 else f"has {count} columns"
            raise LogError(
                f"{path}: {problem} {column!r}, which the mapping names at {where}; it has {known}"
            )
        found[column] = header.index(column)
    return found


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of one row, by column."""

    path: Path
    line: int
    named: dict[str, str]

    def number(self, column: str, *, low: float = -math.inf, high: float = math.inf) -> float:
        text = self.named[column]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or math.isinf(value):
            bounds = "" if low == -math.inf else f" within {low:g} to {high:g}"
            raise LogError(
                f"{self.path}: line {self.line}, column {column!r}: {text[:40]!r} is not a finite number"
                f"{bounds}; mend the cell, or leave the row out with the mapping's where"
            )
        return value


def _row(cells: _Cells, mapping: Mapping) -> Row:
    named = cells.named
    logged = named[mapping.arm_column]
    if mapping.arm_of and logged not in mapping.arm_of:
        raise LogError(
            f"{cells.path}: line {cells.line}, column {mapping.arm_column!r}: the arm {logged!r} is not in "
            "the mapping's $.arm.values; add it there, or leave its rows out with where"
        )
    values = {name: _value(cells, event.column) for name, event in mapping.events.items()}
    reward = sum(mapping.events[name].worth * value for name, value in values.items())
    return Row(
        line=cells.line,
        arm=mapping.arm_of.get(logged, logged),
        categories={
            feature: named[column] for feature, column in mapping.categories.items() if named[column]
        },
        numbers={
            feature: cells.number(column) for feature, column in mapping.numbers.items() if named[column]
        },
        events=tuple((name, value) for name, value in values.items() if value != 0),
        reward=min(max(reward, 0.0), mapping.reward_max),
        unit=named[mapping.unit_column] if mapping.unit_column else "",
        propensity=cells.number(mapping.propensity_column, low=0, high=1)
        if mapping.propensity_column
        else None,
    )


def _value(cells: _Cells, column: str) -> float:
    """What an event's cell says: what the sidecar would take."""
    return cells.number(column, low=-EVENT_VALUE_MAX, high=EVENT_VALUE_MAX) if cells.named[column] else 0.0


def uneven(arms: Sequence[str]) -> str:
    """What is wrong if the arms of so many rows do not look as if drawn uniformly; "" when they do."""
    counts = Counter(arms)
    share = 1 / len(counts)
    error = math.sqrt(share * (1 - share) / len(arms))
    apart = {arm: abs(count / len(arms) - share) for arm, count in counts.items()}
    worst = max(apart, key=apart.__getitem__)
    if apart[worst] <= max(UNEVEN_Z * error, UNEVEN_RATIO * share):
        return ""
    return (
        f"the log is not uniform: arm {worst!r} has {counts[worst] / len(arms):.1%} of the rows, {share:.1%} "
        "expected"
    )


def uniformity(rows: Sequence[Row]) -> list[str]:
    """Warnings where the log does not look as if its arms were drawn uniformly; empty when it does."""
    warnings: list[str] = []
    if found := uneven([row.arm for row in rows]):
        warnings.append(
            f"{found}; the replay method is biased here, do not read its means as what a policy would earn"
        )
    propensities = [row.propensity for row in rows if row.propensity is not None]
    if propensities and max(propensities) > PROPENSITY_RATIO * min(propensities):
        warnings.append(
            f"the logged propensities run from {min(propensities):g} to {max(propensities):g}: the log is "
            "not uniform, and the replay method is biased here"
        )
    return warnings
