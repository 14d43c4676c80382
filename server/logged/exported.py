"""Reads the decisions of a placement from an export, in the placement's terms. Needs pyarrow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bandit.config import STATIC, Placement, PolicyKind, Reward, format_duration
from bandit.logged import Log
from bandit.placement import CONTEXT_FREE
from bandit.tally import Floats
from server.exporting.columns import SCHEMA
from server.logged.contexts import Translation
from server.logged.logs import NO_ARM, PROPENSITY_MIN, Loaded, check_arms, clipped, identity, listed
from server.replays.rows import LogError

COLUMNS = (
    "start", "counter", "time", "placement", "schema", "policy", "arm", "eligible", "propensity", "exposed",
    "events", "context", "bucket",
)  # fmt: skip
"""Of an export, those that are read."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def load(source: str, file: Path | BinaryIO, placement: Placement) -> Loaded:
    """Return the decisions of `placement` that were shown and are mature. Raises LogError."""
    table = _table(source, file, placement)
    arms = _Named.of(table, "arm")
    check_arms(source, placement, arms.names)
    contexts, events = _Listed.of(table, "context"), _Events.of(table)
    translation = Translation(source, placement, contexts.names)
    allowed = _Allowed.of(placement, _Listed.of(table, "eligible"), contexts, translation, arms)
    time_us = _ints(table, "time")
    end_us = int(max(time_us.max(), events.time_us.max(initial=0)))
    reasons = {
        "never shown": ~table["exposed"].to_numpy().astype(np.bool_),
        "reward window still open when the log ended": time_us + placement.reward.window_us > end_us,
        NO_ARM: np.array([mask == 0 for mask in allowed.masks]),
    }
    left_out, kept = _kept(reasons)
    if not kept.size:
        why = ", ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise LogError(
            f"{source}: none of its {len(table)} decisions of {placement.name!r} can be used ({why}); "
            f"the placement's reward window is {format_duration(placement.reward.window_us)}, export more "
            "days"
        )
    x = [translation.x(*contexts.of_row(i)) for i in kept.tolist()]
    reward, notes = clipped(placement.reward, events.worth(placement.reward, time_us)[kept])
    log = Log(
        _identities(table)[kept],
        _ints(table, "bucket")[kept],
        time_us[kept],
        _places([arm.id for arm in placement.arms], arms)[kept],
        reward,
        _propensities(source, table)[kept],
        _comparable(placement, table)[kept].astype(np.float64),
        allowed.in_scope[kept],
        x,
        [allowed.masks[i] for i in kept.tolist()],
    )
    notes = [*_notes(placement, table, translation, log), *allowed.notes(kept), *notes]
    names = [arms.names[code] for code in arms.codes[kept].tolist()]
    return Loaded(source, log, names, events.names, len(table), left_out, notes)


def _table(source: str, file: Path | BinaryIO, placement: Placement) -> pa.Table:
    """Return the columns that are read, of the placement's decisions: one at least, each once and whole."""
    try:
        here = pq.ParquetFile(file).schema_arrow.names
        lacking = [name for name in COLUMNS if name not in here]
        if not lacking:
            mine = [("placement", "=", placement.name)]
            table = pq.read_table(file, columns=list(COLUMNS), filters=mine, page_checksum_verification=True)
            table = table.cast(pa.schema([SCHEMA.field(name) for name in COLUMNS])).combine_chunks()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LogError(
            f"{source}: cannot be read as Parquet ({error}); expected a file of `banditd export`, a data "
            "directory with its journal, or a CSV file (.csv, .csv.gz) with --mapping"
        ) from error
    if lacking:
        raise LogError(
            f"{source}: lacks the columns {listed(lacking)}; expected a file that `banditd export` has "
            "written; one of another program needs --mapping"
        )
    if not len(table):
        names = pq.read_table(file, columns=["placement"])["placement"].unique().to_pylist()
        found = f"it has decisions of {listed(names)}" if names else "it has none at all"
        raise LogError(
            f"{source}: has no decision of the placement {placement.name!r}: {found}; name another with "
            "--placement, or export more (`serve --journal-keep 7d` keeps decisions)"
        )
    gaps = [name for name in COLUMNS if name != "eligible" and table[name].null_count]
    twice = len(table) - np.unique(_identities(table)).size
    if gaps or twice:
        problem = f"has gaps in the columns {listed(gaps)}" if gaps else f"has {twice} decisions twice"
        raise LogError(
            f"{source}: {problem}; expected every decision once, as one `banditd export` writes them"
        )
    return table


