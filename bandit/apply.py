"""The one place where a record changes the state, for live traffic and for replay alike."""

from bandit.decision import Decision
from bandit.ledger import Ledger
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
from bandit.state import Located, State
from bandit.strata import Stratum


def apply(state: State, record: Record, *, held: bool = False, at: Located | None = None) -> None:
    """Apply `record`. It was checked before it was made, so it cannot fail on a state it was made for.

    `held`: its placement was restored as it was after this record, while what placements share (the ledger,
    clocks) was not: that alone moves on. Never for Configured and Started, which concern all. `at`: where the
    decision of a reward stands, if that is at hand.
    """
    if isinstance(record, Decided):  # most records are: no pattern, which takes three times as long
        _decided(state, record.decision, held)
        return
    match record:
        case Rewarded(time_us=time_us):
            state.time_us = time_us
            _reward(state, record, held, at or _located(state, record.decision))
        case Exposed(decision, time_us):
            state.time_us = time_us
            _confirm(state, _located(state, decision), decision, held)
        case StratumOpened(name, mask, in_scope):
            if not held:
                placement = state.placements[name]
                placement.strata.open(
                    Stratum(placement.config, placement.strata.next_index, mask, in_scope=in_scope)
                )
        case RampMoved() | GateLooked():
            _ramp(state, record, held)
        case Configured(config, time_us):
            state.time_us = time_us
            state.configure(config, time_us)
        case Started(start, time_us):
            state.time_us = time_us
            state.begin(start, time_us)


def _ramp(state: State, record: RampMoved | GateLooked, held: bool) -> None:
    """Change what a ramp does, or let its gate look."""
    placement = state.placements[record.placement]
    if isinstance(record, RampMoved):
        state.time_us = record.move.time_us
        if not held:
            placement.move_ramp(record.move)
    else:
        state.time_us = record.look.time_us
        if not held:
            placement.look(record.look)


def _decided(state: State, decision: Decision, held: bool) -> None:
    """Count the exposure. A decision stands where it was made: nothing is to be translated."""
    state.time_us = decision.time_us
    if decision.time_us >= state.expire_us:
        state.expire(decision.time_us)
    placement = state.serving.get(decision.schema_id)
    if placement is None or decision.start not in state.starts:
        raise _out_of_order(decision)
    state.decided[decision.start] = decision.counter
    if held:
        return
    placement.counters.chosen[decision.policy][decision.arm] += 1
    if decision.deferred:
        return
    stratum = placement.strata.at(decision.stratum) if placement.context_free[decision.policy] else None
    placement.expose(decision.arm, stratum, decision.x, decision.time_us)
    placement.measure(decision, placement.config, decision.arm)


def _out_of_order(decision: Decision) -> ValueError:
    message = f"no state for the decision of schema {decision.schema_id.hex()}: records are out of order"
    return ValueError(message)


def _located(state: State, decision: Decision) -> Located:
    located = state.locate(decision)
    if located is None:
        raise _out_of_order(decision)
    return located


def _confirm(state: State, at: Located, decision: Decision, held: bool) -> None:
    state.ledger.show(at.window_us, decision.time_us, at.key)
    if not held:
        at.placement.expose(at.arm, at.stratum, at.x, decision.time_us)
        at.placement.measure(decision, at.schema, at.arm)


def _reward(state: State, record: Rewarded, held: bool, at: Located) -> None:
    """Count the event and credit the change of R. A reward implies its exposure."""
    decision, ledger = record.decision, state.ledger
    if decision.deferred and not ledger.shown(at.window_us, at.key):
        _confirm(state, at, decision, held)
    placement, number = at.placement, at.placement.events[record.event]
    value, reward = _moved(ledger, at, record)
    ledger.count(at.window_us, decision.time_us, at.key | number, record.value, record.id_key)
    if held:
        return
    if reward[0] != reward[1]:
        arrival = number, record.time_us - decision.time_us
        placement.credit(at.arm, at.stratum, at.x, decision.time_us, reward, arrival)
    placement.measure_credit(decision, at.schema, at.arm, record.event, value, reward)


def _moved(ledger: Ledger, at: Located, record: Rewarded) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the sum of the event's values, and R, both as [0] they are and [1] will be.

    R = clip(Σ worth x what was counted, 0, maximum), by the decision's own configuration: today's worths
    would not undo what was credited by others.
    """
    value, before, after = None, 0.0, 0.0
    numbers, rewards = at.placement.events, at.schema.reward
    for event, worth in rewards.values:
        now = was = ledger.value(at.window_us, at.key | numbers[event]) or 0.0  # None: nothing yet
        if event == record.event:
            now = record.value + was if record.id_key else record.value  # as the ledger will have it
            value = was, now
        before += worth * was
        after += worth * now
    if value is None:
        raise _out_of_order(record.decision)
    most = rewards.maximum
    return value, (min(max(before, 0.0), most), min(max(after, 0.0), most))
