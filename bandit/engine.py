"""The engine: Choose and Reward as pipelines, in the order in which they happen.

    choose   encode x → eligible arms, stratum → route the unit → every policy's pmf, draw one arm
             → record, apply → seal the token
    reward   open the token → check event and value → ledger → record, apply

Pure and deterministic: the time comes in, randomness comes from keyed hashes of the decision's identity, and
one thread calls. What happens between two calls is whole.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bandit import checks
from bandit.apply import apply
from bandit.config import EXPOSURE, Config, ConfigError
from bandit.counters import Outcome
from bandit.decision import ORIGIN_BYTES_MAX, START_BYTES, Decision
from bandit.errors import BanditError
from bandit.features import Categories, Numbers
from bandit.gate import GATE, Look, Verdict
from bandit.hashing import Draws, SaltedHash, UnitHashes
from bandit.limits import CONTEXT_ENTRIES_MAX, LEDGER_BYTES_MAX, UNIT_BYTES_MAX
from bandit.migrate import problems_between
from bandit.placement import PlacementState
from bandit.ramp import Move, RampStatus
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
from bandit.strata import OVERFLOW, Stratum
from bandit.token import Keys, Sealer


class Journal(Protocol):
    """Takes every record before it is applied; what it raises leaves the state as it was."""

    def takes(self) -> bool:
        """Whether there is room for what one more call may have to record."""

    def __call__(self, record: Record, packed: bytes | None = None) -> None:
        """Take a record. `packed`: its decision, packed, if that is at hand."""

    def spoil(self, error: Exception) -> None:
        """The last record cannot be applied: it may not be kept, nor anything after it."""


class Choice(NamedTuple):
    """The answer to a Choose. `propensity` is μ(arm | x), by today's shares."""

    decision_id: str
    arm: str
    policy: str
    propensity: float
    payload: str


class Looked(NamedTuple):
    """What became of a gate's look: `moved` is what the ramp does from then on, None if that is no news."""

    placement: str
    verdict: Verdict
    look: Look
    moved: RampStatus | None


_STATUS = {
    Verdict.GO_ON: RampStatus.RUNNING,
    Verdict.WAIT: RampStatus.WAITING,
    Verdict.BACK: RampStatus.STATIC,
}


