"""Small YAML documents of the tools, scenarios and replay mappings, read as strictly as a configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bandit.config import ConfigError, Problem
from bandit.config.reader import Reader
from server.strict_yaml import Document

T = TypeVar("T")

DOCUMENT_BYTES_MAX = 1_048_576
"""Bytes of one such file. The longest of ours has 3,000; far more is a mistaken path."""


def read_document(path: Path, build: Callable[[Reader], T]) -> T:
    """Build an object of a file. Raises ConfigError with every problem: file, line, path and remedy."""
    document = Document(_read(path), str(path))
    reader = Reader(document.value)
    built = build(reader)
    if reader.noted:
        raise ConfigError(document.placed(reader.noted))
    return built


def check_version(reader: Reader) -> None:
    """Refuse a document of another version than 1."""
    reader.integer(at_least=1, at_most=1)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        message = f"cannot be read ({error.strerror}); check the path"
        raise ConfigError([Problem("$", message, str(path))]) from error
    if len(text) > DOCUMENT_BYTES_MAX:
        message = f"has more than {DOCUMENT_BYTES_MAX} bytes; check that it is the right file"
        raise ConfigError([Problem("$", message, str(path))])
    return text
