"""The bench of simulated days: what it times is the same traffic, once with and once without simulating."""

from loadtest.days_bench import alone, campaign, noted, whole


def test_the_core_alone_plays_the_same_visits() -> None:
    """Every choice and reward that was noted is accepted again, by its first decision_id."""
    calls = noted(3000, 2048)
    assert sum(name == "choose" for name, _ in calls) == 2048
    assert 100 < sum(name == "reward" for name, _ in calls) < 2048
    assert alone(3000, calls) > 0.0
    per_s, held = whole(run := campaign(3000))
    assert per_s > 0.0
    assert len(held) == 2
    assert run.learned_share < 0.1  # of 3,000 visitors the gate has not seen enough
