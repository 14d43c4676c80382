"""Node's packages for the tests: installed once, in one folder, by the Makefile."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "interop" / "node"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
"""What npm writes last; the Makefile's target of the same name."""

INSTALL_S = 300

needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="Node is not on this machine")
"""The only reason for which a test with Node's client is skipped."""


def node_modules() -> Path:
    """The folder with the packages. `make test` has installed them before; a test run alone does so now."""
    if not INSTALLED.exists():
        target = INSTALLED.relative_to(ROOT)
        subprocess.run(["make", target], cwd=ROOT, check=True, timeout=INSTALL_S, capture_output=True)
    return FOLDER / "node_modules"
