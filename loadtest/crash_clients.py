"""The clients of the crash test: what they ask for, and a book of what was acknowledged.

Each of them calls until the server is killed. What was answered is acknowledged; what was not may have
happened or not, and is asked for again in a later life of the server. An answer that cannot be, given what
was acknowledged before, is an AssertionError.
"""

import random
import threading
import time
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from bandit.config import EXPOSURE
from bandit.limits import BATCH_MAX
from server.client import CallError, Client
from server.pb import bandit_pb2 as pb

_HERO: dict[str, object] = {
    "arms": {"a": {"weight": 1}, "b": {"weight": 2}, "c": {"when": {"platform": ["web"]}}},
    "features": {
        "platform": {"kind": "category", "values": ["web", "app"]},
        "history": {"kind": "number", "min": 0, "max": 100},
    },
    "reward": {"window": "24h", "values": {"click": 1.0, "order": 0.5}, "max": 5.0, "repeatable": ["order"]},
    "policies": {"best-arm": {"kind": "thompson"}, "personal": {"kind": "linear_thompson"}},
    "ramp": {"policies": {"best-arm": 0.5, "personal": 0.5}, "from": 0.8},
}
_REWARD: dict[str, object] = {"values": {"click": 1.0, "order": 1.0}, "repeatable": ["order"]}
_BRIEF: dict[str, object] = {
    "arms": {"x": {}, "y": {}},
    "reward": _REWARD | {"window": "20s"},
    "policies": {"best-arm": {"kind": "thompson"}},
    "ramp": {"policies": {"best-arm": 1.0}, "from": 1.0},
}
_LONG = _BRIEF | {
    "reward": {"window": "24h", "values": {"click": 1.0, "order": 1.0}, "repeatable": ["order"]}
}
SIMPLE = ["brief", *(f"simple-{number}" for number in range(12))]
"""Placements without context."""

_OTHER: dict[str, object] = {
    "arms": {"c": {"when": {"platform": ["web"]}}, "b": {"weight": 5}, "a": {"weight": 1}},
    "features": {
        "history": {"kind": "number", "min": 0, "max": 100},
        "returning": {"kind": "boolean"},
        "platform": {"kind": "category", "values": ["app", "web"]},
    },
}


def document(variant: int) -> dict[str, object]:
    """What the server serves: in variant 1 arms and features of `hero` are others, and in another order.

    Decisions of `brief` are soon past their window, so the ledger forgets too. There are enough others for
    calls to come while a snapshot is made.
    """
    hero = _HERO | _OTHER if variant else _HERO
    return {"version": 1, "placements": dict.fromkeys(SIMPLE, _LONG) | {"brief": _BRIEF, "hero": hero}}


WINDOW_S = {"brief": 20.0}
"""How long events of a decision count; a day for those of other placements."""

EVENTS = ("click", "order", EXPOSURE)

PAUSE_S = 0.002
"""Between two calls of a client, on average: what is acknowledged is looked at again after each kill."""

LATE_SLACK_S = 1.0
"""By how much the clocks of the server's lives and the client's may differ over a decision's age."""

RECENT = 300
"""Most rewards are for one of so many last decisions."""

_HEAD = slice(2, 26)
"""The clear bytes of a token that identify its decision: the start's id and the counter."""


def identity_of(token: str) -> bytes:
    """The start and the counter of the decision that a token is for, 24 bytes."""
    return a2b_base64(token.translate(str.maketrans("-_", "+/")) + "=" * (-len(token) % 4))[_HEAD]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A decision as its client knows it. `asked_s` is when it was asked for, on the monotonic clock."""

    placement: str
    answer: pb.ChooseResponse
    deferred: bool
    asked_s: float


@dataclass(slots=True)
class Told:
    """An event that the server was told of, until it is `acknowledged` perhaps in vain.

    `applied` counts the answers that say APPLIED. `late`: the server has said that it came too late.
    """

    decision: Acknowledged
    event: str
    event_id: str
    value: float
    acknowledged: bool = False
    late: bool = False
    applied: int = 0

    def request(self) -> pb.RewardRequest:
        """What the server is told, the same each time."""
        return pb.RewardRequest(
            decision_id=self.decision.answer.decision_id,
            event=self.event,
            value=self.value,
            event_id=self.event_id,
        )

    def answered(self, outcome: str, *, known: bool) -> None:
        """Note an answer; `known`: it was acknowledged before this request was sent."""
        age_s = time.monotonic() - self.decision.asked_s  # no less than the server's idea of it
        if outcome == "late":
            assert age_s > WINDOW_S.get(self.decision.placement, 86_400.0) - LATE_SLACK_S, (
                f"late after {age_s} s: {self}"
            )
            self.late = True
            return
        assert outcome == "duplicate" or (outcome == "applied" and not known), f"{outcome}: {self}"
        self.applied += outcome == "applied"
        assert self.applied <= 1, f"applied twice: {self}"
        self.acknowledged = True


@dataclass(slots=True)
class Book:
    """What all clients of all the server's lives know. One of them changes it at a time."""

    decisions: dict[bytes, Acknowledged] = field(default_factory=dict)
    events: dict[tuple[bytes, str, str], Told] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    order: list[bytes] = field(default_factory=list)
    tellings: list[Told] = field(default_factory=list)

    def decided(self, placement: str, answer: pb.ChooseResponse, *, deferred: bool, asked_s: float) -> None:
        """Note an acknowledged decision. No two have one identity."""
        identity = identity_of(answer.decision_id)
        with self.lock:
            assert identity not in self.decisions, f"a second decision is {identity.hex()}"
            self.decisions[identity] = Acknowledged(placement, answer, deferred, asked_s)
            self.order.append(identity)

    def telling(self, rng: random.Random) -> Told | None:
        """Something to tell of a decision, for the first time or not; mostly of one of the last ones."""
        with self.lock:
            if not self.order:
                return None
            recent = self.order[-RECENT:] if rng.random() < 0.9 else self.order
            identity = rng.choice(recent)
            decision = self.decisions[identity]
            event = rng.choice(EVENTS[: 3 if decision.deferred else 2])
            event_id = rng.choice("123") if event == "order" else ""
            key = identity, event, event_id
            if key not in self.events:
                # each order has a value of its own, by which its record is found
                value = len(self.tellings) / 1000 if event == "order" else 1.0
                self.events[key] = Told(decision, event, event_id, value)
                self.tellings.append(self.events[key])
            return self.events[key]

    def acknowledged(self) -> list[Told]:
        """The events that the server has acknowledged as counted."""
        return [told for told in self.events.values() if told.acknowledged]


