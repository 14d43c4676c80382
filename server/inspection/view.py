"""Shows readings and comparisons to a person, as tables."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from bandit.config import format_bytes, format_duration
from server.inspection.figures import Arm, Figures, RampState
from server.inspection.files import Files
from server.inspection.reading import Reading
from server.inspection.words import count, interval, moment, number, percent, time_text

PLAIN_WIDTH = 140
"""Columns where the output is no terminal: nothing is cut off in a file."""

LEGEND = """\
share: what the ramp gives a policy now; traffic: what it had of all decisions. mean R: an exposure,
over those to whom the arm was shown; its 95 % interval from 30 exposures on."""


def console() -> Console:
    """Where tables go."""
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=PLAIN_WIDTH)


def show_reading(out: Console, reading: Reading) -> None:
    """All of a reading: placements, files, problems."""
    for placement in reading.placements:
        _show_placement(out, placement)
    if reading.placements:
        line(out, LEGEND)
        out.print()
    for text in _origin(reading):
        line(out, text)
    if reading.files:
        show_table(out, _files_table(reading.files, reading.start))
    for problem in reading.problems:
        line(out, f"problem: {problem}", style="bold")


def line(out: Console, text: str, style: str | None = None) -> None:
    """Print one line, however long, as it stands."""
    out.print(text, style=style, soft_wrap=True)


def _origin(reading: Reading) -> Iterator[str]:
    source = reading.snapshot or "no snapshot"
    behind = f" and {count(reading.replayed, 'record')} of the journal behind it" if reading.replayed else ""
    yield f"{reading.path}: up to record {reading.sequence}, {moment(reading.time_us)}"
    yield f"read from {source}{behind}"


def _show_placement(out: Console, placement: Figures) -> None:
    owner = f", owner {placement.owner}" if placement.owner else ""
    line(out, f"{placement.placement} (schema {placement.schema}{owner})", style="bold")
    updated = "none yet" if placement.updated_us is None else moment(placement.updated_us)
    decided, shown = count(placement.decisions, "decision"), count(placement.exposures, "exposure")
    line(out, f"  {decided}, {shown}, reward {placement.reward:,.6g}; last exposure {updated}")
    line(out, f"  ramp: {_ramp(placement.ramp) if placement.ramp else 'none, static serves alone'}")
    if placement.ramp is not None and placement.ramp.gate is not None:
        line(out, f"  gate: {placement.ramp.gate.sentence} ({moment(placement.ramp.gate.time_us)})")
    if placement.half_life_us is not None:
        line(out, f"  mean R forgets: half-life {format_duration(placement.half_life_us)}")
    show_table(out, _policies_table(placement))
    show_table(out, _arms_table(placement))
    out.print()


def _ramp(ramp: RampState) -> str:
    began = "not begun" if ramp.started_us is None else f"began {time_text(ramp.started_us)}"
    ends = "" if ramp.ends_us is None else f", {ramp.share_to:.1%} at {time_text(ramp.ends_us)}"
    clauses = [f"{name} in [{', '.join(values)}]" for name, values in ramp.only_when.items()]
    scope = f", when {' and '.join(clauses)}" if clauses else ""
    state = "" if ramp.state == "running" else f"{ramp.state}, "
    return f"{state}learned share {ramp.share:.1%}, from {ramp.share_from:.1%}, {began}{ends}{scope}"


def _policies_table(placement: Figures) -> Table:
    table = empty_table("policy", "kind", "share", "chosen", "traffic", left=2)
    for policy in placement.policies:
        cells = (f"{policy.share:.1%}", f"{policy.chosen:,}", percent(policy.traffic))
        table.add_row(policy.policy, policy.kind, *cells)
    return table


def _arms_table(placement: Figures) -> Table:
    headings = ("weight", "chosen", "traffic", "exposures", "reward", "mean R", "95 % interval")
    table = empty_table("arm", "state", *headings, left=2)
    for arm in placement.arms:
        table.add_row(arm.arm, arm.state, f"{arm.weight:g}", f"{arm.chosen:,}", *_learned(arm))
    return table


def _learned(arm: Arm) -> tuple[str, ...]:
    shown = (percent(arm.traffic), f"{arm.exposures:,}", f"{arm.reward:,.6g}")
    return (*shown, number(arm.mean), interval(arm.low, arm.high))


def _files_table(files: Files, start: str | None) -> Table:
    table = empty_table("", "", left=2)
    table.show_header = False
    if files.process is not None:
        table.add_row("server", f"process {files.process} serves from here")
    for snapshot in files.snapshots:
        written = moment(snapshot.written_us)
        table.add_row("snapshot", f"{snapshot.name}, {format_bytes(snapshot.bytes)}, {written}")
    journal = files.journal
    if journal.first is not None:
        held = f"{count(journal.segments, 'segment')}, {format_bytes(journal.bytes)} of space"
        table.add_row("journal", f"{held}, from record {journal.first}, synced to {journal.synced}")
    if files.ledger.files:
        table.add_row("ledger", f"{count(files.ledger.files, 'file')}, {format_bytes(files.ledger.bytes)}")
    for name in files.aside:
        table.add_row("kept aside", name)
    table.add_row("a start would", start)
    return table


def show_table(out: Console, table: Table) -> None:
    """Print a table, a little to the right."""
    out.print(Padding(table, (0, 0, 0, 1), expand=False))


def empty_table(*headings: str, left: int = 1) -> Table:
    """Return an empty table whose first `left` columns are text, the others numbers."""
    table = Table(box=None, pad_edge=True)
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="left" if column < left else "right", no_wrap=column >= left)
    return table
