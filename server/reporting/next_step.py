"""What comes next of a ramp and when, in one sentence for a person."""

from google.protobuf.timestamp_pb2 import Timestamp

from bandit.placement import PlacementState
from bandit.ramp import learned_share
from server.pb import bandit_pb2 as pb
from server.reporting.numbers import count, share

DAY_US = 86_400_000_000

RESUME = "resume with ResumeRamp"


def next_step(state: PlacementState, ramp: pb.RampStatus | None, now_us: int) -> str:
    """Return the sentence on a placement's ramp, as its message has it; None: there is no ramp."""
    if ramp is None:
        return "none: static serves everyone, and the other policies are measured in shadow"
    match ramp.state:
        case pb.RAMP_STATE_HELD:
            return f"held at {share(ramp.share)} {_move(ramp)}; {RESUME}"
        case pb.RAMP_STATE_STATIC:
            return f"back to static {_move(ramp)}; {RESUME}"
        case pb.RAMP_STATE_WAITING:
            return f"waiting for the gate at {share(ramp.share)}: {_wanted(ramp.gate)}"
        case _:
            return _running(state, ramp, now_us)


def _running(state: PlacementState, ramp: pb.RampStatus, now_us: int) -> str:
    """Say how far a ramp is that follows the calendar, and where it will be."""
    settings = state.config.ramp
    assert settings is not None  # noqa: S101 - else there was no message of it
    way = f"from {share(settings.share_from)} to {share(settings.share_to)}"
    if not ramp.HasField("start_time"):
        return f"it begins with the first exposure, {way}"
    if ramp.start_time.ToMicroseconds() > now_us:
        return f"it begins on {_day(ramp.start_time)}, {way}"
    if not ramp.HasField("end_time"):
        return f"at its end: learned policies serve {share(ramp.share)}, static the rest"
    tomorrow = learned_share(settings, state.started_us, now_us + DAY_US, state.ramp_clock)
    allowed = ", as far as the gate allows" if ramp.HasField("gate") else ""
    return (
        f"running: {share(ramp.share)} now, {share(tomorrow)} tomorrow, {share(ramp.to)} on "
        f"{_day(ramp.end_time)}{allowed}"
    )


def _wanted(gate: pb.GateStatus) -> str:
    """Say what a gate waits for: decisions, else what it concluded."""
    if gate.exposures < gate.min_exposures:
        seen = f"{count(gate.exposures)} of {count(gate.min_exposures)}"
        return f"{seen} learned decisions whose window has passed"
    return gate.sentence


def _move(ramp: pb.RampStatus) -> str:
    """Say since when a ramp is as it is, by whom and why."""
    move = ramp.moves[-1]
    return f"since {move.time.ToDatetime():%Y-%m-%d %H:%M} UTC by {move.actor}: {move.reason.rstrip('.')}"


def _day(time: Timestamp) -> str:
    return f"{time.ToDatetime():%Y-%m-%d}"