def _ints(table: pa.Table, name: str) -> Ints:
    return np.asarray(table[name].cast(pa.int64()).to_numpy(), np.int64)


class _Named(NamedTuple):
    """A column of strings: `names`, and which of them each row has (-1: null)."""

    names: list[str]
    codes: Ints

    @classmethod
    def of(cls, table: pa.Table, name: str) -> "_Named":
        return cls.encoded(table[name].combine_chunks())

    @classmethod
    def encoded(cls, array: Any) -> "_Named":  # noqa: ANN401 - pyarrow has no types
        encoded = array.dictionary_encode()
        return cls(encoded.dictionary.to_pylist(), np.asarray(encoded.indices.fill_null(-1), np.int64))


class _Listed(NamedTuple):
    """A column of lists of strings, or of maps from them to numbers.

    Row i has the entries at[i]:at[i + 1] of `codes`, which stand for `names`, and of `values`. `null`: where
    there is no list at all.
    """

    names: list[str]
    codes: Ints
    values: NDArray[np.float32]
    at: Ints
    null: Bools

    @classmethod
    def of(cls, table: pa.Table, name: str) -> "_Listed":
        array = table[name].combine_chunks()
        mapped = pa.types.is_map(array.type)
        names, codes = _Named.encoded(array.keys if mapped else array.values)
        values = np.asarray(array.items if mapped else np.ones(codes.size), np.float32)
        null = np.asarray(array.is_null().to_numpy(zero_copy_only=False), np.bool_)
        return cls(names, codes, values, np.asarray(array.offsets, np.int64), null)

    def of_row(self, i: int) -> tuple[Ints, NDArray[np.float32]]:
        """Return a row's names, by number, and values."""
        row = slice(self.at[i], self.at[i + 1])
        return self.codes[row], self.values[row]


class _Events(NamedTuple):
    """The events of all rows: which row, which of `names`, value and time."""

    names: list[str]
    codes: Ints
    row: Ints
    value: Floats
    time_us: Ints

    @classmethod
    def of(cls, table: pa.Table) -> "_Events":
        array = table["events"].combine_chunks()
        names, codes = _Named.encoded(array.values.field("event"))
        row = np.repeat(np.arange(len(array)), np.diff(np.asarray(array.offsets)))
        value = np.asarray(array.values.field("value"), np.float64)
        return cls(
            names, codes, row, value, np.asarray(array.values.field("time").cast(pa.int64()), np.int64)
        )

    def worth(self, reward: Reward, time_us: Ints) -> Floats:
        """Return Σ value x event value of every row, by the placement's values and window.

        An event that it does not call repeatable counts once, the first time.
        """
        total = np.zeros(time_us.size)
        in_time = self.time_us <= time_us[self.row] + reward.window_us
        for event, worth in reward.values:
            if event not in self.names:
                continue
            at = np.flatnonzero(in_time & (self.codes == self.names.index(event)))
            if event not in reward.repeatable:
                at = at[np.unique(self.row[at], return_index=True)[1]]
            total += worth * np.bincount(self.row[at], self.value[at], time_us.size)
        return total


