"""Shows an evaluation as tables, and says what its numbers assume."""

import math

from rich.console import Console
from rich.table import Table

from bandit.crossfit import FOLDS
from bandit.estimators import EFFECTIVE_MIN, Estimate, Label
from server.evaluating.report import Report

ASSUMES = {
    "ips": (
        "unbiased if the propensities are right and every arm that a policy chooses had one above 0; wide "
        "where weights are large."
    ),
    "snips": "the same as a weighted mean: less wide, slightly biased in small logs.",
    "dm": (
        "what a ridge regression by arm predicts. It flatters policies that learned from what the model did, "
        "and its interval leaves out the model's own error: look at it only beside dr."
    ),
    "dr": "dm, corrected by ips where it was wrong: right if the propensities are, and the one to read.",
    "replay": "the mean where a draw from the policy gave the logged arm: for logs that chose uniformly.",
}

LABELS = {
    Label.UNUSABLE: (
        f"an effective sample size below {EFFECTIVE_MIN:.0f}, or a mean weight surely above 1, where "
        "propensities are not the log's: do not use these numbers."
    ),
    Label.NO_SUPPORT: "the policy chooses what the log does not show; no number stands for that.",
}

ALL = (
    f"Learned policies stand still: each decision is judged by what was learned on the other {FOLDS - 1} of "
    f"{FOLDS} folds. Intervals are 95 %, those of learned policies half as wide again, since folds teach "
    "each other; an uplift is over static, its interval that of the difference, decision by decision. "
    "Visitors come as they came: what a decision changes for the next one is not in here."
)

_DIGITS = 3
_DECIMALS_MAX = 5
_WIDTH_MAX = 1000


def show_report(console: Console, report: Report) -> None:
    """The tables, what they mean, every note, and the sentence."""
    console.print(_logged(report))
    _print_whole(console, _weights(report))
    if any(policy.by for policy in report.policies):
        _print_whole(console, _values(report))
    labels = {policy.weights.label for policy in report.policies}
    used = {name for policy in report.policies for name in policy.by}
    lines = [f"{name}: {text}" for name, text in ASSUMES.items() if name in used]
    lines += [f"{label}: {text}" for label, text in LABELS.items() if label in labels]
    for line in (*lines, ALL):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in (*(f"note: {note}" for note in report.notes), report.verdict):
        console.print(line, style="bold", highlight=False, markup=False, soft_wrap=True)


def _print_whole(console: Console, table: Table) -> None:
    """Print a table, wider than the console if it has to be: a label that is cut says nothing."""
    width = console.width
    whole = console.measure(table, options=console.options.update(width=_WIDTH_MAX)).maximum
    console.width = max(width, whole)
    console.print(table)
    console.width = width


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _logged(report: Report) -> Table:
    title = f"{report.placement} in {report.source}"
    table = _table(title, "decisions", "rewarded", "clusters", "mean", "95 % interval")
    clusters = "–" if report.clusters is None else str(report.clusters)
    counts = str(report.decisions), str(report.rewarded), clusters
    table.add_row("logged", *counts, *_cells(report.logged, _decimals(report)))
    for reason, count in report.left_out.items():
        table.add_row(f"left out: {reason}", str(count))
    return table


def _weights(report: Report) -> Table:
    matched = ("matched",) if report.uniform else ()
    table = _table("weights", "mean", "effective", "largest", "top 1 %", "unshown", *matched)
    for policy in report.policies:
        weights = policy.weights
        table.add_row(
            f"{policy.name} {weights.label}".rstrip(),
            f"{weights.mean.value:.3f}",
            f"{weights.effective:.0f}",
            f"{weights.largest:.4g}",
            f"{weights.top:.1%}",
            f"{weights.outside:.1%}",
            *((str(policy.matched),) if report.uniform else ()),
        )
    return table


def _values(report: Report) -> Table:
    table = _table("value of a decision", "value", "95 % interval", "uplift", "95 % interval")
    decimals = _decimals(report)
    for policy in report.policies:
        table.add_row(f"{policy.name} {policy.weights.label}".rstrip())
        for name, valued in policy.by.items():
            uplift = _cells(valued.uplift, decimals, sign="+") if valued.uplift else ("–", "–")
            table.add_row(f"  {name}", *_cells(valued.value, decimals), *uplift)
    return table


def _decimals(report: Report) -> int:
    """So many that the log's own mean has four digits, within reason."""
    mean = report.logged.value or 1.0
    return min(max(_DIGITS - math.floor(math.log10(mean)), 0), _DECIMALS_MAX)


def _cells(estimate: Estimate, decimals: int, sign: str = "") -> tuple[str, str]:
    if estimate.value is None:
        return "–", "–"
    value = _number(estimate.value, decimals, sign)
    if estimate.low is None or estimate.high is None:
        return value, "–"
    return value, f"{_number(estimate.low, decimals, sign)} to {_number(estimate.high, decimals, sign)}"


def _number(value: float, decimals: int, sign: str) -> str:
    return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"  # + 0.0: never -0.0000
