"""The data service as plain functions of bytes: decode, ask the engine, encode.

Nothing here waits: from the first look at a request to its answer no other one is looked at, so each sees
one state. Every transport carries the same table, `BanditHandlers.methods`.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from bandit.counters import Outcome
from bandit.engine import Engine
from bandit.errors import BanditError, Reason
from bandit.limits import BATCH_MAX
from server import limits
from server.codec import decode, encode_choice, too_large
from server.counts import Counts
from server.errors import ShellError, ShellReason, status
from server.failures import Failures
from server.methods import Methods
from server.pb import bandit_pb2 as pb

SERVICE = "bandit.v1.BanditService"

Q = TypeVar("Q", bound=Message)


_ANSWERS = {
    outcome: pb.RewardResponse(outcome=number).SerializeToString()
    for outcome, number in (
        (Outcome.APPLIED, pb.REWARD_OUTCOME_APPLIED),
        (Outcome.DUPLICATE, pb.REWARD_OUTCOME_DUPLICATE),
        (Outcome.LATE, pb.REWARD_OUTCOME_LATE),
        (Outcome.UNRECORDED, pb.REWARD_OUTCOME_UNRECORDED),
    )
}
"""The RewardResponse of each outcome."""


class BanditHandlers:
    """Choose, Reward and their batches on one engine, which is set while calls are served.

    `now_us` is the learning clock, `message_bytes_max` bounds a batch.
    """

    def __init__(
        self,
        now_us: Callable[[], int],
        counts: Counts,
        failures: Failures,
        message_bytes_max: int = limits.MESSAGE_BYTES_MAX,
    ) -> None:
        self.engine: Engine | None = None
        self._message_bytes_max = message_bytes_max
        self._now_us = now_us
        self._counts = counts
        self._failures = failures

    def methods(self) -> Methods:
        """The service's methods by path."""
        return Methods(
            unary={
                f"/{SERVICE}/Choose": self.choose,
                f"/{SERVICE}/ChooseBatch": self.choose_batch,
                f"/{SERVICE}/Reward": self.reward,
                f"/{SERVICE}/RewardBatch": self.reward_batch,
            }
        )

    def choose(self, data: bytes) -> bytes:
        """ChooseRequest → ChooseResponse."""
        engine = self.engine or ready(None)
        request = decode(pb.ChooseRequest, data, limits.REQUEST_BYTES_MAX)
        return _choose(engine, request, self._now_us())

    def reward(self, data: bytes) -> bytes:
        """RewardRequest → RewardResponse."""
        engine = ready(self.engine)
        request = decode(pb.RewardRequest, data, limits.REQUEST_BYTES_MAX)
        return self._reward(engine, request)

    def choose_batch(self, data: bytes) -> bytes:
        """ChooseBatchRequest → ChooseBatchResponse: one result an item, in order."""
        engine = ready(self.engine)
        items = _items(decode(pb.ChooseBatchRequest, data, self._message_bytes_max).requests, len(data))
        response = pb.ChooseBatchResponse()
        for item in items:
            result = response.results.add()
            try:
                result.response.MergeFromString(_choose(engine, item, self._now_us()))
            except Exception as error:  # noqa: BLE001 - one item's fault must not take its neighbours' answers
                result.error.CopyFrom(status(self._failures.of(error, f"/{SERVICE}/ChooseBatch")))
        return response.SerializeToString()

    def reward_batch(self, data: bytes) -> bytes:
        """RewardBatchRequest → RewardBatchResponse: one result an item, in order."""
        engine = ready(self.engine)
        items = _items(decode(pb.RewardBatchRequest, data, self._message_bytes_max).requests, len(data))
        response = pb.RewardBatchResponse()
        for item in items:
            result = response.results.add()
            try:
                result.response.MergeFromString(self._reward(engine, item))
            except Exception as error:  # noqa: BLE001 - as in choose_batch
                result.error.CopyFrom(status(self._failures.of(error, f"/{SERVICE}/RewardBatch")))
        return response.SerializeToString()

    def _reward(self, engine: Engine, request: pb.RewardRequest) -> bytes:
        value = request.value if request.HasField("value") else 1.0
        outcome = engine.reward(request.decision_id, request.event, value, request.event_id, self._now_us())
        self._counts.outcomes[outcome] += 1
        return _ANSWERS[outcome]


def ready(engine: Engine | None) -> Engine:
    """The engine. Raises ShellError STARTING while there is none: not yet, or not any more."""
    if engine is None:
        raise ShellError(
            ShellReason.STARTING,
            "the server is starting or draining; try again in a moment, or wait for health SERVING",
        )
    return engine


def _choose(engine: Engine, request: pb.ChooseRequest, now_us: int) -> bytes:
    return encode_choice(
        engine.choose(
            request.placement,
            request.unit,
            request.categories,
            request.numbers,
            request.arms,
            request.defer_exposure,
            now_us,
        )
    )


def _items(items: Sequence[Q], batch_bytes: int) -> Sequence[Q]:
    """The items of a batch. Raises BATCH_TOO_LARGE, or MESSAGE_TOO_LARGE when one alone would be refused."""
    if len(items) > BATCH_MAX:
        raise BanditError(
            Reason.BATCH_TOO_LARGE,
            f"the batch has {len(items)} requests, at most {BATCH_MAX} are taken; send several batches",
            limit=str(BATCH_MAX),
        )
    if batch_bytes > limits.REQUEST_BYTES_MAX:
        for item in items:
            if item.ByteSize() > limits.REQUEST_BYTES_MAX:
                raise too_large(item.DESCRIPTOR.name, item.ByteSize(), limits.REQUEST_BYTES_MAX)
    return items
