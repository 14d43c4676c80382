"""What happened day by day: each policy's uplift with its band, and who served."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit, count, share
from server.reporting.page.drawing import (
    WIDTH,
    Box,
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
from server.reporting.page.scales import ROOM, Days, Scale, around
from server.reporting.page.words import INSTEAD, colour, moment

BOX = Box(62.0, 24.0, WIDTH - 14.0, 204.0)
HEIGHT = BOX.bottom + 46.0

CUT_WIDTHS = 4.0
"""A band wider than this many narrowest ones is cut by the frame: the first days' would flatten the rest."""

BAR_PART, BAR_GAPS = 0.84, 6.0
"""Part of its day that a bar fills where a day is wider than this; narrower days leave no gaps."""

BAR_MAX = 36.0
"""Width of a day's bar at most: one day alone is no wall."""

FLAG_ROOM = 18.0
"""Room that a move's number takes; a move closer to the last numbered one has a line alone."""

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
    intervals = [
        point.uplift for policy in range(1, len(report.policies)) for point in uplifts(report, policy)
    ]
    narrowest = next(iter(widths(intervals)), 0.0)
    return Scale(*around([0.0, *limited(intervals, CUT_WIDTHS * narrowest)]), BOX.bottom, BOX.top)


def uplift_plot(report: pb.GetReportResponse, policy: int, scale: Scale, unit: Unit) -> Markup:
    """Return one policy's uplift over static, day by day, with the interval as a band."""
    name, points = report.policies[policy].name, uplifts(report, policy)
    days = Days.over([day.date for day in report.days], BOX.left, BOX.right)
    parts = [area(BOX), side_axis(BOX, scale, sign=True), day_axis(BOX, days), _begin(report, days)]
    if points:
        dot, began = 3.0 if days.count <= DAYS_SPARSE else 2.0, _began(report)
        parts += [_unknown(days, points, began)]
        parts += [line(BOX.left, scale.at(0.0), BOX.right, scale.at(0.0), "zero")]
        parts += [_band(days, scale, run) for run in _runs(points, began)]
        parts += [_dot(days, scale, point, unit, dot) for point in points]
    else:
        parts.append(note(BOX, INSTEAD.get(report.policies[policy].label, INSTEAD["OK"])))
    title = f"Uplift of {name} over static, by day"
    text = f"{len(points)} days with an estimate of what {name} earns more than static, R per decision."
    if points:
        last = points[-1].uplift
        text += f" On {points[-1].day}: {unit.gain(last.mean)}, interval {unit.gain_span(last)}."
    return drawing(f"uplift-{policy}", title, text, HEIGHT, element("g", *parts, class_=colour(policy)))


def shares_plot(report: pb.GetReportResponse) -> Markup:
    """Return who served on each day, in parts of all, the learned share as a line, and the ramp's moves."""
    days = Days.over([day.date for day in report.days], BOX.left, BOX.right)
    scale = Scale(0.0, 1.0, BOX.bottom, BOX.top)
    parts = [area(BOX), side_axis(BOX, scale, part=True), day_axis(BOX, days)]
    parts += [
        _stack(report, day, days, scale, sum(one.served for one in day.policies)) for day in report.days
    ]
    parts += [_shares(report.days, days, scale), *_moves(report, days)]
    first, last = report.days[0], report.days[-1]
    text = (
        f"Learned policies' share of the units: {share(first.share)} on {first.date}, {share(last.share)} on "
        f"{last.date}. Bars show which policy served each day's decisions."
    )
    return drawing("shares", "Who served, by day", text, HEIGHT, *parts)


def served_plot(report: pb.GetReportResponse) -> Markup:
    """Return how many decisions each policy served on each day."""
    days = Days.over([day.date for day in report.days], BOX.left, BOX.right)
    wholes = [sum(one.served for one in day.policies) for day in report.days]
    scale = Scale(0.0, max(wholes) * (1.0 + ROOM) or 1.0, BOX.bottom, BOX.top)
    parts = [area(BOX), side_axis(BOX, scale), day_axis(BOX, days)]
    parts += [_stack(report, day, days, scale, 1) for day in report.days]
    text = f"{count(sum(wholes))} decisions on {len(wholes)} days, {count(max(wholes))} on the busiest."
    return drawing("served", "Decisions by day", text, HEIGHT, *parts)


