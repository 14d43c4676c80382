"""Simulated decisions with known truth: contexts, and what every arm would have earned.

Everything of a run comes from its seed and is drawn before any learner acts, so learners are compared on the
same visitors, the same luck and the same arms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ARMS = 10
FEATURES = 20
"""Columns of x, the constant 1 included."""
LOGIT = -1.0
"""Mean log-odds of the logistic environment: rewards come in 30 % of decisions under a random arm."""

Contexts = NDArray[np.float32]
Outcomes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Episode:
    """One run's world.

    `contexts` (steps, columns) float32, what learners see; `rewards` (steps, arms) what each arm would earn;
    `values` (steps, arms) the expectation of that, of which regret is made.
    """

    contexts: Contexts
    rewards: Outcomes
    values: Outcomes

    def regret(self, arms: NDArray[np.int64]) -> float:
        """Return Σ over steps of the best arm's value minus the chosen one's; `arms` (steps,)."""
        chosen = self.values[np.arange(arms.size), arms]
        return float((self.values.max(axis=1) - chosen).sum())


def linear(seed: int, steps: int, noise_sd: float = 0.5) -> Episode:
    """R = θₖᵀx + noise, θₖ ~ N(0, I / 20), x = (1, 19 standard normals): arms' values have variance 1."""
    rng = np.random.default_rng([seed, 1])
    contexts, scores = _contexts(rng, steps)
    return Episode(contexts, scores + noise_sd * rng.standard_normal(scores.shape), scores)


def noisy(seed: int, steps: int) -> Episode:
    """The linear environment with as much noise as signal."""
    return linear(seed, steps, 1.0)


def logistic(seed: int, steps: int) -> Episode:
    """R in {0, 1} with P(R = 1) = 1 / (1 + exp(1 - θₖᵀx)): a linear model is wrong about the shape."""
    rng = np.random.default_rng([seed, 2])
    contexts, scores = _contexts(rng, steps)
    values = 1.0 / (1.0 + np.exp(-(LOGIT + scores)))
    return Episode(contexts, (rng.random(scores.shape) < values).astype(np.float64), values)


def digits(seed: int, steps: int) -> Episode:
    """scikit-learn's handwritten digits, shuffled, each once: x = (1, 64 pixels), R = 1 for the right one."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second, and only this needs it

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng([seed, 3]).permutation(labels.size)[:steps]
    contexts = np.hstack([np.ones((order.size, 1)), images[order] / 16.0]).astype(np.float32)
    values = np.equal.outer(labels[order], np.arange(ARMS)).astype(np.float64)
    return Episode(contexts, values, values)


ENVIRONMENTS = {"linear": linear, "noisy": noisy, "logistic": logistic, "digits": digits}


def _contexts(rng: np.random.Generator, steps: int) -> tuple[Contexts, Outcomes]:
    """Contexts, and θₖᵀx for every arm; x is rounded to float32 first, as both learners get it."""
    theta = rng.standard_normal((ARMS, FEATURES)) / np.sqrt(FEATURES)
    contexts = rng.standard_normal((steps, FEATURES)).astype(np.float32)
    contexts[:, 0] = 1.0
    return contexts, contexts.astype(np.float64) @ theta.T
