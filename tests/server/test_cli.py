"""The command line: fast to ask, every flag an environment variable, exit codes as documented."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from server.cli import COMMANDS, cli
from server.commands.probe import default_target
from server.commands.serve import serve
from server.exit_codes import ExitCode
from tests.server.running import CONFIG, Running, process

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def invoke(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a command in this process."""
    result = CliRunner(env=env).invoke(cli, arguments)
    return result.exit_code, result.output


def test_help_lists_every_command() -> None:
    """Each with one line; and each command has its own help."""
    code, output = invoke("--help")
    assert code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", output, re.MULTILINE)
        assert invoke(name, "--help")[0] == 0


@pytest.mark.parametrize("arguments", [["--help"], ["probe", "--target", "unix:/nowhere"]])
def test_small_commands_load_no_kernels(arguments: list[str]) -> None:
    """`--help` and `probe` import neither numba nor numpy nor the core's engine."""
    script = (
        "import sys\n"
        "from server.cli import cli\n"
        "try: cli(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numba', 'numpy', 'bandit.engine', 'structlog'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_probe_answers_with_its_exit_code(shared: Running) -> None:
    """0 while it serves, also by service; 1 when nobody answers or the service is unknown; 2 for nonsense."""
    assert invoke("probe", "--target", shared.target) == (0, f"{shared.target}: SERVING\n")
    operator = str(shared.sidecar.operator_listening)
    assert invoke("probe", "--target", operator, "--service", "bandit.v1.OperatorService")[0] == 0
    assert invoke("probe", "--target", shared.target, "--service", "nothing")[0] == 1
    assert invoke("probe", "--target", "unix:/nowhere")[0] == 1
    assert invoke("probe", "--target", "nowhere")[0] == 2


def test_probe_finds_the_environments_server(monkeypatch: pytest.MonkeyPatch, shared: Running) -> None:
    """The first of BANDITD_LISTEN, a wildcard by its loopback; BANDITD_TARGET goes before it."""
    monkeypatch.setenv("BANDITD_LISTEN", "0.0.0.0:7 unix:/x")
    assert default_target() == "127.0.0.1:7"
    monkeypatch.setenv("BANDITD_LISTEN", shared.target)
    assert invoke("probe")[0] == 0
    monkeypatch.setenv("BANDITD_TARGET", "unix:/nowhere")
    assert invoke("probe")[0] == 1
    monkeypatch.delenv("BANDITD_LISTEN")
    assert default_target() == "127.0.0.1:50051"


def test_probe_asks_the_operators_socket_where_tls_is_on(
    monkeypatch: pytest.MonkeyPatch, shared: Running
) -> None:
    """With a server's certificate in the environment `probe` needs no files and takes none."""
    operator = str(shared.sidecar.operator_listening)
    monkeypatch.setenv("BANDITD_TLS_CERT", "/etc/server.pem")
    monkeypatch.setenv("BANDITD_TLS_KEY", "/etc/server.key")
    monkeypatch.setenv("BANDITD_DATA_DIR", str(Path(operator.removeprefix("unix:")).parent))
    assert invoke("probe") == (0, f"{operator}: SERVING\n")
    monkeypatch.setenv("BANDITD_OPERATOR_LISTEN", "unix:/elsewhere")
    assert default_target() == "unix:/elsewhere"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen", "nonsense"],
        ["--http", "unix:/x"],
        ["--drain-timeout", "soon"],
        ["--tls-cert", "x.pem"],
        ["--tls-client-ca", "x.pem"],
        ["--message-bytes-max", "3"],
        ["--data-dir", "/" + "x" * 120],
        ["--workers", "3"],
    ],
)
def test_flags_that_do_not_do_are_refused(arguments: list[str]) -> None:
    """Exit code 2 with a line that says what was expected, before anything is touched."""
    code, output = invoke("serve", *arguments)
    assert code == ExitCode.USAGE or "data-dir" in arguments[0]
    assert output == "" or "Error" in output


def test_every_flag_is_an_environment_variable(tmp_path: Path) -> None:
    """BANDITD_… sets what the flag would; several listeners are separated by spaces."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    env = {
        "BANDITD_CONFIG": "config.yaml",
        "BANDITD_LISTEN": f"unix:{tmp_path}/one.sock unix:{tmp_path}/two.sock",
        "BANDITD_OPERATOR_LISTEN": f"unix:{tmp_path}/op.sock",
        "BANDITD_DATA_DIR": "elsewhere",
        "BANDITD_DRAIN_TIMEOUT": "1s",
    }
    with process(tmp_path, env=env) as server:
        said = server.wait_for("listening")
        assert said["listen"] == [f"unix:{tmp_path}/one.sock", f"unix:{tmp_path}/two.sock"]
        assert said["operator"] == f"unix:{tmp_path}/op.sock"
        server.wait_for("ready")
        assert (tmp_path / "elsewhere" / "secret.key").exists()


def test_flags_and_exit_codes_are_documented() -> None:
    """docs/operations.md names every flag of `serve`, and every exit code with its name."""
    text = DOCUMENT.read_text()
    flags = {
        option
        for parameter in serve.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert {flag for flag in flags if f"`{flag}" not in text} == set()
    for code in ExitCode:
        assert re.search(rf"^\| {int(code)} \| {code.name} ", text, re.MULTILINE), code


def test_the_version_is_the_distributions() -> None:
    """As packaging has it."""
    assert re.fullmatch(r"\w+ \d+\.\d+\.\d+\n", invoke("--version")[1])
