"""The page's sections, from the message above to the terms at the end. Each answers one question."""

from collections.abc import Iterable

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit, count, event_unit, instead, unit_of
from server.reporting.page import bars, days, tables
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.whiskers import Row, whiskers
from server.reporting.page.words import GLOSSARY, INSTEAD, colour

ARMS_DRAWN = 16
"""Arms in a plot: those shown most. All are in the table."""

FEATURES_DRAWN = 20


def section(key: str, title: str, *content: str) -> Markup:
    """Return a section with its heading."""
    return element("section", element("h2", title), *content, id=key)


def figure(title: str, explained: str, *content: str) -> Markup:
    """Return a plot with its heading and how to read it."""
    return element("figure", element("h3", title), element("p", explained), *content)


def legend(report: pb.GetReportResponse) -> Markup:
    """Return the policies with their colours."""
    items = (element("li", tables.swatch(at, policy.name)) for at, policy in enumerate(report.policies))
    return element("ul", *items, class_="legend")


def paragraph(content: str) -> Markup:
    """Return a paragraph."""
    return element("p", content)


def earnings(report: pb.GetReportResponse) -> Markup:
    """What does each policy earn?"""
    unit = unit_of(report)
    alarms = [
        element(
            "p",
            f"{policy.name}: the weights do not average to 1: do not believe its values, and report this.",
            class_="alarm",
            role="alert",
        )
        for policy in report.policies
        if policy.weight_alarm
    ]
    if not report.decisions:
        return section("earnings", "What each policy earns", paragraph("Nothing was measured yet."))
    plots = []
    values, gains = _policy_rows(report, "value", unit), _policy_rows(report, "uplift", unit)[1:]
    if any(row.interval is not None for row in values):
        drawn = whiskers("value", "Value of each policy", _told(values), values, "R per decision")
        words = "What it earns, or would if it served everyone. The line is the interval."
        plots.append(figure("Value of each policy", words, drawn))
    if any(row.interval is not None for row in gains):
        drawn = whiskers("gain", "Uplift over static", _told(gains), gains, "R per decision more", gains=True)
        words = "On the same decisions. An interval right of zero: it pays; holding zero: not told apart."
        plots.append(figure("More than static", words, drawn))
    shown = [element("div", *plots, class_="grid")] if plots else []
    untold = [] if gains and plots[1:] else [paragraph(_untold(report))]
    return section(
        "earnings", "What each policy earns", *alarms, *untold, *shown, tables.policies(report, unit)
    )


def uplift_by_day(report: pb.GetReportResponse) -> Markup:
    """Has it been so all along?"""
    title = "Uplift over static, day by day"
    if not report.days or not report.policies[1:]:
        return section("uplift", title, paragraph("No days yet."))
    unit, scale = unit_of(report), days.uplift_scale(report)
    table = tables.folded("All days as numbers", tables.days(report, unit))
    if not any(days.uplifts(report, number) for number in range(1, len(report.policies))):
        return section("uplift", title, paragraph(_untold(report)), table)
    plots = []
    for number in range(1, len(report.policies)):
        policy = report.policies[number]
        now = instead(policy)
        if policy.HasField("uplift"):
            now = f"Now {unit.gain(policy.uplift.mean)} ({unit.gain_span(policy.uplift)})."
        elif now == "-":
            now = "Nothing can be told before rewards differ."
        drawn = days.uplift_plot(report, number, scale, unit)
        plots.append(
            element("figure", element("h3", tables.swatch(number, policy.name)), paragraph(now), drawn)
        )
    words = (
        "By all decisions until the end of each day, R per decision more than static. The band is the "
        "interval: as long as it holds the line at zero, the two are not told apart. All plots have one "
        "scale; the widest bands are cut."
    )
    return section("uplift", title, paragraph(words), element("div", *plots, class_="grid"), table)


def shares(report: pb.GetReportResponse) -> Markup:
    """Who served, and what was done to the ramp?"""
    content = []
    if report.days:
        words = (
            "Which policy served each day's decisions. The line is the learned share of the units in scope"
        )
        words += (
            "; dotted lines are the moves of the ramp, by their numbers below." if report.ramp.moves else "."
        )
        plots = (
            figure("Who served", words, legend(report), days.shares_plot(report)),
            figure("Decisions", "How many each policy served.", legend(report), days.served_plot(report)),
        )
        content.append(element("div", *plots, class_="grid"))
    if not report.HasField("ramp"):
        content.append(paragraph("The placement has no ramp: static serves everyone."))
    elif report.ramp.moves:
        content += [element("h3", "The ramp's history"), tables.moves(report)]
    else:
        content.append(paragraph("Neither an operator nor the gate has moved the ramp."))
    if report.ramp.HasField("gate"):
        gate = report.ramp.gate
        content += [element("h3", "The gate's last look")]
        content += [paragraph(gate.sentence)] if gate.sentence else []
        content += [tables.gate(gate, unit_of(report))]
    return section("shares", "Shares and the ramp", *content)


