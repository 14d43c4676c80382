"""The bytes of a record, as docs/format.md describes them: `encode` writes what `decode` gives back.

The first byte is the kind, numbers are little-endian, what varies in length stands last. `decode` takes bytes
from anywhere: what no engine can have written is a RecordError, never another exception and never a record.
Whether a record fits the state that it meets is for `apply` and its caller.
"""

import json
import math
from collections.abc import Callable, Iterable
from struct import Struct
from typing import NoReturn

from bandit.config import Config, ConfigError, combine, parse
from bandit.decision import START_BYTES, Decision, layout_of, unpack
from bandit.features import ENTRY_BYTES
from bandit.gate import Look
from bandit.limits import (
    ACTOR_BYTES_MAX,
    ARMS_MAX,
    COLUMNS_MAX,
    FEATURES_MAX,
    NAME_BYTES_MAX,
    POLICIES_MAX,
    REASON_BYTES_MAX,
    SENTENCE_BYTES_MAX,
)
from bandit.ramp import Move, RampStatus
from bandit.records import (
    Configured,
    Decided,
    Exposed,
    GateLooked,
    RampMoved,
    Record,
    Rewarded,
    Started,
    StratumOpened,
)
from bandit.sequences import Interval

STARTED, CONFIGURED, STRATUM_OPENED, DECIDED, EXPOSED, REWARDED, RAMP_MOVED, GATE_LOOKED = range(1, 9)
"""The kinds. 0 is none of them, so that zeros are never taken for a record."""

_MASK_BYTES = ARMS_MAX // 8
_STARTED = Struct(f"<B{START_BYTES}sq")
_CONFIGURED = Struct("<Bq")
_STRATUM_OPENED = Struct(f"<BB{_MASK_BYTES}s")
_DECIDED = Struct(f"<B{START_BYTES}sQdd")
_EXPOSED = Struct(f"<B{START_BYTES}sQq")
_REWARDED = Struct(f"<B{START_BYTES}sQqdQB")
_RAMP_MOVED = Struct("<BqBBHB")
_GATE_LOOKED = Struct("<BqQdBBH")
_SEEN_DOUBLES = (1, 3, 3)
"""How many a gate's look has of static's value, of the uplift and of the week's, where its flags say so."""
_KNOWN_MAX = 7
_EXPOSURES_MAX = 2**63 - 1

_DECISION_BYTES = 43
"""Of a packed decision without its lists, origin and x. Fields of it, by the byte where they begin:"""
_ARM, _ENTRIES, _POLICY, _FLAGS, _POLICIES, _ORIGIN, _PROPENSITY, _SHARE = 16, 18, 20, 24, 25, 26, 27, 35
_DOUBLE_BYTES = 8
_FLAGS_MAX = 15
_FLOATS = [Struct(f"<{entries}f") for entries in range(FEATURES_MAX + 2)]
"""The values of x, by the number of its entries: a bias and at most one a feature."""

_ONE = 1.0 + 1e-9
"""A sum of probabilities may pass 1 by rounding."""


class RecordError(ValueError):
    """Bytes that are no record. `at` is the byte, from 0, where that shows."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(f"byte {at}: {what}")
        self.at = at


def encode(record: Record, packed: bytes | None = None) -> bytes:
    """Return the bytes of a record that an engine made. `packed`: its decision's, if they are at hand."""
    if isinstance(record, Decided):  # most records are
        decision, low, high = record
        head = _DECIDED.pack(DECIDED, decision.start, decision.counter, low, high)
        return head + (packed or decision.pack())
    match record:
        case Rewarded(decision, event, value, id_key, time_us):
            name = event.encode()
            head = _REWARDED.pack(
                REWARDED, decision.start, decision.counter, time_us, value, id_key, len(name)
            )
            return head + name + decision.pack()
        case Exposed(decision, time_us):
            return _EXPOSED.pack(EXPOSED, decision.start, decision.counter, time_us) + decision.pack()
        case StratumOpened(placement, mask, in_scope):
            bits = mask.to_bytes(_MASK_BYTES, "little")
            return _STRATUM_OPENED.pack(STRATUM_OPENED, in_scope, bits) + placement.encode()
        case RampMoved(placement, (time_us, status, reason, actor)):
            texts = [text.encode() for text in (placement, reason, actor)]
            return _RAMP_MOVED.pack(RAMP_MOVED, time_us, status, *map(len, texts)) + b"".join(texts)
        case GateLooked(placement, look):
            return _gate_looked_bytes(placement, look)
        case Configured(config, time_us):
            return _CONFIGURED.pack(CONFIGURED, time_us) + _written(config)
        case Started(start, time_us):
            return _STARTED.pack(STARTED, start, time_us)


