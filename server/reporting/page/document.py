"""Puts the page together: one file that needs no network, and could not use one."""

from importlib.resources import files

from server.pb import bandit_pb2 as pb
from server.reporting.page.head import head
from server.reporting.page.markup import Markup, element
from server.reporting.page.sections import navigation, sections
from server.version import VERSION

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What browsers may load and run for this page: its own style and nothing else, whatever names contain."""


def page(report: pb.GetReportResponse) -> str:
    """Return the report as one HTML page, all of it made here: style, drawings and tables."""
    style = Markup(files(__package__).joinpath("style.css").read_text("utf-8"))
    top = (
        Markup('<meta charset="utf-8">\n'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">\n'),
        Markup('<meta name="color-scheme" content="light dark">\n'),
        element("title", f"{report.placement}: banditd report"),
        element("style", style),
    )
    body = (
        head(report),
        navigation(),
        sections(report),
        element("footer", f"banditd {VERSION}. All times are UTC."),
    )
    whole = element("html", element("head", *top), element("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"
