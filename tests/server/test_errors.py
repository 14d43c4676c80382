"""Every reason reaches the client with its code and its ErrorInfo, and nothing else does."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from bandit.errors import BanditError, Reason
from server import errors
from server.codes import Code
from server.errors import CODES, ShellError, ShellReason
from server.pb import bandit_pb2 as pb
from tests.server.running import CONFIG, WAIT_S, Loop, Running, refused, running, unary

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"

Call = Callable[[Running], object]


def reward(server: Running, event: str = "click", **fields: Any) -> object:
    """A reward for a fresh decision."""
    return server.reward(server.choose().decision_id, event, **fields)


def conflict(server: Running) -> object:
    """The same event with another value."""
    decision = server.choose().decision_id
    server.reward(decision, value=1.0)
    return server.reward(decision, value=2.0)


def raw(server: Running, method: str, data: bytes) -> object:
    """Bytes as they are, to a method of the data service."""
    return unary(server.channel, f"/bandit.v1.BanditService/{method}", data)


def bad_reload(server: Running) -> object:
    """A reload of a file with a mistake in it."""
    server.config.write_text(CONFIG.replace("weight: 2", "weight: -2"))
    try:
        return server.operator.ReloadConfig(pb.ReloadConfigRequest(), timeout=WAIT_S)
    finally:
        server.config.write_text(CONFIG)


@contextmanager
def failing(server: Running, error: Exception) -> Iterator[None]:
    """The engine's Choose raises something that nobody expected."""

    def choose(*_: object) -> None:
        raise error

    server.loop.call(lambda: setattr(server.engine, "choose", choose))
    try:
        yield
    finally:
        server.loop.call(lambda: delattr(server.engine, "choose"))


def broken(server: Running) -> object:
    """A Choose that meets a fault of ours."""
    with failing(server, KeyError("visitor-4711")):
        return server.choose(unit="visitor-4711")


CASES: dict[Reason | ShellReason, tuple[Code, Call]] = {
    Reason.PLACEMENT_UNKNOWN: (Code.NOT_FOUND, lambda s: s.choose("nowhere")),
    Reason.NO_ELIGIBLE_ARM: (Code.FAILED_PRECONDITION, lambda s: s.choose("web-only")),
    Reason.FEATURE_NOT_FINITE: (Code.INVALID_ARGUMENT, lambda s: s.choose(numbers={"history": float("nan")})),
    Reason.FEATURE_NOT_BOOLEAN: (Code.INVALID_ARGUMENT, lambda s: s.choose(numbers={"returning": 0.5})),
    Reason.CONTEXT_TOO_LARGE: (
        Code.INVALID_ARGUMENT,
        lambda s: s.choose(categories={f"feature-{i}": "x" for i in range(257)}),
    ),
    Reason.UNIT_TOO_LONG: (Code.INVALID_ARGUMENT, lambda s: s.choose(unit="u" * 513)),
    Reason.TOKEN_INVALID: (Code.INVALID_ARGUMENT, lambda s: s.reward("forged")),
    Reason.EVENT_UNKNOWN: (Code.INVALID_ARGUMENT, lambda s: reward(s, "smile")),
    Reason.EVENT_ID_REQUIRED: (Code.INVALID_ARGUMENT, lambda s: reward(s, "purchase")),
    Reason.EVENT_ID_TOO_LONG: (Code.INVALID_ARGUMENT, lambda s: reward(s, "purchase", event_id="i" * 257)),
    Reason.VALUE_NOT_FINITE: (Code.INVALID_ARGUMENT, lambda s: reward(s, value=float("inf"))),
    Reason.VALUE_OUT_OF_RANGE: (Code.INVALID_ARGUMENT, lambda s: reward(s, value=1e308)),
    Reason.REWARD_CONFLICT: (Code.ALREADY_EXISTS, conflict),
    Reason.RAMP_ABSENT: (
        Code.FAILED_PRECONDITION,
        lambda s: s.operator.HoldRamp(
            pb.HoldRampRequest(placement="web-only", reason="r", actor="a"), timeout=WAIT_S
        ),
    ),
    Reason.MOVE_UNEXPLAINED: (
        Code.INVALID_ARGUMENT,
        lambda s: s.operator.HoldRamp(pb.HoldRampRequest(placement="hero"), timeout=WAIT_S),
    ),
    Reason.BATCH_TOO_LARGE: (
        Code.INVALID_ARGUMENT,
        lambda s: s.bandit.ChooseBatch(
            pb.ChooseBatchRequest(requests=[pb.ChooseRequest(placement="hero")] * 257), timeout=WAIT_S
        ),
    ),
    Reason.MESSAGE_MALFORMED: (Code.INVALID_ARGUMENT, lambda s: raw(s, "Choose", b"\x0a\x02\xff\xff")),
    Reason.CONFIG_INVALID: (Code.FAILED_PRECONDITION, bad_reload),
    ShellReason.MESSAGE_TOO_LARGE: (
        Code.RESOURCE_EXHAUSTED,
        lambda s: s.choose(arms=[f"arm-{i}" for i in range(10_000)]),
    ),
    ShellReason.INTERNAL: (Code.INTERNAL, broken),
}
"""How each reason is provoked, and its code; those that need a server of their own have their own test."""

