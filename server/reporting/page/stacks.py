"""Counts day by day as stacked bars: who served, in parts and in numbers, and which arms were shown."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import count, share
from server.reporting.page.drawing import (
    DAYS_BOX,
    DAYS_HEIGHT,
    MARK_MAX,
    area,
    day_axis,
    drawing,
    label,
    line,
    side_axis,
)
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.scales import Days, Scale, around
from server.reporting.page.words import ARM_COLOURS, arm_colour, colour, moment

BAR_PART, BAR_GAPS = 0.84, 6.0
"""Part of its day that a bar fills where a day is wider than this; narrower days leave no gaps."""

FLAG_ROOM = 18.0
"""Room that a move's number takes; a move closer to the last numbered one has a line alone."""

OTHERS = "others"
"""The arms that have no colour of their own."""


class Piece(NamedTuple):
    """A piece of a day's bar: whose it is, its colour's class, and how many."""

    name: str
    colour: str
    size: int


Pieces = Callable[[pb.DayReport], list[Piece]]
"""Takes a day apart, from the ground up."""


def shares_plot(report: pb.GetReportResponse) -> Markup:
    """Return who served on each day, in parts of all, the learned share as a line, and the ramp's moves."""
    days = _days(report)
    scale = Scale(0.0, 1.0, DAYS_BOX.bottom, DAYS_BOX.top)
    parts = [area(DAYS_BOX), side_axis(DAYS_BOX, scale, part=True), day_axis(DAYS_BOX, days)]
    parts += _stacks(report, _served(report), days, scale, whole=True)
    parts += [_shares(report.days, days, scale), *_moves(report, days)]
    first, last = report.days[0], report.days[-1]
    text = (
        f"Learned policies' share of the units: {share(first.share)} on {first.date}, {share(last.share)} on "
        f"{last.date}. Bars show which policy served each day's decisions."
    )
    return drawing("shares", "Who served, by day", text, DAYS_HEIGHT, *parts)


def served_plot(report: pb.GetReportResponse) -> Markup:
    """Return how many decisions each policy served on each day."""
    days = _days(report)
    wholes = [sum(one.served for one in day.policies) for day in report.days]
    scale = Scale(0.0, around([0.0, *wholes])[1], DAYS_BOX.bottom, DAYS_BOX.top)
    parts = [area(DAYS_BOX), side_axis(DAYS_BOX, scale), day_axis(DAYS_BOX, days)]
    parts += _stacks(report, _served(report), days, scale, whole=False)
    text = f"{count(sum(wholes))} decisions on {len(wholes)} days, {count(max(wholes))} on the busiest."
    return drawing("served", "Decisions by day", text, DAYS_HEIGHT, *parts)


def coloured(report: pb.GetReportResponse) -> list[int]:
    """Return the arms that have a colour of their own, those shown most, by their numbers in the report."""
    most = sorted(range(len(report.arms)), key=lambda number: -report.arms[number].exposures)
    return sorted(most[:ARM_COLOURS])


def arms_plot(report: pb.GetReportResponse) -> Markup:
    """Return which arms were shown on each day, in parts of all."""
    days = _days(report)
    scale = Scale(0.0, 1.0, DAYS_BOX.bottom, DAYS_BOX.top)
    parts = [area(DAYS_BOX), side_axis(DAYS_BOX, scale, part=True), day_axis(DAYS_BOX, days)]
    parts += _stacks(report, _arms(report), days, scale, whole=True)
    text = f"Parts of each arm in what was shown on {len(report.days)} days; all figures are in the table."
    return drawing("arm-days", "Arms shown, by day", text, DAYS_HEIGHT, *parts)


def _days(report: pb.GetReportResponse) -> Days:
    return Days.over([day.date for day in report.days], DAYS_BOX.left, DAYS_BOX.right)


def _served(report: pb.GetReportResponse) -> Pieces:
    """Return what takes a day apart by policy: learned ones below, static on top."""

    def pieces(day: pb.DayReport) -> list[Piece]:
        found = [
            Piece(policy.name, colour(number), one.served)
            for number, (policy, one) in enumerate(zip(report.policies, day.policies, strict=False))
        ]
        return [*found[1:], *found[:1]]

    return pieces


def _arms(report: pb.GetReportResponse) -> Pieces:
    """Return what takes a day apart by arm: those shown most, and all others on top."""
    drawn = coloured(report)

    def pieces(day: pb.DayReport) -> list[Piece]:
        shown = [one.exposures for one in day.arms[: len(report.arms)]]
        shown += [0] * (len(report.arms) - len(shown))
        found = [Piece(report.arms[at].id, arm_colour(place), shown[at]) for place, at in enumerate(drawn)]
        return [*found, Piece(OTHERS, colour(0), sum(shown) - sum(piece.size for piece in found))]

    return pieces


def _stacks(
    report: pb.GetReportResponse, pieces: Pieces, days: Days, scale: Scale, *, whole: bool
) -> Iterator[Markup]:
    """Yield the days' bars; `whole`: each is as high as the plot, whatever it counts."""
    wide = min(days.width * (BAR_PART if days.width > BAR_GAPS else 1.0), MARK_MAX)
    for day in report.days:
        found = pieces(day)
        total, before = sum(piece.size for piece in found), 0
        unit = total if whole else 1
        for piece in found:
            if piece.size:
                top, bottom = scale.at((before + piece.size) / unit), scale.at(before / unit)
                words = f"{day.date}, {piece.name}: {count(piece.size)}, {share(piece.size / total)}"
                left = days.middle(day.date) - wide / 2
                yield element(
                    "rect", element("title", words), class_=f"mark {piece.colour}",
                    x=left, y=top, width=wide, height=bottom - top,
                )  # fmt: skip
                before += piece.size


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
    free = DAYS_BOX.left - FLAG_ROOM
    for number, move in enumerate(report.ramp.moves, start=1):
        at = days.moment(move.time.seconds)
        if at is not None:
            words = f"{number}: {moment(move.time)}, {move.actor}: {move.reason}"
            flag = (
                label(at, DAYS_BOX.top - 9.0, str(number), anchor="middle") if at - free >= FLAG_ROOM else ""
            )
            free = at if flag else free
            rule = line(at, DAYS_BOX.top - 6.0, at, DAYS_BOX.bottom, "move")
            yield element("g", element("title", words), rule, flag, class_="flag")