def arms(report: pb.GetReportResponse) -> Markup:
    """What do the arms earn, and who shows them?"""
    unit = unit_of(report)
    most = sorted(report.arms, key=lambda arm: -arm.exposures)[:ARMS_DRAWN]
    drawn = sorted(
        (arm for arm in most if arm.exposures),
        key=lambda arm: (not arm.HasField("reward"), -arm.reward.mean, arm.id),
    )
    if not drawn:
        content = [paragraph("No arm was shown yet.")] + ([tables.arms(report, unit)] if report.arms else [])
        return section("arms", "Arms", *content)
    rows = [_arm_row(arm, unit) for arm in drawn]
    shown = [bars.Bar(arm.id, _shown(report, arm)) for arm in drawn]
    left_out = len(report.arms) - len(drawn)
    words = f"The {len(drawn)} arms shown most; all {len(report.arms)} are in the table." if left_out else ""
    plots = (
        figure(
            "Reward by arm",
            "R per time shown. Policies show arms to different visitors, so two may differ for that alone.",
            whiskers("arms", "Reward by arm", _told(rows), rows, "R each time"),
        ),
        figure(
            "Shown by policy",
            "How often each arm was shown, by the policy that chose it.",
            legend(report),
            bars.bars("shown", "Times shown, by arm and policy", _counted(drawn), shown, "times shown"),
        ),
    )
    table = tables.folded("All arms as numbers", tables.arms(report, unit))
    return section("arms", "Arms", paragraph(words), element("div", *plots, class_="grid"), table)


def events(report: pb.GetReportResponse) -> Markup:
    """What do the policies get of each event?"""
    names = tables.event_names(report)
    if not names:
        return section("events", "Events", paragraph("No event was reported yet."))
    plots = []
    for at, event in enumerate(names):
        unit = event_unit(report, event)
        rows = []
        for number, policy in enumerate(report.policies):
            found = next((estimate for estimate in policy.events if estimate.event == event), None)
            known = found.value if found is not None and found.HasField("value") else None
            tip = f"{policy.name}: {unit.value(known.mean)} ({unit.span(known)})" if known is not None else ""
            rows.append(Row(policy.name, colour(number), known, instead(policy), tip))
        if all(row.interval is None for row in rows):
            continue
        title = f"{event}, by policy"
        drawn = whiskers(f"event-{at}", title, _told(rows), rows, "own value per decision")
        plots.append(element("figure", element("h3", event), drawn))
    words = "Per decision, in the event's own value: what a policy gets, or would if it served everyone."
    words = words if plots else _untold(report)
    table = tables.folded("All events as numbers", tables.events(report))
    return section("events", "Events", paragraph(words), element("div", *plots, class_="grid"), table)


def features(report: pb.GetReportResponse) -> Markup:
    """Which features matter?"""
    title = "Which features matter"
    if not report.features:
        return section(
            "features", title, paragraph("No policy looks at the context, or nothing was learned yet.")
        )
    unit = Unit.of(found.importance for found in report.features)
    rows = [
        bars.Bar(
            found.name,
            [
                bars.Part(
                    found.importance,
                    "p1" if found.importance > found.chance else "p0",
                    f"{found.name}: {unit.value(found.importance)}, by chance {unit.value(found.chance)}",
                )
            ],
            found.chance,
        )
        for found in report.features[:FEATURES_DRAWN]
    ]
    words = (
        "How much the arms' differences change with a feature, in R per decision. The black mark is what "
        "chance alone would give: a bar that ends before it, in grey, is no evidence."
    )
    told = "; ".join(part.tooltip for row in rows for part in row.parts)
    drawn = bars.bars("features", title, told, rows, "standard deviation, R per decision")
    plot = element("figure", paragraph(words), drawn)
    table = tables.folded("All features as numbers", tables.features(report, unit))
    return section("features", title, element("div", plot, class_="grid"), table)


def glossary() -> Markup:
    """What do the words mean?"""
    terms = [join([element("dt", term), element("dd", meaning)]) for term, meaning in GLOSSARY.items()]
    return section("words", "What the words mean", element("dl", *terms))


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


def _arm_row(arm: pb.ArmReport, unit: Unit) -> Row:
    if not arm.HasField("reward"):
        return Row(arm.id, "ink", None, "its rewards do not differ", "")
    tip = f"{arm.id}: {unit.value(arm.reward.mean)} ({unit.span(arm.reward)}), {count(arm.exposures)} times"
    return Row(arm.id, "ink", arm.reward, "", tip)


def _shown(report: pb.GetReportResponse, arm: pb.ArmReport) -> list[bars.Part]:
    return [
        bars.Part(number, colour(at), f"{arm.id}, {policy.name}: {count(number)}")
        for at, (policy, number) in enumerate(zip(report.policies, arm.shown_by_policy, strict=False))
    ]


def _untold(report: pb.GetReportResponse) -> str:
    """Return why there is no estimate, with the policies that it is so for."""
    reasons: dict[str, list[str]] = {}
    for policy in report.policies[1:] or report.policies:
        reasons.setdefault(INSTEAD.get(policy.label, INSTEAD["OK"]), []).append(policy.name)
    told = (f"{reason} ({', '.join(names)})" for reason, names in reasons.items())
    return f"There is no estimate to draw. {'; '.join(told)}."


def _told(rows: Iterable[Row]) -> str:
    """Return a plot's rows in words, for those who do not see it."""
    return "; ".join(row.tooltip or f"{row.name}: {row.instead}" for row in rows)


def _counted(found: Iterable[pb.ArmReport]) -> str:
    return "; ".join(f"{arm.id}: {count(arm.exposures)}" for arm in found)
