"""The operator's service as functions of bytes: how placements stand, reloads, snapshots."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from google.protobuf.message import Message

from bandit.config import Arm
from bandit.engine import Engine
from bandit.errors import BanditError, Reason
from bandit.placement import PlacementState
from bandit.ramp import RampStatus
from bandit.steps import Steps
from server import limits
from server.codec import decode
from server.durability import Durability
from server.errors import ShellError, ShellReason
from server.handlers import ready
from server.methods import Methods
from server.pb import bandit_pb2 as pb
from server.reload import Reloader
from server.reporting.message import ARM_STATES, POLICY_KINDS, report_steps
from server.reporting.ramp_message import ramp_message

SERVICE = "bandit.v1.OperatorService"

NAMES_SHOWN = 5
"""Placements that a refusal names, so that a slip of the pen is seen at once."""


class OperatorHandlers:
    """The methods of the service. What they act on is set while calls are served."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self.engine: Engine | None = None
        self.reloader: Reloader | None = None
        self.durability: Durability | None = None
        self._now_us = now_us

    def methods(self) -> Methods:
        """The service's methods by path."""
        return Methods(
            unary={
                f"/{SERVICE}/ListPlacements": self.list_placements,
                f"/{SERVICE}/ReloadConfig": self.reload_config,
                f"/{SERVICE}/GetReport": self.get_report,
                f"/{SERVICE}/HoldRamp": self.hold_ramp,
                f"/{SERVICE}/ResumeRamp": self.resume_ramp,
                f"/{SERVICE}/TakeSnapshot": self.take_snapshot,
            }
        )

    def list_placements(self, data: bytes) -> bytes:
        """ListPlacementsRequest → ListPlacementsResponse, by name."""
        engine = ready(self.engine)
        wanted = decode(pb.ListPlacementsRequest, data, limits.MESSAGE_BYTES_MAX).placements
        now_us = self._now_us()
        states = engine.state.placements
        names = sorted(set(wanted)) if wanted else sorted(states)
        return pb.ListPlacementsResponse(
            placements=[_placement(_known(states, name), now_us) for name in names]
        ).SerializeToString()

    def get_report(self, data: bytes) -> Awaitable[bytes]:
        """GetReportRequest → GetReportResponse, in steps between which others are served."""
        engine = ready(self.engine)
        name = decode(pb.GetReportRequest, data, limits.MESSAGE_BYTES_MAX).placement
        state = _known(engine.state.placements, name)
        return self._reported(report_steps(state, self._now_us()))

    async def _reported(self, steps: Steps[pb.GetReportResponse]) -> bytes:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                message: pb.GetReportResponse = end.value
                return message.SerializeToString()
            await asyncio.sleep(0)

    def hold_ramp(self, data: bytes) -> Awaitable[bytes]:
        """HoldRampRequest → HoldRampResponse."""
        engine = ready(self.engine)
        asked = decode(pb.HoldRampRequest, data, limits.MESSAGE_BYTES_MAX)
        status = RampStatus.STATIC if asked.back_to_static else RampStatus.HELD
        self._move(engine, asked, status)
        return self._settled(pb.HoldRampResponse(ramp=self._ramp(engine, asked.placement)))

    def resume_ramp(self, data: bytes) -> Awaitable[bytes]:
        """ResumeRampRequest → ResumeRampResponse."""
        engine = ready(self.engine)
        asked = decode(pb.ResumeRampRequest, data, limits.MESSAGE_BYTES_MAX)
        self._move(engine, asked, RampStatus.RUNNING)
        return self._settled(pb.ResumeRampResponse(ramp=self._ramp(engine, asked.placement)))

    def _move(
        self, engine: Engine, asked: pb.HoldRampRequest | pb.ResumeRampRequest, status: RampStatus
    ) -> None:
        if engine.move_ramp(asked.placement, status, asked.reason, asked.actor, self._now_us()):
            structlog.get_logger().warning(
                "ramp moved",
                placement=asked.placement,
                to=status.name,
                reason=asked.reason,
                actor=asked.actor,
            )

    def _ramp(self, engine: Engine, name: str) -> pb.RampStatus | None:
        return ramp_message(engine.state.placements[name], self._now_us())

    async def _settled(self, message: Message) -> bytes:
        """Answer when what was recorded may be acknowledged."""
        assert self.durability is not None  # noqa: S101 - as in _reload
        await self.durability.settled()
        return message.SerializeToString()

    def reload_config(self, data: bytes) -> Awaitable[bytes]:
        """ReloadConfigRequest → ReloadConfigResponse, when the files have been read."""
        ready(self.engine)
        decode(pb.ReloadConfigRequest, data, limits.MESSAGE_BYTES_MAX)
        return self._reload()

    def take_snapshot(self, data: bytes) -> Awaitable[bytes]:
        """TakeSnapshotRequest → TakeSnapshotResponse, when it is on the disk."""
        ready(self.engine)
        decode(pb.TakeSnapshotRequest, data, limits.MESSAGE_BYTES_MAX)
        return self._snapshot()

    async def _snapshot(self) -> bytes:
        assert self.durability is not None  # noqa: S101 - as in _reload
        taken = await self.durability.take_snapshot()
        if taken is None:
            raise ShellError(
                ShellReason.SNAPSHOT_REFUSED,
                "no snapshot was taken, the log says why; the journal still has everything; make room on the "
                "data directory's disk, and ask again",
            )
        return pb.TakeSnapshotResponse(
            file=taken.path.name, sequence=taken.sequence, size_bytes=taken.path.stat().st_size
        ).SerializeToString()

    async def _reload(self) -> bytes:
        assert self.reloader is not None  # noqa: S101 - it is set before the engine is
        result = await self.reloader.reload()
        return pb.ReloadConfigResponse(**result._asdict()).SerializeToString()


def _known(states: Mapping[str, PlacementState], name: str) -> PlacementState:
    state = states.get(name)
    if state is None:
        here = ", ".join(sorted(states)[:NAMES_SHOWN]) + (", …" if len(states) > NAMES_SHOWN else "")
        raise BanditError(
            Reason.PLACEMENT_UNKNOWN,
            f"placement {name[:64]!r} is not configured here, but {here}; ListPlacements has all",
            placement=name[:64],
        )
    return state


def _placement(state: PlacementState, now_us: int) -> pb.PlacementStatus:
    config, counters = state.config, state.counters
    return pb.PlacementStatus(
        name=config.name,
        owner=config.owner,
        schema_id=config.schema_id.hex(),
        decisions=int(counters.decisions.sum()),
        arms=_arms(config.arms, counters.exposures, counters.reward_sum),
        policies=[
            pb.PolicyStatus(name=policy.name, kind=POLICY_KINDS[policy.kind], share=share)
            for policy, share in zip(config.policies, state.shares(now_us).tolist(), strict=True)
        ],
        ramp=ramp_message(state, now_us),
    )


def _arms(arms: Sequence[Arm], exposures: Sequence[int], rewards: Sequence[float]) -> list[pb.ArmStatus]:
    return [
        pb.ArmStatus(
            id=arm.id,
            state=ARM_STATES[arm.state],
            weight=arm.weight,
            exposures=shown,
            mean_reward=reward / shown if shown else None,
        )
        for arm, shown, reward in zip(arms, exposures, rewards, strict=True)
    ]
