"""Whatever a document is, it gives a configuration or a ConfigError: no other exception, no hang.

BANDITD_FUZZ_EXAMPLES sets how many examples each test tries, 200 unless told; each example has a deadline.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandit.config import Config, ConfigError, Problem, canonical, parse
from bandit.config.keys import FEATURE_KEYS, KEYS, POLICY_KEYS
from server.commands.check import describe
from server.config_files import load_text
from tests.core.config_documents import contract

fuzz = settings(
    max_examples=int(os.environ.get("BANDITD_FUZZ_EXAMPLES", "200")),
    deadline=timedelta(seconds=10),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # of drawing documents, on a busy machine
)

EXAMPLES = Path(__file__).resolve().parent.parent / "config"
WORDS = sorted(
    {key for table in (KEYS, FEATURE_KEYS, POLICY_KEYS) for keys in table.values() for key in keys}
    | FEATURE_KEYS.keys() | POLICY_KEYS.keys()
    | {"static", "exposure", "web", "p", "personal", "24h", "0d", "1.0", "2026-12-01T00:00:00Z"}
    | {"\ud800", "\0", ""}
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS)
    | st.sampled_from([10**400, -0.0, 1e308, float("nan"), b"x", 1j, (), frozenset()])
)  # fmt: skip
KEYS_OF_ANY_KIND = (
    st.sampled_from(WORDS) | st.text(max_size=8) | st.none() | st.booleans() | st.integers() | st.floats()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS_OF_ANY_KIND, inner, max_size=5),
    max_leaves=30,
)


def outcome(read: Callable[[], Config]) -> tuple[Problem, ...]:
    """The problems of what is refused; what is accepted can be described, and written down to the same."""
    try:
        config = read()
    except ConfigError as error:
        return error.problems or pytest.fail("refused without a problem")
    assert list(describe(config))
    for name, placement in config.placements.items():
        assert parse(canonical(placement)).placements[name] == placement
    return ()


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in list(entries):
        yield value, key
        yield from places(inner)


@fuzz
@given(VALUES)
def test_any_document(document: object) -> None:
    """A document of any shape is refused with a ConfigError whose problems have paths."""
    problems = outcome(lambda: parse(document))
    assert all(problem.path.startswith("$") and problem.message for problem in problems)


@fuzz
@given(st.data())
def test_mutated_contract(data: st.DataObject) -> None:
    """The contract's example with values replaced, removed and renamed is accepted or refused."""
    document = contract()
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(list(places(document))), label="place")
        match data.draw(st.sampled_from(["replace", "remove", "rename"])):
            case "replace":
                container[key] = data.draw(VALUES)
            case "remove":
                del container[key]
            case _ if isinstance(container, dict):
                container[data.draw(KEYS_OF_ANY_KIND)] = container.pop(key)
    outcome(lambda: parse(document))


@fuzz
@given(st.binary(max_size=200) | st.text("[]{}:,-&*!|>'\"%@`#?<~ \n\tab01.", max_size=200).map(str.encode))
def test_any_bytes(text: bytes) -> None:
    """Bytes that are hardly YAML are refused with the name of the file."""
    problems = outcome(lambda: load_text(text, "x.yaml"))
    assert all(problem.source.startswith("x.yaml") for problem in problems)


@fuzz
@given(st.data())
def test_mutated_yaml(data: st.DataObject) -> None:
    """The accepted examples with pieces cut out, repeated and exchanged are accepted or refused."""
    examples = sorted((EXAMPLES / "accepted").glob("*.yaml"))
    text = data.draw(st.sampled_from(examples)).read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        text = (
            text[:start]
            + data.draw(st.sampled_from([b"", text[start:end] * 2, b"*a", b"[", b"\n", b": "]))
            + text[end:]
        )
    outcome(lambda: load_text(text, "x.yaml"))
