"""The report as one HTML page: sections of plots and tables, drawn here as SVG, without script or network.

Start at `document.page`. `head`, `sections`, `earnings` and `serving` say what is on the page; `whiskers`,
`bars`, `bands` and `stacks` draw with `drawing` and `scales`; `tables` has the numbers; `markup` escapes.
"""

from server.reporting.page.document import page
from server.reporting.page.file import write_page

__all__ = ["page", "write_page"]
