"""Shows a simulation: a live table with a bar on a terminal, a line every tenth of the way elsewhere."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from server.simulation.scores import Earnings, Report, Scores

ARMS_SHOWN = 6
"""Arms in a table; of more, the most served. All are in --json."""

REDRAW_S = 0.25
"""Seconds between two drawings of the live table."""

DRAWING_PART = 10
"""Drawing takes at most one part of the time in so many."""

LINES = 10
"""Plain lines in all, when the output is not a terminal."""


class LiveView(AbstractContextManager["LiveView"]):
    """A live table on a terminal; plain lines elsewhere. Call `update` after each block.

    `when` says what else there is to say of the moment, in a few words.
    """

    def __init__(self, console: Console, shoppers: int, when: Callable[[], str] = str) -> None:
        self._console = console
        self._when = when
        self._shoppers = shoppers
        self._lines = 0
        columns = (
            TextColumn("{task.description}shoppers"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("", total=shoppers)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._next_s = -math.inf

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def update(self, scores: Scores) -> None:
        """Show the state after a block."""
        if self._console.is_terminal:
            self._draw(scores)
        elif len(scores) * LINES >= (self._lines + 1) * self._shoppers:
            self._lines = len(scores) * LINES // self._shoppers
            self._console.print(
                self._when() + plain_line(scores), soft_wrap=True, highlight=False, markup=False
            )

    def _draw(self, scores: Scores) -> None:
        """Draw anew, but not more often than the eye follows, or than a tenth of the time allows.

        The figures are sums over all visits: of a million they take a while.
        """
        began_s = time.monotonic()
        if began_s >= self._next_s or len(scores) == self._shoppers:
            self._bar.update(self._task, completed=len(scores), description=self._when())
            self._live.update(Group(self._bar, *_tables(scores)), refresh=True)
            drawn_s = time.monotonic()
            self._next_s = drawn_s + max(REDRAW_S, DRAWING_PART * (drawn_s - began_s))


def recent(scores: Scores) -> int:
    """Number of the first visit of the latest tenth, the window of what is shown live."""
    return len(scores) - max(1, len(scores) // LINES)


def plain_line(scores: Scores) -> str:
    """The state in one line: how far, what is earned, the arms served lately."""
    earned = scores.earnings()
    lately = scores.arm_shares(recent(scores))
    shares = " ".join(f"{arm} {lately[arm]:.0%}" for arm in most_served(lately))
    return (
        f"{len(scores)} shoppers: reward {earned.served:.4f}, static {earned.static:.4f}, "
        f"oracle {earned.oracle:.4f}; lately {shares}"
    )


def _tables(scores: Scores) -> list[RenderableType]:
    table = earnings_table()
    add_earnings(table, "so far", scores.earnings())
    add_earnings(table, "latest tenth", scores.earnings(recent(scores)))
    arms = Table("arm", "served lately", box=None)
    shares = scores.arm_shares(recent(scores))
    for arm in most_served(shares):
        arms.add_row(arm, f"{'█' * round(shares[arm] * 40)} {shares[arm]:.1%}")
    return [table, arms]


def earnings_table() -> Table:
    """An empty table for `add_earnings`."""
    table = Table(title="expected reward a visit, by the true rates", title_justify="left")
    table.add_column("visits", no_wrap=True)
    for heading in ("number", "static", "served", "best arm", "oracle", "gain"):
        table.add_column(heading, justify="right")
    return table


def add_earnings(table: Table, name: str, earned: Earnings) -> None:
    """One window or policy as a row."""
    values = (earned.static, earned.served, earned.best_arm, earned.oracle)
    table.add_row(name, str(earned.visits), *(f"{value:.4f}" for value in values), percent(earned.gain))


def percent(fraction: float | None) -> str:
    """A fraction of the oracle's gain, or a dash where there is nothing to gain."""
    return "–" if fraction is None else f"{fraction:.1%}"


def show_report(console: Console, report: Report) -> None:
    """The final tables."""
    table = earnings_table()
    add_earnings(table, "all", report.whole)
    add_earnings(table, "last half", report.last_half)
    for policy, earned in report.policies.items():
        add_earnings(table, f"  {policy}", earned)
    console.print(table)
    if report.policies:
        console.print(_segments_table(report))
    console.print(_legend(report), highlight=False, soft_wrap=True)


def _segments_table(report: Report) -> Table:
    """Who was served what by the policy that gained most."""
    policy = max(report.policies, key=lambda name: report.policies[name].gain or 0.0)
    segments = report.segments[policy]
    arms = most_served(segments[0].shares)
    table = Table(title=f"arms served by {policy} in the last half, by context", title_justify="left")
    table.add_column("context")
    table.add_column("visits", justify="right")
    for arm in arms:
        table.add_column(arm, justify="right")
    table.add_column("earns most")
    for segment in segments:
        name = f"{segment.feature} = {segment.value}" if segment.feature else "all"
        shares = [f"{segment.shares[arm]:.1%}" for arm in arms]
        table.add_row(name, str(segment.visits), *shares, segment.best)
    return table


def most_served(shares: Mapping[str, float]) -> list[str]:
    """The arms that fit a table, in their order: all, or the ones with the largest shares."""
    largest = sorted(shares, key=lambda arm: shares[arm], reverse=True)[:ARMS_SHOWN]
    return [arm for arm in shares if arm in largest]


def _legend(report: Report) -> str:
    events = ", ".join(f"{count} {outcome}" for outcome, count in report.outcomes.items()) or "none"
    gain_best_arm = percent(report.last_half.gain_best_arm)
    lines = [
        "best arm: the best single arm for all. oracle: the best arm of each context.",
        f"gain: served over static, as a part of the oracle's; of the best arm, {gain_best_arm}.",
        f"events sent: {events}.",
    ]
    if report.shuffled:
        lines.append("contexts were shuffled: the sidecar was told another shopper's context.")
    return "\n".join(lines)
