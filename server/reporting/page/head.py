"""The top of the page: what was measured, whether going deeper pays, and where the ramp stands."""

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import count, share
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.words import moment


def head(report: pb.GetReportResponse) -> Markup:
    """Return the placement, the ladder's sentences and the ramp."""
    return element(
        "header",
        element(
            "p", f"banditd report for {report.owner}" if report.owner else "banditd report", class_="kicker"
        ),
        element("h1", report.placement),
        element("p", _measured(report)),
        _ladder(report),
        _ramp(report),
    )


def _measured(report: pb.GetReportResponse) -> str:
    made = f"Made {moment(report.time)}. " if report.HasField("time") else ""
    if not report.decisions:
        return f"{made}Nothing was measured yet: figures begin with the first decisions in the ramp's scope."
    return (
        f"{made}{count(report.decisions)} decisions since {moment(report.begin_time)}. Figures are R per "
        f"decision; intervals hold with {report.confidence:.0%} at all times, from "
        f"{count(report.min_exposures)} decisions on."
    )


def _ladder(report: pb.GetReportResponse) -> Markup:
    """Return a card for each step: what is compared, and what that means."""
    cards = []
    for step in report.ladder:
        before, cut, verdict = step.sentence.partition(f"({step.policy}) against {step.before}: ")
        known = step.HasField("difference")
        tone = "open"
        if known and step.difference.low > 0.0:
            tone = "pays"
        elif known and step.difference.high < 0.0:
            tone = "costs"
        what = element("span", f"{before}{cut}".strip() if cut else "")
        card = element("li", what, element("strong", verdict if cut else step.sentence), class_=tone)
        cards.append(card)
    if not cards:
        return Markup()
    return join([element("h2", "Does going deeper pay?"), element("ul", *cards, class_="ladder")])


def _ramp(report: pb.GetReportResponse) -> Markup:
    """Return what comes next, how far the ramp is, and what its gate concluded."""
    parts = [_said("Ramp", report.next_step or "none: static serves everyone")]
    if report.HasField("ramp"):
        ramp = report.ramp
        now, end = share(ramp.share), share(ramp.to)
        words = f"Learned policies serve {now} of the units in scope; the ramp ends at {end}."
        meter = element(
            "div",
            element("i", class_="to", style=f"width:{ramp.to:.2%}"),
            element("i", class_="now", style=f"width:{ramp.share:.2%}"),
            class_="meter",
            aria_hidden="true",
        )
        parts += [meter, element("p", words, class_="small")]
        if ramp.gate.sentence and ramp.gate.sentence not in report.next_step:
            parts.append(_said("Gate", ramp.gate.sentence))
    return element("div", *parts, class_="ramp")


def _said(who: str, words: str) -> Markup:
    return element("p", element("b", f"{who}: "), words)
