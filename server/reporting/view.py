"""A report as text for a person: sentences first, then the tables behind them."""

from collections.abc import Iterator

from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.text import Text

from server.pb import bandit_pb2 as pb
from server.reporting import view_tables as tables
from server.reporting.numbers import unit_of

TABLES = (tables.policies, tables.events, tables.arms, tables.preferences, tables.features, tables.days)
"""In the order of the text; the ladder's sentences stand after the policies, the ramp's moves at the end."""


def show(report: pb.GetReportResponse, console: Console) -> None:
    """Print a report."""
    unit = unit_of(report)
    console.print(Text(_heading(report)))
    if report.next_step:
        console.print(Text(f"Ramp: {report.next_step}"))
    if report.ramp.gate.sentence and report.ramp.gate.sentence not in report.next_step:
        console.print(Text(f"Gate: {report.ramp.gate.sentence}"))
    for build in TABLES:
        found = build(report, unit)
        if found is not None:
            console.print(Text(f"\n{found.title}", style="bold"))
            console.print(found.table)
            for line in found.notes:
                console.print(Text(line))
        if build is tables.policies:
            _judgements(report, console)
    if report.ramp.moves:
        console.print(Text("\nWhat the ramp did, in UTC", style="bold"))
        for line in tables.moves(report):
            console.print(Text(line))


def document(report: pb.GetReportResponse) -> dict[str, object]:
    """The report for programs: the message's fields by their names."""
    return MessageToDict(report, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _judgements(report: pb.GetReportResponse, console: Console) -> None:
    for line in _alarms(report):
        console.print(Text(line, style="bold red"))
    for step in report.ladder:
        console.print(Text(step.sentence))


def _alarms(report: pb.GetReportResponse) -> Iterator[str]:
    for policy in report.policies:
        if policy.weight_alarm:
            name = policy.name
            yield f"{name}: the weights do not average to 1: do not believe its values, and report this"


def _heading(report: pb.GetReportResponse) -> str:
    if not report.decisions:
        return f"{report.placement}: nothing was measured yet"
    since = report.begin_time.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"{report.placement}: {report.decisions:,} decisions since {since}; R per decision, with intervals "
        f"that hold with {report.confidence:.0%} at all times, from {report.min_exposures:,} decisions on"
    )
