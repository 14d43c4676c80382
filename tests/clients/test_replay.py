"""The replay method and its statistics, without a server."""

import math
from random import Random

import pytest

from server.client import CallError
from server.pb import bandit_pb2 as pb
from server.replays.drive import Replay
from server.replays.rows import LogError, Row
from server.replays.statistics import summed, wilson
from tests.clients.stand_in import StandIn


def log(count: int, seed: int = 1) -> list[Row]:
    """A uniform log of two arms; arm a is rewarded when `web`, b otherwise."""
    random = Random(seed)
    rows = []
    for line in range(count):
        arm, platform = random.choice("ab"), random.choice(("web", "app"))
        good = arm == ("a" if platform == "web" else "b")
        events = (("click", 1.0),) if good else ()
        rows.append(
            Row(line, arm, {"platform": platform}, {"age": 1.0}, events, float(good), f"u{line}", None)
        )
    return rows


def personal(request: pb.ChooseRequest) -> str:
    """The right arm of each context, among those asked for."""
    return request.arms[0] if request.arms else ("a" if request.categories["platform"] == "web" else "b")


def test_counts_exactly_the_rows_whose_arm_was_chosen() -> None:
    """Always the right arm matches the rewarded rows alone: mean 1, against about 0.5 logged."""
    rows = log(2000)
    run = Replay("p", rows, StandIn(personal), 64)
    run.run()
    report = run.report()
    right = sum(row.reward == 1 for row in rows)
    assert (report.rows, report.matched.rows, report.matched.mean) == (2000, right, 1.0)
    assert report.logged.mean == pytest.approx(right / 2000)
    assert report.second_half.rows == sum(row.reward == 1 for row in rows[1000:])
    assert report.policies["best"].rows == 2000
    assert {arm: result.matched.rows for arm, result in report.arms.items()} == {
        arm: sum(row.arm == arm and row.reward == 1 for row in rows) for arm in "ab"
    }
    assert report.warnings == []


def test_teaches_only_matched_rows_exposure_first() -> None:
    """Every Choose is deferred; a match sends `exposure`, then its events; a miss sends nothing."""
    rows = log(100)
    sidecar = StandIn(lambda _: "a")
    Replay("p", rows, sidecar, 10).run()
    assert all(
        request.defer_exposure and request.unit == f"u{i}" for i, request in enumerate(sidecar.requests)
    )
    sent: dict[int, list[str]] = {}
    for reward in sidecar.rewards:
        sent.setdefault(int(reward.decision_id), []).append(reward.event)
    expected = {
        i: ["exposure", "click"] if row.events else ["exposure"]
        for i, row in enumerate(rows)
        if row.arm == "a"
    }
    assert sent == expected


def test_an_arm_the_placement_lacks_is_named_with_its_line() -> None:
    """Before any row is replayed, every logged arm is tried; the refusal names line, placement and arm."""

    def choose(request: pb.ChooseRequest) -> str | CallError:
        return "a" if "a" in request.arms else CallError("FAILED_PRECONDITION", "none", "NO_ELIGIBLE_ARM")

    sidecar = StandIn(choose)
    with pytest.raises(
        LogError, match=r"line \d+, column 'arm': placement 'p' cannot serve the logged arm 'b'"
    ):
        Replay("p", log(20), sidecar, 10).check_arms("arm")
    assert all(request.defer_exposure for request in sidecar.requests)
    assert sidecar.rewards == []


def test_an_arm_the_log_lacks_is_warned_of() -> None:
    """An arm that is chosen and never logged cannot match: the report says how often."""
    run = Replay("p", log(30), StandIn(lambda _: "c"), 10)
    run.run()
    report = run.report()
    assert (report.matched.rows, report.matched.mean) == (0, None)
    assert "arm 'c' was chosen 30 times but is never in the log" in report.warnings[0]


def test_wilson_equals_the_textbook() -> None:
    """81 of 263 (Newcombe 1998, table I, method 3): 0.2553 to 0.3662; the ends stay within [0, 1]."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(20, 20)[1] == 1.0


def test_other_rewards_get_the_normal_interval() -> None:
    """1, 2, 3, 4: mean 2.5, sd 1.29, so ± 1.96 × 0.645."""
    estimate = summed([1.0, 2.0, 3.0, 4.0]).estimate()
    assert (estimate.mean, estimate.interval) == (2.5, "normal")
    assert estimate.high == pytest.approx(2.5 + 1.959964 * math.sqrt(5 / 3 / 4))


def test_no_row_and_one_row_claim_no_interval() -> None:
    """Too little to say something is said as such."""
    assert summed([]).estimate().mean is None
    assert summed([2.5]).estimate().low is None
