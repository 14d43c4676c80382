"""Sections on what was served: by whom, under which ramp, and which arms."""

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit, count, unit_of
from server.reporting.page import bars, stacks, tables
from server.reporting.page.blocks import figure, grid, legend, paragraph, policies_legend, told_rows
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.whiskers import Row, whiskers
from server.reporting.page.words import arm_colour, colour

ARMS_DRAWN = 16
"""Arms in a plot: those shown most. All are in the table."""


def shares(report: pb.GetReportResponse) -> Markup:
    """Who served, and what was done to the ramp?"""
    plots = []
    if report.days:
        words = (
            "Which policy served each day's decisions. The line is the learned share of the units in scope"
        )
        flags = "; dotted lines are the moves of the ramp, by their numbers below."
        words += flags if report.ramp.moves else "."
        colours = policies_legend(report)
        plots = [
            figure("Who served", words, colours, stacks.shares_plot(report)),
            figure("Decisions", "How many each policy served.", colours, stacks.served_plot(report)),
        ]
    return join([grid(plots), *_history(report), *_gate(report)])


def arms(report: pb.GetReportResponse) -> Markup:
    """What do the arms earn, and who shows them?"""
    unit = unit_of(report)
    most = sorted(report.arms, key=lambda arm: -arm.exposures)[:ARMS_DRAWN]
    drawn = sorted(
        (arm for arm in most if arm.exposures),
        key=lambda arm: (not arm.HasField("reward"), -arm.reward.mean, arm.id),
    )
    if not drawn:
        none = paragraph("No arm was shown yet.")
        return join([none, tables.arms(report, unit)]) if report.arms else none
    some = f"Those shown most, {len(drawn)} of {len(report.arms)}; all are in the table."
    plots = [_rewards(drawn, unit), _choosers(report, drawn), *_arm_days(report)]
    table = tables.folded("All arms as numbers", tables.arms(report, unit))
    by_day = tables.folded("Arms by day as numbers", tables.arm_days(report)) if report.days else ""
    words = paragraph(some if len(drawn) < len(report.arms) else "")
    return join([words, grid(plots), table, by_day])


def _history(report: pb.GetReportResponse) -> list[Markup]:
    if not report.HasField("ramp"):
        return [paragraph("The placement has no ramp: static serves everyone.")]
    if not report.ramp.moves:
        return [paragraph("Neither an operator nor the gate has moved the ramp.")]
    return [element("h3", "The ramp's history"), tables.moves(report)]


def _gate(report: pb.GetReportResponse) -> list[Markup]:
    if not report.ramp.HasField("gate"):
        return []
    gate = report.ramp.gate
    table = tables.gate(gate, unit_of(report))
    return [element("h3", "The gate's last look"), paragraph(gate.sentence), table]


def _rewards(drawn: list[pb.ArmReport], unit: Unit) -> Markup:
    rows = [_arm_row(arm, unit) for arm in drawn]
    words = "R per time shown. Policies show arms to different visitors, so two may differ for that alone."
    plot = whiskers("arms", "Reward by arm", told_rows(rows), rows, "R each time")
    return figure("Reward by arm", words, plot)


def _choosers(report: pb.GetReportResponse, drawn: list[pb.ArmReport]) -> Markup:
    rows = [bars.Bar(arm.id, _shown(report, arm)) for arm in drawn]
    told = "; ".join(f"{arm.id}: {count(arm.exposures)}" for arm in drawn)
    plot = bars.bars("shown", "Times shown, by arm and policy", told, rows, "times shown")
    words = "How often each arm was shown, by the policy that chose it."
    return figure("Shown by policy", words, policies_legend(report), plot)


def _arm_days(report: pb.GetReportResponse) -> list[Markup]:
    if not report.days:
        return []
    named = stacks.coloured(report)
    names = [(arm_colour(place), report.arms[at].id) for place, at in enumerate(named)]
    names += [(colour(0), stacks.OTHERS)] if len(named) < len(report.arms) else []
    plot = stacks.arms_plot(report)
    return [figure("Shown by day", "Each arm's part of what all visitors saw.", legend(names), plot)]


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
