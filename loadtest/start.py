"""How long does a start take, cold and warm, beside the imports that no start can do without?

    python -m loadtest.start

Cold: with an empty cache of kernels, once. Warm: with the cache that this filled, in turns with
`python -c 'import numba, grpc'`; a ratio is of the two within a turn, and the median of the turns' ratios is
what is held to the bar. Machines differ and are shared: compare ratios, not seconds. Exits with 1 if the
ratio is above its bar.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
IMPORTS = "import numba, grpc"
BAR = 4.0
"""A warm start takes at most so many times the imports."""
STOP_S = 30.0
"""Seconds in which a server must have ended after it was told to."""


def imports(folder: Path) -> float:
    """Seconds of the imports alone, in a process of their own."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, cwd=folder)
    return time.monotonic() - began_s


def start(folder: Path) -> tuple[float, int]:
    """Seconds from the command to the line that says ready, and how many kernels were compiled."""
    command = [sys.executable, "-m", "server", "serve", "--http", "127.0.0.1:0"]
    command += ["--listen", f"unix:{folder}/data.sock"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels"), "PYTHONPATH": str(ROOT)}
    began_s = time.monotonic()
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        compiled = -1
        try:
            for line in process.stderr or ():
                said: dict[str, Any] = json.loads(line)
                compiled = said.get("compiled", compiled)
                if said["event"] == "ready":
                    return time.monotonic() - began_s, compiled
        finally:
            process.terminate()
            process.communicate(timeout=STOP_S)
    raise RuntimeError(f"the server ended with exit code {process.returncode} before it was ready")


@click.command(help=__doc__)
@click.option("--turns", default=7, show_default=True, type=click.IntRange(1, 1000))
def main(turns: int) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        imports(folder)  # so that the files are in the system's cache for everyone
        cold_s, kernels = start(folder)
        timed = []
        for _ in range(turns):
            imported_s = imports(folder)
            warm_s, compiled = start(folder)
            assert compiled == 0, f"a start with a full cache compiled {compiled} kernels"
            timed.append((imported_s, warm_s))
    ratio = statistics.median(warm_s / imported_s for imported_s, warm_s in timed)
    print("| seconds from the command | median | lowest | highest |\n|---|---|---|---|")
    for name, times in [
        (f"`{IMPORTS}`", [pair[0] for pair in timed]),
        ("ready, kernels in the cache", [pair[1] for pair in timed]),
        (f"ready, {kernels} kernels to compile", [cold_s]),
    ]:
        print(f"| {name} | {statistics.median(times):.2f} | {min(times):.2f} | {max(times):.2f} |")
    verdict = "≤" if ratio <= BAR else "ABOVE"
    print(f"\nA warm start takes {ratio:.1f} times as long as the imports: {verdict} {BAR:g}")
    sys.exit(0 if ratio <= BAR else 1)


if __name__ == "__main__":
    main()
