"""What is served is served as often as the reported propensities say, over the wire, in each stratum.

χ² with α = 0.001 for each of the strata. Units, keys, the start's id and the clock are fixed, so a test
passes always or never.
"""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
import scipy.stats

from server.clock import LearningClock
from server.pb import bandit_pb2 as pb
from tests.server.running import WAIT_S, Loop, Running, running

ALPHA = 0.001
NOW_NS = 1_800_000_000_000_000_000
DECISIONS = 4_096
BATCH = 256

CONFIG = """
version: 1
owner: tests
placements:
  hero:
    arms:
      a: {weight: 1}
      b: {weight: 2}
      c: {weight: 3, when: {platform: [web]}}
    features:
      platform: {kind: category, values: [web, app, tv]}
    reward: {window: 24h, values: {click: 1.0}, max: 1.0}
    policies:
      best-arm: {kind: thompson, explore: 0.1}
      personal: {kind: linear_thompson, explore: 0.1}
      greedy: {kind: linucb, explore: 0.1}
    ramp:
      policies: {best-arm: 0.4, personal: 0.3, greedy: 0.3}
      start: 2026-01-01T00:00:00Z
      from: 0.6
      to: 0.6
      over: 1d
      only_when: {platform: [web, app]}
"""


def batch(server: Running, requests: list[pb.ChooseRequest]) -> list[pb.ChooseResponse]:
    """Decisions for the requests."""
    results = server.bandit.ChooseBatch(pb.ChooseBatchRequest(requests=requests), timeout=WAIT_S).results
    return [result.response for result in results]


def learn(server: Running) -> None:
    """Some rewards, so that the policies differ from uniform and from each other."""
    for platform, liked in (("web", "c"), ("app", "a")):
        request = pb.ChooseRequest(placement="hero", categories={"platform": platform})
        rewards = [
            pb.RewardRequest(decision_id=chosen.decision_id, event="click")
            for number, chosen in enumerate(batch(server, [request] * BATCH))
            if number % (2 if chosen.arm == liked else 5) == 0
        ]
        server.bandit.RewardBatch(pb.RewardBatchRequest(requests=rewards), timeout=WAIT_S)


@pytest.mark.parametrize("platform", ["web", "app", "tv"])
def test_frequencies_match_propensities(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """Served arms against expected counts, Σ μ(a | x) over all decisions.

    `web` has three arms in scope of the ramp, `app` two, `tv` two outside of it, where only static serves.
    Exposures are deferred and time stands still, so every decision has the same propensities.
    """
    monkeypatch.setattr("server.opening.new_start_id", lambda: bytes(16))
    now_ns = [NOW_NS]
    with running(loop, tmp_path, CONFIG, clock=LearningClock(lambda: NOW_NS, lambda: now_ns[0])) as server:
        learn(server)
        now_ns[0] += 1_000_000_000  # what was learned reaches every pmf
        served: Counter[str] = Counter()
        propensity: dict[str, set[float]] = defaultdict(set)
        policies: Counter[str] = Counter()
        for start in range(0, DECISIONS, BATCH):
            for chosen in batch(
                server,
                [
                    pb.ChooseRequest(
                        placement="hero",
                        unit=f"visitor {start + i}",
                        categories={"platform": platform},
                        defer_exposure=True,
                    )
                    for i in range(BATCH)
                ],
            ):
                served[chosen.arm] += 1
                policies[chosen.policy] += 1
                propensity[chosen.arm].add(round(chosen.propensity, 12))
    assert all(len(seen) == 1 for seen in propensity.values())
    expected = {arm: seen.pop() * DECISIONS for arm, seen in propensity.items()}
    assert sum(expected.values()) == pytest.approx(DECISIONS)
    arms = sorted(expected)
    test = scipy.stats.chisquare([served[arm] for arm in arms], [expected[arm] for arm in arms])
    print(platform, dict(served), expected, test.pvalue)
    assert test.pvalue > ALPHA
    shares = {"static": 0.4, "best-arm": 0.24, "personal": 0.18, "greedy": 0.18}
    if platform == "tv":
        assert policies == {"static": DECISIONS}
        return
    names = sorted(shares)
    routed = scipy.stats.chisquare([policies[p] for p in names], [shares[p] * DECISIONS for p in names])
    assert routed.pvalue > ALPHA
