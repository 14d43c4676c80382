"""The locust user against a real sidecar: a run that passes, and runs that must not."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from loadtest.locust_run import LOCUSTFILE, run

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed: make dev")


@pytest.mark.slow
def test_passes_within_its_bounds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ten seconds at 100 visits a second: every scheduled visit is answered, both sides count them."""
    assert run(tmp_path, ["--seconds", "10", "--visits-per-s", "100", "--p99-ms-max", "1000"]) == 0
    output = capfd.readouterr().out
    assert "PASS" in output
    served = next(line for line in output.splitlines() if line.startswith("sidecar: Choose"))
    assert 900 <= int(served.split()[2]) <= 1010, served
    assert "of a core" in output


def test_fails_when_calls_fail(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A placement that does not exist: every call is refused, and the exit code is 1."""
    assert run(tmp_path, ["--seconds", "2", "--placement", "nowhere", "--p99-ms-max", "1000"]) == 1
    assert "FAIL: 100.00% of the calls failed" in capfd.readouterr().out


@pytest.mark.parametrize("host", ["192.0.2.1:50051", "example.com:50051", "nonsense"])
def test_goes_to_this_machine_alone(host: str) -> None:
    """Another machine is refused before anything is sent."""
    command = [sys.executable, "-m", "locust", "--headless", "-f", str(LOCUSTFILE), "--host", host]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "a load test goes to 127.0.0.1" in done.stderr or "is no address" in done.stderr
