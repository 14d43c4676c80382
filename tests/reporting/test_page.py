"""The page shows the report: a mark for each figure, its numbers, and no name that could act."""

import re
from collections.abc import Callable

import pytest

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit
from server.reporting.page import page
from tests.reporting.parsed import Parsed
from tests.reporting.reports import campaign, simulated

COORDINATES = {"cx", "cy", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "d"}


REPORTS: dict[str, Callable[[], pb.GetReportResponse]] = {
    "made up": campaign,
    "of the real engine": simulated,
}


@pytest.mark.parametrize("made", REPORTS)
def test_every_plot_has_a_mark_for_each_figure(made: str) -> None:
    """As many as the report holds: policies, days, arms, events, features."""
    report = REPORTS[made]()
    plots = Parsed(page(report)).plots
    learned = range(1, len(report.policies))
    marks = {
        "value": sum(policy.HasField("value") for policy in report.policies),
        "gain": sum(policy.HasField("uplift") for policy in report.policies),
        **{f"uplift-{at}": sum(day.policies[at].HasField("uplift") for day in report.days) for at in learned},
        "shares": sum(policy.served > 0 for day in report.days for policy in day.policies),
        "served": sum(policy.served > 0 for day in report.days for policy in day.policies),
        "arms": sum(arm.HasField("reward") for arm in report.arms),
        "shown": sum(shown > 0 for arm in report.arms for shown in arm.shown_by_policy),
        "arm-days": sum(arm.exposures > 0 for day in report.days for arm in day.arms),
        "event-0": sum(policy.events[0].HasField("value") for policy in report.policies),
        "event-1": sum(policy.events[1].HasField("value") for policy in report.policies),
        "features": len(report.features),
    }
    assert {key: plot.marks for key, plot in plots.items()} == marks
    assert min(marks.values()) >= 3
    assert marks["uplift-1"] > 50


@pytest.mark.parametrize("made", REPORTS)
def test_the_numbers_are_the_reports(made: str) -> None:
    """Table, tooltip and report agree, to the last digit that is shown."""
    report = REPORTS[made]()
    found, unit = Parsed(page(report)), Unit(4 if made == "made up" else 5)
    for policy, row in zip(report.policies, found.tables["policies"][1:], strict=True):
        assert row[0] == policy.name
        assert row[2:6] == [
            f"{policy.share:.1%}", f"{policy.served:,}",
            unit.value(policy.value.mean), unit.span(policy.value),
        ]  # fmt: skip
        assert f"{policy.name}: {row[4]} ({row[5]})" in found.plots["value"].texts
        if policy.HasField("uplift"):
            assert row[6:8] == [unit.gain(policy.uplift.mean), unit.gain_span(policy.uplift)]
            assert f"{policy.name}: {row[6]} ({row[7]})" in found.plots["gain"].texts
    for day, row in zip(report.days, found.tables["days"][1:], strict=True):
        assert row[:2] == [day.date, f"{day.share:.1%}"]
        if day.policies[3].HasField("uplift"):
            last = day.policies[3].uplift
            assert row[-2:] == [unit.gain(last.mean), unit.gain_span(last)]
            assert f"{day.date}: {row[-2]} ({row[-1]})" in found.plots["uplift-3"].texts
    for arm, row in zip(report.arms, found.tables["arms"][1:], strict=True):
        assert row[0] == arm.id
        assert row[3:6] == [f"{arm.exposures:,}", unit.value(arm.reward.mean), unit.span(arm.reward)]
        assert f"{arm.id}: {row[4]} ({row[5]}), {row[3]} times" in found.plots["arms"].texts
        assert row[6:10] == [f"{shown:,}" for shown in arm.shown_by_policy]
    clicks = [row for row in found.tables["events"] if row[0] == "click"]
    assert [float(row[2]) for row in clicks] == pytest.approx(
        [policy.events[0].value.mean for policy in report.policies], abs=5e-5
    )
    for feature, row in zip(report.features, found.tables["features"][1:], strict=True):
        assert row == [feature.name, f"{feature.importance:.5f}", f"{feature.chance:.5f}"]


def test_the_sentences_are_the_reports() -> None:
    """The ladder's, the next step, the gate's, and the reasons of the ramp's moves, to the letter."""
    report = campaign()
    found = Parsed(page(report))
    assert "banditd report for onsite-crm" in found.text
    for step in report.ladder:
        assert step.sentence.rpartition(": ")[2] in found.text
    for sentence in (
        report.next_step,
        report.ramp.gate.sentence,
        *(move.reason for move in report.ramp.moves),
    ):
        assert sentence in found.text


def test_nothing_measured_yet_is_said() -> None:
    """An empty report makes a page without plots that says so."""
    found = Parsed(page(pb.GetReportResponse(placement="home-hero", confidence=0.95, min_exposures=2_000)))
    assert found.plots == {}
    assert "Nothing was measured yet." in found.text
    assert "none: static serves everyone" in found.text


def hostile(report: pb.GetReportResponse, name: str) -> pb.GetReportResponse:
    """The report with everything that has a name called `name`."""
    report.placement = report.owner = report.next_step = report.ramp.gate.sentence = name
    for policy in report.policies:
        policy.name = name
    for estimate in (found for policy in report.policies for found in policy.events):
        estimate.event = name
    for counted in (found for policy in report.policies for found in policy.counts):
        counted.event = name
    for arm in report.arms:
        arm.id = arm.events[0].event = name
    for feature in report.features:
        feature.name = name
    for move in report.ramp.moves:
        move.reason = move.actor = name
    for step in report.ladder:
        step.policy = step.before = step.sentence = name
    return report


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</title></style><b>",
        "&lt;&amp;'",
        "\x00\x1b[",
    ],
)
def test_names_stay_text(name: str) -> None:
    """Names and reasons are shown to the letter, and never become tags or attributes."""
    usual, found = Parsed(page(campaign())), Parsed(page(hostile(campaign(), name)))
    assert set(found.tags) <= set(usual.tags)
    assert {attribute for _, attribute, _ in found.attributes} <= {
        attribute for _, attribute, _ in usual.attributes
    }
    shown = re.sub(r"[\x00\x1b]", "\N{REPLACEMENT CHARACTER}", name)
    assert found.words.count(shown) > 20


def test_the_page_asks_for_nothing() -> None:
    """It names no address but SVG's, and allows browsers no script, image, font or request."""
    text = page(campaign())
    assert set(re.findall(r"\w+://[^\"'\s<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not {"script", "link", "img", "iframe", "object"} & set(Parsed(text).tags)
    assert "url(" not in text
    assert "@import" not in text


def test_an_interval_without_ends_stays_in_its_plot() -> None:
    """Coordinates are numbers, whatever the estimates are."""
    report = campaign(3)
    for interval in (report.policies[1].value, report.policies[2].uplift, report.days[2].policies[1].uplift):
        interval.low, interval.high = float("-inf"), float("inf")
    report.arms[0].reward.mean = report.features[0].importance = float("nan")
    places = [value for _, name, value in Parsed(page(report)).attributes if name in COORDINATES]
    assert places
    assert not [value for value in places if re.search("nan|inf", value)]
