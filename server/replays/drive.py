"""Replays rows through a sidecar: what it would have shown, and what is known of that from the log.

Every row is a Choose with a deferred exposure. Where the chosen arm is the logged one, the row counts: its
exposure and events are sent and learned. Elsewhere nothing is known, and nothing is learned.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field

from bandit.config.model import EXPOSURE
from bandit.errors import Reason
from bandit.limits import BATCH_MAX
from server.client import Caller, CallError, unwrap
from server.pb import bandit_pb2 as pb
from server.replays.rows import LogError, Row, uniformity
from server.replays.statistics import Estimate, Sums, summed


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm: how often the log and the sidecar chose it, and the mean reward logged and matched."""

    logged: Estimate
    chosen: int
    matched: Estimate


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One policy: the rows it was routed, and the reward of those that matched."""

    rows: int
    matched: Estimate


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a replay, as `--json` prints it."""

    placement: str
    rows: int
    logged: Estimate
    matched: Estimate
    second_half: Estimate
    """Matched rows of the second half of the run, after the first learning."""
    policies: dict[str, PolicyResult]
    arms: dict[str, ArmResult]
    outcomes: dict[str, int]
    """What became of the exposures and events sent."""
    warnings: list[str]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Replay:
    """One run over `rows`. `progress` is called after each batch with the rows done and matched so far."""

    placement: str
    rows: Sequence[Row]
    caller: Caller
    batch: int
    progress: Callable[[int, Sums], None] = lambda _rows, _matched: None
    _chosen: Counter[str] = field(init=False, default_factory=Counter)
    _routed: Counter[str] = field(init=False, default_factory=Counter)
    _matched: Sums = field(init=False, default_factory=Sums)
    _matched_late: Sums = field(init=False, default_factory=Sums)
    _by_policy: dict[str, Sums] = field(init=False, default_factory=dict)
    _by_arm: dict[str, Sums] = field(init=False, default_factory=dict)
    _outcomes: Counter[str] = field(init=False, default_factory=Counter)

    def check_arms(self, column: str) -> None:
        """Ask whether the placement can serve every arm of the log's `column`; teaches nothing.

        Raises LogError.
        """
        first = {row.arm: row for row in reversed(self.rows)}
        rows = list(first.values())
        for start in range(0, len(rows), BATCH_MAX):
            part = rows[start : start + BATCH_MAX]
            replies = self.caller.choose_batch([self._request(row, [row.arm]) for row in part])
            for row, reply in zip(part, replies, strict=True):
                if isinstance(reply, CallError) and reply.reason == Reason.NO_ELIGIBLE_ARM:
                    raise LogError(
                        f"line {row.line}, column {column!r}: placement {self.placement!r} cannot serve "
                        f"the logged arm {row.arm!r} in that row's context; configure it, map it with the "
                        "mapping's $.arm.values, or leave its rows out with where"
                    )
                unwrap(reply)

    def run(self) -> None:
        """Every row, in order. Raises CallError."""
        for start in range(0, len(self.rows), self.batch):
            part = self.rows[start : start + self.batch]
            replies = self.caller.choose_batch([self._request(row) for row in part])
            events: list[pb.RewardRequest] = []
            for position, (row, reply) in enumerate(zip(part, replies, strict=True), start=start):
                events.extend(self._count(row, unwrap(reply), late=position >= len(self.rows) // 2))
            self._send(events)
            self.progress(start + len(part), self._matched)

    def report(self) -> Report:
        """What is known so far."""
        arms = sorted({row.arm for row in self.rows} | set(self._chosen))
        return Report(
            placement=self.placement,
            rows=sum(self._routed.values()),
            logged=summed(row.reward for row in self.rows).estimate(),
            matched=self._matched.estimate(),
            second_half=self._matched_late.estimate(),
            policies={
                name: PolicyResult(rows, self._by_policy.get(name, Sums()).estimate())
                for name, rows in sorted(self._routed.items())
            },
            arms={arm: self._arm_result(arm) for arm in arms},
            outcomes=dict(sorted(self._outcomes.items())),
            warnings=self.warnings(),
        )

    def warnings(self) -> list[str]:
        """What a reader of the means must know."""
        strangers = sorted(set(self._chosen) - {row.arm for row in self.rows})
        unknown = [
            f"arm {arm!r} was chosen {self._chosen[arm]} times but is never in the log, so those rows cannot "
            "match; let the placement have the log's arms alone"
            for arm in strangers
        ]
        return uniformity(self.rows) + unknown

    def _request(self, row: Row, arms: Sequence[str] = ()) -> pb.ChooseRequest:
        return pb.ChooseRequest(
            placement=self.placement,
            unit=row.unit,
            categories=row.categories,
            numbers=row.numbers,
            arms=arms,
            defer_exposure=True,
        )

    def _count(self, row: Row, reply: pb.ChooseResponse, *, late: bool) -> Iterable[pb.RewardRequest]:
        """Count one answer; the exposure and events to send when it matched."""
        self._chosen[reply.arm] += 1
        self._routed[reply.policy] += 1
        if reply.arm != row.arm:
            return []
        self._matched.add(row.reward)
        self._by_policy.setdefault(reply.policy, Sums()).add(row.reward)
        self._by_arm.setdefault(reply.arm, Sums()).add(row.reward)
        if late:
            self._matched_late.add(row.reward)
        exposure = pb.RewardRequest(decision_id=reply.decision_id, event=EXPOSURE)
        return [exposure, *(self._event(reply, name, value) for name, value in row.events)]

    @staticmethod
    def _event(reply: pb.ChooseResponse, name: str, value: float) -> pb.RewardRequest:
        return pb.RewardRequest(decision_id=reply.decision_id, event=name, value=value, event_id="1")

    def _send(self, events: list[pb.RewardRequest]) -> None:
        for start in range(0, len(events), BATCH_MAX):
            replies = self.caller.reward_batch(events[start : start + BATCH_MAX])
            self._outcomes.update(unwrap(reply) for reply in replies)

    def _arm_result(self, arm: str) -> ArmResult:
        logged = summed(row.reward for row in self.rows if row.arm == arm)
        return ArmResult(logged.estimate(), self._chosen[arm], self._by_arm.get(arm, Sums()).estimate())
