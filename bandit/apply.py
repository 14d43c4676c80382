"""The one place where a record changes the state, for live traffic and for replay alike."""

from bandit.decision import Decision
from bandit.records import Configured, Decided, Exposed, Record, Rewarded, Started, StratumOpened
from bandit.state import Located, State
from bandit.strata import Stratum


def apply(state: State, record: Record) -> None:
    """Apply `record`. It was checked before it was made, so it cannot fail on a state it was made for."""
    match record:
        case Decided(decision):
            if not decision.deferred:
                _expose(_located(state, decision), decision)
        case Rewarded():
            _reward(state, record)
        case Exposed(decision):
            _confirm(state, decision)
        case StratumOpened(name, mask, in_scope):
            placement = state.placements[name]
            placement.strata.open(
                Stratum(placement.config, placement.strata.next_index, mask, in_scope=in_scope)
            )
        case Configured(config, time_us):
            state.configure(config, time_us)
        case Started(start, _):
            state.starts[start] = len(state.starts)


def _located(state: State, decision: Decision) -> Located:
    located = state.locate(decision)
    if located is None:
        message = f"no state for the decision of schema {decision.schema_id.hex()}: records are out of order"
        raise ValueError(message)
    return located


def _expose(at: Located, decision: Decision) -> None:
    at.placement.expose(at.arm, at.stratum, at.index, at.value, decision.time_us)


def _confirm(state: State, decision: Decision) -> None:
    at = _located(state, decision)
    expiry_us = decision.time_us + at.placement.ledger.window_us
    state.exposures.confirm(state.starts[decision.start], decision.counter, expiry_us)
    _expose(at, decision)


def _reward(state: State, record: Rewarded) -> None:
    """Count the event and credit the change of R. A reward implies its exposure."""
    decision = record.decision
    if decision.deferred and not state.exposures.seen(state.starts[decision.start], decision.counter):
        _confirm(state, decision)
    at = _located(state, decision)
    placement, key = at.placement, state.key(decision)
    assert key is not None  # noqa: S101 - the record was made for a start that this state holds
    before = placement.reward(decision.time_us, key)
    placement.ledger.count(
        decision.time_us, key | placement.events[record.event], record.value, record.id_key
    )
    after = placement.reward(decision.time_us, key)
    if after != before:
        placement.credit(at.arm, at.stratum, at.index, at.value, decision.time_us, (before, after))