ELSEWHERE = {
    Reason.LEDGER_FULL,
    Reason.JOURNAL_FULL,
    ShellReason.SNAPSHOT_REFUSED,
    ShellReason.STARTING,
    ShellReason.DEADLINE_PASSED,
    ShellReason.METADATA_TOO_LARGE,
    ShellReason.OVERLOADED,
}


def test_the_table_is_exhaustive() -> None:
    """Each reason of the core and of the shell has exactly one code, and a case here."""
    everything = {*Reason, *ShellReason}
    assert set(CODES) == everything
    assert set(CASES) | ELSEWHERE == everything
    assert len({reason.value for reason in everything}) == len(everything)
    assert Code.OK not in CODES.values()


@pytest.mark.parametrize("reason", CASES)
def test_a_refusal_carries_code_and_reason(shared: Running, reason: Reason | ShellReason) -> None:
    """The gRPC code of the contract, an ErrorInfo with the reason, a message for a person, and a count."""
    code, call = CASES[reason]
    before = shared.sidecar.counts.errors.get(reason.value, 0)
    got, info = refused(lambda: call(shared))
    assert (got.value[0], info.reason) == (code, reason.value)
    assert shared.sidecar.counts.errors[reason.value] == before + 1
    shared.choose()  # and the server goes on


def test_metadata_names_the_datum(shared: Running) -> None:
    """The facts of the case stand in the ErrorInfo, fit for a program."""
    _, info = refused(lambda: shared.choose("nowhere"))
    assert dict(info.metadata) == {"placement": "nowhere"}


def test_a_refused_reward_leaves_the_decision_unspent(sidecar: Running) -> None:
    """After NaN, infinity and 1e308 nothing was learned, and the event with a good value is APPLIED."""
    decision = sidecar.choose().decision_id
    tally = sidecar.engine.state.placements["hero"].tally
    before = [array.tobytes() for array in (tally.n, tally.r1, tally.r2, tally.b)]
    for value in (float("nan"), float("inf"), -float("inf"), 1e308):
        refused(lambda value=value: sidecar.reward(decision, value=value))  # type: ignore[misc]
    assert before == [array.tobytes() for array in (tally.n, tally.r1, tally.r2, tally.b)]
    assert sidecar.reward(decision, value=1.0) == pb.REWARD_OUTCOME_APPLIED


def test_tampered_tokens_change_nothing(sidecar: Running) -> None:
    """Truncated, bit-flipped and foreign tokens are refused and counted; the true one still works."""
    decision = sidecar.choose().decision_id
    flipped = decision[:40] + ("A" if decision[40] != "A" else "B") + decision[41:]
    for bad in ("", decision[:-1], decision[:20], flipped, decision + "A", "é" * 50):
        assert refused(lambda bad=bad: sidecar.reward(bad))[1].reason == "TOKEN_INVALID"  # type: ignore[misc]
    assert sidecar.engine.tokens_invalid == 6
    assert sidecar.reward(decision) == pb.REWARD_OUTCOME_APPLIED


