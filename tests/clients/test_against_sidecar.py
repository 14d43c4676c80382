"""The client and the commands against a real sidecar, started once on the embedded example."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loadtest.sidecar import Sidecar, running
from server.cli import cli
from server.client import CallError, Client
from server.pb import bandit_pb2 as pb
from tests.interop.node_packages import needs_node, node_modules
from tests.server.certificates import Authority

ROOT = Path(__file__).parents[2]

CONFIG = {
    "version": 1,
    "placements": {
        "replayed": {
            "arms": {"a": {"weight": 1}, "b": {"weight": 1}},
            "features": {"platform": {"kind": "category", "values": ["web", "app"]}},
            "reward": {"window": "1h", "values": {"click": 1.0, "buy": 0.1}, "repeatable": ["buy"]},
            "policies": {"best": {"kind": "linucb"}},
            "ramp": {"policies": {"best": 1.0}, "from": 1.0, "to": 1.0},
        }
    },
}
MAPPING = """
version: 1
arm: {column: arm}
categories: {platform: platform}
events: {click: {column: click}, buy: {column: spend, worth: 0.1}}
"""


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar on the embedded example, which the demo's scenario fits."""
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[Client]:
    """A client of it."""
    with Client(sidecar.target) as connected:
        connected.wait_ready(30)
        yield connected


def command(*arguments: str) -> Result:
    """A `banditd` command, run in this process."""
    return CliRunner().invoke(cli, arguments, prog_name="banditd", auto_envvar_prefix="BANDITD")


def test_chooses_and_rewards(client: Client) -> None:
    """A decision's click is applied once, and known as a duplicate when it is repeated."""
    decision = client.choose(
        pb.ChooseRequest(placement="home-hero", unit="u", categories={"interest": "mens"})
    )
    assert decision.arm in {"mens", "womens", "sale"}
    assert 0 < decision.propensity <= 1
    click = pb.RewardRequest(decision_id=decision.decision_id, event="click")
    assert [client.reward(click), client.reward(click)] == ["applied", "duplicate"]


def test_refusals_keep_their_reason(client: Client) -> None:
    """A refused call and a refused item of a batch carry code, reason and facts."""
    with pytest.raises(CallError) as caught:
        client.choose(pb.ChooseRequest(placement="nowhere"))
    assert (caught.value.code, caught.value.reason) == ("NOT_FOUND", "PLACEMENT_UNKNOWN")
    assert caught.value.metadata["placement"] == "nowhere"
    good, bad = client.choose_batch([pb.ChooseRequest(placement=name) for name in ("home-hero", "nowhere")])
    assert isinstance(good, pb.ChooseResponse)
    assert isinstance(bad, CallError)
    assert bad.reason == "PLACEMENT_UNKNOWN"
    (forged,) = client.reward_batch([pb.RewardRequest(decision_id="x", event="click")])
    assert isinstance(forged, CallError)
    assert forged.reason == "TOKEN_INVALID"


def test_nobody_there_is_said_plainly() -> None:
    """Where nothing listens the message says how to start one, not how gRPC failed."""
    with Client("127.0.0.1:1", deadline_s=1) as lost:
        with pytest.raises(CallError, match=r"no sidecar answers at 127\.0\.0\.1:1; start one with"):
            lost.wait_ready(0.2)
        with pytest.raises(CallError, match="no sidecar answers"):
            lost.choose(pb.ChooseRequest(placement="home-hero"))


