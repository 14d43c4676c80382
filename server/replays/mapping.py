"""Mapping files: which columns of a log are the arm, the context and the events. docs/replay.md shows one."""

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from server.documents import Section, read


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

    Features and events map to their columns, `where` columns to the texts of the rows to keep.
    """

    arm_column: str
    events: Map[str, LoggedEvent]
    arm_names: Map[str, str] = field(default_factory=dict)
    categories: Map[str, str] = field(default_factory=dict)
    numbers: Map[str, str] = field(default_factory=dict)
    unit_column: str = ""
    propensity_column: str = ""
    where: Map[str, frozenset[str]] = field(default_factory=dict)
    reward_max: float = inf

    def columns(self) -> dict[str, str]:
        """Every column that is read → where the mapping names it, for messages."""
        named = {self.arm_column: "$.arm.column"}
        for name, event in self.events.items():
            named[event.column] = f"$.events.{name}.column"
        for kind, features in (("categories", self.categories), ("numbers", self.numbers)):
            named |= {column: f"$.{kind}.{feature}" for feature, column in features.items()}
        named |= {column: f"$.where.{column}" for column in self.where}
        if self.unit_column:
            named[self.unit_column] = "$.unit"
        if self.propensity_column:
            named[self.propensity_column] = "$.propensity"
        return named


def read_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises `DocumentError` naming file and path of every problem."""
    return read(path, build_mapping)


def build_mapping(root: Section) -> Mapping | None:
    """The mapping in a document; None, with its problems noted in the section, when it is not one."""
    if root.number("version") != 1:
        root.report("version", "is unknown; this program reads version 1")
    arm_column, arm_names = _arm(root)
    mapping = Mapping(
        arm_column=arm_column,
        arm_names=arm_names,
        events=_events(root),
        categories=_texts(root, "categories"),
        numbers=_texts(root, "numbers"),
        unit_column=root.text("unit", ""),
        propensity_column=root.text("propensity", ""),
        where=_where(root),
        reward_max=root.number("max", low=0, default=inf),
    )
    root.finish()
    return None if root.problems else mapping


def _arm(root: Section) -> tuple[str, dict[str, str]]:
    section = root.section("arm")
    if section is None:
        return "", {}
    column, names = section.text("column"), _texts(section, "rename")
    section.finish()
    return column, names


def _events(root: Section) -> dict[str, LoggedEvent]:
    parent = root.section("events")
    if parent is None:
        return {}
    events: dict[str, LoggedEvent] = {}
    for name, section in parent.sections():
        events[name] = LoggedEvent(section.text("column"), section.number("worth", default=1))
        section.finish()
    if not events:
        parent.report("", "is empty; name at least one event and its column")
    return events


def _texts(parent: Section, key: str) -> dict[str, str]:
    section = parent.section(key, required=False)
    return {} if section is None else section.texts()


def _where(root: Section) -> dict[str, frozenset[str]]:
    section = root.section("where", required=False)
    if section is None:
        return {}
    wanted: dict[str, frozenset[str]] = {}
    for column in section.names:
        value = section.take(column)
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(item, str | int) for item in values):
            section.report(column, "expected a text or a list of texts: the cells of the rows to keep")
        wanted[column] = frozenset(str(item) for item in values)
    return wanted
