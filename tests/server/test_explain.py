"""`banditd explain`: one decision from its token, beside whatever a data directory still holds of it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bandit.config import EXPOSURE, format_time
from bandit.decision import Decision
from bandit.engine import Choice
from bandit.hashing import Draws
from bandit.records import Decided, Record
from bandit.token import Keys, Sealer
from server import keys
from server.cli import cli
from server.exit_codes import ExitCode, StartError
from server.explaining.facts import Source
from tests.core.world import DAY, HOUR, KEYS, SECOND, START, hero, simple
from tests.server.data_dirs import SECRET, Served

NINTH = Sealer(replace(KEYS, current=9, masters={9: bytes(32)}))


def invoke(served: Served, choice: Choice, *arguments: str) -> tuple[int, str]:
    """Exit code and output of `banditd explain`; a refusal's code and message."""
    flags = ["explain", choice.decision_id, "--data-dir", str(served.path), *arguments]
    result = CliRunner().invoke(cli, flags)
    if isinstance(result.exception, StartError):
        return result.exception.code, str(result.exception)
    return result.exit_code, result.output


def explained(served: Served, choice: Choice, *arguments: str) -> dict[str, Any]:
    """What it says as JSON."""
    code, output = invoke(served, choice, "--json", *arguments)
    assert code == 0, output
    told: dict[str, Any] = json.loads(output)
    return told


def visit(served: Served, **fields: Any) -> Choice:
    """A decision of `p`, a `hero`."""
    context = {"platform": "web", "country": "de"}
    return served.choose(categories=context, numbers={"history": 3000, "returning": 1}, **fields)


def sealed(choice: Choice) -> Decision:
    """What a token says."""
    return Sealer(KEYS).open(choice.decision_id)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """A data directory with some traffic before what a test looks at."""
    served = Served(tmp_path / "data", p=hero(), q=simple())
    for number in range(40):
        served.now += SECOND
        served.reward(visit(served), "purchase", 30.0, str(number))
    return served


def test_what_was_decided(served: Served) -> None:
    """Everything that the token says, with names, and the arms that were eligible."""
    choice = visit(served, unit="visitor-7", arms=["mens", "womens"])
    decision, told = sealed(choice), explained(served, choice)
    names = [policy.name for policy in served.state().config.policies]
    assert told["time"] == format_time(decision.time_us)
    assert (told["placement"], told["arm"], told["policy"]) == ("p", choice.arm, choice.policy)
    assert (told["propensity"], told["bucket"]) == (choice.propensity, decision.bucket)
    assert (told["origin"], told["start"], told["counter"]) == ("test", START.hex(), decision.counter)
    assert told["schema"] == decision.schema_id.hex()
    assert told["policies"] == {
        name: {"probability": probability, "weight": probability / choice.propensity}
        for name, probability in zip(names, decision.probabilities, strict=True)
    }
    assert told["eligible"] == ["mens", "womens"]
    assert told["stratum"] == {"index": decision.stratum, "in_scope": True}
    (country,) = [name for name in told["context"] if name.startswith("country#")]
    assert told["context"] == {country: 1.0, "history": 1.0, "platform=web": 1.0, "returning": 1.0}
    assert told["window_end"] == format_time(decision.time_us + DAY)
    assert "visitor-7" not in json.dumps(told)


def test_the_draw_lies_in_its_interval(served: Served) -> None:
    """Of every decision, whose interval is as wide as the served policy's probability."""
    for _ in range(30):
        choice = visit(served)
        decision, told = sealed(choice), explained(served, choice)
        record = told["record"]
        assert record["draw_fits"] is True
        assert 0.0 <= record["low"] <= told["draw"] < record["high"]
        assert record["high"] - record["low"] == pytest.approx(decision.probabilities[decision.policy])
        assert served.journal[record["sequence"] - 1] == Decided(decision, record["low"], record["high"])


def test_a_draw_that_does_not_fit_is_told(served: Served, tmp_path: Path) -> None:
    """With another root beside the key that seals: exit code 1, and the text says so."""
    other = tmp_path / "other.key"
    other.write_text(f"{bytes(32).hex()}\n2 {SECRET.hex()}\n")
    other.chmod(0o600)
    draws = Draws(keys.read(other).draw_salt, START)
    choice = visit(served)
    while _holds(served.journal[-1], draws):
        choice = visit(served)
    decision = sealed(choice)
    token = Sealer(keys.read(other)).seal(decision)
    code, output = invoke(served, choice._replace(decision_id=token), "--key-file", str(other))
    assert (code, "NOT inside the interval" in output) == (ExitCode.FAILURE, True)


def _holds(record: Record, draws: Draws) -> bool:
    """Whether the draws of other salts would have fallen into the interval, too."""
    assert isinstance(record, Decided)
    return record.low <= draws(record.decision.counter) < record.high