class Engine:
    """One process's decisions and what it learns from them.

    `origin` names the process for good, `start` (16 random bytes) this start of it; together with a counter
    they identify a decision. `state` is what earlier starts left. `journal` is handed every record before it
    is applied; while it takes none, decisions are made but not learned from, and rewards are refused. Times
    are microseconds since the epoch and never go back behind the last record. Raises ValueError for a start
    or an origin that no token could carry, ConfigError as `reconfigure`.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        *,
        origin: str,
        start_id: bytes,
        now_us: int,
        state: State | None = None,
        journal: Journal | None = None,
    ) -> None:
        if len(start_id) != START_BYTES or len(origin.encode()) > ORIGIN_BYTES_MAX:
            message = (
                f"start_id has {len(start_id)} bytes and origin '{origin}' {len(origin.encode())}: expected "
                f"{START_BYTES} and at most {ORIGIN_BYTES_MAX}"
            )
            raise ValueError(message)
        self.state = state or State(LEDGER_BYTES_MAX)
        self.tokens_invalid = 0
        self._journal = journal
        self._keys = keys
        self._sealer = Sealer(keys)
        self._origin = origin
        self._start = start_id
        self._counter = 0
        self._units = UnitHashes(keys.unit_salt)
        self._draws = Draws(keys.draw_salt, start_id)
        self._commit(Started(start_id, self._not_before(now_us)))
        self.reconfigure(config, now_us)

    def choose(
        self,
        placement: str,
        unit: str,
        categories: Categories,
        numbers: Numbers,
        arms: Sequence[str],
        defer_exposure: bool,
        now_us: int,
    ) -> Choice:
        """Choose an arm. `unit` "": routed at random; `arms` empty: all.

        Raises BanditError PLACEMENT_UNKNOWN, UNIT_TOO_LONG, CONTEXT_TOO_LARGE, FEATURE_NOT_FINITE,
        FEATURE_NOT_BOOLEAN, NO_ELIGIBLE_ARM.
        """
        now_us = self._not_before(now_us)
        state = self.state.placements.get(placement)
        if state is None:
            raise checks.placement_unknown(placement)
        unit_bytes = unit.encode("utf-8", "surrogatepass")
        entries = len(categories) + len(numbers)
        if len(unit_bytes) > UNIT_BYTES_MAX or entries > CONTEXT_ENTRIES_MAX:
            raise checks.too_large(len(unit_bytes), entries, placement)
        x, known = state.encoder.encode(categories, numbers)
        recorded = self._journal is None or self._journal.takes()
        stratum = self._stratum(state, categories, numbers, arms, recorded=recorded)

        counter = self._counter = self._counter + 1
        key = b"u" + unit_bytes if unit_bytes else b"d" + self._start + counter.to_bytes(8, "little")
        routed, bucket = self._units[placement](key)
        share = state.share(now_us, in_scope=stratum.in_scope)
        policy = state.router.policy(routed, share)
        u = self._draws(counter)
        arm, low, high, propensity, overlaps = state.draw(stratum, x, policy, share, u, now_us)

        config, counters = state.config, state.counters
        probabilities = tuple(stratum.pmfs[:, arm].tolist())
        deferred = defer_exposure or state.deferring
        decision = Decision._make((  # in order: by name it costs 0.3 µs more
            self._origin, self._start, counter, config.schema_id, now_us, arm, policy, stratum.index, bucket,
            propensity, share, probabilities, overlaps, x, deferred, recorded,
            stratum.in_scope,
        ))  # fmt: skip
        packed = decision.pack()  # once, for the record and the token
        if recorded:
            self._commit(Decided(decision, low, high), packed)
        else:
            counters.unrecorded += 1
        if known != entries:
            counters.unknown_features += entries - known
        chosen = config.arms[arm]
        token = self._sealer.seal(decision, packed)
        return Choice(token, chosen.id, config.policies[policy].name, propensity, chosen.payload)

    def reward(self, decision_id: str, event: str, value: float, event_id: str, now_us: int) -> Outcome:
        """Count an event of a decision and learn from it, once.

        Raises BanditError TOKEN_INVALID, EVENT_UNKNOWN, EVENT_ID_REQUIRED, EVENT_ID_TOO_LONG,
        VALUE_NOT_FINITE, VALUE_OUT_OF_RANGE, REWARD_CONFLICT, LEDGER_FULL, JOURNAL_FULL; nothing is changed
        then.
        """
        now_us = self._not_before(now_us)
        try:
            decision = self._sealer.open(decision_id)
        except BanditError:
            self.tokens_invalid += 1
            raise
        located = self.state.locate(decision)
        if self.state.lost(decision):
            return Outcome.UNRECORDED
        if located is None:
            return Outcome.LATE if self.state.outlived(decision) else Outcome.UNRECORDED
        checks.check_event(located.schema, event, value, event_id)
        if decision.time_us + located.window_us < now_us:
            outcome = Outcome.LATE
        elif event == EXPOSURE:
            outcome = self._exposed(located, decision, now_us)
        else:
            outcome = self._rewarded(located, decision, event, value, event_id, now_us)
        located.placement.counters.count_reward(event, outcome)
        return outcome

    def reconfigure(self, config: Config, now_us: int) -> None:
        """Take over a configuration between two calls, keeping what was learned. The same one is no news.

        Raises ConfigError, with nothing changed, if it cannot follow the one that is served.
        """
        if {placement.schema_id for placement in config.placements.values()} == self.state.serving.keys():
            return
        problems = problems_between(self.state.placements, config)
        if problems:
            raise ConfigError(tuple(problems))
        self._commit(Configured(config, self._not_before(now_us)))

    def move_ramp(self, placement: str, status: RampStatus, reason: str, actor: str, now_us: int) -> bool:
        """Hold, resume or take back a ramp; return whether that changed anything.

        Raises BanditError PLACEMENT_UNKNOWN, RAMP_ABSENT, MOVE_UNEXPLAINED, JOURNAL_FULL.
        """
        state = self.state.placements.get(placement)
        if state is None:
            raise checks.placement_unknown(placement)
        checks.check_move(state, reason, actor)
        self._check_journal()
        if not state.ramp_clock.follows(status):
            return False
        move = Move(self._not_before(now_us), status, reason, actor)
        self._commit(RampMoved(state.config.name, move))
        return True

    def gates_due(self, now_us: int) -> list[str]:
        """Return the placements whose gates have to look."""
        now_us = self._not_before(now_us)
        return [name for name, state in self.state.placements.items() if state.gate_is_due(now_us)]

    def look(self, placement: str, now_us: int) -> Looked | None:
        """Let a gate look that is due: it may hold the ramp, let it go on, or take it back.

        None, and nothing is changed, if it is not due, and while the journal takes nothing.
        """
        state = self.state.placements[placement]
        now_us = self._not_before(now_us)
        full = self._journal is not None and not self._journal.takes()
        if full or not state.gate_is_due(now_us):
            return None
        verdict, look = state.judged(now_us)
        status = _STATUS[verdict]
        moves = state.ramp_clock.follows(status)
        if verdict is Verdict.GO_ON and state.ramp_clock.status is not RampStatus.WAITING:
            moves = False  # what an operator holds is not the gate's to resume
        if moves:  # before the look: if it alone is lost, the next one finds it done
            self._commit(RampMoved(placement, Move(now_us, status, look.sentence, GATE)))
        self._commit(GateLooked(placement, look))
        return Looked(placement, verdict, look, status if moves else None)

    def rekey(self, keys: Keys) -> bool:
        """Seal and open tokens with other keys from the next call on; return whether they are others.

        Raises ValueError, with nothing changed, if they may not follow (`Keys.check_follows`).
        """
        keys.check_follows(self._keys)
        changed = keys != self._keys
        if changed:
            self._keys, self._sealer = keys, Sealer(keys)
        return changed

    def _not_before(self, now_us: int) -> int:
        return max(self.state.time_us, now_us)

    def _commit(self, record: Record, packed: bytes | None = None, at: Located | None = None) -> None:
        if self._journal is not None:
            self._journal(record, packed)
        try:
            apply(self.state, record, at=at)
        except Exception as error:
            if self._journal is not None:
                self._journal.spoil(error)
            raise

    def _stratum(
        self, state: PlacementState, categories: Categories, numbers: Numbers, arms: Sequence[str],
        *, recorded: bool,
    ) -> Stratum:  # fmt: skip
        """Return the stratum of the eligible arms, opening it at first sight if that can be recorded."""
        mask, in_scope = state.eligibility.fixed or state.eligibility.of(categories, numbers)
        if arms:
            requested, unknown = state.eligibility.requested(arms)
            mask &= requested
            state.counters.unknown_arms += unknown
        if mask == 0:
            raise checks.no_eligible_arm(state, arms)
        stratum = state.strata.get(mask, in_scope=in_scope)
        if stratum is None:
            full = state.strata.full(restricted=bool(arms))
            state.counters.strata_overflow += full
            if full or not recorded:
                return Stratum(state.config, OVERFLOW, mask, in_scope=in_scope)
            self._commit(StratumOpened(state.config.name, mask, in_scope))
            stratum = state.strata.get(mask, in_scope=in_scope)
            assert stratum is not None  # noqa: S101 - it was opened in the line before
        return stratum

    def _exposed(self, at: Located, decision: Decision, now_us: int) -> Outcome:
        ledger = self.state.ledger
        if not decision.deferred or ledger.shown(at.window_us, at.key):
            return Outcome.DUPLICATE
        self._check_journal()
        ledger.reserve(at.window_us, at.key, event=False, exposure=True)
        self._commit(Exposed(decision, now_us))
        return Outcome.APPLIED

    def _check_journal(self) -> None:
        if self._journal is not None and not self._journal.takes():
            raise checks.journal_full()

    def _rewarded(
        self, at: Located, decision: Decision, event: str, value: float, event_id: str, now_us: int
    ) -> Outcome:
        ledger = self.state.ledger
        event_key, id_key = at.key | at.placement.events[event], 0
        if event in at.schema.reward.repeatable:
            id_key = _id_key(event_key, event_id)
            counted = ledger.id_value(at.window_us, event_key, id_key)
        else:
            counted = ledger.value(at.window_us, event_key)
        if counted is not None:
            if counted == value:
                return Outcome.DUPLICATE
            raise checks.conflict(event, counted, value)
        self._check_journal()
        ledger.reserve(at.window_us, at.key, event=True, exposure=decision.deferred)
        self._commit(Rewarded(decision, event, value, id_key, now_us), at=at)
        return Outcome.APPLIED


def _id_key(key: int, event_id: str) -> int:
    """Return a 64-bit hash of an event's key and id; never 0."""
    return _EVENT_IDS(key.to_bytes(8, "little") + event_id.encode("utf-8", "surrogatepass")) or 1


_EVENT_IDS = SaltedHash(b"", "event_id")
