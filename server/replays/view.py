"""Shows a replay's result as tables."""

from rich.console import Console
from rich.table import Table

from server.replays.drive import Report
from server.replays.statistics import Estimate

LEGEND = (
    "matched: rows where the sidecar chose the logged arm; their mean estimates what it would have earned, "
    "without bias only where the log was uniform (Li et al. 2011)."
)


def show_report(console: Console, report: Report) -> None:
    """The tables, then every warning."""
    console.print(_summary(report))
    console.print(_arms(report))
    console.print(LEGEND, highlight=False, soft_wrap=True)
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="bold", highlight=False, markup=False, soft_wrap=True)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _summary(report: Report) -> Table:
    table = _table("mean reward", "rows", "counted", "mean", "95 % interval", "by")
    table.add_row("logged", str(report.rows), *_cells(report.logged))
    table.add_row("matched", str(report.rows), *_cells(report.matched))
    table.add_row("  second half", str(report.rows - report.rows // 2), *_cells(report.second_half))
    for name, policy in report.policies.items():
        table.add_row(f"  {name}", str(policy.rows), *_cells(policy.matched))
    return table


def _arms(report: Report) -> Table:
    table = _table("by arm", "logged", "mean", "chosen", "matched", "mean", "95 % interval")
    for name, arm in report.arms.items():
        matched = _cells(arm.matched)
        logged = (str(arm.logged.rows), number(arm.logged.mean))
        table.add_row(name, *logged, f"{arm.chosen / max(report.rows, 1):.1%}", *matched[:3])
    return table


def _cells(estimate: Estimate) -> tuple[str, str, str, str]:
    interval = "–" if estimate.low is None else f"{number(estimate.low)}–{number(estimate.high)}"
    return str(estimate.rows), number(estimate.mean), interval, estimate.interval


def number(value: float | None) -> str:
    """A mean with four decimals, or a dash."""
    return "–" if value is None else f"{value:.4f}"