def test_what_became_of_it(served: Served) -> None:
    """Exposure, events with their times, R clipped at the maximum: from the journal's records."""
    choice = visit(served, deferred=True)
    told = explained(served, choice)
    assert (told["source"], told["exposed"], told["reward"], told["events"]) == ("journal", False, 0.0, [])
    served.reward(choice, EXPOSURE)
    assert explained(served, choice)["exposed"] is True
    served.now += HOUR
    served.reward(choice, "visit")
    served.reward(choice, "purchase", 50.0, "one")
    first_us, served.now = served.now, served.now + HOUR
    served.reward(choice, "purchase", 400.0, "two")
    told = explained(served, choice)
    assert told["events"] == [
        {"event": "visit", "value": 1.0, "time": format_time(first_us)},
        {"event": "purchase", "value": 50.0, "time": format_time(first_us)},
        {"event": "purchase", "value": 400.0, "time": format_time(served.now)},
    ]
    assert (told["deferred"], told["reward"]) == (True, 5.0)


def test_from_the_ledger_once_the_record_is_gone(served: Served) -> None:
    """Before a snapshot and after it, in the sum once: times are not kept, R is the same."""
    choices = [visit(served, deferred=True) for _ in range(3)]
    served.reward(choices[0], EXPOSURE)
    served.reward(choices[1], "purchase", 50.0, "one")
    served.reward(choices[1], "purchase", 60.0, "two")
    whole = explained(served, choices[1])
    served.snapshot()
    served.trim()
    served.reward(choices[1], "visit")
    shown, rewarded, neither = (explained(served, choice) for choice in choices)
    assert {told["source"] for told in (shown, rewarded, neither)} == {"ledger"}
    assert {told["record"] for told in (shown, rewarded, neither)} == {None}
    assert [told["exposed"] for told in (shown, rewarded, neither)] == [True, True, False]
    assert [told["reward"] for told in (shown, neither)] == [0.0, 0.0]
    assert [(event["event"], event["value"], event["time"]) for event in rewarded["events"]] == [
        ("purchase", 50.0, None),
        ("purchase", 60.0, None),
        ("visit", 1.0, format_time(served.now)),
    ]
    assert whole["reward"] == pytest.approx(2.2)
    assert rewarded["reward"] == pytest.approx(3.2)
    assert rewarded["eligible"] == whole["eligible"] == ["mens", "none", "womens"]
    served.snapshot()
    assert explained(served, choices[1])["reward"] == rewarded["reward"]


def test_each_window_has_ledger_files_of_its_own(tmp_path: Path) -> None:
    """A decision is looked up in those of its window, which are found; damage in them is named."""
    short = simple(reward={"window": "1h", "values": {"click": 1}})
    served = Served(tmp_path / "data", p=short, q=simple())
    choices = [served.choose("p"), served.choose("q")]
    for choice in choices:
        served.reward(choice)
    served.snapshot()
    served.trim()
    files = sorted((served.path / "ledger").iterdir())
    assert len(files) == 2
    assert [explained(served, choice)["reward"] for choice in choices] == [1.0, 1.0]
    files[0].write_bytes(files[0].read_bytes()[:-1])
    answers = [invoke(served, choice) for choice in choices]
    assert sorted(code for code, _ in answers) == [ExitCode.OK, ExitCode.DATA]
    assert files[0].name in max(answers)[1]


def test_after_its_window_nothing_is_known(served: Served) -> None:
    """The ledger forgot it, and the journal does not hold it: it says how to keep records."""
    choice = visit(served)
    served.reward(choice, "visit")
    served.now += 2 * DAY
    visit(served)
    served.snapshot()
    told = explained(served, choice)
    assert (told["source"], told["reward"]) == ("journal", 1.0)
    served.trim()
    told = explained(served, choice)
    assert (told["source"], told["reward"], told["events"], told["exposed"]) == ("past", None, None, True)
    assert "--journal-keep" in invoke(served, choice)[1]


def test_decisions_that_the_directory_does_not_hold(served: Served, tmp_path: Path) -> None:
    """Of another process with the same keys, of a removed placement, of one that took no records."""
    other = Served(tmp_path / "other", start=bytes(16), p=hero())
    foreign = visit(other)
    assert explained(served, foreign)["source"] == "elsewhere"
    served.snapshot()
    assert explained(served, foreign)["source"] == "elsewhere"
    unrecorded = visit(served)
    token = Sealer(KEYS).seal(sealed(unrecorded)._replace(counter=10**6, recorded=False))
    told = explained(served, unrecorded._replace(decision_id=token))
    assert (told["source"], told["recorded"], told["reward"]) == ("unrecorded", False, None)
    unknown = Served(tmp_path / "unknown", start=bytes(16), p=simple("x", "y", "z")).choose()
    told = explained(served, unknown)
    assert (told["source"], told["placement"], told["window_end"]) == ("elsewhere", None, None)
    assert told["arm"] in {"#0", "#1", "#2"}
    assert told["policies"].keys() == {"#0"}
    assert "names are numbers" in invoke(served, unknown)[1]


