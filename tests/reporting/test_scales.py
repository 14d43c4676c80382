"""Scales keep what they are given within the plot, and their ticks are round numbers that differ."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.reporting.numbers import Unit
from server.reporting.page.bands import uplift_scale
from server.reporting.page.scales import Days, Scale, around, tick_step, tick_texts
from tests.reporting.reports import campaign, interval

FIGURES = st.floats(-1e12, 1e12).filter(lambda figure: figure == 0.0 or abs(figure) > 1e-9)


@given(st.lists(FIGURES, max_size=20))
def test_every_value_is_within_the_bounds(values: list[float]) -> None:
    """Whatever they are: the scale has a width, and each lies between its ends."""
    low, high = around(values)
    assert low < high
    scale = Scale(low, high, 200.0, 20.0)
    assert all(low <= value <= high and 20.0 <= scale.at(value) <= 200.0 for value in values)


@given(st.lists(FIGURES, min_size=1, max_size=20), st.integers(4, 8))
def test_ticks_are_few_round_and_told_apart(values: list[float], most: int) -> None:
    """At most as many as asked for, in even steps of 1, 2 or 5, within the scale, with texts that differ."""
    low, high = around(values)
    scale = Scale(low, high, 0.0, 100.0)
    ticks = scale.ticks(most)
    assert len(ticks) <= most
    step = tick_step(high - low, most)
    digits = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digits - factor) for factor in (1, 2, 5, 10)) < 1e-6
    assert all(low - step * 1e-6 <= tick <= high + step * 1e-6 for tick in ticks)
    if high - low > 1e-8 and step > 1e-9 * max(abs(low), abs(high)):
        assert len(set(tick_texts(ticks))) == len(ticks)


def test_what_is_not_finite_does_not_matter() -> None:
    """Bounds are those of the other values; without any they are around zero."""
    assert around([math.nan, 2.0, math.inf, 4.0], room=0.0) == (2.0, 4.0)
    assert around([math.nan]) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([0.0, 0.05, 0.1], ["0", "+0.05", "+0.10"]),
        ([-2000.0, 0.0, 2000.0], ["-2,000", "0", "+2,000"]),
        ([0.0005, 0.001], ["+0.0005", "+0.0010"]),
        ([], []),
    ],
)
def test_texts_of_ticks(ticks: list[float], texts: list[str]) -> None:
    """As many decimals as the step needs; zero is plain."""
    assert tick_texts(ticks, sign=True) == texts


def test_days_have_slots_of_one_width() -> None:
    """From the first to the last, those without decisions included; ticks are whole weeks apart."""
    days = Days.over(["2026-12-20", "2026-12-31", "2027-01-28"], 0.0, 400.0)
    assert days.count == 40
    assert days.middle("2026-12-20") == 5.0
    assert days.left("2027-01-28") == 390.0
    assert [text for _, text in days.ticks(6)] == ["20 Dec", "27 Dec", "3 Jan", "10 Jan", "17 Jan", "24 Jan"]
    assert days.caption() == "days in UTC, 2026–2027"
    assert days.moment(0.0) is None


@pytest.mark.parametrize(
    ("largest", "text"),
    [(0.1942, "0.0812"), (0.0031, "0.081200"), (12.0, "0.08"), (4_500.0, "0"), (0.0, "0.0812")],
)
def test_decimals_go_by_the_largest_value(largest: float, text: str) -> None:
    """Four significant digits of it, and as many decimals for all the others."""
    assert Unit.of([largest, -largest / 3]).value(0.0812) == text


def test_every_policy_has_a_band_that_is_seen_whole() -> None:
    """However narrow another's is: by a policy that is nearly static, or static itself."""
    report = campaign(30, 4)
    for day in report.days:
        for number, width in ((1, 0.0), (2, 1e-4)):
            day.policies[number].uplift.CopyFrom(interval(0.0, width))
    scale, last = uplift_scale(report), report.days[-1].policies[3].uplift
    assert scale.low < last.low < last.high < scale.high


def test_nothing_is_no_less_than_nothing() -> None:
    """What rounds to 0 has no minus."""
    assert (Unit(4).value(-0.00004), Unit(4).gain(-0.00004)) == ("0.0000", "+0.0000")
    assert (Unit(4).gain(-0.00006), Unit(0).value(-1234.5)) == ("-0.0001", "-1,234")
