"""Logs: one JSON object a line on stderr, or coloured lines when stderr is a terminal.

What identifies a person or opens a token never reaches a log: values under the names below are replaced,
and of an unexpected exception the places are logged, not its text, which may quote a request.
"""

import logging
import os
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO

import structlog

PRIVATE = frozenset({"unit", "decision_id", "token", "key", "secret"})
"""Names of values that are never written, whatever they hold."""

STDERR = 2
"""The descriptor of standard error."""


def configure() -> None:
    """Set up structlog and route warnings of libraries through it. Call once, before the first line.

    Where the process was started with standard error closed, nothing is logged.
    """
    if sys.stderr is None:
        sys.stderr = _nowhere()
    pretty = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_private,
            head_first,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(Unfailing(sys.stderr)),  # type: ignore[arg-type]  # two methods do
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge(logging.WARNING)], level=logging.WARNING, force=True)


def without_private(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that replaces what must not be written."""
    for name in PRIVATE & event.keys():
        event[name] = "[private]"
    return event


def head_first(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that puts when, how grave and what before the rest."""
    head = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**head, **event}


def places(error: BaseException) -> list[str]:
    """Where `error` came from, innermost last: `file:line function` for each frame, causes first."""
    found = places(error.__cause__) if error.__cause__ is not None else []
    return found + _frames(error.__traceback__)


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def _nowhere() -> TextIO:
    """A standard error that leads nowhere. Its number is taken, lest a socket get what libraries print."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass  # it stays open, in the place of a closed stream
    return os.fdopen(descriptor, "w")


class Unfailing:
    """A stream whose reader may go away, or whose disk may fill, without the service going with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that is possible."""
        with suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class _Bridge(logging.Handler):
    """Passes what libraries log through the standard module on to structlog, without exceptions' texts."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        extra: dict[str, Any] = {}
        if error is not None:
            extra = {"error": type(error).__name__, "places": places(error)}
        structlog.get_logger().log(record.levelno, "library", logger=record.name, text=record.msg, **extra)
