"""What all plots are drawn with: the drawing itself, its axes, and labels that fit.

A drawing is `WIDTH` user units wide whatever the screen, and is scaled to it: small enough that its text can
be read on a telephone, where it shrinks to three quarters.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from server.pb import bandit_pb2 as pb
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.scales import Days, Scale, tick_texts

WIDTH = 420.0

TEXT = 12.5
"""Height of letters, the largest that the style sheet sets."""

LEFT = 126.0
"""Where rows begin, right of their names."""

NARROW, WIDE = "fijlrtI.:|-", "mwGMOQW_"
"""Letters that are narrower and wider than others: all in all a name is not wider than they say."""


class Box(NamedTuple):
    """Where the data lies in a drawing."""

    left: float
    top: float
    right: float
    bottom: float


DAYS_BOX = Box(62.0, 24.0, WIDTH - 14.0, 204.0)
DAYS_HEIGHT = DAYS_BOX.bottom + 46.0
"""Where the data of plots of days lies, and their heights."""

MARK_MAX = 36.0
"""Width of a day's mark at most: one day alone is no wall."""


def drawing(key: str, title: str, description: str, height: float, *content: str) -> Markup:
    """Return a drawing that says what it shows to those who do not see it."""
    names = {"title": f"{key}-title", "desc": f"{key}-desc"}
    return element(
        "svg",
        element("title", title, id=names["title"]),
        element("desc", description, id=names["desc"]),
        *content,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_labelledby=f"{names['title']} {names['desc']}",
        data_plot=key,
    )


def area(box: Box) -> Markup:
    """Return the ground on which the data lies."""
    return element(
        "rect", class_="area", x=box.left, y=box.top, width=box.right - box.left, height=box.bottom - box.top
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def label(
    x: float, y: float, content: str, *, anchor: str | None = None, class_: str | None = None
) -> Markup:
    """Return a text; `anchor` is `middle` or `end`."""
    return element("text", content, x=x, y=y, text_anchor=anchor, class_=class_)


def side_axis(box: Box, scale: Scale, most: int = 6, *, sign: bool = False, part: bool = False) -> Markup:
    """Return the axis on the left: a line across and a number for each tick."""
    ticks = scale.ticks(most)
    texts = tick_texts(ticks, sign=sign, part=part)
    lines = (line(box.left, scale.at(tick), box.right, scale.at(tick), "grid") for tick in ticks)
    numbers = (
        label(box.left - 6.0, scale.at(tick) + 4.0, written, anchor="end")
        for tick, written in zip(ticks, texts, strict=True)
    )
    return join([*lines, *numbers])


def foot_axis(box: Box, scale: Scale, caption: str, most: int = 6, *, sign: bool = False) -> Markup:
    """Return the axis below: a line up and a number for each tick, and what they are."""
    ticks = scale.ticks(most)
    texts = tick_texts(ticks, sign=sign)
    lines = (line(scale.at(tick), box.top, scale.at(tick), box.bottom, "grid") for tick in ticks)
    numbers = (
        label(scale.at(tick), box.bottom + 16.0, written, anchor="middle")
        for tick, written in zip(ticks, texts, strict=True)
    )
    middle = (box.left + box.right) / 2
    return join([*lines, *numbers, label(middle, box.bottom + 36.0, caption, anchor="middle")])


def day_axis(box: Box, days: Days) -> Markup:
    """Return the axis of days below."""
    ticks = days.ticks(6)
    lines = (line(at, box.bottom, at, box.bottom + 4.0, "tick") for at, _ in ticks)
    names = (label(at, box.bottom + 18.0, day, anchor="middle") for at, day in ticks)
    middle = (box.left + box.right) / 2
    return join([*lines, *names, label(middle, box.bottom + 38.0, days.caption(), anchor="middle")])


def row_label(box: Box, y: float, name: str) -> Markup:
    """Return the name of a row, cut to what fits; it is whole where the pointer rests on it."""
    shown = short(name, box.left - 10.0)
    return element("text", element("title", name), shown, x=box.left - 8.0, y=y + 4.0, text_anchor="end")


def short(name: str, room: float) -> str:
    """Return a name that fits into `room`: its end is often what tells names apart, so its middle goes."""
    kept, shown = len(name), name
    while _length(shown) > room:
        kept -= 1
        shown = f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"
    return shown


def _length(content: str) -> float:
    """Return how long a text is at most, in the widest of the fonts that the style sheet names."""
    ems = sum(
        0.42 if one in NARROW else 1.0 if one in WIDE else 0.7 if one.isupper() else 0.64 for one in content
    )
    return ems * TEXT


def note(box: Box, content: str) -> Markup:
    """Return words in the middle of a plot that has nothing to show."""
    middle = (box.left + box.right) / 2
    return label(middle, (box.top + box.bottom) / 2 + 4.0, content, anchor="middle", class_="instead")


def limited(intervals: Sequence[pb.Interval], width: float) -> Iterable[float]:
    """Yield where intervals begin and end, those wider than `width` cut to it around their means."""
    for interval in intervals:
        yield max(interval.low, interval.mean - width / 2)
        yield min(interval.high, interval.mean + width / 2)


def widths(intervals: Sequence[pb.Interval]) -> list[float]:
    """Return how wide intervals are, narrowest first; those of no width, as of what chooses alike, apart."""
    found = (interval.high - interval.low for interval in intervals)
    return sorted(width for width in found if math.isfinite(width) and width > 0.0)
