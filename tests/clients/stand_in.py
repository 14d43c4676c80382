"""A sidecar that is not there: answers as a function says, and keeps what it was sent."""

from collections.abc import Callable, Sequence

from server.client import CallError
from server.pb import bandit_pb2 as pb


class StandIn:
    """A `Caller`. `choose` names the arm for a request, or gives the error to refuse it with."""

    def __init__(self, choose: Callable[[pb.ChooseRequest], str | CallError]) -> None:
        self._choose = choose
        self.requests: list[pb.ChooseRequest] = []
        self.rewards: list[pb.RewardRequest] = []
        self.rewarded_after: list[int] = []
        self.batches: list[int] = []

    def choose_batch(self, requests: Sequence[pb.ChooseRequest]) -> list[pb.ChooseResponse | CallError]:
        """Answers with the decision's number as its id."""
        self.batches.append(len(requests))
        return [self._answer(request) for request in requests]

    def reward_batch(self, requests: Sequence[pb.RewardRequest]) -> list[str | CallError]:
        """Applies everything."""
        self.rewards.extend(requests)
        self.rewarded_after.extend([len(self.requests)] * len(requests))
        return ["applied"] * len(requests)

    def _answer(self, request: pb.ChooseRequest) -> pb.ChooseResponse | CallError:
        chosen = self._choose(request)
        if isinstance(chosen, CallError):
            return chosen
        self.requests.append(request)
        return pb.ChooseResponse(
            decision_id=str(len(self.requests) - 1), arm=chosen, policy="best", propensity=1
        )
