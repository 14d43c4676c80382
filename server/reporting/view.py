"""A report as text for a person."""

from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import count, instead, kind_name, share, unit_of


def show(report: pb.GetReportResponse, console: Console) -> None:
    """Print a report."""
    console.print(Text(_heading(report)))
    unit = unit_of(report)
    table = Table(box=None, pad_edge=False)
    for name in ("policy", "kind", "share", "served", "value", "interval", "uplift", "interval", "worth"):
        table.add_column(name, justify="left" if name in {"policy", "kind"} else "right")
    for policy in report.policies:
        value = policy.value if policy.HasField("value") else None
        uplift = policy.uplift if policy.HasField("uplift") else None
        table.add_row(
            policy.name, kind_name(policy.kind), share(policy.share), count(policy.served),
            *((unit.value(value.mean), unit.span(value)) if value else (instead(policy), "")),
            *((unit.gain(uplift.mean), unit.gain_span(uplift)) if uplift else ("", "")),
            count(policy.effective_size),
        )  # fmt: skip
    console.print(table)
    for policy in report.policies:
        if policy.weight_alarm:
            text = (
                f"{policy.name}: the weights do not average to 1: do not believe its values, and report this"
            )
            console.print(Text(text, style="bold red"))
    for step in report.ladder:
        console.print(Text(step.sentence))


def document(report: pb.GetReportResponse) -> dict[str, object]:
    """The report for programs: the message's fields by their names."""
    return MessageToDict(report, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _heading(report: pb.GetReportResponse) -> str:
    if not report.decisions:
        return f"{report.placement}: nothing was measured yet"
    since = report.begin_time.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f"{report.placement}: {report.decisions:,} decisions since {since}; R per decision, with intervals "
        f"that hold with {report.confidence:.0%} at all times, from {report.min_exposures:,} decisions on"
    )
