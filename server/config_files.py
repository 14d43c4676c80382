"""Configuration files: YAML, read strictly, one file or a directory as one.

`load` is a plain function without side effects that may take a second for a thousand placements: the shell
runs it in a thread. Whatever is wrong comes as one `ConfigError` whose problems carry file, line and column.
"""

from pathlib import Path

from bandit.config import Config, ConfigError, Problem, combine, parse
from server.strict_yaml import Document

FILE_BYTES_MAX = 8 * 2**20
"""Bytes of one file. A thousand placements like the example take 1.5 MB."""

FILES_MAX = 1000
"""Files of a directory: as many as there may be placements."""

SUFFIXES = (".yaml", ".yml")


def load(path: Path) -> Config:
    """Return the configuration in a file, or in all *.yaml and *.yml files of a directory.

    Raises ConfigError with everything that is wrong in any of them.
    """
    parts: dict[str, Config] = {}
    problems: list[Problem] = []
    for file in _files(path):
        try:
            parts[str(file)] = load_text(_read(file), str(file))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return combine(parts)


def load_text(text: bytes, source: str) -> Config:
    """Return the configuration in the bytes of one YAML file; `source` names it in problems."""
    document = Document(text, source)
    try:
        return parse(document.value)
    except ConfigError as error:
        raise ConfigError(document.placed(error.problems)) from None


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise _refused(str(path), f"cannot be read ({error.strerror}); check its permissions") from error
    files = [file for file in entries if file.suffix in SUFFIXES and file.name[0] != "." and file.is_file()]
    if not 1 <= len(files) <= FILES_MAX:
        message = f"got {len(files)} files named *.yaml or *.yml in this directory, expected 1 to {FILES_MAX}"
        raise _refused(str(path), message)
    return files


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            text = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refused(str(file), f"cannot be read ({error.strerror}); check the path") from error
    if len(text) > FILE_BYTES_MAX:
        raise _refused(str(file), f"has more than {FILE_BYTES_MAX} bytes; split it into a directory of files")
    return text


def _refused(source: str, message: str) -> ConfigError:
    return ConfigError([Problem("$", message, source)])
