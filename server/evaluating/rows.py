"""Reads a CSV log through a mapping, in the candidate's terms. Without propensities it must look uniform."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandit.config import Placement
from bandit.crossfit import Log
from bandit.eligibility import Eligibility
from bandit.errors import BanditError
from bandit.features import Encoder
from bandit.tally import Floats
from server.evaluating.logs import (
    CLUSTERS,
    PROPENSITY_MIN,
    Loaded,
    check_arms,
    check_rewards,
    identity,
    listed,
)
from server.readable import Event, earned
from server.replays.mapping import Mapping
from server.replays.rows import LogError, Row, read_rows, uniformity


def load(path: Path, mapping: Mapping, placement: Placement) -> Loaded:
    """Return the rows of a log that can be evaluated. Raises LogError."""
    rows, source = read_rows(path, mapping), str(path)
    check_arms(source, placement, [row.arm for row in rows])
    encoder, eligibility = Encoder(placement), Eligibility(placement)
    allowed = [eligibility.of(row.categories, row.numbers) for row in rows]
    left_out = {
        "outside the ramp's scope, where static alone serves": sum(not scope for _, scope in allowed),
        "no arm of the candidate could be shown": sum(scope and not mask for mask, scope in allowed),
    }
    kept = [(row, mask) for row, (mask, in_scope) in zip(rows, allowed, strict=True) if mask and in_scope]
    if not kept:
        raise LogError(
            f"{source}: none of its {len(rows)} rows lies within the candidate's ramp and can show an arm"
        )
    ids = {arm.id: k for k, arm in enumerate(placement.arms)}
    chosen = [row for row, _ in kept]
    log = Log(
        np.array([identity(str(row.line)) for row in chosen], np.int64),
        _clusters(mapping, chosen),
        np.zeros(len(chosen), np.int64),
        np.array([ids.get(row.arm, -1) for row in chosen], np.int64),
        np.array([_reward(placement, row) for row in chosen]),
        _propensities(source, mapping, chosen),
        np.ones(len(chosen), np.bool_),
        [_encoded(source, encoder, row) for row in chosen],
        [mask for _, mask in kept],
    )
    check_rewards(source, placement, log, list(mapping.events))
    present = {reason: count for reason, count in left_out.items() if count}
    return Loaded(log, len(rows), present, _notes(mapping, placement, log))


def _clusters(mapping: Mapping, rows: Sequence[Row]) -> NDArray[np.int64] | None:
    if not mapping.unit_column:
        return None
    return np.array([identity(row.unit) % CLUSTERS for row in rows], np.int64)


def _reward(placement: Placement, row: Row) -> float:
    return earned(placement.reward, [Event(name, value, None) for name, value in row.events])


def _propensities(source: str, mapping: Mapping, rows: Sequence[Row]) -> Floats:
    """Return μ of each row: as logged, or 1 / K over the arms of a log that looks uniform."""
    if not mapping.propensity_column:
        if uneven := uniformity(rows):
            raise LogError(
                f"{source}: has no propensities ($.propensity of the mapping names their column), and cannot "
                f"do without: {uneven[0].partition(';')[0]}"
            )
        return np.full(len(rows), 1.0 / len({row.arm for row in rows}))
    for row in rows:
        if row.propensity is None or row.propensity < PROPENSITY_MIN:
            raise LogError(
                f"{source}: line {row.line}, column {mapping.propensity_column!r}: {row.propensity} cannot "
                f"be the propensity of what was shown, expected {PROPENSITY_MIN:g} to 1; mend the cell, or "
                "leave the row out with the mapping's where"
            )
    return np.array([row.propensity for row in rows], np.float64)


def _encoded(source: str, encoder: Encoder, row: Row) -> bytes:
    try:
        return encoder.encode(row.categories, row.numbers)[0]
    except BanditError as error:
        raise LogError(f"{source}: line {row.line}: {error.message}") from None


def _notes(mapping: Mapping, placement: Placement, log: Log) -> list[str]:
    notes = []
    mapped = {*mapping.categories, *mapping.numbers}
    if absent := [feature.name for feature in placement.features if feature.name not in mapped]:
        notes.append(
            f"the mapping has no column for the features {listed(absent)}: they count as missing everywhere"
        )
    if not mapping.propensity_column:
        notes.append(
            "the log has no propensities: since its arms look as if drawn uniformly, each is taken as "
            f"{log.propensity[0]:.4g}"
        )
    if not mapping.unit_column:
        notes.append(
            "the mapping names no unit: intervals take rows as independent, too narrow where visitors return"
        )
    if not log.uniform:
        notes.append("who decided by context is not in the log: thompson compares arms over all rows")
    return notes
