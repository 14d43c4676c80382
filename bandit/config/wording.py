"""How a problem is worded: lower case, the datum quoted, what was expected, what to do."""

import difflib
import math
from collections.abc import Iterable

from bandit.limits import NAME_BYTES_MAX

_QUOTED_CHARS_MAX = 60
_INTEGER_BITS_MAX = 128


def show(value: object) -> str:
    """Return a datum as a message quotes it: as YAML would write it, cut to what fits a line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > _INTEGER_BITS_MAX:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value) if len(value) <= _QUOTED_CHARS_MAX else f"{value[:_QUOTED_CHARS_MAX]!r}…"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value) if isinstance(value, int | float) else f"a {type(value).__name__}"


def meant(word: object, known: Iterable[str]) -> str:
    """Return ", did you mean 'weight'?" when a known word is close to `word`, else ""."""
    if not isinstance(word, str) or len(word) > NAME_BYTES_MAX:
        return ""
    close = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean '{close[0]}'?" if close else ""


def remedy(value: object, wanted: type) -> str:
    """Return what to do about a value of the wrong type, with its semicolon, or "" where nothing is sure."""
    if value is None:
        return "; give it a value, or remove the key"
    if wanted is str and isinstance(value, bool):
        return "; put what you wrote in quotes: to YAML yes, no, on and off are true or false"
    if wanted is str and isinstance(value, int | float):
        return f"; quote it: '{show(value)}'"
    if wanted is str and isinstance(value, dict | list):
        return "; put it in quotes, as one text"
    if wanted is list and isinstance(value, str):
        return (
            f"; put it in brackets: [{value}]" if len(value) <= _QUOTED_CHARS_MAX else "; put it in brackets"
        )
    if wanted in (int, float) and isinstance(value, str) and _numeric(value):
        return "; write it without quotes, in digits, with a point if it has an exponent"
    return ""


def bounds(at_least: float, above: float, at_most: float, below: float) -> str:
    """Return " from 0 to 1", " of at least 0 and below 1": the bounds that are finite."""
    if math.isfinite(at_least) and math.isfinite(at_most):
        return f" from {at_least:g} to {at_most:g}"
    words = (("of at least", at_least), ("above", above), ("at most", at_most), ("below", below))
    parts = [f"{word} {bound:g}" for word, bound in words if math.isfinite(bound)]
    return f" {' and '.join(parts)}" if parts else ""


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
