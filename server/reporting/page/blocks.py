"""What sections are made of: figures with how to read them, legends, and reasons why there is no figure."""

from collections.abc import Iterable, Sequence

from server.pb import bandit_pb2 as pb
from server.reporting.page import tables
from server.reporting.page.markup import Markup, element
from server.reporting.page.whiskers import Row
from server.reporting.page.words import INSTEAD, colour


def figure(title: str, explained: str, *content: str) -> Markup:
    """Return a plot with its heading and how to read it."""
    return element("figure", element("h3", title), element("p", explained), *content)


def grid(figures: Sequence[Markup]) -> Markup:
    """Return figures side by side where there is room; nothing if there are none."""
    return element("div", *figures, class_="grid") if figures else Markup()


def paragraph(content: str) -> Markup:
    """Return a paragraph; nothing if there is nothing to say."""
    return element("p", content) if content else Markup()


def legend(names: Iterable[tuple[str, str]]) -> Markup:
    """Return names with their colours' classes, in one line where they fit."""
    items = (element("li", tables.swatch(class_, name)) for class_, name in names)
    return element("ul", *items, class_="legend")


def policies_legend(report: pb.GetReportResponse) -> Markup:
    """Return the policies with their colours."""
    return legend((colour(number), policy.name) for number, policy in enumerate(report.policies))


def untold(report: pb.GetReportResponse) -> str:
    """Return why there is no estimate, with the policies that it is so for."""
    reasons: dict[str, list[str]] = {}
    for policy in report.policies[1:] or report.policies:
        reasons.setdefault(INSTEAD.get(policy.label, INSTEAD["OK"]), []).append(policy.name)
    told = (f"Nothing can be said of {', '.join(names)} ({reason})." for reason, names in reasons.items())
    return " ".join(told)


def told_rows(rows: Iterable[Row]) -> str:
    """Return a plot's rows in words, for those who do not see it."""
    return "; ".join(row.tooltip or f"{row.name}: {row.instead}" for row in rows)
