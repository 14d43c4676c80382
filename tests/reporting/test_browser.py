"""The page in a browser without network: nothing is asked for, nothing overflows, every mark is in place."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from server.pb import bandit_pb2 as pb
from server.reporting.page import write_page
from tests.reporting.reports import POLICIES, at, campaign, largest, simulated, unmeasured

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not here: make dev")

CHROMIUM = shutil.which("chromium")

WIDTHS = [1280, 390]
"""A desktop's and a telephone's, in CSS pixels."""

STRAY_MARKS = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
    const area = svg.querySelector('.area').getBoundingClientRect();
    return [...svg.querySelectorAll('.mark, .band, .means, .whisker, .arrow')].filter(mark => {
        const box = mark.getBoundingClientRect(), spare = 6;
        return box.left < area.left - spare || box.right > area.right + spare
            || box.top < area.top - spare || box.bottom > area.bottom + spare;
    }).map(mark => svg.dataset.plot + ': ' + mark.outerHTML);
})"""
"""Marks that are not in their plot's area; a dot at its edge may stick out by its radius."""

STRAY_TEXTS = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(text => [text, text.getBoundingClientRect()]);
    const out = texts.filter(([text, box]) => box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
    const over = texts.filter(([text, box], at) => texts.slice(0, at).some(([other, its]) =>
        box.left < its.right - 1 && its.left < box.right - 1
        && box.top < its.bottom - 4 && its.top < box.bottom - 4));
    return [...out, ...over].map(([text]) => svg.dataset.plot + ': ' + text.textContent);
})"""
"""Texts that leave their drawing, or lie on one another by more than the room around letters."""

OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter(element =>
    !element.closest('.scroll, svg') && element.getBoundingClientRect().right > innerWidth + 1
).map(element => element.outerHTML.slice(0, 200))"""
"""What is wider than the screen and does not scroll by itself."""

PLACES = "() => [...document.querySelectorAll('[data-plot=%s] .mark')].map(mark => mark.%s.baseVal.value)"
"""Where a plot's marks are, on one of the two axes."""


def nowhere() -> pb.GetReportResponse:
    """No policy overlaps with what is shown."""
    report = unmeasured(campaign(), "NO_OVERLAP")
    assert not report.days[-1].policies[1].HasField("uplift")
    return report


def restless() -> pb.GetReportResponse:
    """As many moves of the ramp as are kept, by turns."""
    report = campaign()
    del report.ramp.moves[:]
    for number in range(50):
        state = pb.RAMP_STATE_RUNNING if number % 2 else pb.RAMP_STATE_WAITING
        report.ramp.moves.add(time=at(1.2 * number), state=state, reason=f"look {number}", actor="gate")
    return report


def anew() -> pb.GetReportResponse:
    """Measured anew on day 30, after five days without a visitor; two policies have no number."""
    report = campaign()
    report.begin_time.CopyFrom(at(30.3))
    for day in report.days[20:32]:
        for part in day.policies:
            part.ClearField("uplift")
    del report.days[10:15]
    for policy, label in ((report.policies[2], "NO_OVERLAP"), (report.policies[3], "OK")):
        policy.label = label
        policy.ClearField("value")
        policy.ClearField("uplift")
    return report


CASES: dict[str, Callable[[], pb.GetReportResponse]] = {
    "sixty days": campaign,
    "sixty days of the real engine": simulated,
    "one day": lambda: campaign(1),
    "two days, too few": lambda: unmeasured(campaign(2), "TOO_FEW"),
    "a hundred days of eight policies": lambda: campaign(100, len(POLICIES)),
    "as many and as long names as there may be": largest,
    "no overlap": nowhere,
    "measured anew": anew,
    "fifty moves": restless,
    "nothing yet": lambda: pb.GetReportResponse(placement="home-hero"),
}


@dataclass
class Shown:
    """A page that was opened, and what the browser said and asked for."""

    page: Any
    heard: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def run(self, script: str) -> Any:
        """The result of a script in the page."""
        return self.page.evaluate(script)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("chromium is not here: apt-get install chromium")
    root = os.geteuid() == 0
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if root else [])
        yield found
        found.close()


@pytest.fixture(params=WIDTHS)
def show(request: pytest.FixtureRequest, browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a report's page on a screen, without network."""
    context = browser.new_context(viewport={"width": request.param, "height": 900}, offline=True)

    def opened(report: pb.GetReportResponse) -> Shown:
        path = tmp_path / "report.html"
        write_page(report, path)
        shown = Shown(context.new_page())
        shown.page.on("console", lambda message: shown.heard.append(message.text))
        shown.page.on("pageerror", lambda error: shown.heard.append(str(error)))
        shown.page.on("request", lambda asked: shown.asked.append(asked.url))
        shown.page.goto(path.as_uri())
        assert shown.asked == [path.as_uri()]
        return shown

    yield opened
    context.close()


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_whole(show: Any, case: str) -> None:
    """No error, no request; every drawing is there, with its marks inside; nothing is too wide."""
    report = CASES[case]()
    shown = show(report)
    assert shown.heard == []
    boxes = shown.run(
        "() => [...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().toJSON())"
    )
    assert all(box["width"] > 200.0 and box["height"] > 50.0 for box in boxes)
    assert bool(boxes) == bool(report.days)
    assert shown.run("() => document.querySelectorAll('.mark').length > 0") == bool(boxes)
    assert shown.run(STRAY_MARKS) == []
    assert shown.run(STRAY_TEXTS) == []
    shown.run("() => document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert shown.run("() => document.documentElement.scrollWidth - innerWidth") <= 0
    assert shown.run(OVERFLOWING) == []


def test_the_marks_lie_where_the_numbers_are(show: Any) -> None:
    """A policy with the larger value lies farther right; a larger uplift lies higher."""
    report = campaign()
    shown = show(report)
    at_x = shown.run(PLACES % ("value", "cx"))
    values = [policy.value.mean for policy in report.policies]
    assert sorted(range(4), key=at_x.__getitem__) == sorted(range(4), key=values.__getitem__)
    at_y = shown.run(PLACES % ("uplift-3", "cy"))
    uplifts = [day.policies[3].uplift.mean for day in report.days]
    assert max(range(60), key=uplifts.__getitem__) == min(range(60), key=at_y.__getitem__)


def test_a_hostile_name_runs_nothing(show: Any) -> None:
    """Were a name to become a tag, the page's own policy would still keep its script from running."""
    report = campaign()
    report.placement = report.policies[1].name = (
        "<script>document.title = 'mine'</script><img src=x onerror=1>"
    )
    shown = show(report)
    assert shown.heard == []
    assert shown.run("() => document.title").startswith("<script>")
    assert shown.run("() => document.querySelectorAll('img, body script').length") == 0
