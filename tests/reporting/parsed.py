"""A page as tests look at it: its plots with their marks, its tables with their cells, all its text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br"}


@dataclass
class Plot:
    """One drawing: how many marks it has, and its texts, tooltips included."""

    marks: int = 0
    texts: list[str] = field(default_factory=list)


class Parsed(HTMLParser):
    """The page, parsed. Every tag that was opened must be closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.plots: dict[str, Plot] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._plot: Plot | None = None
        self._table: list[list[str]] | None = None
        self.feed(page)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """All that a reader sees."""
        return "\n".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what begins."""
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in found.items()]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "svg":
            self._plot = self.plots[found["data-plot"]] = Plot()
        elif tag == "table":
            self._table = self.tables[found["data-table"]] = []
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in {"th", "td"} and self._table is not None:
            self._table[-1].append("")
        if self._plot is not None and "mark" in found.get("class", "").split():
            self._plot.marks += 1

    def handle_endtag(self, tag: str) -> None:
        """Note what ends."""
        assert self._open.pop() == tag
        if tag == "svg":
            self._plot = None
        elif tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        """Note a text where it belongs."""
        if self._open and self._open[-1] != "style" and data.strip():
            self.words.append(data)
        if self._plot is not None:
            self._plot.texts.append(data)
        if self._table is not None and {"td", "th"} & set(self._open):
            self._table[-1][-1] += data
