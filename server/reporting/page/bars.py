"""Bars along rows: counts stacked by policy, and features beside what chance alone would give."""

from collections.abc import Sequence
from typing import NamedTuple

from server.reporting.page.drawing import LEFT, WIDTH, Box, area, drawing, foot_axis, line, row_label
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.scales import Scale, around

ROW = 28.0
THICK = 16.0


class Part(NamedTuple):
    """One piece of a bar: how long, its colour's class and its tooltip."""

    length: float
    colour: str
    tooltip: str


class Bar(NamedTuple):
    """A row: its name, its pieces, and a line across it where something is to be compared."""

    name: str
    parts: Sequence[Part]
    limit: float | None = None


def bars(key: str, title: str, description: str, rows: Sequence[Bar], caption: str) -> Markup:
    """Return the plot. Pieces of length 0 are not drawn."""
    box = Box(LEFT, 8.0, WIDTH - 26.0, 8.0 + ROW * len(rows))
    ends = (end for row in rows for end in (sum(part.length for part in row.parts), row.limit or 0.0))
    scale = Scale(0.0, around([0.0, *ends])[1], box.left, box.right)
    marks = (_row(box, scale, box.top + ROW * (at + 0.5), row) for at, row in enumerate(rows))
    axis = foot_axis(box, scale, caption)
    return drawing(key, title, description, box.bottom + 44.0, area(box), axis, *marks)


def _row(box: Box, scale: Scale, y: float, row: Bar) -> Markup:
    pieces, before = [row_label(box, y, row.name)], 0.0
    for part in row.parts:
        if part.length > 0.0:
            pieces.append(_piece(scale, y, before, part))
            before += part.length
    if row.limit is not None:
        at = scale.at(row.limit)
        pieces.append(line(at, y - ROW / 2 + 3.0, at, y + ROW / 2 - 3.0, "limit"))
    return join(pieces)


def _piece(scale: Scale, y: float, before: float, part: Part) -> Markup:
    left, right = scale.at(before), scale.at(before + part.length)
    return element(
        "rect",
        element("title", part.tooltip),
        class_=f"mark {part.colour}",
        x=left,
        y=y - THICK / 2,
        width=right - left,
        height=THICK,
    )
