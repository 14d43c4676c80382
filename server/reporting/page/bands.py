"""Each policy's uplift over static day by day, with its interval as a band."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit
from server.reporting.page.drawing import (
    DAYS_BOX,
    DAYS_HEIGHT,
    MARK_MAX,
    area,
    day_axis,
    drawing,
    label,
    limited,
    line,
    note,
    side_axis,
    widths,
)
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.scales import Days, Scale, around
from server.reporting.page.words import INSTEAD, colour

CUT_WIDTHS = 4.0
"""A band wider than this many narrowest ones is cut by the frame: the first days' would flatten the rest. Of
the policy whose narrowest is widest, so that each has a band that is seen whole."""

DAYS_SPARSE = 45
"""Days up to which dots are large enough to be told apart."""

REASON_ROOM = 90.0
"""Width from which on a reason can be written into the days without an estimate."""


class Point(NamedTuple):
    """A policy's uplift by the end of a day."""

    day: str
    uplift: pb.Interval


def uplifts(report: pb.GetReportResponse, policy: int) -> list[Point]:
    """Return the days on which something was known of a policy's uplift."""
    return [
        Point(day.date, day.policies[policy].uplift)
        for day in report.days
        if policy < len(day.policies) and day.policies[policy].HasField("uplift")
    ]


def uplift_scale(report: pb.GetReportResponse) -> Scale:
    """Return the scale on which all policies' uplifts are drawn, so that they can be compared."""
    by_policy = [[point.uplift for point in uplifts(report, at)] for at in range(1, len(report.policies))]
    narrowest = max((width for own in by_policy for width in widths(own)[:1]), default=0.0)
    ends = (end for own in by_policy for end in limited(own, CUT_WIDTHS * narrowest))
    return Scale(*around([0.0, *ends]), DAYS_BOX.bottom, DAYS_BOX.top)


def uplift_plot(report: pb.GetReportResponse, policy: int, scale: Scale, unit: Unit) -> Markup:
    """Return one policy's uplift over static, day by day, with the interval as a band."""
    name, points = report.policies[policy].name, uplifts(report, policy)
    days = Days.over([day.date for day in report.days], DAYS_BOX.left, DAYS_BOX.right)
    parts = [
        label(DAYS_BOX.left, DAYS_BOX.top - 9.0, "R per decision, more than static"),
        area(DAYS_BOX),
        side_axis(DAYS_BOX, scale, sign=True),
        day_axis(DAYS_BOX, days),
        _begin(report, days),
    ]
    if points:
        dot, began = 3.0 if days.count <= DAYS_SPARSE else 2.0, _began(report)
        parts += [_unknown(days, points, began)]
        parts += [line(DAYS_BOX.left, scale.at(0.0), DAYS_BOX.right, scale.at(0.0), "zero")]
        parts += [_band(days, scale, run) for run in _runs(points, began)]
        parts += [_dot(days, scale, point, unit, dot) for point in points]
    else:
        parts.append(note(DAYS_BOX, INSTEAD.get(report.policies[policy].label, INSTEAD["OK"])))
    title = f"Uplift of {name} over static, by day"
    text = f"{len(points)} days with an estimate of what {name} earns more than static, R per decision."
    if points:
        last = points[-1].uplift
        text += f" On {points[-1].day}: {unit.gain(last.mean)}, interval {unit.gain_span(last)}."
    return drawing(f"uplift-{policy}", title, text, DAYS_HEIGHT, element("g", *parts, class_=colour(policy)))


def _began(report: pb.GetReportResponse) -> str:
    """Return the day on which the present measurement began; before all others if it is not said."""
    return report.begin_time.ToDatetime().date().isoformat() if report.HasField("begin_time") else ""


def _begin(report: pb.GetReportResponse, days: Days) -> Markup:
    """Return a line where the present measurement began, if that is within the plot."""
    at = days.moment(report.begin_time.seconds) if report.HasField("begin_time") else None
    if at is None or at - DAYS_BOX.left < days.width:
        return Markup()
    left = at > (DAYS_BOX.left + DAYS_BOX.right) / 2
    words = label(
        at - 5.0 if left else at + 5.0, DAYS_BOX.top + 12.0, "measured anew", anchor="end" if left else None
    )
    return join([line(at, DAYS_BOX.top, at, DAYS_BOX.bottom, "begin"), words])


def _unknown(days: Days, points: Sequence[Point], began: str) -> Markup:
    """Return the ground under the days before the first estimate, with a reason if there is room."""
    first = next((point.day for point in points if point.day >= began), None)
    if first is None:
        return Markup()
    left, right = max(days.left(began) if began else DAYS_BOX.left, DAYS_BOX.left), days.left(first)
    if right - left < 1.0:
        return Markup()
    width, height = right - left, DAYS_BOX.bottom - DAYS_BOX.top
    ground = element("rect", class_="unknown", x=left, y=DAYS_BOX.top, width=width, height=height)
    reason = label((left + right) / 2, DAYS_BOX.bottom - 8.0, "too few yet", anchor="middle")
    return join([ground, reason] if width > REASON_ROOM else [ground])


def _runs(points: Sequence[Point], began: str) -> Iterator[list[Point]]:
    """Yield the points in runs: a band bridges neither days without an estimate nor two measurements."""
    run: list[Point] = []
    for point in points:
        if run and (_days_between(run[-1], point) > 1 or run[-1].day < began <= point.day):
            yield run
            run = []
        run.append(point)
    yield run


def _days_between(one: Point, other: Point) -> int:
    return (date.fromisoformat(other.day) - date.fromisoformat(one.day)).days


def _band(days: Days, scale: Scale, run: Sequence[Point]) -> Markup:
    """Return the band and the line of means; a single day's band is as wide as a bar."""
    edge = min(days.width, MARK_MAX) / 2 if len(run) == 1 else 0.0
    at = [(days.middle(point.day), point.uplift) for point in run]
    if edge:
        at = [(at[0][0] - edge, at[0][1]), (at[0][0] + edge, at[0][1])]
    upper = [f"{x:.2f} {scale.at(interval.high):.2f}" for x, interval in at]
    lower = [f"{x:.2f} {scale.at(interval.low):.2f}" for x, interval in reversed(at)]
    means = [f"{x:.2f} {scale.at(interval.mean):.2f}" for x, interval in at]
    return join([
        element("path", class_="band", d=f"M{'L'.join([*upper, *lower])}Z"),
        element("path", class_="means", d=f"M{'L'.join(means)}"),
    ])  # fmt: skip


def _dot(days: Days, scale: Scale, point: Point, unit: Unit, radius: float) -> Markup:
    words = f"{point.day}: {unit.gain(point.uplift.mean)} ({unit.gain_span(point.uplift)})"
    x, y = days.middle(point.day), scale.at(point.uplift.mean)
    return element("circle", element("title", words), class_="mark", cx=x, cy=y, r=radius)