class _Allowed(NamedTuple):
    """Which arms of the placement could be shown in each row, and whether its ramp concerns the row."""

    masks: list[int]
    in_scope: Bools
    narrower: Bools
    """The placement's conditions allow arms that the log knows, but could not show there."""
    untold: Bools
    """Which arms the log could show is not known: those are taken that the placement allows."""

    @classmethod
    def of(
        cls,
        placement: Placement,
        eligible: _Listed,
        contexts: _Listed,
        translation: Translation,
        arms: _Named,
    ) -> "_Allowed":
        """An arm is allowed where the placement's condition holds and the log could show it.

        One that the log could show nowhere is allowed by the condition alone: what chooses it has no support.
        """
        bit = {arm.id: 1 << k for k, arm in enumerate(placement.arms)}
        bits = [bit.get(name, 0) for name in eligible.names]
        known = sum({*bits, *(bit.get(name, 0) for name in arms.names)})
        logged: dict[bytes, int] = {}
        masks, scope, narrower = [], [], []
        for i in range(eligible.at.size - 1):
            codes = eligible.of_row(i)[0]
            key = codes.tobytes()
            if key not in logged:
                logged[key] = sum(bits[code] for code in codes.tolist())
            could = known if eligible.null[i] else logged[key]
            mask, in_scope = translation.eligible(contexts.of_row(i)[0])
            masks.append(mask & (could | ~known))
            scope.append(in_scope)
            narrower.append(mask & known & ~could != 0)
        return cls(masks, np.array(scope), np.array(narrower), eligible.null)

    def notes(self, kept: Ints) -> list[str]:
        """Say where the placement's arms are not quite those that could be shown."""
        notes = []
        if count := int(self.narrower[kept].sum()):
            notes.append(
                f"in {count} decisions the placement allows arms that the log could not show there (the "
                "request named others, or their condition was narrower): they are left out there, for every "
                "policy"
            )
        if count := int(self.untold[kept].sum()):
            notes.append(
                f"in {count} decisions it is not known which arms could be shown: those are taken that the "
                "placement allows"
            )
        return notes


def _kept(reasons: dict[str, Bools]) -> tuple[dict[str, int], Ints]:
    """Return how many rows each reason leaves out, the first one that holds, and the rows that stay."""
    left_out: dict[str, int] = {}
    out = np.zeros(next(iter(reasons.values())).size, np.bool_)
    for reason, holds in reasons.items():
        if count := int((holds & ~out).sum()):
            left_out[reason] = count
        out |= holds
    return left_out, np.flatnonzero(~out)


def _identities(table: pa.Table) -> Ints:
    names = zip(table["start"].to_pylist(), table["counter"].to_pylist(), strict=True)
    return np.array([identity(f"{start}/{counter}") for start, counter in names], np.int64)


def _places(ids: Sequence[str], arms: _Named) -> Ints:
    """Return where each row's arm stands in the placement, or -1."""
    places = np.array([ids.index(name) if name in ids else -1 for name in arms.names], np.int64)
    return places[arms.codes]


def _propensities(source: str, table: pa.Table) -> Floats:
    propensity = np.asarray(table["propensity"].to_numpy(), np.float64)
    wrong = np.flatnonzero(~((propensity >= PROPENSITY_MIN) & (propensity <= 1.0)))
    if wrong.size:
        at = int(wrong[0])
        raise LogError(
            f"{source}: the propensity of the decision {table['counter'][at].as_py()} of the start "
            f"{table['start'][at].as_py()} is {propensity[at]}, expected {PROPENSITY_MIN:g} to 1; export it "
            "again"
        )
    return propensity


def _comparable(placement: Placement, table: pa.Table) -> Bools:
    """Whether each row was decided without its context, as far as the placement's policies tell."""
    free = {policy.name for policy in placement.policies if policy.kind in CONTEXT_FREE} | {STATIC}
    policies = _Named.of(table, "policy")
    return np.array([name in free for name in policies.names], np.bool_)[policies.codes]


def _notes(placement: Placement, table: pa.Table, translation: Translation, log: Log) -> list[str]:
    notes = []
    if translation.absent:
        notes.append(
            f"the log has nothing of the features {listed(translation.absent)}: they count as missing "
            "everywhere"
        )
    if table["schema"].unique().to_pylist() != [placement.schema_id.hex()] and placement.features:
        notes.append(
            "the log was made under another configuration: numbers and hashes are read as it mapped them, so "
            "their ranges and buckets must be the placement's"
        )
    learns = any(policy.kind is PolicyKind.THOMPSON for policy in placement.policies)
    if learns and not log.comparable.any():
        notes.append("no policy without context decided in this log: thompson has nothing to learn from")
    return notes
