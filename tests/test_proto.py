"""The contract: generated code is up to date, numbers stand, a client's own stubs load beside ours."""

import subprocess
import sys
from pathlib import Path

import pytest

from server.pb import bandit_pb2

ROOT = Path(__file__).resolve().parent.parent
GENERATE = ROOT / "proto" / "generate.py"

CONTRACT = {
    "ChooseRequest": "1 placement, 2 unit, 3 categories, 4 numbers, 5 arms, 6 defer_exposure",
    "ChooseResponse": "1 decision_id, 2 arm, 3 policy, 4 propensity, 5 payload",
    "ChooseBatchRequest": "1 requests",
    "ChooseBatchResponse": "1 results",
    "ChooseResult": "1 response, 2 error",
    "RewardRequest": "1 decision_id, 2 event, 3 value, 4 event_id",
    "RewardResponse": "1 outcome",
    "RewardBatchRequest": "1 requests",
    "RewardBatchResponse": "1 results",
    "RewardResult": "1 response, 2 error",
}
"""Message → its fields by number. Clients are compiled against these: a line here may grow, never change."""

OUTCOMES = {"UNSPECIFIED": 0, "APPLIED": 1, "DUPLICATE": 2, "LATE": 3, "UNRECORDED": 4}

CLIENT = """
import importlib.util, sys
from pathlib import Path

def client():
    path = Path(sys.argv[1]) / "bandit" / "v1" / "bandit_pb2.py"
    spec = importlib.util.spec_from_file_location("client_bandit_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def ours():
    from server.pb import bandit_pb2, bandit_pb2_grpc
    return bandit_pb2

loads = [ours, client] if sys.argv[2] == "ours first" else [client, ours]
one, other = (load() for load in loads)
sent = one.ChooseRequest(placement="home-hero", categories={"platform": "web"}, numbers={"history": 3.5})
assert other.ChooseRequest.FromString(sent.SerializeToString()).categories["platform"] == "web"
print(one.DESCRIPTOR.name)
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of this interpreter from the root, warnings as errors, its output kept."""
    return subprocess.run(
        [sys.executable, "-W", "error", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_generated_code_is_up_to_date() -> None:
    """server/pb is what protoc makes of proto/ today; otherwise the message names `make proto`."""
    done = run(GENERATE, "--check")
    assert done.returncode == 0, done.stderr


def test_stale_generated_code_names_the_remedy(tmp_path: Path) -> None:
    """A contract that was edited without regenerating is refused, with the command that mends it."""
    proto = tmp_path / "proto" / "bandit" / "v1" / "bandit.proto"
    proto.parent.mkdir(parents=True)
    (tmp_path / "server" / "pb").mkdir(parents=True)
    text = (ROOT / "proto" / "bandit" / "v1" / "bandit.proto").read_text("utf-8")
    proto.write_text(text.replace("int64 exposures = 4", "int64 exposures = 14"), "utf-8")
    (tmp_path / "proto" / "generate.py").write_text(GENERATE.read_text("utf-8"), "utf-8")
    for generated in (ROOT / "server" / "pb").glob("bandit_pb2*"):
        (tmp_path / "server" / "pb" / generated.name).write_bytes(generated.read_bytes())
    done = run(tmp_path / "proto" / "generate.py", "--check")
    assert done.returncode == 1
    assert "bandit_pb2.py" in done.stderr
    assert "make proto" in done.stderr


def test_contract_is_lint_clean() -> None:
    """Buf finds nothing: names, packages, a comment at every element, its own formatting."""
    done = run(GENERATE, "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("order", ["ours first", "client first"])
def test_client_stubs_live_beside_ours(tmp_path: Path, order: str) -> None:
    """Stubs a client compiled by itself load in our process, in either order, and read our messages."""
    script = "import generate, pathlib, sys; generate.compile_proto(pathlib.Path(sys.argv[1]))"
    compiled = run("-c", f"import sys; sys.path.insert(0, 'proto'); {script}", tmp_path)
    assert compiled.returncode == 0, compiled.stderr
    done = run("-c", CLIENT, tmp_path, order)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "bandit/v1/bandit.proto"


@pytest.mark.parametrize(("message", "fields"), CONTRACT.items())
def test_field_numbers_stand(message: str, fields: str) -> None:
    """Every field of the contract has the number and the name that clients were compiled with."""
    descriptor = bandit_pb2.DESCRIPTOR.message_types_by_name[message]
    assert ", ".join(f"{field.number} {field.name}" for field in descriptor.fields) == fields


def test_types_that_a_name_does_not_show() -> None:
    """A value tells absent from zero, propensity is a double, field 7 of ChooseRequest stays free."""
    messages = bandit_pb2.DESCRIPTOR.message_types_by_name
    value = messages["RewardRequest"].fields_by_name["value"]
    assert value.has_presence
    assert value.type == value.TYPE_DOUBLE
    propensity = messages["ChooseResponse"].fields_by_name["propensity"]
    assert propensity.type == propensity.TYPE_DOUBLE
    assert 7 not in messages["ChooseRequest"].fields_by_number


def test_outcome_numbers_stand() -> None:
    """A reward's outcome has the number that clients switch on."""
    expected = {f"REWARD_OUTCOME_{name}": number for name, number in OUTCOMES.items()}
    assert dict(bandit_pb2.RewardOutcome.items()) == expected


def test_calls_of_the_services() -> None:
    """Applications' calls and operators' calls are two services: they listen in two places."""
    calls = {
        name: [method.name for method in service.methods]
        for name, service in bandit_pb2.DESCRIPTOR.services_by_name.items()
    }
    assert calls["BanditService"] == ["Choose", "ChooseBatch", "Reward", "RewardBatch"]
    assert {"ListPlacements", "ReloadConfig"} <= set(calls["OperatorService"])
