"""What the benchmark times: one decision and its update, in our core and in its peers.

All play the same world: 10 arms, 7 features in 32 columns of which 8 are set, a reward of 0 or 1 at once.
Each gets contexts in the form it takes them in, made before the clock starts: dictionaries for us, lines of
text for Vowpal Wabbit, vectors for MABWiser.
"""

import random
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from vowpalwabbit import Workspace

from bandit.config import Config, parse
from bandit.engine import Engine
from bandit.features import entries
from bandit.placement import PlacementState
from bandit.strata import Stratum
from bandit.token import Keys

ARMS = 10
COLUMNS = 32
COLUMNS_SET = 8
CONTEXTS = 1000
NOW_US = 1_800_000_000_000_000
PLACEMENT = "home-hero"
POLICY = "personal"

Context = tuple[Mapping[str, str], Mapping[str, float]]
"""Categories and numbers, as a Choose carries them."""

_CATEGORIES = {f"category-{i}": ["a", "b", "c"] for i in range(4)} | {"category-4": ["a", "b", "c", "d", "e"]}
FEATURES = {
    **{name: {"kind": "category", "values": values} for name, values in _CATEGORIES.items()},
    "history": {"kind": "number", "min": 0, "max": 10},
    "returning": {"kind": "boolean"},
}
"""In the form of a configuration: seven features, 32 columns with the bias."""


def config() -> Config:
    """The placement that is served: linear_thompson for everyone."""
    return parse({
        "version": 1,
        "placements": {PLACEMENT: {
            "arms": {f"arm-{k}": {} for k in range(ARMS)},
            "features": FEATURES,
            "reward": {"values": {"click": 1.0}, "max": 1.0},
            "policies": {POLICY: {"kind": "linear_thompson"}},
            "ramp": {"policies": {POLICY: 1.0}, "from": 1.0},
        }},
    })  # fmt: skip


def contexts() -> list[Context]:
    """The visitors, the same on every run."""
    rng = np.random.default_rng(1)
    return [
        (
            {name: str(rng.choice(values)) for name, values in _CATEGORIES.items()},
            {"history": float(rng.uniform(1.0, 10.0)), "returning": 1.0},
        )
        for _ in range(CONTEXTS)
    ]


def reward(visitor: int, arm: int, luck: random.Random) -> float:
    """1 with a probability of 5 to 35 %, depending on the visitor and the arm."""
    return float(luck.random() < 0.05 + 0.3 * ((visitor * 7 + arm * 13) % 31) / 30.0)


class Subject(Protocol):
    """Something that decides and learns. `visitor` is an index into `contexts()`."""

    name: str

    def choose(self, visitor: int) -> int:
        """Return the arm."""

    def learn(self, visitor: int, arm: int, value: float) -> None:
        """Take in the reward of the decision just made."""


class OurLearner:
    """Our core's learner: encode, score, pmf, draw, update. With `encoded`, contexts come as vectors."""

    def __init__(self, *, encoded: bool) -> None:
        self.name = "banditd's learner, given vectors" if encoded else "banditd's learner"
        placement = config().placements[PLACEMENT]
        self._state = PlacementState(placement, NOW_US)
        self._stratum = Stratum(placement, 0, (1 << ARMS) - 1, in_scope=True)
        self._policy = [policy.name for policy in placement.policies].index(POLICY)
        self._contexts = contexts()
        self._vectors = (
            [self._state.encoder.encode(*context) for context in self._contexts] if encoded else None
        )
        self._luck = random.Random(2)
        self._x = self._state.encoder.encode(*self._contexts[0])

    def choose(self, visitor: int) -> int:
        """See `Subject`."""
        vectors = self._vectors
        self._x = vectors[visitor] if vectors else self._state.encoder.encode(*self._contexts[visitor])
        x, _ = self._x
        return self._state.draw(self._stratum, x, self._policy, 1.0, self._luck.random(), NOW_US)[0]

    def learn(self, visitor: int, arm: int, value: float) -> None:
        """See `Subject`."""
        del visitor
        x, _ = self._x
        self._state.expose(arm, None, x, NOW_US)
        self._state.credit(arm, None, x, NOW_US, (0.0, value))


class OurEngine:
    """The whole of a Choose and a Reward in the core: routing, pmfs, sealed token, ledger, learning."""

    name = "banditd's engine, Choose and Reward"

    def __init__(self) -> None:
        keys = Keys.derive(bytes(range(32)))
        self._engine = Engine(config(), keys, origin="bench", start_id=bytes(16), now_us=NOW_US)
        self._contexts = contexts()
        self._now_us = NOW_US
        self._token = ""

    def choose(self, visitor: int) -> int:
        """See `Subject`."""
        self._now_us += 100
        categories, numbers = self._contexts[visitor]
        choice = self._engine.choose(
            PLACEMENT, f"unit-{visitor}", categories, numbers, (), False, self._now_us
        )
        self._token = choice.decision_id
        return int(choice.arm[4:])

    def learn(self, visitor: int, arm: int, value: float) -> None:
        """See `Subject`. A reward of 0 is an event too: the peers learn from it as well."""
        del visitor, arm
        self._engine.reward(self._token, "click", value, "", self._now_us)


class VowpalWabbit:
    """Vowpal Wabbit's contextual bandit over actions crossed with the context: a model for each arm."""

    def __init__(self, exploration: str) -> None:
        self.name = f"Vowpal Wabbit {exploration}"
        self._workspace = Workspace(f"--cb_explore_adf {exploration} -q CA --quiet")
        self._lines = [_text(context) for context in contexts()]
        self._pmf: list[float] = []
        self._luck = random.Random(3)

    def choose(self, visitor: int) -> int:
        """See `Subject`."""
        self._pmf = self._workspace.predict(self._lines[visitor])
        u, arm = self._luck.random(), 0
        for arm, p in enumerate(self._pmf):  # noqa: B007 - the last arm is what rounding leaves
            u -= p
            if u < 0.0:
                break
        return arm

    def learn(self, visitor: int, arm: int, value: float) -> None:
        """See `Subject`."""
        lines = self._lines[visitor].copy()
        lines[arm + 1] = f"0:{-value}:{self._pmf[arm]} {lines[arm + 1]}"
        self._workspace.learn(lines)


class MABWiser:
    """MABWiser's LinTS through its public methods."""

    name = "MABWiser LinTS"

    def __init__(self) -> None:
        encode = PlacementState(config().placements[PLACEMENT], NOW_US).encoder.encode
        self._vectors = np.zeros((CONTEXTS, 1, COLUMNS))
        for visitor, context in enumerate(contexts()):
            index, value = entries(encode(*context)[0])
            self._vectors[visitor, 0, index] = value
        self._mab = MAB(list(range(ARMS)), LearningPolicy.LinTS(alpha=1.0), seed=4)
        self._mab.fit([0], [0.0], self._vectors[0])

    def choose(self, visitor: int) -> int:
        """See `Subject`."""
        return int(self._mab.predict(self._vectors[visitor]))

    def learn(self, visitor: int, arm: int, value: float) -> None:
        """See `Subject`."""
        self._mab.partial_fit([arm], [value], self._vectors[visitor])


def _text(context: Context) -> list[str]:
    categories, numbers = context
    words = [f"{name}={value}" for name, value in categories.items()]
    words += [f"{name}:{value}" for name, value in numbers.items()]
    return [f"shared |C {' '.join(words)}"] + [f"|A arm={k}" for k in range(ARMS)]
