"""The top of the page: what was measured, whether going deeper pays, and where the ramp stands."""

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import count, share
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.words import STATES, moment


def head(report: pb.GetReportResponse) -> Markup:
    """Return the placement, the ladder's sentences and the ramp."""
    return element(
        "header",
        element("p", "banditd report", class_="kicker"),
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
    if not report.HasField("ramp"):
        return element("p", "No ramp: static serves everyone.", *_next(report), class_="ramp")
    ramp = report.ramp
    state = STATES.get(ramp.state, "")
    words = f"Learned policies serve {share(ramp.share)} of the units in scope; the ramp is {state}"
    if ramp.HasField("end_time"):
        words += f", and reaches {share(ramp.to)} on {moment(ramp.end_time)} if nothing stops it"
    else:
        words += f"; its end is {share(ramp.to)}"
    meter = element(
        "div",
        element("i", class_="to", style=f"width:{ramp.to:.2%}"),
        element("i", class_="now", style=f"width:{ramp.share:.2%}"),
        class_="meter",
        role="img",
        aria_label=f"{share(ramp.share)} of {share(ramp.to)}",
    )
    return element("div", element("p", f"{words}."), meter, *_next(report), class_="ramp")


def _next(report: pb.GetReportResponse) -> list[Markup]:
    return [element("p", element("b", "Next: "), report.next_step)] if report.next_step else []
