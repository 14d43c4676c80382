"""A ramp and what its gate saw, as messages of the operator's service."""

from google.protobuf.timestamp_pb2 import Timestamp

from bandit.gate import GateState
from bandit.placement import PlacementState
from bandit.ramp import RampStatus, end_of, start_of
from bandit.sequences import Interval
from server.pb import bandit_pb2 as pb

RAMP_STATES = {
    RampStatus.RUNNING: pb.RAMP_STATE_RUNNING,
    RampStatus.HELD: pb.RAMP_STATE_HELD,
    RampStatus.STATIC: pb.RAMP_STATE_STATIC,
    RampStatus.WAITING: pb.RAMP_STATE_WAITING,
}


def ramp_message(state: PlacementState, now_us: int) -> pb.RampStatus | None:
    """The message of a placement's ramp at `now_us`; None without one."""
    ramp, clock = state.config.ramp, state.ramp_clock
    if ramp is None:
        return None
    start_us, end_us = start_of(ramp, state.started_us), end_of(ramp, state.started_us, now_us, clock)
    return pb.RampStatus(
        share=state.share(now_us),
        start_time=None if start_us is None else timestamp(start_us),
        state=RAMP_STATES[clock.status],
        moves=[
            pb.RampMove(
                time=timestamp(move.time_us),
                state=RAMP_STATES[move.status],
                reason=move.reason,
                actor=move.actor,
            )
            for move in clock.moves
        ],
        to=ramp.share_to,
        end_time=None if end_us is None else timestamp(end_us),
        gate=None if state.gate is None else _gate(state.gate, static=clock.status is RampStatus.STATIC),
    )


def _gate(gate: GateState, *, static: bool) -> pb.GateStatus:
    message = pb.GateStatus(min_exposures=gate.settings.min_exposures, max_loss=gate.settings.max_loss)
    look = gate.look
    if look is None:
        return message
    message.time.CopyFrom(timestamp(look.time_us))
    if not static:
        message.next_time.CopyFrom(timestamp(gate.due_us))
    message.exposures, message.sentence = look.exposures, look.sentence
    if look.static_value is not None:
        message.static_value = look.static_value
    for name, interval in (("uplift", look.uplift), ("week_uplift", look.week_uplift)):
        if interval is not None:
            getattr(message, name).CopyFrom(interval_message(interval))
    return message


def interval_message(interval: Interval) -> pb.Interval:
    """The message of an interval."""
    return pb.Interval(**interval._asdict())


def timestamp(time_us: int) -> Timestamp:
    """The message of a time."""
    return Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1000)
