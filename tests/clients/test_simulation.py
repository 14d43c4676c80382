"""Simulated shoppers, without a server: what they draw, what is sent, how choices are scored."""

import numpy as np
import pytest

from server.client import CallError
from server.pb import bandit_pb2 as pb
from server.simulation.drive import Simulation, SimulationError
from server.simulation.scenario import Category, Effect, Event, Number, Scale, Scenario, Shape
from server.simulation.scores import Scores
from server.simulation.shoppers import Shoppers
from server.simulation.view import plain_line
from tests.clients.stand_in import StandIn

CROSSOVER = Scenario(
    placement="home-hero",
    arms=("mens", "womens"),
    weights=(0.5, 0.5),
    features=(Category("platform", ("web", "app"), (0.5, 0.5)), Number("loyal", Shape.BOOLEAN, 0.5)),
    events=(
        Event(
            name="visit",
            worth=2.0,
            scale=Scale.IDENTITY,
            rates=(0.2, 0.1),
            effects=(Effect(add=(-0.15, 0.2), when=(("platform", 1.0),)),),
        ),
    ),
)
"""web: 0.2 and 0.1; app: 0.05 and 0.3. Static earns 2 × 0.1625 = 0.325, the oracle 0.5, womens 0.4."""


def oracle(request: pb.ChooseRequest) -> str:
    """The best arm of the context that was sent."""
    return "mens" if request.categories["platform"] == "web" else "womens"


def simulate(
    scenario: Scenario, sidecar: StandIn, shoppers: int = 4000, *, shuffle: bool = False
) -> Simulation:
    """A finished run of `shoppers` in batches of 50 with seed 3."""
    run = Simulation(scenario, sidecar, shoppers, 50, 3, shuffle)
    run.run()
    return run


def test_the_oracle_gains_everything() -> None:
    """A sidecar that knows the best arm of each context gains all there is, exactly."""
    report = simulate(CROSSOVER, StandIn(oracle)).scores.report(3, shuffled=False)
    assert report.whole.gain == pytest.approx(1)
    assert report.whole.served == report.whole.oracle == pytest.approx(0.5, abs=0.02)
    assert report.whole.static == pytest.approx(0.325, abs=0.01)
    assert report.whole.best_arm == pytest.approx(0.4, abs=0.02)
    assert report.whole.observed == pytest.approx(0.5, abs=0.06)  # 4 standard errors, α = 6e-5
    assert [(part.value, part.best) for part in report.segments["best"] if part.feature == "platform"] == [
        ("web", "mens"),
        ("app", "womens"),
    ]
    assert report.policies["best"].visits == 2000


def test_shuffled_contexts_leave_the_oracle_blind() -> None:
    """With another's context the same rule serves arms at random: it gains nothing (4 s.e., α = 6e-5)."""
    report = simulate(CROSSOVER, StandIn(oracle), shuffle=True).scores.report(3, shuffled=True)
    assert report.whole.gain == pytest.approx(0, abs=0.1)


def test_shuffling_changes_what_is_sent_not_who_comes() -> None:
    """The same seed gives the same visitors and luck; only the sent contexts move, by one visit."""
    plain = next(Shoppers(CROSSOVER, 5).blocks(20, 20))
    shuffled = next(Shoppers(CROSSOVER, 5, shuffle=True).blocks(20, 20))
    assert np.array_equal(plain.truth["platform"], shuffled.truth["platform"])
    assert np.array_equal(plain.luck["visit"], shuffled.luck["visit"])
    assert np.array_equal(shuffled.sent["platform"][1:], plain.truth["platform"][:-1])


def test_what_is_sent_is_a_request_for_the_placement() -> None:
    """Categories as their text, booleans as 0 or 1, a unit for each shopper, batches as asked."""
    sidecar = StandIn(oracle)
    simulate(CROSSOVER, sidecar, 120)
    first = sidecar.requests[0]
    assert (first.placement, set(first.categories), set(first.numbers)) == (
        "home-hero",
        {"platform"},
        {"loyal"},
    )
    assert first.categories["platform"] in {"web", "app"}
    assert first.numbers["loyal"] in {0.0, 1.0}
    assert sidecar.batches == [50, 50, 20]
    assert len({request.unit for request in sidecar.requests}) == 120


def test_returning_shoppers_keep_unit_and_context() -> None:
    """With returning 0.5 about half of the later visits are by known units, each with one context."""
    scenario = Scenario("p", ("a",), (1.0,), CROSSOVER.features, (), returning=0.5)
    contexts: dict[str, set[tuple[int, float]]] = {}
    visits = 0
    for block in Shoppers(scenario, 1).blocks(4000, 100):
        for unit, platform, loyal in zip(
            block.units, block.truth["platform"], block.truth["loyal"], strict=True
        ):
            contexts.setdefault(unit, set()).add((int(platform), float(loyal)))
            visits += 1
    assert all(len(seen) == 1 for seen in contexts.values())
    assert 0.45 < len(contexts) / visits < 0.55


def test_delayed_events_arrive_later_and_all() -> None:
    """With a mean delay of 200 visits events trail their visit; at the end none is missing."""
    event = Event("visit", 1.0, Scale.IDENTITY, (1.0, 1.0), (), delay=200)
    sidecar = StandIn(lambda _: "mens")
    run = simulate(Scenario("p", ("mens", "womens"), (0.5, 0.5), (), (event,)), sidecar, 2000)
    lags = [
        after - int(reward.decision_id)
        for after, reward in zip(sidecar.rewarded_after, sidecar.rewards, strict=True)
        if after < 2000
    ]
    assert run.scores.outcomes == {"applied": 2000}
    assert 150 < float(np.mean(lags)) < 300
    assert sorted(int(reward.decision_id) for reward in sidecar.rewards) == list(range(2000))


def test_an_arm_without_rates_is_refused() -> None:
    """The placement serves an arm the scenario does not know: the message names both and the remedy."""
    with pytest.raises(SimulationError, match="serves the arm 'kids', which the scenario does not know"):
        simulate(CROSSOVER, StandIn(lambda _: "kids"))


def test_a_refused_item_ends_the_run() -> None:
    """One refusal within a batch is raised with its reason; it is not skipped silently."""
    refusal = CallError("NOT_FOUND", "no placement 'home-hero'", "PLACEMENT_UNKNOWN")
    with pytest.raises(CallError, match="PLACEMENT_UNKNOWN: no placement 'home-hero'"):
        simulate(CROSSOVER, StandIn(lambda _: refusal))


def test_nothing_to_gain_is_no_division() -> None:
    """One arm, or no visit yet: no gain is claimed."""
    event = Event("visit", 1.0, Scale.IDENTITY, (0.5,), ())
    run = simulate(Scenario("p", ("mens",), (1.0,), (), (event,)), StandIn(lambda _: "mens"), 10)
    assert run.scores.earnings().gain is None
    assert Scores(CROSSOVER, 10).report(1, shuffled=False).whole.visits == 0


def test_the_plain_line_says_how_it_stands() -> None:
    """What is printed where no terminal is."""
    line = plain_line(simulate(CROSSOVER, StandIn(oracle), 1000).scores)
    assert line.startswith("1000 shoppers: reward 0.")
    assert "mens " in line
