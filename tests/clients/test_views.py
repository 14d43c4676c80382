"""What a person sees: live tables on a terminal, plain lines elsewhere, and the final tables."""

import io

from rich.console import Console

from server.replays.drive import Replay
from server.replays.view import show_report as show_replay
from server.simulation.drive import Simulation
from server.simulation.scores import Scores
from server.simulation.shoppers import Shoppers
from server.simulation.view import LiveView, most_served, show_report
from tests.clients.stand_in import StandIn
from tests.clients.test_replay import log, personal
from tests.clients.test_simulation import CROSSOVER, oracle


def shown(*, terminal: bool) -> str:
    """Everything that a simulation of 1,000 shoppers prints."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, color_system=None)
    run = Simulation(CROSSOVER, StandIn(oracle), 1000, 50, 3)
    with LiveView(console, 1000) as view:
        run.progress = view.update
        run.run()
    show_report(console, run.scores.report(3, shuffled=False))
    return output.getvalue()


def test_a_terminal_gets_a_live_table() -> None:
    """A bar, arm shares and earnings while it runs; the final tables at the end."""
    text = shown(terminal=True)
    assert "1000/1000" in text
    assert "served lately" in text
    assert "latest tenth" in text
    assert "last half" in text


def test_elsewhere_ten_plain_lines() -> None:
    """Without a terminal: one line every tenth of the way, no control characters."""
    text = shown(terminal=False)
    assert sum("shoppers: reward" in line for line in text.splitlines()) == 10
    assert "\x1b" not in text
    assert "platform = web" in text


def test_a_policy_that_serves_no_more_has_no_row() -> None:
    """One that was taken back to static half-way, while the other gained less than nothing."""
    scores, visits = Scores(CROSSOVER, 20), Shoppers(CROSSOVER, 1)
    (block,) = visits.blocks(20, 20)
    worst = block.expected.argmin(axis=1).tolist()
    scores.add(block.truth, block.expected, worst, ["personal"] * 10 + ["static"] * 10)
    output = io.StringIO()
    show_report(Console(file=output, width=100, color_system=None), scores.report(1, shuffled=False))
    assert "arms served by static in the last half" in output.getvalue()
    assert "personal" not in output.getvalue()


def test_many_arms_show_the_most_served() -> None:
    """Of nine arms the six with the largest shares, in the scenario's order."""
    shares = {name: share / 45 for share, name in enumerate("abcdefghi", start=1)}
    assert most_served(shares) == list("defghi")
    assert most_served({"x": 0.1, "y": 0.9}) == ["x", "y"]


def test_a_replay_s_tables_and_warnings() -> None:
    """Logged, matched, second half, policies and arms; warnings last."""
    output = io.StringIO()
    run = Replay("p", log(300)[:200], StandIn(personal), 64)
    run.run()
    show_replay(Console(file=output, width=100, color_system=None), run.report())
    for words in ("logged", "matched", "second half", "wilson", "Li et al. 2011"):
        assert words in output.getvalue()