def test_an_unexpected_fault_leaks_nothing(sidecar: Running) -> None:
    """The client learns no text of the exception; the log has its type and places, once, without the unit."""
    with structlog.testing.capture_logs() as lines, pytest.raises(grpc.RpcError) as caught:
        broken(sidecar)
    assert caught.value.details() == errors.INTERNAL.message
    (line,) = [line for line in lines if line["event"] == "internal error"]
    assert line["error"] == "KeyError"
    assert line["method"] == "/bandit.v1.BanditService/Choose"
    assert any("in handlers" in place or "handlers.py" in place for place in line["places"])
    assert "4711" not in json.dumps(lines)


def test_a_fault_of_every_call_does_not_fill_the_log(sidecar: Running) -> None:
    """Nine times the same fault: logged at the 1st, 2nd, 4th and 8th, counted each time."""
    with structlog.testing.capture_logs() as lines:
        for _ in range(9):
            refused(lambda: broken(sidecar))
    assert [line["times"] for line in lines if line["event"] == "internal error"] == [1, 2, 4, 8]
    assert sidecar.sidecar.counts.errors["INTERNAL"] == 9


def test_a_fault_in_a_batch_takes_one_item(shared: Running) -> None:
    """Neighbours of an item that met a fault are answered; it has INTERNAL."""
    real = shared.engine.choose

    def choose(placement: str, unit: str, *rest: Any) -> object:
        if unit == "bad":
            raise ZeroDivisionError
        return real(placement, unit, *rest)

    shared.loop.call(lambda: setattr(shared.engine, "choose", choose))
    requests = [pb.ChooseRequest(placement="hero", unit=unit) for unit in ("good", "bad", "good")]
    batch = shared.bandit.ChooseBatch(pb.ChooseBatchRequest(requests=requests), timeout=WAIT_S)
    shared.loop.call(lambda: delattr(shared.engine, "choose"))
    assert [result.error.code for result in batch.results] == [0, Code.INTERNAL, 0]


def test_a_full_ledger_refuses_rewards(loop: Loop, tmp_path: Path) -> None:
    """Without room to remember a reward it is RESOURCE_EXHAUSTED with LEDGER_FULL; Choose goes on."""
    with running(loop, tmp_path, ledger_bytes_max=1_000) as server:
        code, info = refused(lambda: [reward(server) for _ in range(200)])
        assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LEDGER_FULL")
        server.choose()


def test_before_it_is_ready_it_says_so(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While kernels are prepared calls get UNAVAILABLE with STARTING, which a client may repeat."""
    monkeypatch.setattr("server.lifecycle.Sidecar._make_ready", _never)
    with running(loop, tmp_path, wait=False) as server:
        for call in (
            server.choose,
            lambda: server.reward("token"),
            lambda: server.bandit.ChooseBatch(pb.ChooseBatchRequest(), timeout=WAIT_S),
            lambda: server.bandit.RewardBatch(pb.RewardBatchRequest(), timeout=WAIT_S),
            lambda: server.operator.ListPlacements(pb.ListPlacementsRequest(), timeout=WAIT_S),
            lambda: server.operator.ReloadConfig(pb.ReloadConfigRequest(), timeout=WAIT_S),
        ):
            code, info = refused(call)
            assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "STARTING")


async def _never(_: object) -> None:
    """Not to become ready."""


def test_long_texts_are_cut_to_fit_trailers() -> None:
    """A message or a fact of any length fits into what clients accept."""
    found = errors.failure(BanditError(Reason.CONFIG_INVALID, "ä" * 100_000, problem="x" * 100_000))
    assert len(errors.status(found).SerializeToString()) + len(found.message.encode()) * 3 < 20_000
    assert found.message.endswith("…")
    assert len(found.metadata["problem"].encode()) == 256


def test_every_reason_is_documented() -> None:
    """docs/errors.md has a row for each reason with its code, and no other."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([A-Z_]+)` \|", DOCUMENT.read_text(), re.MULTILINE))
    assert rows == {reason.value: code.name for reason, code in CODES.items()}


def test_shell_errors_have_the_shape_of_the_cores() -> None:
    """One function describes both."""
    error = ShellError(ShellReason.STARTING, "not yet", since="noon")
    assert errors.failure(error) == (Code.UNAVAILABLE, "STARTING", "not yet", {"since": "noon"}, 0.0)
