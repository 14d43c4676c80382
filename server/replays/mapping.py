"""Mapping files: which columns of a log are the arm, the context and the events. docs/replay.md shows one."""

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from bandit.config.reader import Reader
from bandit.limits import ARMS_MAX, EVENT_VALUE_MAX, EVENTS_MAX, FEATURES_MAX
from server.documents import check_version, read_document

TEXT_BYTES_MAX = 256
"""Bytes of a column's name or of a cell that a mapping names."""

CONDITIONS_MAX = 16
"""Columns that `where` may look at."""

CELLS_MAX = 256
"""Cells that one condition of `where` may list."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of the log: the number in `column` is its value; 0 or an empty cell: it did not happen.

    `worth` is the event's configured value in the placement, for the reward that the report gives.
    """

    column: str
    worth: float = 1.0


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a row becomes a request and events.

    Features and events map to their columns. `arm_of` maps cells of the arm's column to arm ids; empty: the
    cells are the ids. `where` maps columns to the cells of the rows to keep.
    """

    arm_column: str
    events: Map[str, LoggedEvent]
    arm_of: Map[str, str] = field(default_factory=dict)
    categories: Map[str, str] = field(default_factory=dict)
    numbers: Map[str, str] = field(default_factory=dict)
    unit_column: str = ""
    propensity_column: str = ""
    where: Map[str, frozenset[str]] = field(default_factory=dict)
    reward_max: float = inf

    def columns(self) -> dict[str, str]:
        """Every column that is read → where the mapping names it, for messages."""
        named = dict.fromkeys(self.where, "$.where")
        for kind, features in (("categories", self.categories), ("numbers", self.numbers)):
            named |= {column: f"$.{kind}.{feature}" for feature, column in features.items()}
        named |= {event.column: f"$.events.{name}.column" for name, event in self.events.items()}
        singles = {
            self.arm_column: "$.arm.column",
            self.unit_column: "$.unit",
            self.propensity_column: "$.propensity",
        }
        return named | {column: path for column, path in singles.items() if column}


def read_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises ConfigError with every problem."""
    return read_document(path, build_mapping)


def build_mapping(root: Reader) -> Mapping:
    """The mapping in a document. Use it only when the reader noted no problem."""
    keys = ("version", "arm", "categories", "numbers", "events", "unit", "propensity", "where", "max")
    fields = root.fields(keys)
    check_version(fields["version"])
    arm = fields["arm"].fields(("column", "values"))
    return Mapping(
        arm_column=arm["column"].text(TEXT_BYTES_MAX),
        arm_of=_arms(arm["values"]),
        events={name: _event(entry) for name, entry in fields["events"].entries("event", EVENTS_MAX)},
        categories=_features(fields["categories"]),
        numbers=_features(fields["numbers"]),
        unit_column=fields["unit"].text(TEXT_BYTES_MAX, "", label=False),
        propensity_column=fields["propensity"].text(TEXT_BYTES_MAX, "", label=False),
        where=_where(fields["where"]),
        reward_max=fields["max"].number(inf, above=0),
    )


def _arms(reader: Reader) -> dict[str, str]:
    if not reader.present:
        return {}
    arm_of: dict[str, str] = {}
    for arm, entry in reader.entries("arm", ARMS_MAX):
        cell = entry.text(TEXT_BYTES_MAX)
        if entry.sound and cell in arm_of:
            entry.refuse(f"{cell!r} already means the arm {arm_of[cell]!r}; keep one")
        arm_of[cell] = arm
    return arm_of


def _event(reader: Reader) -> LoggedEvent:
    fields = reader.fields(("column", "worth"))
    worth = fields["worth"].number(1.0, at_least=-EVENT_VALUE_MAX, at_most=EVENT_VALUE_MAX)
    return LoggedEvent(fields["column"].text(TEXT_BYTES_MAX), worth)


def _features(reader: Reader) -> dict[str, str]:
    if not reader.present:
        return {}
    return {name: entry.text(TEXT_BYTES_MAX) for name, entry in reader.entries("feature", FEATURES_MAX)}


def _where(reader: Reader) -> dict[str, frozenset[str]]:
    if not reader.present:
        return {}
    wanted: dict[str, frozenset[str]] = {}
    for item in reader.items("conditions", CONDITIONS_MAX):
        fields = item.fields(("column", "is"))
        cells = frozenset(
            cell.text(TEXT_BYTES_MAX, label=False) for cell in fields["is"].items("cells", CELLS_MAX)
        )
        wanted[fields["column"].text(TEXT_BYTES_MAX)] = cells
    return wanted
