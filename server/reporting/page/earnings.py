"""Sections on what policies earn: now, day by day, and by event."""

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit, event_unit, instead, unit_of
from server.reporting.page import bands, tables
from server.reporting.page.blocks import figure, grid, paragraph, told_rows, untold
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.scales import Scale
from server.reporting.page.whiskers import Row, whiskers
from server.reporting.page.words import colour


def earnings(report: pb.GetReportResponse) -> Markup:
    """What does each policy earn?"""
    if not report.decisions:
        return paragraph("Nothing was measured yet.")
    unit, plots = unit_of(report), []
    values, gains = _policy_rows(report, "value", unit), _policy_rows(report, "uplift", unit)[1:]
    if any(row.interval is not None for row in values):
        drawn = whiskers("value", "Value of each policy", told_rows(values), values, "R per decision")
        words = "What it earns, or would if it served everyone. The line is the interval."
        plots.append(figure("Value of each policy", words, drawn))
    if any(row.interval is not None for row in gains):
        drawn = whiskers(
            "gain", "Uplift over static", told_rows(gains), gains, "R per decision more", gains=True
        )
        words = "On the same decisions. An interval right of zero: it pays; holding zero: not told apart."
        plots.append(figure("More than static", words, drawn))
    missing = paragraph(untold(report) if gains and not plots[1:] else "")
    routed = any(policy.HasField("routed_uplift") for policy in report.policies)
    apart = tables.folded("As a plain A/B test would see it", tables.routed(report, unit)) if routed else ""
    return join([*_alarms(report), missing, grid(plots), tables.policies(report, unit), apart])


def uplift_by_day(report: pb.GetReportResponse) -> Markup:
    """Has it been so all along?"""
    if not report.days or not report.policies[1:]:
        return paragraph("No days yet.")
    unit = unit_of(report)
    table = tables.folded("All days as numbers", tables.days(report, unit))
    if not any(bands.uplifts(report, number) for number in range(1, len(report.policies))):
        return join([paragraph(untold(report)), table])
    words = (
        "By all decisions until the end of each day, R per decision more than static. The band is the "
        "interval: as long as it holds the line at zero, the two are not told apart. All plots have one "
        "scale; the widest bands are cut."
    )
    scale = bands.uplift_scale(report)
    plots = [_band(report, number, scale, unit) for number in range(1, len(report.policies))]
    return join([paragraph(words), grid(plots), table])


def events(report: pb.GetReportResponse) -> Markup:
    """What do the policies get of each event?"""
    names = tables.event_names(report)
    if not names:
        return paragraph("No event was reported yet.")
    plots = []
    for at, event in enumerate(names):
        rows = _event_rows(report, event)
        if any(row.interval is not None for row in rows):
            title = f"{event}, by policy"
            drawn = whiskers(f"event-{at}", title, told_rows(rows), rows, "own value per decision")
            plots.append(element("figure", element("h3", event), drawn))
    words = "Per decision, in the event's own value: what a policy gets, or would if it served everyone."
    table = tables.folded("All events as numbers", tables.events(report))
    return join([paragraph(words if plots else untold(report)), grid(plots), table])


def _alarms(report: pb.GetReportResponse) -> list[Markup]:
    words = "the weights do not average to 1: do not believe its values, and report this."
    return [
        element("p", f"{policy.name}: {words}", class_="alarm", role="alert")
        for policy in report.policies
        if policy.weight_alarm
    ]


def _band(report: pb.GetReportResponse, number: int, scale: Scale, unit: Unit) -> Markup:
    """Return one policy's uplift by day, under where it stands now."""
    policy = report.policies[number]
    now = instead(policy)
    if policy.HasField("uplift"):
        now = f"Now {unit.gain(policy.uplift.mean)} ({unit.gain_span(policy.uplift)})."
    elif now == "-":
        now = "Rewards do not differ yet."
    name = tables.swatch(colour(number), policy.name)
    return figure(name, now, bands.uplift_plot(report, number, scale, unit))


def _policy_rows(report: pb.GetReportResponse, field: str, unit: Unit) -> list[Row]:
    rows = []
    for number, policy in enumerate(report.policies):
        interval: pb.Interval | None = getattr(policy, field) if policy.HasField(field) else None
        tip = ""
        if interval is not None and field == "value":
            tip = f"{policy.name}: {unit.value(interval.mean)} ({unit.span(interval)})"
        elif interval is not None:
            tip = f"{policy.name}: {unit.gain(interval.mean)} ({unit.gain_span(interval)})"
        rows.append(Row(policy.name, colour(number), interval, instead(policy), tip))
    return rows


def _event_rows(report: pb.GetReportResponse, event: str) -> list[Row]:
    unit, rows = event_unit(report, event), []
    for number, policy in enumerate(report.policies):
        found = next((estimate for estimate in policy.events if estimate.event == event), None)
        known = found.value if found is not None and found.HasField("value") else None
        tip = f"{policy.name}: {unit.value(known.mean)} ({unit.span(known)})" if known is not None else ""
        rows.append(Row(policy.name, colour(number), known, instead(policy), tip))
    return rows
