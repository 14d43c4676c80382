"""Reading the tools' YAML files: every problem at once, each with its path."""

from pathlib import Path

import pytest

from server.documents import DocumentError, Section, load, read


def test_reports_every_problem_with_its_path() -> None:
    """One pass finds a wrong type, a number out of range, a missing key and an unknown one."""
    problems: list[str] = []
    root = Section({"a": "x", "b": 7, "odd": 1}, "$", problems)
    root.number("a")
    root.number("b", low=0, high=5)
    root.text("c")
    root.finish()
    assert problems == [
        "$.a: expected a finite number, got 'x'",
        "$.b: 7 is outside 0 to 5; put a number within it",
        "$.c: expected text, got nothing",
        "$.odd: unknown key; remove it or use one of a, b, c",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None])
def test_a_number_is_a_finite_number(value: object) -> None:
    """NaN, infinity, booleans and text are no numbers."""
    problems: list[str] = []
    Section({"a": value}, "$", problems).number("a")
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "the key 'a' is given twice"),
        ("a: [1\n", "is not YAML"),
        ("- 1\n", "expected a mapping, got [1]"),
        ("1: x\n", "the key 1 is not text"),
        ("? [a]\n: 1\n", "is not YAML"),
        ("!!python/object:os.system {}\n", "is not YAML"),
        ("[" * 3000, "is not YAML"),
    ],
)
def test_refuses_a_broken_file_with_its_name(tmp_path: Path, text: str, expected: str) -> None:
    """A file that is not a mapping of text keys is refused, and its name is in the message."""
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        read(path, lambda root: root.names)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, bytes that are not text and a giant are problems, not tracebacks."""
    giant = tmp_path / "giant.yaml"
    giant.write_bytes(b"#" * 2_000_000)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff\xff")
    for path in (tmp_path / "none.yaml", tmp_path, giant, binary):
        with pytest.raises(DocumentError, match=str(path)):
            load(path)
