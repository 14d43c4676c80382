"""The report as text: what it says, in 110 columns, of any size."""

import io

import pytest
from rich.console import Console

from server.pb import bandit_pb2 as pb
from server.reporting.view import show
from tests.reporting.reports import campaign, simulated

WIDTH = 110


def text(report: pb.GetReportResponse) -> str:
    """What the command prints."""
    out = io.StringIO()
    show(report, Console(file=out, width=WIDTH, highlight=False))
    return out.getvalue()


def table(printed: str, title: str) -> list[list[str]]:
    """The cells of the table under a title, split at two spaces or more."""
    lines = iter(printed.splitlines())
    for line in lines:
        if line.startswith(title):
            break
    rows = []
    for line in lines:
        if not line.strip():
            break
        rows.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return rows


def test_a_campaign_is_told_in_order() -> None:
    """The ramp, policies and their ladder, events, arms, features, days, what the ramp did."""
    printed, report = text(simulated()), simulated()
    titles = [
        "home-hero: 12,000 decisions since 2026-01-01T00:00:00Z",
        "Ramp: ",
        "What each policy earns, or would, R per decision",
        "the best arm for all (best-arm) against static: ",
        "the best arm for each visitor",
        "What each policy gets of each event, in the event's own value per decision",
        "What each arm earned, as it was shown",
        "What each policy showed",
        "How much each feature changes which arm is best, R per decision",
        "The last days: the learned share, who served, R per decision",
    ]
    places = [printed.index(title) for title in titles]
    assert places == sorted(places)
    assert report.next_step in printed.replace("\n", " ")
    assert max(map(len, printed.splitlines())) <= WIDTH


def test_figures_are_those_of_the_message() -> None:
    """Counts, rates, values, intervals and shares, each in its table."""
    report = simulated()
    printed = text(report)
    for policy, row in zip(report.policies, table(printed, "What each policy earns")[1:], strict=False):
        assert row[0] == policy.name
        assert row[3] == f"{policy.served:,}"
        assert row[4] == f"{policy.value.mean:.5f}"
    personal = report.policies[3]
    row = next(row for row in table(printed, "What each policy gets")[1:] if row[0] == "personal")
    served = sum(day.policies[3].served for day in report.days)
    assert row[1] == f"{personal.counts[0].count:,}"
    assert row[2] == f"{personal.counts[0].count / served:.4f}"
    assert row[3] == f"{personal.events[0].value.mean:.4f}"
    arms = table(printed, "What each arm earned")[1:]
    assert [(row[0], row[3]) for row in arms] == [(arm.id, f"{arm.exposures:,}") for arm in report.arms]
    features = table(printed, "How much each feature")[1:]
    assert [row[0] for row in features][: len(report.features)] == [f.name for f in report.features]
    days = table(printed, "The last days")[1:]
    assert [row[0] for row in days[:14]] == [day.date for day in report.days[-14:]]
    assert days[0][1] == f"{report.days[-14].share:.1%}"


@pytest.mark.parametrize("policies", [1, 2, 8])
def test_any_report_fits(policies: int) -> None:
    """One policy or eight, forty arms: no line is wider than the screen, and what is left out is said."""
    report = campaign(100, policies, [f"a-rather-long-name-of-an-arm-{k}" for k in range(40)])
    printed = text(report)
    assert max(map(len, printed.splitlines())) <= WIDTH
    assert "and 20 more: --json has all" in printed


def test_what_is_not_known_is_said() -> None:
    """Labels in the place of numbers, in every table that has some; features that are chance are named."""
    report = campaign(60, 3)
    for policy in report.policies:
        policy.label = "TOO_FEW"
        policy.ClearField("value")
        policy.ClearField("uplift")
        for event in policy.events:
            event.ClearField("value")
            event.ClearField("uplift")
    report.features[-1].importance = report.features[-1].chance / 2
    printed = text(report)
    assert all("TOO_FEW" in row for row in table(printed, "What each policy earns")[1:4])
    assert sum("TOO_FEW" in row for row in table(printed, "What each policy gets")) >= 3
    assert "No more than chance so far: " in printed
    assert report.features[-1].name in printed.split("No more than chance so far: ")[1].splitlines()[0]


def test_without_overlap_nothing_is_worth_anything() -> None:
    """No effective size beside NO_OVERLAP, no word of an uplift that is not there; a gain of 0 is one."""
    report = campaign(60, 3)
    for policy in report.policies[1:]:
        policy.label = "NO_OVERLAP"
        policy.ClearField("value")
        policy.ClearField("uplift")
        for day in report.days:
            for one in day.policies:
                one.ClearField("uplift")
    report.policies[2].uplift.SetInParent()
    printed = text(report)
    rows = table(printed, "What each policy earns")
    assert rows[2][-2:] == ["NO_OVERLAP", "-"]
    assert rows[3][-4:-1] == ["NO_OVERLAP", "+0.0000", "+0.0000 to +0.0000"]
    assert "uplift: that of" not in printed


def test_the_ramp_s_last_moves_are_listed() -> None:
    """Latest first, with who and why; at most ten."""
    report = campaign(60, 3)
    move = report.ramp.moves[0]
    del report.ramp.moves[:]
    for number in range(12):
        report.ramp.moves.add(time=move.time, state=pb.RAMP_STATE_HELD, reason=f"no. {number}", actor="anna")
    lines = text(report).split("What the ramp did, in UTC\n")[1].splitlines()
    assert len(lines) == 10
    assert lines[0].endswith("held, by anna: no. 11")


def test_an_empty_report_says_so() -> None:
    """No table but that of policies."""
    report = pb.GetReportResponse(placement="p", policies=[pb.PolicyReport(name="static", label="TOO_FEW")])
    printed = text(report)
    assert printed.startswith("p: nothing was measured yet")
    assert "What each arm" not in printed
    assert "What each policy gets" not in printed
