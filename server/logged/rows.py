"""Reads a log through a mapping, in the placement's terms."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandit.comparing import weighed
from bandit.config import Placement
from bandit.eligibility import Eligibility
from bandit.errors import BanditError
from bandit.features import Encoder
from bandit.logged import Log
from bandit.tally import Floats
from server.logged.logs import (
    CLUSTERS,
    PROPENSITY_MIN,
    Loaded,
    arms_of,
    check_arms,
    clipped,
    identity,
    listed,
)
from server.readable import Event, earned
from server.replays.mapping import Mapping
from server.replays.rows import LogError, Row, read_rows

CSV = (".csv", ".csv.gz")
"""How the names of CSV files end; others are read as Parquet."""


def load(path: Path, mapping: Mapping, placement: Placement, time_us: int = 0) -> Loaded:
    """Return the rows of a log in which an arm can be shown; all count as of `time_us`. Raises LogError.

    Where arms are compared, rows with propensities weigh by them, and rows without as they are.
    """
    rows, source = _read(path, mapping), str(path)
    check_arms(source, placement, [row.arm for row in rows])
    encoder, eligibility = Encoder(placement), Eligibility(placement)
    allowed = [eligibility.of(row.categories, row.numbers) for row in rows]
    ids = {arm.id: k for k, arm in enumerate(placement.arms)}
    reward, notes = clipped(placement.reward, np.array([_worth(placement, row) for row in rows]))
    log = Log(
        np.array([identity(str(row.line)) for row in rows], np.int64),
        _clusters(mapping, rows),
        np.full(len(rows), time_us),
        np.array([ids.get(row.arm, -1) for row in rows], np.int64),
        reward,
        _propensities(source, mapping, rows),
        np.ones(len(rows)),
        np.array([in_scope for _, in_scope in allowed]),
        [_encoded(source, encoder, row) for row in rows],
        [mask for mask, _ in allowed],
    )
    notes = [*_notes(mapping, placement), *notes]
    loaded = Loaded(source, log, [row.arm for row in rows], list(mapping.events), len(rows), {}, notes)
    loaded = loaded.without(
        "no arm of the placement could be shown", np.array([not mask for mask, _ in allowed])
    )
    return loaded if not mapping.propensity_column else _weighed(loaded, placement)


def _read(path: Path, mapping: Mapping) -> list[Row]:
    if path.name.endswith(CSV):
        return read_rows(path, mapping)
    from server.logged.parquet import read_parquet

    return read_parquet(path, mapping)


def _weighed(loaded: Loaded, placement: Placement) -> Loaded:
    """Let rows weigh so that arms can be compared, and say where they cannot."""
    log, unfit = weighed(loaded.log)
    several = len(log.audiences) > 1
    if not unfit:
        return replace(loaded, log=log)
    named = []
    for (mask, _), arm, mean in unfit:
        there = f" where {listed(arms_of(placement, mask))}" if several else ""
        named.append(f"{placement.arms[arm].id} {mean:.3g}{there}")
    note = (
        "thompson learns nothing of arms for which the mean of 1 / propensity, 0 where others were shown, is "
        f"surely not 1: {listed(named)}. Below 1, an arm could not be shown in some contexts; above, the "
        "propensities are not those of this log"
    )
    return replace(loaded, log=log, notes=[*loaded.notes, note])


def _clusters(mapping: Mapping, rows: Sequence[Row]) -> NDArray[np.int64] | None:
    if not mapping.unit_column:
        return None
    return np.array([identity(row.unit) % CLUSTERS for row in rows], np.int64)


def _worth(placement: Placement, row: Row) -> float:
    """Return Σ value x event value of a row."""
    unbounded = replace(placement.reward, maximum=inf)
    return earned(unbounded, [Event(name, value, None) for name, value in row.events])


def _propensities(source: str, mapping: Mapping, rows: Sequence[Row]) -> Floats:
    """Return μ of each row, as logged; NaN: the mapping names no column of it."""
    if not mapping.propensity_column:
        return np.full(len(rows), nan)
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


def _notes(mapping: Mapping, placement: Placement) -> list[str]:
    notes = []
    mapped = {*mapping.categories, *mapping.numbers}
    if absent := [feature.name for feature in placement.features if feature.name not in mapped]:
        notes.append(
            f"the mapping has no column for the features {listed(absent)}: they count as missing everywhere"
        )
    return notes
