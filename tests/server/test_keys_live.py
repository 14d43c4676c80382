"""Keys that rotate while a process serves: no token is lost, no visitor is routed anew."""

import signal
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.addresses import parse_address
from server.cli import cli
from server.client import CallError, Client
from server.pb import bandit_pb2 as pb
from tests.server.running import CONFIG, WAIT_S, Process, process

UNITS = [f"visitor-{number}" for number in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a process serves from."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def serving(folder: Path) -> tuple[str, ...]:
    """Flags of the process."""
    return "--config", "config.yaml", "--listen", f"unix:{folder}/data.sock"


def client_of(folder: Path) -> Client:
    """A client of it."""
    return Client(str(parse_address(f"unix:{folder}/data.sock")))


def choose(client: Client, unit: str = "") -> pb.ChooseResponse:
    """One decision."""
    return client.choose(pb.ChooseRequest(placement="hero", unit=unit))


def reward(client: Client, token: str) -> str:
    """A click's outcome."""
    return client.reward(pb.RewardRequest(decision_id=token, event="click"))


def key_id(token: str) -> int:
    """The key that a token is sealed with."""
    return urlsafe_b64decode(token[:4])[1]


def rotate(server: Process, folder: Path, *arguments: str) -> None:
    """Change the key file, and wait until the process has taken it over."""
    taken = sum(line["event"] == "keys taken over" for line in server.lines)
    result = CliRunner().invoke(cli, ["rotate-key", "--data-dir", str(folder / "data"), *arguments])
    assert result.exit_code == 0, result.output
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("keys taken over", taken + 1)


def test_a_rotation_loses_nothing(folder: Path) -> None:
    """Older tokens are accepted after it and after a restart; visitors stay with their policies."""
    with process(folder, *serving(folder)) as server, client_of(folder) as client:
        client.wait_ready(WAIT_S)
        server.wait_for("ready")
        first, policies = choose(client), [choose(client, unit).policy for unit in UNITS]
        rotate(server, folder)
        second = choose(client)
        assert [key_id(choice.decision_id) for choice in (first, second)] == [1, 2]
        assert [choose(client, unit).policy for unit in UNITS] == policies
        assert reward(client, first.decision_id) == reward(client, second.decision_id) == "applied"
        third = choose(client)
        assert server.end(signal.SIGTERM) == 0
    with process(folder, *serving(folder)) as server, client_of(folder) as client:
        client.wait_ready(WAIT_S)
        server.wait_for("ready")
        assert [reward(client, token.decision_id) for token in (first, third)] == ["duplicate", "applied"]
        assert [choose(client, unit).policy for unit in UNITS] == policies
        rotate(server, folder, "--retire", "1")
        with pytest.raises(CallError, match="its key id 1 is not known here"):
            reward(client, first.decision_id)
        assert reward(client, second.decision_id) == "duplicate"
        assert [choose(client, unit).policy for unit in UNITS] == policies


def test_a_key_file_that_may_not_follow_is_refused(folder: Path) -> None:
    """With another root, or broken: the old keys stay, and the log says why without quoting a secret."""
    with process(folder, *serving(folder)) as server, client_of(folder) as client:
        client.wait_ready(WAIT_S)
        server.wait_for("ready")
        choice = choose(client)
        file = folder / "data" / "secret.key"
        held = file.read_text().strip()
        for number, (text, problem) in enumerate(
            [("ab" * 32, "its root is another one"), ("12" * 31, "line 1 does not hold 32 bytes")], 1
        ):
            file.write_text(text)
            server.process.send_signal(signal.SIGHUP)
            said = server.wait_for("key file refused, the old keys stay", number)
            assert problem in said["problem"]
            assert text not in str(server.lines)
        assert reward(client, choice.decision_id) == "applied"
        assert key_id(choose(client).decision_id) == 1
        assert held not in str(server.lines)
