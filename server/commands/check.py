"""`banditd check`: what a configuration means, what it weighs, what is wrong with it."""

from collections.abc import Iterator
from pathlib import Path

import click

from bandit.config import (
    POLICY_KEYS,
    ArmState,
    Condition,
    Config,
    ConfigError,
    Feature,
    FeatureKind,
    Placement,
    Policy,
    Ramp,
    columns,
    columns_of,
    format_bytes,
    format_duration,
    format_time,
    memory_bytes,
    warnings,
)
from server.config_files import load
from server.exit_codes import ExitCode


@click.command("check")
@click.argument("config", type=click.Path(path_type=Path))
def check(config: Path) -> None:
    """Check CONFIG, a file or a directory of files, and print what it says.

    Placements, memory and warnings go to stdout, problems to stderr. Exits with 0 when the configuration can
    be served, warnings or not, and with 3 when it is refused.
    """
    try:
        loaded = load(config)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        count = len(error.problems)
        click.echo(f"refused: {count} problem{'s' if count != 1 else ''}", err=True)
        raise SystemExit(ExitCode.CONFIG) from None
    for line in describe(loaded):
        click.echo(line)


def describe(config: Config) -> Iterator[str]:
    """Yield the lines that say what a configuration means."""
    for placement in config.placements.values():
        yield from _placement(placement)
        yield ""
    count = len(config.placements)
    total = sum(map(memory_bytes, config.placements.values()))
    yield f"{count} placement{'s' if count != 1 else ''}, {format_bytes(total)} of memory for what is learned"
    for warning in warnings(config):
        yield f"warning: {warning}"


def _placement(placement: Placement) -> Iterator[str]:
    owner = f", owner {placement.owner}" if placement.owner else ""
    yield f"{placement.name} (schema {placement.schema_id.hex()}{owner})"
    yield from _rows("arms", _arms(placement))
    yield from _rows("features", map(_feature, placement.features))
    yield from _rows("reward", _reward(placement))
    yield from _rows("policies", map(_policy, placement.policies))
    yield from _rows("ramp", [_ramp(placement.ramp) if placement.ramp else "none: static serves alone"])
    yield from _rows("columns", [str(columns(placement))])
    yield from _rows("memory", [format_bytes(memory_bytes(placement))])


def _rows(title: str, rows: Iterator[str] | list[str]) -> Iterator[str]:
    for row in rows:
        yield f"  {title:<9} {row}"
        title = ""


def _arms(placement: Placement) -> Iterator[str]:
    for arm in placement.arms:
        state = "" if arm.state is ArmState.ACTIVE else f", {arm.state}"
        yield f"{arm.id}: weight {arm.weight:g}{_when(arm.when)}{state}"


def _feature(feature: Feature) -> str:
    match feature.kind:
        case FeatureKind.CATEGORY:
            detail = f"category of {len(feature.values)} values"
        case FeatureKind.HASHED:
            detail = f"hashed to {feature.buckets} buckets"
        case FeatureKind.NUMBER:
            detail = f"number from {feature.minimum:g} to {feature.maximum:g}, {feature.scale}"
        case FeatureKind.BOOLEAN:
            detail = "boolean"
    return f"{feature.name}: {detail}, {columns_of(feature)} columns"


def _reward(placement: Placement) -> Iterator[str]:
    reward = placement.reward
    for event, value in reward.values:
        yield f"{value:g} x {event}{', each event_id' if event in reward.repeatable else ', once'}"
    half_life = placement.half_life_us
    forgetting = f"half-life {format_duration(half_life)}" if half_life is not None else "nothing forgotten"
    yield f"max {reward.maximum:g}, within {format_duration(reward.window_us)}, {forgetting}"
    yield f"exposure {placement.exposure}"
    if reward.delayed:
        yield "delayed: estimates are corrected for rewards to come"


def _policy(policy: Policy) -> str:
    keys = {"explore": policy.explore, "prior_precision": policy.prior_precision, "alpha": policy.alpha}
    listed = "".join(f", {key} {keys[key]:g}" for key in POLICY_KEYS.get(policy.kind, ()) if key in keys)
    return f"{policy.name}: {policy.kind}{listed}"


def _ramp(ramp: Ramp) -> str:
    split = ", ".join(f"{fraction:.3g} {name}" for name, fraction in ramp.policies)
    start = format_time(ramp.start_us) if ramp.start_us is not None else "the first exposure"
    calendar = f"{ramp.share_from:.1%} from {start}"
    if ramp.share_to > ramp.share_from:
        calendar += f", {ramp.share_to:.1%} after {format_duration(ramp.over_us)}"
    gate = ramp.gate
    gated = f", gate at {gate.min_exposures} exposures, loss {gate.max_loss:.1%}" if gate else ""
    return f"{calendar}, split {split}{_when(ramp.only_when)}{gated}"


def _when(condition: Condition) -> str:
    clauses = [f"{name} in [{', '.join(sorted(values))}]" for name, values in condition.items()]
    return f", when {' and '.join(clauses)}" if clauses else ""
