"""A placement's section of a snapshot, as docs/format.md describes it.

Packing and unpacking give back every bit that later records build on: tallies, strata with the meaning of
their indices, counts. Models and pmfs are derived from these, and are not kept. What is unpacked may come
from anywhere: what no state can have packed is a SectionError, never another exception.
"""

from collections.abc import Iterable

import numpy as np

from bandit.arrivals_codec import pack_arrivals, read_arrivals
from bandit.config import ArmState, Placement, column_names
from bandit.config.canonical import SCHEMA_ID_BYTES
from bandit.fields import Fields, SectionError, pack, pack_doubles
from bandit.head import Head
from bandit.history_codec import pack_history, read_history
from bandit.ledger import Ledger
from bandit.limits import EVENTS_MAX, NAME_BYTES_MAX
from bandit.placement import PlacementState
from bandit.ramp_codec import pack_clock, pack_measuring, read_clock, read_measuring
from bandit.state import State
from bandit.strata_codec import pack_strata, read_strata
from bandit.tally import Forgetting
from bandit.tally_codec import pack_tally, read_tally

PLACEMENT = "placement"
"""Value of the field `kind`."""


def pack_placement(placement: PlacementState, sequence: int) -> bytes:
    """Return the payload of a placement's section: its state after record `sequence`.

    Raises SectionError for sums that are not finite, which could not be read again.
    """
    config, forgetting, counters = placement.config, placement.forgetting, placement.counters
    where = _section_of(config.name)
    return pack({
        "kind": PLACEMENT,
        "placement": config.name,
        "schema": config.schema_id.hex(),
        "sequence": sequence,
        "born_us": placement.born_us,
        "started_us": placement.started_us,
        "latest_us": placement.latest_us,
        "half_life_us": forgetting.half_life_us,
        "origin_us": forgetting.origin_us,
        "arms": [arm.id for arm in config.arms],
        "columns": list(column_names(config)),
        "tally": pack_tally(where, placement.tally),
        **pack_strata(where, config, placement.strata),
        "events": placement.events,
        "retired": dict.fromkeys(sorted(placement.retired)),
        "chosen": {policy.name: arms for policy, arms in zip(config.policies, counters.chosen, strict=True)},
        "exposures": counters.exposures,
        "reward_sum": pack_doubles(where, "reward_sum", np.array(counters.reward_sum)),
        **pack_measuring(where, placement.measuring),
        **pack_clock(placement.ramp_clock),
        **pack_history(where, config, placement.history),
        **pack_arrivals(where, placement.arrivals),
    })  # fmt: skip


def unpack_placement(payload: bytes, head: Head) -> tuple[PlacementState, int]:
    """Return the state in a placement's section, replaying, and the sequence number that it holds.

    Raises SectionError, also for a section that does not belong to `head`.
    """
    fields = Fields.of_kind("a placement's section", payload, PLACEMENT)
    name = fields.text("placement", NAME_BYTES_MAX)
    fields.where = _section_of(name)
    if name not in head.placements:
        raise fields.refuse("placement", "a placement of the head", name)
    schema_id = fields.identifier("schema", SCHEMA_ID_BYTES)
    if schema_id != head.placements[name]:
        raise fields.refuse("schema", f"{head.placements[name].hex()}, as in the head", schema_id.hex())
    config = head.schemas[schema_id]
    arms, columns = [arm.id for arm in config.arms], list(column_names(config))
    fields.exactly("arms", arms)
    fields.exactly("columns", columns)
    tally = read_tally(fields.inner("tally"), len(arms), len(columns))
    placement = PlacementState(
        config,
        fields.time_us("born_us"),
        tally=tally,
        strata=read_strata(fields, config),
        measuring=read_measuring(fields, config, fields.time_us("born_us")),
        forgetting=_forgetting(fields, config),
        arrivals=read_arrivals(fields, config, tally),
        replaying=True,
    )
    placement.started_us = fields.optional_time_us("started_us")
    placement.ramp_clock = read_clock(fields)
    placement.history = read_history(fields, config, placement.measuring)
    placement.latest_us = fields.time_us("latest_us")
    placement.events = _events(fields, config)
    placement.retired = _retired(fields, config)
    _count(fields, placement)
    return placement, fields.integer("sequence", head.sequence)


def restored(head: Head, placements: Iterable[PlacementState], ledger: Ledger) -> State:
    """Return the state, replaying, of a head, all its placements in order, and the ledger.

    Raises SectionError if these are not the head's placements.
    """
    state = State(ledger.bytes_max, replaying=True)
    state.ledger = ledger
    state.placements = {placement.config.name: placement for placement in placements}
    if list(state.placements) != list(head.placements):
        what = f"{len(state.placements)} that are not the same, or in another order"
        raise SectionError("the snapshot", "placements", f"the {len(head.placements)} of the head", what)
    state.serving = {placement.config.schema_id: placement for placement in state.placements.values()}
    state.schemas, state.starts = dict(head.schemas), dict(head.starts)
    state.decided, state.outdated_us = dict(head.decided), dict(head.outdated_us)
    state.time_us, state.expire_us = head.time_us, head.expire_us
    return state


def _section_of(name: str) -> str:
    return f"the section of placement {name!r}"


def _forgetting(fields: Fields, config: Placement) -> Forgetting:
    half_life_us, origin_us = fields.time_us("half_life_us"), fields.time_us("origin_us")
    if half_life_us != (config.half_life_us or 0):
        raise fields.refuse("half_life_us", f"{config.half_life_us or 0}, as configured", half_life_us)
    if origin_us % half_life_us if half_life_us else origin_us:
        raise fields.refuse("origin_us", "a multiple of the half-life", origin_us)
    return Forgetting(half_life_us, origin_us)


def _events(fields: Fields, config: Placement) -> dict[str, int]:
    inner = fields.inner("events")
    events = {event: inner.integer(event, 0, EVENTS_MAX - 1) for event in fields.members("events")}
    if sorted(events.values()) != list(range(len(events))):
        raise fields.refuse("events", "each number from 0 on once", list(events.values()))
    for event, _ in config.reward.values:
        if event not in events:
            raise fields.refuse("events", f"{event!r}, as configured", list(events))
    return events


def _retired(fields: Fields, config: Placement) -> frozenset[str]:
    retired = fields.members("retired")
    if not all(value is None for value in retired.values()):
        raise fields.refuse("retired", "a map to nil", "others")
    for arm in config.arms:
        if arm.state is not ArmState.RETIRED and arm.id in retired:
            raise fields.refuse("retired", f"no arm that is {arm.state}", arm.id)
    return frozenset(retired)


def _count(fields: Fields, placement: PlacementState) -> None:
    """Read what the records have counted."""
    counters, arms = placement.counters, len(placement.config.arms)
    policies = [policy.name for policy in placement.config.policies]
    if list(fields.members("chosen")) != policies:
        raise fields.refuse("chosen", f"{policies}, as configured", list(fields.members("chosen")))
    chosen = fields.inner("chosen")
    counters.chosen = [chosen.counts(policy, arms) for policy in policies]
    counters.exposures = fields.counts("exposures", arms)
    counters.reward_sum = fields.doubles("reward_sum", arms).tolist()
