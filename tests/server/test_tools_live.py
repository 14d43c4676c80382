"""The tools beside the real server: looked at while it serves, killed, damaged, repaired, served again."""

import json
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from server.exit_codes import ExitCode
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from tests.server.damage import flip, invoke, segments_of
from tests.server.running import CONFIG, WAIT_S, Process, dial_plain, process


def serving(folder: Path) -> AbstractContextManager[Process]:
    """The server, on a socket in the folder."""
    flags = ("--config", "config.yaml", "--listen", f"unix:{folder}/s.sock", "--data-dir", "data")
    return process(folder, *flags, "--snapshot-interval", "0s")


def choices(folder: Path, number: int) -> None:
    """So many are answered."""
    with dial_plain(f"unix:{folder}/s.sock") as channel:
        bandit = pb_grpc.BanditServiceStub(channel)
        for _ in range(number):
            bandit.Choose(pb.ChooseRequest(placement="hero"), timeout=WAIT_S)


def decisions(data: Path) -> int:
    """How many `inspect` counts."""
    code, said = invoke("inspect", data, "--placement", "hero", "--json")
    assert code == ExitCode.OK, said
    return int(json.loads(said)["placements"][0]["decisions"])


def test_looked_at_killed_damaged_repaired_served(tmp_path: Path) -> None:
    """What was acknowledged is seen at once; a refused start names repair; after it the server serves."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    data = tmp_path / "data"
    with serving(tmp_path) as server:
        server.wait_for("ready")
        choices(tmp_path, 30)
        assert decisions(data) == 30
        found = json.loads(invoke("inspect", data, "--json")[1])["files"]["process"]
        assert found == (server.process.pid if sys.platform == "linux" else found)
        assert invoke("verify", data)[0] == ExitCode.OK
        code, said = invoke("repair", data, "--yes")
        assert (code, "another process" in said) == (ExitCode.FILES, True)
        server.end(signal.SIGKILL)
    flip(segments_of(data)[-1], 3000)
    with serving(tmp_path) as server:
        assert server.end() == ExitCode.DATA
        assert any("banditd repair" in str(line) for line in server.lines)
    assert invoke("repair", data)[0] == ExitCode.DATA
    assert invoke("repair", data, "--yes")[0] == ExitCode.OK
    kept = decisions(data)
    assert 0 < kept < 30
    with serving(tmp_path) as server:
        server.wait_for("ready")
        choices(tmp_path, 5)
        assert server.end(signal.SIGTERM) == ExitCode.OK
    assert decisions(data) == kept + 5
    assert invoke("verify", data)[0] == ExitCode.OK