def decode(payload: bytes) -> Record:
    """Return the record that `payload` is, to its last byte.

    Raises RecordError for anything that `encode` cannot have written.
    """
    if not payload:
        raise RecordError(0, "there is nothing: expected the kind of a record")
    known = _KINDS.get(payload[0])
    if known is None:
        raise RecordError(0, f"kind {payload[0]} is not known: expected one of {sorted(_KINDS)}")
    layout, read = known
    if len(payload) < layout.size:
        what = f"the record ends: expected at least {layout.size} bytes for kind {payload[0]}"
        raise RecordError(len(payload), what)
    return read(payload)


def _started(payload: bytes) -> Started:
    if len(payload) > _STARTED.size:
        raise RecordError(_STARTED.size, f"{len(payload) - _STARTED.size} bytes follow the record's last")
    _, start, time_us = _STARTED.unpack(payload)
    return Started(start, time_us)


def _configured(payload: bytes) -> Configured:
    _, time_us = _CONFIGURED.unpack_from(payload)
    return Configured(_read(payload, _CONFIGURED.size), time_us)


def _stratum_opened(payload: bytes) -> StratumOpened:
    _, in_scope, bits = _STRATUM_OPENED.unpack_from(payload)
    if in_scope > 1:
        raise RecordError(1, f"in_scope is {in_scope}: expected 0 or 1")
    mask = int.from_bytes(bits, "little")
    if mask == 0:
        raise RecordError(2, "no arm is in the mask: expected at least one")
    at = _STRATUM_OPENED.size
    return StratumOpened(_name(payload, at, len(payload), "the placement's name"), mask, bool(in_scope))


def _decided(payload: bytes) -> Decided:
    _, start, counter, low, high = _DECIDED.unpack_from(payload)
    if not 0.0 <= low <= high <= _ONE:
        raise RecordError(25, f"the interval is [{low}, {high}): expected one within [0, 1)")
    return Decided(_decision(payload, _DECIDED.size, start, counter), low, high)


def _exposed(payload: bytes) -> Exposed:
    _, start, counter, time_us = _EXPOSED.unpack_from(payload)
    return Exposed(_decision(payload, _EXPOSED.size, start, counter), time_us)


def _rewarded(payload: bytes) -> Rewarded:
    _, start, counter, time_us, value, id_key, size = _REWARDED.unpack_from(payload)
    if not math.isfinite(value):
        raise RecordError(33, f"the event's value is {value}: expected a finite number")
    end = _REWARDED.size + size
    event = _name(payload, _REWARDED.size, end, "the event's name")
    return Rewarded(_decision(payload, end, start, counter), event, value, id_key, time_us)


def _ramp_moved(payload: bytes) -> RampMoved:
    _, time_us, status, *sizes = _RAMP_MOVED.unpack_from(payload)
    if status not in set(RampStatus):
        raise RecordError(9, f"the ramp's status is {status}: expected 1 to {max(RampStatus)}")
    bounds = (NAME_BYTES_MAX, REASON_BYTES_MAX, ACTOR_BYTES_MAX)
    parts = zip(("placement", "reason", "actor"), sizes, bounds, strict=True)
    placement, reason, actor = _texts(payload, _RAMP_MOVED.size, parts)
    return RampMoved(placement, Move(time_us, RampStatus(status), reason, actor))


def _gate_looked_bytes(placement: str, look: Look) -> bytes:
    numbers: list[float] = []
    known = 0
    for bit, found in enumerate((look.static_value, look.uplift, look.week_uplift)):
        if found is not None:
            known |= 1 << bit
            numbers.extend(found if isinstance(found, Interval) else [found])
    texts = [placement.encode(), look.sentence.encode()]
    seen = look.time_us, look.exposures, look.share
    head = _GATE_LOOKED.pack(GATE_LOOKED, *seen, known, *map(len, texts))
    return head + _doubles(len(numbers)).pack(*numbers) + b"".join(texts)


