"""Reading the tools' YAML files: a message with the file's name, never a traceback."""

from pathlib import Path

import pytest

from bandit.config import ConfigError
from server.documents import check_version, read_document


def version_of(path: Path) -> None:
    """Read a document that holds a version alone."""
    read_document(path, lambda root: check_version(root.fields(("version",))["version"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 1\nversion: 1\n", ":2:1: $.version: 'version' is given twice"),
        ("version: [1\n", "is not YAML"),
        ("- 1\n", ":1:1: $: got a list, expected a mapping"),
        ("version: 2\n", ":1:1: $.version: got 2"),
        ("versoin: 1\n", "did you mean 'version'?"),
        ("version: !!python/object:os.system {}\n", "which is not read"),
        ("version: {}".format("[" * 3000), "lies deeper than 16 levels"),
    ],
)
def test_refuses_a_broken_file_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    """File, line, column and path stand before what is wrong."""
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        version_of(path)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, bytes that are not text and a giant are problems, not tracebacks."""
    giant = tmp_path / "giant.yaml"
    giant.write_bytes(b"#" * 2_000_000)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"version: \xff\xff")
    for path in (tmp_path / "none.yaml", tmp_path, giant, binary):
        with pytest.raises(ConfigError, match=str(path)):
            version_of(path)
