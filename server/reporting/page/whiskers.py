"""Estimates as dots with their intervals as whiskers, one row each."""

from collections.abc import Sequence
from typing import NamedTuple

from server.pb import bandit_pb2 as pb
from server.reporting.page.drawing import (
    LEFT,
    WIDTH,
    Box,
    area,
    drawing,
    foot_axis,
    label,
    limited,
    line,
    row_label,
    widths,
)
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.scales import Scale, around

ROW = 28.0
CUT_WIDTHS = 5.0
"""A whisker longer than this many middling ones is cut, and ends in an arrow: it would flatten the others."""


class Row(NamedTuple):
    """One estimate: its name, its colour's class, the interval or the words in its place, the tooltip."""

    name: str
    colour: str
    interval: pb.Interval | None
    instead: str
    tooltip: str


def whiskers(
    key: str, title: str, description: str, rows: Sequence[Row], caption: str, *, gains: bool = False
) -> Markup:
    """Return the plot; `gains` are differences: their axis has signs, and a line at zero."""
    box = Box(LEFT, 8.0, WIDTH - 26.0, 8.0 + ROW * len(rows))
    scale = _scale(box, [row.interval for row in rows if row.interval is not None], gains=gains)
    zero = line(scale.at(0.0), box.top, scale.at(0.0), box.bottom, "zero") if gains else ""
    marks = (_row(box, scale, box.top + ROW * (at + 0.5), row) for at, row in enumerate(rows))
    axis = foot_axis(box, scale, caption, sign=gains)
    return drawing(key, title, description, box.bottom + 44.0, area(box), axis, zero, *marks)


def _scale(box: Box, intervals: Sequence[pb.Interval], *, gains: bool) -> Scale:
    sorted_widths = widths(intervals)
    cut = CUT_WIDTHS * sorted_widths[len(sorted_widths) // 2] if sorted_widths else 0.0
    ends = [*limited(intervals, cut), *([0.0] if gains else [])]
    return Scale(*around(ends), box.left, box.right)


def _row(box: Box, scale: Scale, y: float, row: Row) -> Markup:
    name = row_label(box, y, row.name)
    if row.interval is None:
        return join([name, label(box.left + 10.0, y + 4.0, row.instead, class_="instead")])
    low, high = scale.at(row.interval.low), scale.at(row.interval.high)
    parts = [
        element("title", row.tooltip),
        line(low, y, high, y, "whisker"),
        _end(low, y, -1.0, cut=row.interval.low < scale.low),
        _end(high, y, 1.0, cut=row.interval.high > scale.high),
        element("circle", class_="mark", cx=scale.at(row.interval.mean), cy=y, r=4.5),
    ]
    return join([name, element("g", *parts, class_=row.colour)])


def _end(x: float, y: float, side: float, *, cut: bool) -> Markup:
    """Return a whisker's end: a bar, or an arrow where it goes on beyond the plot."""
    if cut:
        back = x - 7.0 * side
        return element("path", class_="arrow", d=f"M{x:.2f} {y:.2f}L{back:.2f} {y - 4:.2f}V{y + 4:.2f}Z")
    return line(x, y - 5.0, x, y + 5.0, "whisker")