def _gate_looked(payload: bytes) -> GateLooked:
    _, time_us, exposures, share, known, *sizes = _GATE_LOOKED.unpack_from(payload)
    if exposures > _EXPOSURES_MAX:
        raise RecordError(9, f"the exposures are {exposures}: expected at most {_EXPOSURES_MAX}")
    if not 0.0 <= share <= 1.0:
        raise RecordError(17, f"the share that is allowed is {share}: expected 0 to 1")
    if known > _KNOWN_MAX:
        raise RecordError(25, f"the flags' byte is {known}: expected 0 to {_KNOWN_MAX}")
    at = _GATE_LOOKED.size
    layout = _doubles(sum(size for bit, size in enumerate(_SEEN_DOUBLES) if known >> bit & 1))
    if at + layout.size > len(payload):
        raise RecordError(len(payload), "the record ends within what the gate saw")
    numbers = layout.unpack_from(payload, at)
    if not all(map(math.isfinite, numbers)):
        raise RecordError(at, f"the gate saw {numbers}: expected finite numbers")
    rest = iter(numbers)
    value = next(rest) if known & 1 else None
    uplift, week_uplift = (
        Interval(next(rest), next(rest), next(rest)) if known & bit else None for bit in (2, 4)
    )
    bounds = (NAME_BYTES_MAX, SENTENCE_BYTES_MAX)
    parts = zip(("placement", "sentence"), sizes, bounds, strict=True)
    placement, sentence = _texts(payload, at + layout.size, parts)
    return GateLooked(placement, Look(time_us, exposures, share, value, uplift, week_uplift, sentence))


def _doubles(count: int) -> Struct:
    return Struct(f"<{count}d")


def _texts(payload: bytes, at: int, parts: Iterable[tuple[str, int, int]]) -> list[str]:
    """Return the texts (what it is, bytes, at most) that take the rest of the record from byte `at` on."""
    texts = []
    for what, size, size_max in parts:
        if not 0 < size <= size_max:
            raise RecordError(at, f"the {what} has {size} bytes: expected 1 to {size_max}")
        if at + size > len(payload):
            raise RecordError(len(payload), f"the record ends within the {what}")
        texts.append(_text(payload, at, at + size, f"the {what}"))
        at += size
    if at < len(payload):
        raise RecordError(at, f"{len(payload) - at} bytes follow the record's last")
    return texts


_KINDS: dict[int, tuple[Struct, Callable[[bytes], Record]]] = {
    STARTED: (_STARTED, _started),
    CONFIGURED: (_CONFIGURED, _configured),
    STRATUM_OPENED: (_STRATUM_OPENED, _stratum_opened),
    DECIDED: (_DECIDED, _decided),
    EXPOSED: (_EXPOSED, _exposed),
    REWARDED: (_REWARDED, _rewarded),
    RAMP_MOVED: (_RAMP_MOVED, _ramp_moved),
    GATE_LOOKED: (_GATE_LOOKED, _gate_looked),
}


def _name(payload: bytes, at: int, end: int, what: str) -> str:
    """Return a configured name in bytes `at` to `end`."""
    if not 0 < end - at <= NAME_BYTES_MAX:
        raise RecordError(at, f"{what} has {end - at} bytes: expected 1 to {NAME_BYTES_MAX}")
    if end > len(payload):
        raise RecordError(len(payload), f"the record ends within {what}: expected it up to byte {end}")
    return _text(payload, at, end, what)


def _text(payload: bytes, at: int, end: int, what: str) -> str:
    try:
        return payload[at:end].decode()
    except UnicodeDecodeError as error:
        raise RecordError(at + error.start, f"{what} is not UTF-8: {error.reason}") from None


def _decision(payload: bytes, at: int, start: bytes, counter: int) -> Decision:
    """Return the packed decision that takes the rest of the record from byte `at` on."""
    data = payload[at:]
    if len(data) < _DECISION_BYTES:
        what = f"the record ends: expected a decision of at least {_DECISION_BYTES} bytes from byte {at} on"
        raise RecordError(len(payload), what)
    entries = data[_ENTRIES] | data[_ENTRIES + 1] << 8
    origin_at = layout_of(data).size
    x_at = origin_at + data[_ORIGIN]
    expected = x_at + ENTRY_BYTES * entries
    if len(data) != expected:
        what = (
            f"the record has {len(payload)} bytes: expected {at + expected}, for "
            f"{(origin_at - _DECISION_BYTES) // _DOUBLE_BYTES} probabilities and overlaps, {data[_ORIGIN]} "
            f"bytes of origin and {entries} entries of x"
        )
        raise RecordError(at + min(len(data), expected), what)
    try:
        decision = unpack(start, counter, data)
    except UnicodeDecodeError:
        _text(payload, at + origin_at, at + x_at, "the origin")  # raises, and says where
        raise
    if (
        decision.arm >= ARMS_MAX
        or entries > FEATURES_MAX + 1
        or not decision.policy < data[_POLICIES] <= POLICIES_MAX
        or data[_FLAGS] > _FLAGS_MAX
        or not 0.0 <= decision.propensity <= _ONE
        or not 0.0 <= decision.share <= _ONE
    ):
        raise _out_of_range(decision, data, at)
    for i, probability in enumerate(decision.probabilities + decision.overlaps):
        if not 0.0 <= probability <= _ONE:
            kind, number = ("probability", "overlap")[i >= data[_POLICIES]], i % data[_POLICIES]
            what = f"{kind} {number} is {probability}: expected 0 to 1"
            raise RecordError(at + _DECISION_BYTES + _DOUBLE_BYTES * i, what)
    _check_x(decision.x, entries, at + x_at)
    return decision