def test_simulate_learns_that_context_counts(sidecar: Sidecar) -> None:
    """8,000 shoppers: the personal policies earn most of the oracle's gain, the best arm for all little."""
    done = command("simulate", "--target", sidecar.target, "--shoppers", "8000", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    gains = {name: earned["gain"] for name, earned in report["policies"].items()}
    assert gains["personal"] > 0.8
    assert gains["explorer"] > 0.8
    assert gains["best-arm"] < 0.4
    assert set(report["outcomes"]) == {"applied"}
    assert "8000 shoppers: reward" in done.stderr


def test_simulate_uses_the_servers_environment_and_not_its_certificate(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment made for `serve`, applications' address is taken, the server's own key is not."""
    monkeypatch.setenv("BANDITD_LISTEN", f"{sidecar.target} unix:/elsewhere")
    monkeypatch.setenv("BANDITD_TLS_CERT", "/etc/server.pem")
    monkeypatch.setenv("BANDITD_TLS_KEY", "/etc/server.key")
    result = command("simulate", "--shoppers", "10")
    assert result.exit_code == 0, result.output


def test_simulate_prints_tables(sidecar: Sidecar) -> None:
    """Without --json: plain progress lines, then what was earned and who got what."""
    done = command("simulate", "--target", sidecar.target, "--shoppers", "500")
    assert done.exit_code == 0, done.output
    for words in ("500 shoppers: reward", "expected reward a visit", "interest = womens", "oracle"):
        assert words in done.output


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children take SIGINT, though this process was started to ignore it, as a shell does with `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_simulate_ends_on_ctrl_c(sidecar: Sidecar) -> None:
    """SIGINT in the middle: the report of what was done, one line that says so, exit code 1, no traceback."""
    run = [sys.executable, "-m", "server", "simulate", "--target", sidecar.target, "--shoppers", "100000"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "shoppers: reward" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "expected reward a visit" in output
    assert "interrupted after" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("simulate", "--target", "127.0.0.1:99999"), 2, "'127.0.0.1:99999' has the port"),
        (
            ("simulate", "--target", "192.0.2.1:50051"),
            2,
            "is not on this machine, and it learns what is sent",
        ),
        (("simulate", "--tls-cert", __file__), 2, "--tls-cert and --tls-key go together"),
        (("simulate", "--scenario", "nowhere.yaml"), 3, "nowhere.yaml: $: cannot be read"),
        (("simulate", "--placement", "nowhere"), 1, "PLACEMENT_UNKNOWN"),
    ],
)
def test_a_wrong_command_is_told_what_to_do(
    sidecar: Sidecar, arguments: tuple[str, ...], code: int, problem: str
) -> None:
    """A documented exit code and one message, without a traceback."""
    target = () if "--target" in arguments else ("--target", sidecar.target)
    done = command(*arguments, *target)
    assert (done.exit_code, problem in " ".join(done.output.split())) == (code, True), done.output


def test_simulate_speaks_mutual_tls(tmp_path: Path) -> None:
    """With the CA and a certificate of its own it is served like anybody."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    own_cert, own_key = authority.issue("client")
    tls = ("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(authority.pem))
    own = ("--tls-ca", str(authority.pem), "--tls-cert", str(own_cert), "--tls-key", str(own_key))
    with running(tmp_path / "sidecar", options=tls) as sidecar:
        done = command("simulate", "--target", sidecar.target, "--shoppers", "100", *own)
    assert done.exit_code == 0, done.output


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """300 uniform rows: a earns on web, b in the app; its mapping lies beside it."""
    rows = ["arm,platform,click,spend"]
    for index in range(300):
        arm, platform = "ab"[index % 2], ("web", "app")[index // 2 % 2]
        click = int((arm == "a") == (platform == "web"))
        rows.append(f"{arm},{platform},{click},{20.5 if click else ''}")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows))
    return path


def test_replay_counts_what_matched(tmp_path: Path, log: Path) -> None:
    """Through a sidecar: matched rows are exposed and rewarded, and their mean beats the log's."""
    arguments = ("--mapping", str(tmp_path / "mapping.yaml"), "--placement", "replayed", "--batch", "8")
    with running(tmp_path / "sidecar", CONFIG) as sidecar:
        done = command("replay", str(log), "--target", sidecar.target, "--json", *arguments)
        tables = command("replay", str(log), "--target", sidecar.target, "--limit", "50", *arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    matched = report["matched"]["rows"]
    assert report["rows"] == 300
    assert 100 < matched < 200
    assert report["matched"]["mean"] > report["logged"]["mean"]
    assert report["matched"]["interval"] == "normal"  # a click and 20.5 spent are 3.05, neither 0 nor 1
    clicks = (
        sum(result["matched"]["rows"] * result["matched"]["mean"] for result in report["arms"].values())
        / 3.05
    )
    assert report["outcomes"] == {"applied": matched + 2 * round(clicks)}
    assert tables.exit_code == 0, tables.output
    assert "without bias only where the log was uniform (Li et al. 2011)" in tables.output


def test_replay_refuses_an_arm_the_placement_lacks(tmp_path: Path, log: Path) -> None:
    """File, line, placement and arm are named, and nothing was replayed."""
    log.write_text(log.read_text() + "\nc,web,1,1\n")
    with running(tmp_path / "sidecar", CONFIG) as sidecar:
        arguments = ("--mapping", str(tmp_path / "mapping.yaml"), "--placement", "replayed")
        done = command("replay", str(log), "--target", sidecar.target, *arguments)
    assert done.exit_code == 1
    assert (
        "log.csv: line 302, column 'arm': placement 'replayed' cannot serve the logged arm 'c'"
        in " ".join(done.output.split())
    )


def test_the_ten_line_client_works(sidecar: Sidecar) -> None:
    """examples/client.py, as it is but for the address, shows an arm and teaches a click."""
    source = (ROOT / "examples" / "client.py").read_text()
    assert "127.0.0.1:50051" in source
    there = [sys.executable, "-c", source.replace("127.0.0.1:50051", sidecar.target)]
    done = subprocess.run(there, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    shown, learned = done.stdout.splitlines()
    assert shown.split()[1] in {"mens", "womens", "sale"}
    assert learned == "learned: REWARD_OUTCOME_APPLIED"


@needs_node
def test_the_ten_line_node_client_works(sidecar: Sidecar, tmp_path: Path) -> None:
    """examples/client.mjs, with its packages from npm, does the same over the same socket."""
    source = (ROOT / "examples" / "client.mjs").read_text()
    assert "127.0.0.1:50051" in source
    (tmp_path / "client.mjs").write_text(source.replace("127.0.0.1:50051", sidecar.target))
    (tmp_path / "proto").symlink_to(ROOT / "proto")
    (tmp_path / "node_modules").symlink_to(node_modules())
    there = ["node", "client.mjs"]
    done = subprocess.run(there, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    shown, learned = done.stdout.splitlines()
    assert shown.split()[1] in {"mens", "womens", "sale"}
    assert learned == "learned: { outcome: 'REWARD_OUTCOME_APPLIED' }"
