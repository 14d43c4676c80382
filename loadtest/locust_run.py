"""Runs the locust file against a sidecar of its own on the embedded example; the exit code is locust's.

python -m loadtest.locust_run [--seconds 10] [any option of locustfile.py]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from loadtest.sidecar import running

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def run(folder: Path, options: list[str]) -> int:
    """Exit code of a locust run with these options against a fresh sidecar."""
    with running(folder) as sidecar:
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "-f", str(LOCUSTFILE)]
        command += ["--host", sidecar.target, "--metrics", sidecar.http, *options]
        return subprocess.run(command, check=False, timeout=900).returncode


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(run(Path(temporary), sys.argv[1:]))
