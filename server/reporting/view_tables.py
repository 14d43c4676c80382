"""The tables of a report as text, each as wide as a terminal of 110 columns at most."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.table import Table

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit, count, event_unit, instead, kind_name, share, worth
from server.reporting.page.words import ARM_STATES, STATES

NAME_COLUMNS_MAX = 18
"""Characters of a name in a table; longer ones are cut."""

COLUMNS_MAX = 5
"""Policies, or events, that have a column each; of more, the first ones."""

ROWS_MAX = 20
"""Arms, or features, that have a row; of more, the most shown and those that matter most."""

DAYS_MAX = 14
"""Days that have a row: the last ones."""

MOVES_MAX = 10
"""Moves of the ramp that have a line: the last ones."""


class Found(NamedTuple):
    """A table under its title, and what is to be said of it."""

    title: str
    table: Table
    notes: Sequence[str] = ()


def policies(report: pb.GetReportResponse, unit: Unit) -> Found:
    """Return what each policy earns."""
    rows = [
        (
            policy.name, kind_name(policy.kind), share(policy.share), count(policy.served),
            *_value(policy, unit, instead(policy)), *_gain(policy, unit), worth(policy),
        )
        for policy in report.policies
    ]  # fmt: skip
    heads = ("policy", "kind", "share", "served", "value", "interval", "uplift", "interval", "worth")
    return Found("What each policy earns, or would, R per decision", _table(heads, rows, words=2))


def events(report: pb.GetReportResponse, _: Unit) -> Found | None:
    """Return what each policy gets of each event."""
    rows = []
    served = [sum(day.policies[at].served for day in report.days) for at in range(len(report.policies))]
    names = [estimate.event for estimate in report.policies[0].events] if report.policies else []
    for at, event in enumerate(names):
        unit = event_unit(report, event)
        for number, policy in enumerate(report.policies):
            counted, estimate = policy.counts[at].count, policy.events[at]
            rows.append((
                event if not number else "", policy.name, count(counted),
                f"{counted / served[number]:.4f}" if served[number] else "-",
                *_value(estimate, unit, instead(policy)), *_gain(estimate, unit),
            ))  # fmt: skip
    if not report.decisions or not rows:
        return None
    heads = ("event", "policy", "counted", "per served", "value", "interval", "uplift", "interval")
    title = "What each policy gets of each event, in the event's own value per decision"
    return Found(title, _table(heads, rows, words=2))


def arms(report: pb.GetReportResponse, unit: Unit) -> Found | None:
    """Return what each arm earned as it was shown."""
    found, left = _most_shown(report)
    if not found:
        return None
    names = [event.event for event in found[0].events][:COLUMNS_MAX]
    rows = [
        (
            arm.id, ARM_STATES.get(arm.state, ""), share(arm.weight), count(arm.exposures),
            *_value(arm, unit, "-"), *(count(event.count) for event in arm.events[: len(names)]),
        )
        for arm in found
    ]  # fmt: skip
    heads = ("arm", "state", "weight", "shown", "R each", "interval", *names)
    return Found("What each arm earned, as it was shown", _table(heads, rows, words=2), left)


def preferences(report: pb.GetReportResponse, _: Unit) -> Found | None:
    """Return how each policy that served somebody divided its choices among the arms."""
    found, left = _most_shown(report)
    wholes = [sum(arm.shown_by_policy[at] for arm in report.arms) for at in range(len(report.policies))]
    columns = [at for at, whole in enumerate(wholes) if whole][:COLUMNS_MAX]
    if not columns:
        return None
    rows = [(arm.id, *(share(arm.shown_by_policy[at] / wholes[at]) for at in columns)) for arm in found]
    heads = ("arm", *(report.policies[at].name for at in columns))
    return Found("What each policy showed", _table(heads, rows), left)


def features(report: pb.GetReportResponse, unit: Unit) -> Found | None:
    """Return how much each feature matters, and which do no more than chance would."""
    if not report.features:
        return None
    rows = [
        (feature.name, unit.value(feature.importance), unit.value(feature.chance))
        for feature in report.features[:ROWS_MAX]
    ]
    idle = [feature.name for feature in report.features if feature.importance <= feature.chance]
    notes = _left(len(report.features)) + (
        [f"No more than chance so far: {', '.join(idle)}."] if idle else []
    )
    title = "How much each feature changes which arm is best, R per decision"
    return Found(title, _table(("feature", "matters", "by chance"), rows), notes)


def days(report: pb.GetReportResponse, unit: Unit) -> Found | None:
    """Return the last days: who served, what learned policies and static earned, and uplift by then."""
    if not report.days:
        return None
    columns = range(min(len(report.policies), COLUMNS_MAX))
    best = _best(report)
    rows = []
    for day in report.days[-DAYS_MAX:]:
        static, learned = day.policies[0], day.policies[1:]
        served, reward = (sum(one.served for one in learned), sum(one.reward for one in learned))
        uplift = _gain(day.policies[best], unit, "-") if best else ()
        rows.append((
            day.date, share(day.share), *(count(day.policies[at].served) for at in columns),
            _each(static.reward, static.served, unit), _each(reward, served, unit), *uplift,
        ))  # fmt: skip
    names = [report.policies[at].name for at in columns]
    heads = ["day", "learned", *names, "R static", "R learned", *(["uplift", "interval"] if best else [])]
    known = best and any(day.policies[best].HasField("uplift") for day in report.days[-DAYS_MAX:])
    name = report.policies[best].name
    notes = [f"uplift: that of {name}, by all decisions until the day's end"] if known else []
    return Found("The last days: the learned share, who served, R per decision", _table(heads, rows), notes)


def moves(report: pb.GetReportResponse) -> Iterator[str]:
    """Yield what was done to the ramp, the last moves, latest first."""
    for move in reversed(report.ramp.moves[-MOVES_MAX:]):
        when = move.time.ToDatetime().strftime("%Y-%m-%d %H:%M")
        yield f"{when}  {STATES.get(move.state, '')}, by {move.actor}: {move.reason}"


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]], words: int = 1) -> Table:
    """Return a table whose first `words` columns are text, the others numbers."""
    table = Table(box=None, pad_edge=False)
    for at, head in enumerate(heads):
        name = head if len(head) <= NAME_COLUMNS_MAX else f"{head[: NAME_COLUMNS_MAX - 1]}…"
        if at < words:
            table.add_column(name, no_wrap=True, max_width=NAME_COLUMNS_MAX, overflow="ellipsis")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _value(
    message: pb.PolicyReport | pb.EventEstimate | pb.ArmReport, unit: Unit, none: str
) -> tuple[str, str]:
    """Return a value and its interval, or what stands in their place."""
    interval = _interval(message, "reward" if isinstance(message, pb.ArmReport) else "value")
    return (unit.value(interval.mean), unit.span(interval)) if interval else (none, "")


def _gain(
    message: pb.PolicyReport | pb.EventEstimate | pb.PolicyDay, unit: Unit, none: str = ""
) -> tuple[str, str]:
    """Return an uplift and its interval."""
    interval = _interval(message, "uplift")
    return (unit.gain(interval.mean), unit.gain_span(interval)) if interval else (none, "")


def _interval(
    message: pb.PolicyReport | pb.EventEstimate | pb.ArmReport | pb.PolicyDay, field: str
) -> pb.Interval | None:
    found: pb.Interval = getattr(message, field)
    return found if message.HasField(field) else None


def _each(reward: float, served: int, unit: Unit) -> str:
    return unit.value(reward / served) if served else "-"


def _best(report: pb.GetReportResponse) -> int:
    """Return the number of the policy of the largest uplift, else of the last one; 0 if there is none."""
    learned = range(1, len(report.policies))
    known = [at for at in learned if report.policies[at].HasField("uplift")]
    return max(known, key=lambda at: report.policies[at].uplift.mean, default=len(report.policies) - 1)


def _most_shown(report: pb.GetReportResponse) -> tuple[list[pb.ArmReport], list[str]]:
    """Return the arms that have a row, and what is said of the others."""
    if not any(arm.exposures for arm in report.arms):
        return [], []
    by_shown = sorted(report.arms, key=lambda arm: -arm.exposures)[:ROWS_MAX]
    kept = {arm.id for arm in by_shown}
    return [arm for arm in report.arms if arm.id in kept], _left(len(report.arms))


def _left(rows: int) -> list[str]:
    return [f"and {rows - ROWS_MAX} more: --json has all"] if rows > ROWS_MAX else []
