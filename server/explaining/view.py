"""Shows an explanation to a person."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bandit.config import format_time
from bandit.features import ENTRY_BYTES
from server.explaining.facts import Explanation
from server.readable import arm_name, context, policy_name


def show_explanation(console: Console, told: Explanation) -> None:
    """One decision as text: what and when, how likely, in which context, by which draw, what came of it."""

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)

    decision, schema = told.decision, told.schema
    where = schema.name if schema else "an unknown placement"
    say(f"{where}: {arm_name(schema, decision.arm)}, {format_time(decision.time_us)}", "bold")
    say(f"by policy {policy_name(schema, decision.policy)}, with propensity {decision.propensity:.6g}")
    say(f"origin {decision.origin}, start {decision.start.hex()}, decision {decision.counter} of it")
    say(f"schema {decision.schema_id.hex()}, bucket {decision.bucket}, {_stratum(told)}")
    console.print(_policies(told))
    if len(told.decision.x) > ENTRY_BYTES:  # more than the bias
        console.print(_context(told))
    say(f"draw: {_draw(told)}", "bold red" if told.draw_fits is False else "")
    for line in _became(told):
        say(line)
    if told.rewarded:
        console.print(_events(told))


def _stratum(told: Explanation) -> str:
    eligible = told.eligible()
    if told.stratum is None or eligible is None:
        return "eligible arms: not known"
    scope = "inside" if told.stratum.in_scope else "outside"
    return f"stratum {told.stratum.index} ({scope} the ramp's scope), eligible arms: {', '.join(eligible)}"


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _policies(told: Explanation) -> Table:
    arm = arm_name(told.schema, told.decision.arm)
    table = _table("how likely", f"probability of {arm}", "over propensity")
    for name, probability, weight in told.weights():
        table.add_row(name, f"{probability:.6f}", f"{weight:.4f}")
    return table


def _context(told: Explanation) -> Table:
    table = _table("context", "value")
    for name, value in context(told.schema, told.decision.x):
        table.add_row(escape(name), f"{value:.6g}")  # a category's value may look like markup
    return table


def _draw(told: Explanation) -> str:
    if told.recorded is None:
        return f"{told.draw:.9f}; the interval it fell into is not kept any more"
    sequence, low, high = told.recorded
    interval = f"the interval [{low:.9f}, {high:.9f}) of record {sequence}"
    if told.draw_fits:
        return f"{told.draw:.9f}, inside {interval}"
    return f"{told.draw:.9f}, NOT inside {interval}: the key file has another root than when it was made"


def _became(told: Explanation) -> list[str]:
    lines = [f"what became of it: {told.source.value}"]
    if told.schema is None:
        lines.append("its configuration is in no snapshot and not in the journal, so names are numbers here")
    if told.window_end_us is not None:
        lines.append(f"events count until {format_time(told.window_end_us)}")
    if told.decision.deferred and told.exposed is not None:
        lines.append("its exposure was confirmed" if told.exposed else "its exposure is not confirmed")
    if told.reward is not None:
        lines.append(f"R: {told.reward:.6g}" if told.rewarded else "R: 0, nothing was reported")
    return lines


def _events(told: Explanation) -> Table:
    table = _table("events", "value", "time")
    for event, value, time_us in told.rewarded:
        table.add_row(event, f"{value:.6g}", "not kept" if time_us is None else format_time(time_us))
    return table
