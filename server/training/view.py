"""Shows what was learned as tables."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from server.training.learning import Arm, Audience, Learned

COMPARED = (
    "effective: so many decisions drawn at random say as much; mean R: what all visitors would earn with "
    "it. Policies: how often each would show it at first, to those whom it serves."
)


def show_learned(console: Console, learned: Learned) -> None:
    """The tables, what they mean, and every note."""
    _say(console, f"{learned.placement} learned from {learned.source}")
    console.print(_decisions(learned))
    _say(console, "by context")
    console.print(_arms(learned.arms))
    shown = [
        audience for audience in learned.audiences if audience.arms[0].pmf
    ]  # without thompson nobody asks
    for audience in shown:
        _say(console, "arms compared" + ("" if audience.in_scope else ", outside the ramp's scope"))
        console.print(_compared(audience))
    if shown:
        _say(console, COMPARED)
    for note in learned.notes:
        _say(console, f"note: {note}", "bold")


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def _table(*headings: str) -> Table:
    table = Table()
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _decisions(learned: Learned) -> Table:
    table = _table("decisions")
    table.columns[0].no_wrap = False  # reasons are long
    table.add_row("learned", str(learned.decisions))
    for reason, count in learned.left_out.items():
        table.add_row(f"left out: {reason}", str(count))
    return table


def _arms(arms: Sequence[Arm]) -> Table:
    table = _table("decisions", "mean R", "count as")
    for arm in arms:
        table.add_row(arm.arm, str(arm.rows), _mean(arm.mean), f"{arm.counts:.0f}")
    return table


def _compared(audience: Audience) -> Table:
    table = _table("decisions", "effective", "mean R", *audience.arms[0].pmf)
    for arm in audience.arms:
        shares = [f"{share:.1%}" for share in arm.pmf.values()]
        table.add_row(arm.arm, str(arm.rows), f"{arm.effective:.0f}", _mean(arm.mean), *shares)
    return table


def _mean(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:.4g}"