class Customer(threading.Thread):
    """One client with a connection of its own, which calls until it is refused.

    `over` is set just before the server ends; a call that fails earlier is kept as `failed`, and so is an
    answer that cannot be. What a later call failed with is `refused`.
    """

    def __init__(self, book: Book, target: str, seed: str, over: threading.Event) -> None:
        super().__init__(name=f"customer at {target}", daemon=True)
        self.failed: BaseException | None = None
        self.refused = ""
        self._book = book
        self._target = target
        self._rng = random.Random(seed)
        self._over = over

    def run(self) -> None:
        """Call."""
        steps = [
            self._choose,
            self._choose_batch,
            self._tell,
            self._tell_batch,
            self._repeat,
            self._contradict,
        ]
        weights = [8, 1, 8, 1, 3, 1]
        try:
            with Client(self._target) as client:
                while True:
                    self._rng.choices(steps, weights)[0](client)
                    self._over.wait(self._rng.expovariate(1 / PAUSE_S))
        except CallError as error:
            self.refused = error.code
            if not self._over.is_set():
                self.failed = error
        except AssertionError as error:
            self.failed = error

    def _request(self) -> pb.ChooseRequest:
        rng = self._rng
        if rng.random() < 0.5:
            return pb.ChooseRequest(
                placement=rng.choice(SIMPLE), unit=f"u{rng.randrange(50)}", defer_exposure=rng.random() < 0.3
            )
        return pb.ChooseRequest(
            placement="hero",
            unit=f"u{rng.randrange(1000)}",
            categories={"platform": rng.choice(["web", "app", "tv"])},
            numbers={"history": rng.uniform(0, 120)},
            arms=rng.sample("abc", 2) if rng.random() < 0.2 else (),
            defer_exposure=rng.random() < 0.3,
        )

    def _choose(self, client: Client) -> None:
        request = self._request()
        asked_s = time.monotonic()
        answer = client.choose(request)
        self._book.decided(request.placement, answer, deferred=request.defer_exposure, asked_s=asked_s)

    def _choose_batch(self, client: Client) -> None:
        requests = [self._request() for _ in range(self._rng.randrange(1, 20))]
        asked_s = time.monotonic()
        for request, answer in zip(requests, client.choose_batch(requests), strict=True):
            assert not isinstance(answer, CallError), answer
            self._book.decided(request.placement, answer, deferred=request.defer_exposure, asked_s=asked_s)

    def _tell(self, client: Client) -> None:
        told = self._book.telling(self._rng)
        if told is not None:
            known = told.acknowledged
            outcome = client.reward(told.request())
            with self._book.lock:
                told.answered(outcome, known=known)

    def _tell_batch(self, client: Client) -> None:
        tellings = [self._book.telling(self._rng) for _ in range(self._rng.randrange(1, 20))]
        # the second one of two in a batch is known to the server, but not to us when it is sent
        tell(self._book, client, [told for told in tellings if told is not None])

    def _repeat(self, client: Client) -> None:
        tellings = self._book.tellings
        if tellings:
            tell(self._book, client, [self._rng.choice(tellings[-RECENT:])])

    def _contradict(self, client: Client) -> None:
        """An event that was counted, with another value: refused, unless it is too late for any."""
        told = self._book.telling(self._rng)
        if told is None or told.event == EXPOSURE or not told.acknowledged:
            return
        request = told.request()
        request.value += 0.5
        try:
            outcome = client.reward(request)
        except CallError as error:
            if error.reason != "REWARD_CONFLICT":
                raise
        else:
            assert outcome == "late", f"{outcome} for another value: {told}"


def tell(book: Book, client: Client, tellings: Sequence[Told]) -> None:
    """Send events in one batch and note the answers."""
    known = [told.acknowledged for told in tellings]
    answers = client.reward_batch([told.request() for told in tellings])
    with book.lock:
        for told, before, answer in zip(tellings, known, answers, strict=True):
            assert not isinstance(answer, CallError), f"{answer}: {told}"
            told.answered(answer, known=before)


def tell_again(book: Book, target: str, tellings: Sequence[Told]) -> None:
    """Send acknowledged events again: each is a DUPLICATE, or past its window by now."""
    with Client(target) as client:
        for at in range(0, len(tellings), BATCH_MAX):
            part = tellings[at : at + BATCH_MAX]
            assert all(told.acknowledged for told in part)
            tell(book, client, part)