def test_names_stay_those_of_its_configuration(served: Served) -> None:
    """After a reload that removes and reorders arms; R by the values of its own configuration."""
    choice = visit(served, arms=["none"])
    assert choice.arm == "none"
    served.reload(p=hero(arms={"aaa": {}, "womens": {}, "none": {}}, reward={"values": {"visit": 3, "x": 1}}))
    served.reward(choice, "visit")
    told = explained(served, choice)
    assert (told["arm"], told["eligible"], told["reward"]) == ("none", ["none"], 1.0)
    served.snapshot()
    served.trim()
    told = explained(served, choice)
    assert (told["source"], told["arm"], told["reward"]) == ("ledger", "none", 1.0)


def test_a_decision_of_an_earlier_key_is_explained(served: Served) -> None:
    """Keys rotate, the salts stay: an older token opens, and its draw fits."""
    choice = visit(served)
    CliRunner().invoke(cli, ["rotate-key", "--data-dir", str(served.path)])
    told = explained(served, choice)
    assert told["record"]["draw_fits"] is True
    newer = Sealer(keys.read(served.path / "secret.key")).seal(sealed(choice))
    assert explained(served, choice._replace(decision_id=newer)) == told


@pytest.mark.parametrize(
    ("forge", "problem"),
    [
        (
            lambda token: token[:60] + ("A" if token[60] != "A" else "B") + token[61:],
            "its seal does not hold",
        ),
        (lambda token: token[:30], "it is too short"),
        (lambda token: token + " ", "it is not base64url"),
        (lambda _: "x" * 9999, "at most"),
        (lambda token: Sealer(Keys.derive(bytes(32))).seal(Sealer(KEYS).open(token)), "under another key"),
        (
            lambda token: NINTH.seal(Sealer(KEYS).open(token)),
            r"its key id 9 is not known here.*has the keys 1\)",
        ),
    ],
)
def test_tokens_that_do_not_open(served: Served, forge: Any, problem: str) -> None:
    """Forged, cut, of other keys: exit code 1, with the reason; the token is not quoted."""
    choice = visit(served)
    code, message = invoke(served, choice._replace(decision_id=forge(choice.decision_id)))
    assert (code, bool(re.search(problem, message))) == (ExitCode.FAILURE, True)
    assert choice.decision_id[:30] not in message


def test_what_is_missing_is_named(served: Served, tmp_path: Path) -> None:
    """No key, no data directory: exit code 5. No key is made."""
    choice = visit(served)
    code, message = invoke(served, choice, "--data-dir", str(tmp_path / "nowhere"))
    assert (code, "secret.key" in message) == (ExitCode.FILES, True)
    code, message = invoke(
        served, choice, "--data-dir", str(tmp_path / "nowhere"), "--key-file", str(served.path / "secret.key")
    )
    assert (code, "there is no data directory" in message) == (ExitCode.FILES, True)
    assert not (tmp_path / "nowhere").exists()


def test_nothing_in_the_directory_changes(served: Served) -> None:
    """Reading beside a server: the same files, bytes and times, no lock."""
    choice = visit(served)
    served.snapshot()

    def seen() -> dict[str, tuple[bytes, int]]:
        files = (path for path in served.path.rglob("*") if path.is_file())
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = seen()
    explained(served, choice)
    assert seen() == before


def test_the_text_is_for_a_person(served: Served) -> None:
    """What was chosen and why, the draw, and what came of it; what is missing is said, with the remedy."""
    choice = visit(served)
    served.reward(choice, "purchase", 120.0, "order-17")
    code, text = invoke(served, choice)
    assert code == 0
    assert text.startswith(f"p: {choice.arm}, 2027-01-15T")
    for part in ("over propensity", "platform=web", "inside the interval", "R: 2.4", Source.JOURNAL.value):
        assert part in text
    assert "order-17" not in text
    served.snapshot()
    served.trim()
    text = invoke(served, choice)[1]
    assert "the interval it fell into is not kept any more" in text
    assert "not kept" in text.splitlines()[-2]
    odd = hero(features={"platform": {"kind": "category", "values": ["[red]web"]}}, arms={"a": {}}, ramp=None)
    served.reload(p=odd, q=simple())
    text = invoke(served, served.choose(categories={"platform": "[red]web"}))[1]
    assert "platform=[red]web" in text
    assert "context" not in invoke(served, served.choose("q"))[1]
