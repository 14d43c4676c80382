"""HTML and SVG from plain calls: whatever is not markup already is escaped, in text and in attributes."""

import html
import re
from collections.abc import Iterable

CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Markup(str):
    """Text that is markup already. Only `element`, `join` and this package's own constants make it."""

    __slots__ = ()


def text(content: str) -> Markup:
    """Return a text as markup that shows it to the letter; control characters show as U+FFFD."""
    if isinstance(content, Markup):
        return content
    return Markup(html.escape(CONTROLS.sub("\N{REPLACEMENT CHARACTER}", content)))


def join(parts: Iterable[str]) -> Markup:
    """Return the parts one after the other."""
    return Markup("".join(text(part) for part in parts))


def element(tag: str, *content: str, **attributes: str | float | None) -> Markup:
    """Return `<tag attributes>content</tag>`.

    `class_` is `class`, and `stroke_width` is `stroke-width`; an attribute that is None is left out.
    """
    names = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{names}>{join(content)}</{tag}>")


def _value(value: str | float) -> str:
    """Return an attribute's value; coordinates keep two decimals, a fortieth of what a screen can show."""
    if isinstance(value, str):
        return text(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
