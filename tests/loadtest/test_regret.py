"""The study of regret, in small: learners compared fairly, runs resumed, the bound computed as it says."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from mabwiser.mab import MAB, LearningPolicy

from loadtest.environments import ARMS, ENVIRONMENTS
from loadtest.learners import LEARNERS, MABWiser
from loadtest.regret import main, ratio_bound


@pytest.mark.parametrize("policy", [LearningPolicy.LinTS(alpha=0.5), LearningPolicy.LinUCB(alpha=1.0)])
def test_the_shortcut_into_mabwiser_is_mabwiser(policy: LearningPolicy) -> None:
    """Called the short way or by its public methods, MABWiser makes the same choices."""
    episode = ENVIRONMENTS["linear"](0, 150)
    short, public = MABWiser(ARMS, policy, 7), MAB(list(range(ARMS)), policy, seed=7)
    for step, x in enumerate(episode.contexts):
        context = x[None].astype(np.float64)
        arm = short.choose(x)
        assert step == 0 or arm == public.predict(context)
        reward = float(episode.rewards[step, arm])
        short.learn(x, arm, reward)
        public.partial_fit([arm], [reward], context)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_episode_is_its_seed(name: str) -> None:
    """The same seed gives the same world, another one another; the best arm at each step has no regret."""
    episode, again, other = (ENVIRONMENTS[name](seed, 50) for seed in (1, 1, 2))
    assert np.array_equal(episode.rewards, again.rewards)
    assert not np.array_equal(episode.contexts, other.contexts)
    assert episode.regret(episode.values.argmax(axis=1)) == 0.0


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_learns(name: str) -> None:
    """Over 1,500 steps every learner has less than half of the regret of choosing at random (some 2,300)."""
    episode = ENVIRONMENTS["linear"](3, 1500)
    learner = LEARNERS[name](ARMS, episode.contexts.shape[1], 3)
    arms = np.zeros(1500, np.int64)
    for step, x in enumerate(episode.contexts):
        arms[step] = learner.choose(x)
        learner.learn(x, int(arms[step]), float(episode.rewards[step, arms[step]]))
    at_random = np.random.default_rng(0).integers(ARMS, size=1500)
    assert episode.regret(arms) < 0.5 * episode.regret(at_random)


def test_the_bound_by_hand() -> None:
    """Regrets in one proportion at every seed have that ratio whatever is resampled; others spread."""
    theirs = np.array([1.0, 2.0, 4.0, 8.0])
    assert ratio_bound(0.5 * theirs, theirs) == pytest.approx(0.5)
    assert ratio_bound(0.5 * theirs[::-1], theirs) > 0.6


def test_a_study_is_resumed(tmp_path: Path) -> None:
    """Finished runs are read, not run again; the report alone runs nothing and prints the same table."""
    results = tmp_path / "regret.jsonl"
    options = ["--environment", "logistic", "--steps", "40", "--results", str(results)]
    first = CliRunner().invoke(main, [*options, "--seeds", "1"])
    lines = results.read_text().splitlines()
    assert len(lines) == len(LEARNERS)
    CliRunner().invoke(main, [*options, "--seeds", "2"])
    assert results.read_text().splitlines()[: len(lines)] == lines
    assert len(results.read_text().splitlines()) == 2 * len(lines)
    again = CliRunner().invoke(main, [*options, "--seeds", "1", "--report"])
    assert again.stdout == first.stdout
    assert "| logistic, 40 steps | 1 | linear_thompson |" in again.stdout
