"""The documents keep to the code: links lead somewhere, examples work, promises name tests that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bandit.config import parse

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = sorted([README, ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def blocks(path: Path, language: str) -> Iterator[str]:
    """Yield the fenced code blocks of a language."""
    for found in re.finditer(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        yield found[1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link of a document is a file or folder of the project."""
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (document.parent / link).exists(), f"{document.name} links to {link}, which is not there"


def test_readme_configuration_is_accepted() -> None:
    """The README's placement parses, with its ramp only on web."""
    (text,) = blocks(README, "yaml")
    placement = parse(yaml.safe_load(text)).placements["home-hero"]
    assert placement.ramp is not None
    assert placement.ramp.only_when == {"platform": frozenset({"web"})}


@pytest.mark.parametrize(("language", "file"), [("python", "client.py"), ("js", "client.mjs")])
def test_readme_clients_are_the_tested_examples(language: str, file: str) -> None:
    """The README's clients are those of examples/, which other tests run, to the letter, in ten lines."""
    (text,) = blocks(README, language)
    assert text in (ROOT / "examples" / file).read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 10


def test_promises_name_tests_that_exist() -> None:
    """Every test that a document names is defined."""
    for document in DOCUMENTS:
        for file, function in TEST.findall(document.read_text(encoding="utf-8")):
            path = ROOT / file
            assert path.is_file(), f"{document.name} names {file}, which is not there"
            if function:
                defined = {
                    node.name
                    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                }
                assert function in defined, f"{document.name} names {function} of {file}, which is not there"


def test_every_document_is_reached_from_the_readme() -> None:
    """A reader finds every page of docs/ by following links from the README."""
    seen, waiting = set(), [README]
    while waiting:
        document = waiting.pop()
        if document in seen or document.suffix != ".md":
            continue
        seen.add(document)
        links = LINK.findall(document.read_text(encoding="utf-8"))
        waiting += [(document.parent / link).resolve() for link in links if "://" not in link]
    assert set((ROOT / "docs").rglob("*.md")) <= seen
