"""The study of the gate in small: its world loses what it says, its verdicts follow from the days."""

import numpy as np
import pytest
from click.testing import CliRunner

from bandit.evidence import Evidence
from loadtest import gate_study
from loadtest.gate_study import ALLOWED, RAMP, STATICS, Cell, Figures, cells
from loadtest.gate_world import (
    ARMS,
    CONTEXTS,
    TICKS_A_DAY,
    Due,
    Outcome,
    Sums,
    arrive,
    decide,
    drawn,
    rates_of,
    run,
)

LEARNED = np.full((CONTEXTS, ARMS), 0.015) + 0.955 * np.eye(ARMS)[[1, 2, 1, 2]]


@pytest.mark.parametrize("static", STATICS)
@pytest.mark.parametrize("loss", [-0.1, 0.05, 0.4])
def test_learned_policies_lose_what_is_said(static: str, loss: float) -> None:
    """In every context, to the last digit; and no rate is negative."""
    base = 0.1 * np.exp(0.25 * np.random.default_rng(3).standard_normal((CONTEXTS, ARMS)))
    rates = rates_of(base, STATICS[static], LEARNED, loss)
    assert (rates > 0.0).all()
    assert (LEARNED * rates).sum(axis=1) == pytest.approx((1.0 - loss) * (rates @ STATICS[static]))


@pytest.mark.parametrize("static", STATICS)
def test_the_sums_are_those_of_the_world(static: str) -> None:
    """200,000 decisions at a share of one half: weights average to 1, values are the true ones."""
    luck, share = np.array([5], np.uint64), 0.5
    evidence, empty = Evidence.zeros(), Evidence.zeros()
    young, none = Sums(*evidence.arrays(), 0), Sums(*empty.arrays(), 0)
    due = Due(np.zeros(TICKS_A_DAY + 1, np.int64), np.zeros((TICKS_A_DAY + 1, 20_000, 4)))
    rates = rates_of(np.full((CONTEXTS, ARMS), 0.1), STATICS[static], LEARNED, 0.2)
    units = drawn(luck, 1)
    for tick in range(10 + TICKS_A_DAY + 1):
        arrive(tick, due, none, none, young)
        decide(
            luck, tick, 20_000 if tick < 10 else 0, share, STATICS[static], LEARNED, rates, units, due, young
        )
    assert evidence.decisions == 200_000
    assert not empty.totals.any()
    assert evidence.learned == pytest.approx(100_000, rel=0.02)
    assert evidence.buckets[:, 1:3].sum(axis=0) == pytest.approx(200_000, rel=0.01)
    static_value, uplift = evidence.estimate(0.0, 1.0), evidence.estimate(1.0, -0.8)
    assert static_value is not None
    assert uplift is not None
    assert abs(uplift.mean) < 4.0 * np.sqrt(uplift.variance / uplift.n)
    appetite = (1.0 - 5.0 * np.exp(-4.0)) / (1.0 - np.exp(-4.0))  # of an exponential below 4
    assert static_value.mean == pytest.approx(float(rates[0] @ STATICS[static]) * appetite, rel=0.03)


def test_what_is_harmful_is_taken_back_and_what_is_good_arrives() -> None:
    """One run of each kind, and the same again."""
    chosen = {cell.name: cell for cell in cells() if cell.rate == 0.1 and cell.visits == 10}
    found = {name: run(1, cell.campaign, RAMP) for name, cell in chosen.items()}
    assert found["bearable"].back is None
    assert found["harm"].back is not None
    assert found["late"].back is not None
    assert 40 < found["late"].back < 60
    assert found["good"] == Outcome(None, found["good"].arrived, 0.9)
    assert run(1, chosen["harm"].campaign, RAMP) == found["harm"]


def figures(name: str, *outcomes: Outcome, barred: bool = True) -> Figures:
    """A cell with these runs."""
    return Figures(Cell(name, "uniform", 0.1, 1, ALLOWED, barred), outcomes)


def test_verdicts_by_hand() -> None:
    """One of twenty may be taken back, two of twenty may be missed."""
    back, stays, arrives = Outcome(50.0, None, 0.0), Outcome(None, None, 0.5), Outcome(None, 65.0, 0.9)
    early = Outcome(30.0, None, 0.0)
    assert figures("bearable", back, *[stays] * 19).passes
    assert not figures("bearable", back, back, *[stays] * 18).passes
    assert figures("harm", *[back] * 18, stays, stays).passes
    assert not figures("harm", *[back] * 17, stays, stays, stays).passes
    assert figures("harm", stays, barred=False).passes
    assert figures("late", *[back] * 18, stays, early).passes
    assert not figures("late", *[back] * 17, stays, stays, early).passes
    assert figures("good", *[arrives] * 18, stays, stays).passes
    assert not figures("good", *[arrives] * 17, stays, stays, back).passes
    row = figures("late", *[back] * 18, stays, stays).row()
    assert row == "| late | -5% | uniform | 10% | 1 | 90.0% | 10 | 10 | 0.0% | - | - | 5% | PASS |"


def test_the_command_prints_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each and a verdict, which is the exit code."""
    monkeypatch.setattr(gate_study, "run", lambda *_: Outcome(10.0, None, 0.0))
    done = CliRunner().invoke(gate_study.main, ["--runs", "2"])
    rows = [line for line in done.stdout.splitlines() if line.endswith(("PASS |", "BELOW |", " - |"))]
    assert len(rows) == len(cells()) == 34
    assert done.exit_code == 1
    assert "\nBELOW in " in done.stdout
