"""The page's sections in their order, each with its heading, and the last two of them."""

from collections.abc import Callable

from server.pb import bandit_pb2 as pb
from server.reporting.numbers import Unit
from server.reporting.page import bars, tables
from server.reporting.page.blocks import grid, paragraph
from server.reporting.page.earnings import earnings, events, uplift_by_day
from server.reporting.page.markup import Markup, element, join
from server.reporting.page.serving import arms, shares
from server.reporting.page.words import GLOSSARY

FEATURES_DRAWN = 20


def features(report: pb.GetReportResponse) -> Markup:
    """Which features matter?"""
    if not report.features:
        return paragraph("No policy looks at the context, or nothing was learned yet.")
    unit = Unit.of(found.importance for found in report.features)
    rows = [_feature(found, unit) for found in report.features[:FEATURES_DRAWN]]
    words = (
        "How much the arms' differences change with a feature, in R per decision. The black mark is what "
        "chance alone would give: a bar that ends before it, in grey, is no evidence."
    )
    told = "; ".join(part.tooltip for row in rows for part in row.parts)
    title, caption = "Which features matter", "standard deviation, R per decision"
    plot = element("figure", paragraph(words), bars.bars("features", title, told, rows, caption))
    return join([grid([plot]), tables.folded("All features as numbers", tables.features(report, unit))])


def _feature(found: pb.FeatureReport, unit: Unit) -> bars.Bar:
    colour = "p1" if found.importance > found.chance else "p0"
    words = f"{found.name}: {unit.value(found.importance)}, by chance {unit.value(found.chance)}"
    return bars.Bar(found.name, [bars.Part(found.importance, colour, words)], found.chance)


def glossary(_report: pb.GetReportResponse) -> Markup:
    """What do the words mean?"""
    terms = (join([element("dt", term), element("dd", meaning)]) for term, meaning in GLOSSARY.items())
    return element("dl", *terms)


SECTIONS: tuple[tuple[str, str, Callable[[pb.GetReportResponse], Markup]], ...] = (
    ("earnings", "What each policy earns", earnings),
    ("uplift", "Uplift over static, day by day", uplift_by_day),
    ("shares", "Shares and the ramp", shares),
    ("arms", "Arms", arms),
    ("events", "Events", events),
    ("features", "Which features matter", features),
    ("words", "What the words mean", glossary),
)
"""Key, heading, and what makes it."""


def navigation() -> Markup:
    """Return links to the sections."""
    links = (element("a", title, href=f"#{key}") for key, title, _ in SECTIONS)
    return element("nav", *links, aria_label="Sections")


def sections(report: pb.GetReportResponse) -> Markup:
    """Return all sections."""
    return element(
        "main",
        *(element("section", element("h2", title), make(report), id=key) for key, title, make in SECTIONS),
    )