def _out_of_range(decision: Decision, data: bytes, at: int) -> RecordError:
    """Return what is wrong with a decision, packed as `data`, of which something is."""
    entries = data[_ENTRIES] | data[_ENTRIES + 1] << 8
    for field, what, value, low, high in (
        (_ARM, "the arm", decision.arm, 0, ARMS_MAX - 1),
        (_ENTRIES, "the number of entries of x", entries, 0, FEATURES_MAX + 1),
        (_POLICIES, "the number of probabilities", data[_POLICIES], 1, POLICIES_MAX),
        (_POLICY, "the policy", decision.policy, 0, data[_POLICIES] - 1),
        (_FLAGS, "the flags' byte", data[_FLAGS], 0, _FLAGS_MAX),
    ):
        if not low <= value <= high:
            return RecordError(at + field, f"{what} is {value}: expected {low} to {high}")
    if not 0.0 <= decision.propensity <= _ONE:
        what = f"the propensity is {decision.propensity}: expected 0.0 to {_ONE}"
        return RecordError(at + _PROPENSITY, what)
    return RecordError(at + _SHARE, f"the share is {decision.share}: expected 0.0 to {_ONE}")


def _check_x(x: bytes, entries: int, at: int) -> None:
    """Refuse columns that no placement has, which a kernel would follow out of its arrays, and NaN."""
    values = _FLOATS[entries].unpack_from(x, 2 * entries)
    if not x[1 : 2 * entries : 2].strip(b"\0") and math.isfinite(sum(values)):
        return
    for i, value in enumerate(values):
        column = x[2 * i] | x[2 * i + 1] << 8
        if column >= COLUMNS_MAX:
            raise RecordError(at + 2 * i, f"x sets column {column}: expected 0 to {COLUMNS_MAX - 1}")
        if not math.isfinite(value):
            what = f"x sets column {column} to {value}: expected a finite number"
            raise RecordError(at + 2 * entries + 4 * i, what)


def _written(config: Config) -> bytes:
    """Return a configuration as JSON: schema id in hex → the placement's canonical document."""
    documents = {placement.schema_id.hex(): placement.document for placement in config.placements.values()}
    members = (f'"{schema}":{document}' for schema, document in sorted(documents.items()))
    return f"{{{','.join(members)}}}".encode("ascii")


def _read(payload: bytes, at: int) -> Config:
    try:
        documents = json.loads(payload[at:].decode("ascii"), parse_constant=_not_json)
    except json.JSONDecodeError as error:
        raise RecordError(at + error.pos, f"the configuration is not JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise RecordError(at + error.start, "the configuration is not ASCII") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(at, f"the configuration is not JSON that is read here: {error}") from None
    if not isinstance(documents, dict):
        raise RecordError(at, "the configuration is not an object: expected schema ids and documents")
    try:
        return combine({schema: _one(schema, document, at) for schema, document in documents.items()})
    except ConfigError as error:
        raise RecordError(at, f"the configuration is refused: {error}") from None


def _one(schema: str, document: object, at: int) -> Config:
    """Return the configuration of one placement, which must be the one that the schema id names."""
    config = parse(document)
    ids = [placement.schema_id.hex() for placement in config.placements.values()]
    if ids != [schema]:
        what = f"the placement of schema {schema!r} reads as {ids}: expected the same id, and no other"
        raise RecordError(at, what)
    return config


def _not_json(constant: str) -> NoReturn:
    message = f"{constant} is not a number of JSON"
    raise ValueError(message)