def _began(report: pb.GetReportResponse) -> str:
    """Return the day on which the present measurement began; before all others if it is not said."""
    return report.begin_time.ToDatetime().date().isoformat() if report.HasField("begin_time") else ""


def _begin(report: pb.GetReportResponse, days: Days) -> Markup:
    """Return a line where the present measurement began, if that is within the plot."""
    at = days.moment(report.begin_time.seconds) if report.HasField("begin_time") else None
    if at is None or at - BOX.left < days.width:
        return Markup()
    left = at > (BOX.left + BOX.right) / 2
    words = label(
        at - 5.0 if left else at + 5.0, BOX.top + 12.0, "measured anew", anchor="end" if left else None
    )
    return join([line(at, BOX.top, at, BOX.bottom, "begin"), words])


def _unknown(days: Days, points: Sequence[Point], began: str) -> Markup:
    """Return the ground under the days before the first estimate, with a reason if there is room."""
    first = next((point.day for point in points if point.day >= began), None)
    if first is None:
        return Markup()
    left, right = max(days.left(began) if began else BOX.left, BOX.left), days.left(first)
    if right - left < 1.0:
        return Markup()
    width, height = right - left, BOX.bottom - BOX.top
    ground = element("rect", class_="unknown", x=left, y=BOX.top, width=width, height=height)
    reason = label((left + right) / 2, BOX.bottom - 8.0, "too few yet", anchor="middle")
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
    edge = min(days.width, BAR_MAX) / 2 if len(run) == 1 else 0.0
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


def _stack(report: pb.GetReportResponse, day: pb.DayReport, days: Days, scale: Scale, unit: int) -> Markup:
    """Return a day's decisions by policy, divided by `unit`: learned ones below, static on top."""
    served = [policy.served for policy in day.policies]
    whole, before, parts = sum(served), 0, []
    wide = min(days.width * (BAR_PART if days.width > BAR_GAPS else 1.0), BAR_MAX)
    for policy in [*range(1, len(served)), 0]:
        if policy < len(served) and served[policy]:
            top, bottom = scale.at((before + served[policy]) / unit), scale.at(before / unit)
            words = (
                f"{day.date}, {report.policies[policy].name}: {count(served[policy])} decisions, "
                f"{share(served[policy] / whole)}"
            )
            parts.append(
                element(
                    "rect",
                    element("title", words),
                    class_=f"mark {colour(policy)}",
                    x=days.middle(day.date) - wide / 2,
                    y=top,
                    width=wide,
                    height=bottom - top,
                )
            )
            before += served[policy]
    return join(parts)


def _shares(all_days: Sequence[pb.DayReport], days: Days, scale: Scale) -> Markup:
    """Return the learned share as steps, one a day."""
    steps = [
        f"{'M' if not at else 'L'}{days.left(day.date):.2f} {scale.at(day.share):.2f}h{days.width:.2f}"
        for at, day in enumerate(all_days)
    ]
    path = "".join(steps)
    return join(element("path", class_=name, d=path) for name in ("halo", "share"))


def _moves(report: pb.GetReportResponse, days: Days) -> Iterator[Markup]:
    """Yield a flag for each move of the ramp, with its number in the history."""
    free = BOX.left - FLAG_ROOM
    for number, move in enumerate(report.ramp.moves, start=1):
        at = days.moment(move.time.seconds)
        if at is not None:
            words = f"{number}: {moment(move.time)}, {move.actor}: {move.reason}"
            flag = label(at, BOX.top - 9.0, str(number), anchor="middle") if at - free >= FLAG_ROOM else ""
            free = at if flag else free
            rule = line(at, BOX.top - 6.0, at, BOX.bottom, "move")
            yield element("g", element("title", words), rule, flag, class_="flag")
