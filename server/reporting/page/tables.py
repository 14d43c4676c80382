"""The numbers behind the plots, as tables."""

from collections.abc import Iterable, Sequence

from google.protobuf.message import Message

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit, count, event_unit, instead, kind_name, share, worth
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.stacks import OTHERS, coloured
from server.reporting.page.words import ARM_STATES, STATES, colour, moment

MOVES_SHOWN = 8
"""Moves of a ramp that are seen at once; those before are a click away."""


def table(name: str, heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Markup:
    """Return a table that scrolls by itself where it is wider than the screen.

    The first `words` columns are text, the others numbers; the last one of a table of text may be long.
    """
    head = element(
        "tr",
        *(element("th", title, scope="col", class_=_side(at, words)) for at, title in enumerate(heads)),
    )
    body = [_cells(row, words) for row in rows]
    found = element("table", element("thead", head), element("tbody", *body), data_table=name)
    return element("div", found, class_="scroll", tabindex="0", role="region", aria_label=name)


def _cells(row: Sequence[str], words: int) -> Markup:
    first = element("th", row[0], scope="row")
    rest = [element("td", cell, class_=_side(at, words)) for at, cell in enumerate(row[1:], 1)]
    if len(row) == words:
        rest[-1] = element("td", row[-1], class_="long")
    return element("tr", first, *rest)


def _side(column: int, words: int) -> str | None:
    """Return the class of a column: numbers stand on the right."""
    return None if column < words else "n"


def folded(summary: str, *content: str) -> Markup:
    """Return content that a click opens."""
    return element("details", element("summary", summary), *content)


def swatch(class_: str, name: str) -> Markup:
    """Return a name after its colour."""
    return join([element("i", class_=f"swatch {class_}", aria_hidden="true"), name])


def policies(report: pb.GetReportResponse, unit: Unit) -> Markup:
    """Return what each policy earns."""
    heads = "policy/kind/share/served/value/interval/uplift/interval/worth/overlap".split("/")
    rows = []
    for number, policy in enumerate(report.policies):
        rows.append((
            swatch(colour(number), policy.name), kind_name(policy.kind),
            share(policy.share), count(policy.served),
            *_value(policy, "value", unit, instead(policy)), *_gain(policy, "uplift", unit),
            worth(policy), share(policy.overlap),
        ))  # fmt: skip
    return table("policies", heads, rows, 2)


def routed(report: pb.GetReportResponse, unit: Unit) -> Markup:
    """Return each policy's uplift by the decisions alone that it and static served."""
    rows = [
        (
            swatch(colour(number), policy.name),
            count(policy.served),
            *_gain(policy, "routed_uplift", unit, "-"),
        )
        for number, policy in enumerate(report.policies)
        if number
    ]
    return table("routed", ("policy", "served", "routed uplift", "interval"), rows)


def days(report: pb.GetReportResponse, unit: Unit) -> Markup:
    """Return each day: the learned share, and by policy what it served, earned and its uplift by then."""
    names = [policy.name for policy in report.policies]
    heads = ["day", "learned share"]
    for number, name in enumerate(names):
        heads += [f"{name}: served", "R each"] + (["uplift by then", "interval"] if number else [])
    rows = []
    for day in report.days:
        cells = [day.date, share(day.share)]
        for number, policy in enumerate(day.policies[: len(names)]):
            cells += [count(policy.served), _each(policy.reward, policy.served, unit)]
            cells += _gain(policy, "uplift", unit, "-") if number else ()
        rows.append(cells)
    return table("days", heads, rows)


def arm_days(report: pb.GetReportResponse) -> Markup:
    """Return how often each arm that has a colour, and all others together, was shown on each day."""
    named = coloured(report)
    rest = len(named) < len(report.arms)
    rows = []
    for day in report.days:
        shown = [one.exposures for one in day.arms]
        counts = [shown[at] if at < len(shown) else 0 for at in named]
        rows.append([day.date, *map(count, counts), *([count(sum(shown) - sum(counts))] if rest else [])])
    heads = ["day", *(report.arms[at].id for at in named), *([OTHERS] if rest else [])]
    return table("arm-days", heads, rows)


def arms(report: pb.GetReportResponse, unit: Unit) -> Markup:
    """Return each arm: how often it was shown, what it earned, and who showed it."""
    names = [policy.name for policy in report.policies]
    events = sorted({event.event for arm in report.arms for event in arm.events})
    heads = ["arm", "state", "weight", "shown", "R each", "interval"]
    heads += [*(f"by {name}" for name in names), *events]
    rows = []
    for arm in report.arms:
        found = {event.event: event.count for event in arm.events}
        shown = list(arm.shown_by_policy[: len(names)])
        rows.append([
            arm.id, ARM_STATES.get(arm.state, ""), share(arm.weight), count(arm.exposures),
            *_value(arm, "reward", unit, "-"),
            *map(count, shown), *[""] * (len(names) - len(shown)),
            *(count(found.get(event, 0)) for event in events),
        ])  # fmt: skip
    return table("arms", heads, rows, 2)


def events(report: pb.GetReportResponse) -> Markup:
    """Return each event and policy: what the event's own values come to."""
    heads = ("event", "policy", "value", "interval", "uplift", "interval", "counted", "their values")
    rows = []
    for event in event_names(report):
        unit = event_unit(report, event)
        for number, policy in enumerate(report.policies):
            estimate = next((found for found in policy.events if found.event == event), pb.EventEstimate())
            figures = (*_value(estimate, "value", unit, "-"), *_gain(estimate, "uplift", unit))
            counted = next((found for found in policy.counts if found.event == event), None)
            sums = (count(counted.count), f"{counted.value:,.10g}") if counted is not None else ("0", "0")
            rows.append((event, swatch(colour(number), policy.name), *figures, *sums))
    return table("events", heads, rows, 2)


def features(report: pb.GetReportResponse, unit: Unit) -> Markup:
    """Return how much each feature matters."""
    rows = [(found.name, unit.value(found.importance), unit.value(found.chance)) for found in report.features]
    return table("features", ("feature", "matters", "by chance"), rows)


def moves(report: pb.GetReportResponse) -> Markup:
    """Return the ramp's history, latest first; numbers are those of the lines in the plot of shares."""
    heads = ("", "when", "from then on", "who", "why")
    rows = [
        (str(number), moment(move.time), STATES.get(move.state, ""), move.actor, move.reason)
        for number, move in enumerate(report.ramp.moves, start=1)
    ]
    rows.reverse()
    earlier = table("earlier moves", heads, rows[MOVES_SHOWN:], 5)
    folds = [folded("All moves before", earlier)] if rows[MOVES_SHOWN:] else []
    return join([table("moves", heads, rows[:MOVES_SHOWN], 5), *folds])


def gate(found: pb.GateStatus, unit: Unit) -> Markup:
    """Return what the gate saw when it looked last."""
    rows = [
        ("looked", moment(found.time) if found.HasField("time") else "not yet"),
        ("looks again", moment(found.next_time) if found.HasField("next_time") else "-"),
        ("learned decisions that count", f"{count(found.exposures)}, wants {count(found.min_exposures)}"),
        ("allows a loss of", f"{found.max_loss * 100:.4g}% of what static earns"),
        ("static earns", unit.value(found.static_value) if found.HasField("static_value") else "-"),
        ("learned policies earn more by", _gained(found, "uplift", unit)),
        ("this week alone", _gained(found, "week_uplift", unit)),
    ]
    return table("gate", ("the gate", ""), rows, 2)


def event_names(report: pb.GetReportResponse) -> list[str]:
    """Return the events that policies have figures of, in the report's order."""
    found = [estimate.event for policy in report.policies for estimate in policy.events]
    counted = [event.event for policy in report.policies for event in policy.counts]
    return list(dict.fromkeys([*found, *counted]))


def _each(total: float, number: int, unit: Unit) -> str:
    return unit.value(total / number) if number else "-"


def _value(found: Message, field: str, unit: Unit, none: str) -> tuple[str, str]:
    """Return a value and its interval, or what stands there without one."""
    if not found.HasField(field):
        return none, ""
    interval: pb.Interval = getattr(found, field)
    return unit.value(interval.mean), unit.span(interval)


def _gain(found: Message, field: str, unit: Unit, none: str = "") -> tuple[str, str]:
    """Return a gain and its interval, or what stands there without one."""
    if not found.HasField(field):
        return none, ""
    interval: pb.Interval = getattr(found, field)
    return unit.gain(interval.mean), unit.gain_span(interval)


def _gained(found: pb.GateStatus, field: str, unit: Unit) -> str:
    mean, span = _gain(found, field, unit, "-")
    return f"{mean} ({span})" if span else mean
