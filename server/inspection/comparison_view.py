"""Shows a comparison to a person, as tables; of the placements, those in which something changed."""

from rich.console import Console
from rich.table import Table

from server.inspection.comparison import ArmChange, Comparison, Features, PlacementChange, PolicyChange
from server.inspection.view import empty_table, line, show_table
from server.inspection.words import count, interval, number, percent, time_text

LEGEND = "chosen, traffic, exposures and reward: between the two. → from the old to the new."


def show_comparison(out: Console, found: Comparison) -> None:
    """All of a comparison."""
    for name, side in (("old", found.old), ("new", found.new)):
        line(out, f"{name}: {side.path}, up to record {side.sequence}, {time_text(side.time_us)}")
        for problem in side.problems:
            line(out, f"problem: {problem}", style="bold")
    if found.new.sequence < found.old.sequence:
        line(out, "the second is the older one: differences are negative", style="bold")
    for word, names in (("added", found.added), ("removed", found.removed)):
        for name in names:
            line(out, f"{word}: placement {name}", style="bold")
    changed = [change for change in found.placements if change.is_any]
    for change in changed:
        out.print()
        _show_placement(out, change)
    out.print()
    if changed:
        line(out, LEGEND)
    line(out, f"{count(len(found.placements) - len(changed), 'placement')} unchanged")


def _show_placement(out: Console, change: PlacementChange) -> None:
    line(out, change.placement, style="bold")
    decided, shown = count(change.decisions, "decision"), count(change.exposures, "exposure")
    line(out, f"  {decided}, {shown}, reward {change.reward:,.6g}")
    if change.old_schema != change.new_schema:
        line(out, f"  another configuration: schema {change.old_schema} → {change.new_schema}")
    if change.old_ramp != change.new_ramp:
        line(out, f"  ramp: {change.old_ramp or 'none'} → {change.new_ramp or 'none'}")
    for text in _features(change.features):
        line(out, f"  {text}")
    show_table(out, _policies_table(change.policies))
    show_table(out, _arms_table(change.arms))


def _features(features: Features) -> list[str]:
    kinds = (
        ("features added", features.added),
        ("features removed", features.removed),
        ("features of another kind", features.changed),
    )
    return [f"{word}: {', '.join(names)}" for word, names in kinds if names]


def _policies_table(policies: tuple[PolicyChange, ...]) -> Table:
    table = empty_table("policy", "", "share", "chosen", "traffic", left=2)
    for change in policies:
        shares = [f"{side.share:.1%}" if side else "–" for side in (change.old, change.new)]
        word = _word(change.old, change.new)
        table.add_row(change.policy, word, _arrow(*shares), f"{change.chosen:,}", percent(change.traffic))
    return table


def _arms_table(arms: tuple[ArmChange, ...]) -> Table:
    headings = ("chosen", "traffic", "exposures", "reward", "mean R", "95 % interval now")
    table = empty_table("arm", "", *headings, left=2)
    for change in arms:
        means = _arrow(*(number(side.mean) if side else "–" for side in (change.old, change.new)))
        now = interval(change.new.low, change.new.high) if change.new else "–"
        counts = (f"{change.chosen:,}", percent(change.traffic), f"{change.exposures:,}")
        word = _word(change.old, change.new) or _state(change)
        table.add_row(change.arm, word, *counts, f"{change.reward:,.6g}", means, now)
    return table


def _state(change: ArmChange) -> str:
    old, new = (side.state if side else "" for side in (change.old, change.new))
    return new if old == new else _arrow(old, new)


def _word(old: object, new: object) -> str:
    if old is None:
        return "added"
    return "removed" if new is None else ""


def _arrow(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"
