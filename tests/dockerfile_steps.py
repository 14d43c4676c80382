"""Runs the Dockerfile's steps on a plain Linux machine, without Docker, then starts and probes the service.

    sudo python tests/dockerfile_steps.py

Each stage is this machine's own file system under an overlay in memory, seen by this process and its
children alone: the paths, the user and the commands are the Dockerfile's, and nothing outside changes. Every
step is printed with the time it took, or with why it was skipped. Exit code 77: this machine allows none of
it, and the last line says why.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = 77
READY_S_MAX = 60.0
STOP_S_MAX = 20.0
PASSED_ON = re.compile(r"PIP_|SSL_CERT|REQUESTS_CA|(HTTP|HTTPS|NO)_PROXY", re.IGNORECASE)
"""Variables of this machine that the build needs to reach its package index."""


@dataclass
class Stage:
    """One FROM: where its file system is mounted, and what its instructions have set so far."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "root"
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def chroot(self, command: list[str]) -> list[str]:
        """The command line that runs `command` inside, as the stage's user, in its working directory."""
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', self.workdir, *command]
        return ["chroot", f"--userspec={self.user}:{self.user}", str(self.root), *inside]

    def environment(self, **more: str) -> dict[str, str]:
        """The environment inside: the image's, and of this machine's only what reaches the index."""
        passed = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
        home = {"HOME": "/root" if self.user == "root" else self.workdir}
        return {**passed, **home, **self.env, **more}


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Each instruction's name and the rest of its line."""
    kept = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(kept).replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        yield name.upper(), rest.strip()


def expanded(text: str, names: Mapping[str, str]) -> str:
    """`text` with $NAME and ${NAME} replaced, as Docker does outside RUN."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: names.get(match[1], ""), text)


def mount(*arguments: str | Path) -> None:
    """Mount in this process's own namespace."""
    subprocess.run(["mount", *arguments], check=True)


def base(work: Path, number: int) -> Stage:
    """A fresh stage: this machine's file system, writable in memory, its Python 3.11 where the image's is."""
    upper, inner, root = (work / f"{number}.{name}" for name in ("upper", "inner", "root"))
    for folder in (upper, inner, root):
        folder.mkdir()
    options = f"lowerdir=/,upperdir={upper},workdir={inner}"
    mount("-t", "overlay", "overlay", "-o", options, root)
    for system in ("proc", "dev"):
        mount("--rbind", f"/{system}", root / system)
    for file in ("resolv.conf", "hosts"):
        mount("--bind", f"/etc/{file}", root / "etc" / file)
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    for folder in [root / str(parent).lstrip("/") for parent in python.parents]:
        folder.chmod(folder.stat().st_mode | 0o011)  # a Python in a home folder, readable for the service
    name = root / "usr/local/bin/python"
    name.unlink(missing_ok=True)
    name.write_text(f'#!/bin/sh\nexec {python} "$@"\n', "utf-8")  # a link would hide where its library is
    name.chmod(0o755)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Stage(root, env={"PATH": path})


def context() -> list[str]:
    """What .dockerignore lets into the build: it refuses everything and names the exceptions."""
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line]
    patterns = [line for line in lines if not line.startswith("#")]
    if patterns[0] != "*":
        raise SystemExit(".dockerignore must begin with `*`")
    return [line.removeprefix("!") for line in patterns if line.startswith("!")]


def copy(stage: Stage, rest: str, stages: Mapping[str, Stage]) -> None:
    """COPY [--from=STAGE] SOURCE... TARGET. A folder's content goes into the target, as in Docker."""
    words = shlex.split(rest)
    flags = dict(word.removeprefix("--").split("=") for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    start = stages[flags["from"]].root if "from" in flags else ROOT
    place = stage.root / os.path.join(stage.workdir, target).lstrip("/")  # noqa: PTH118 - keeps a final /
    for source in sources:
        if "from" not in flags and source not in context():
            raise SystemExit(f"COPY {source}: .dockerignore keeps it out of the build")
        found = start / source.lstrip("/")
        if found.is_dir():
            ignored = shutil.ignore_patterns("__pycache__") if "from" not in flags else None
            shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            into = place / found.name if target.endswith("/") or len(sources) > 1 else place
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, into)


def run(stage: Stage, command: str) -> None:
    """RUN: by a shell, inside. Its output is shown only when it fails."""
    done = subprocess.run(
        stage.chroot(["sh", "-c", command]),
        env=stage.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nRUN {command}\nended with code {done.returncode}")


def work_in(stage: Stage, folder: str) -> None:
    """WORKDIR: made where it is missing."""
    stage.workdir = folder
    (stage.root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)


def assignments(text: str) -> dict[str, str]:
    """The names and values of NAME=value NAME="value"."""
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in shlex.split(text)}


def listed(text: str) -> list[str]:
    """The words of an exec form: ["banditd", "serve"]."""
    return re.findall(r'"([^"]*)"', text)


def step(stage: Stage, name: str, rest: str, stages: Mapping[str, Stage]) -> str:
    """Carry out one instruction. Returns why it was skipped, or nothing."""
    if name in {"VOLUME", "EXPOSE"}:
        return "only Docker can act on it"
    acts: dict[str, Callable[[], None]] = {
        "RUN": lambda: run(stage, rest),
        "COPY": lambda: copy(stage, rest, stages),
        "ARG": lambda: stage.arguments.update(assignments(rest)),
        "ENV": lambda: stage.env.update(assignments(expanded(rest, {**stage.env, **stage.arguments}))),
        "WORKDIR": lambda: work_in(stage, rest),
        "USER": lambda: setattr(stage, "user", rest),
        "HEALTHCHECK": lambda: setattr(stage, "health", listed(rest)),
        "ENTRYPOINT": lambda: setattr(stage, "entrypoint", listed(rest)),
        "CMD": lambda: setattr(stage, "command", listed(rest)),
    }
    if name not in acts:
        raise SystemExit(f"{name}: unknown to this script; teach it, or leave it out of the Dockerfile")
    acts[name]()
    return ""


def build(work: Path) -> Stage:
    """Carry out the whole Dockerfile; returns its last stage."""
    stages: dict[str, Stage] = {}
    stage = None
    for name, rest in instructions((ROOT / "Dockerfile").read_text("utf-8")):
        began = time.monotonic()
        if name == "FROM":
            stage = stages[rest.partition(" AS ")[2] or "final"] = base(work, len(stages))
            why = f"no image here; this machine's system and its Python {sys.version.split()[0]} stand in"
        elif stage is None:
            raise SystemExit(f"{name} before the first FROM")
        else:
            why = step(stage, name, rest, stages)
        took = f"skipped: {why}" if why else f"{time.monotonic() - began:.1f} s"
        print(f"{name} {rest if len(rest) <= 70 else rest[:69] + '…'}  [{took}]", flush=True)
    if stage is None:
        raise SystemExit("the Dockerfile has no FROM")
    return stage


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def kernels(stage: Stage) -> dict[str, int]:
    """The compiled kernels on disk and when they were written."""
    folder = stage.root / stage.env["NUMBA_CACHE_DIR"].lstrip("/")
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.nb[ic]")}


def serve(stage: Stage) -> None:
    """Start the image's command as its user, wait until its health check passes, and stop it."""
    compiled = kernels(stage)
    if not compiled:
        raise SystemExit("the build left no compiled kernel in NUMBA_CACHE_DIR")
    ports = {name: f"127.0.0.1:{free_port()}" for name in ("BANDITD_LISTEN", "BANDITD_HTTP")}
    env = stage.environment(**ports)
    began = time.monotonic()
    server = subprocess.Popen(stage.chroot([*stage.entrypoint, *stage.command]), env=env)
    try:
        while subprocess.run(
            stage.chroot(stage.health), env=env, capture_output=True, check=False
        ).returncode:
            if server.poll() is not None:
                raise SystemExit(f"the service ended with code {server.returncode} before it was healthy")
            if time.monotonic() - began > READY_S_MAX:
                raise SystemExit(f"{stage.health} did not pass within {READY_S_MAX:.0f} s")
            time.sleep(0.1)
        print(f"{shlex.join(stage.health)} passes after {time.monotonic() - began:.1f} s", flush=True)
        status = Path(f"/proc/{server.pid}/status").read_text("utf-8")
        if re.search(r"^Uid:\s+0\b", status, flags=re.MULTILINE):
            raise SystemExit("the service runs as root")
        server.send_signal(signal.SIGTERM)
        if server.wait(STOP_S_MAX):
            raise SystemExit(f"SIGTERM ended the service with code {server.returncode}, expected 0")
    finally:
        server.kill()
        server.wait()
    if kernels(stage) != compiled:
        raise SystemExit("the service compiled kernels again: the build's cache was not found")
    print("the service ran as its own user, compiled nothing, and ended with code 0")


def unable() -> str:
    """Why this machine allows none of it; empty when it does."""
    if sys.platform != "linux":
        return f"overlay file systems are Linux's, this is {sys.platform}"
    if os.geteuid() != 0:
        return "mounting needs root"
    overlay = 'mount -t overlay overlay -o "lowerdir=/,upperdir=$0/u,workdir=$0/w" "$0/m"'
    script = f'mount -t tmpfs tmpfs "$0" && mkdir "$0/u" "$0/w" "$0/m" && {overlay}'
    attempt = ["unshare", "--mount", "sh", "-c", script]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run([*attempt, folder], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "there is no `unshare` (util-linux)"
    return f"this machine refuses overlay mounts ({done.stderr.strip()})" if done.returncode else ""


def main() -> int:
    """Enter a mount namespace of our own, then build and serve in it."""
    if sys.argv[1:] != ["--inside"]:
        why = unable()
        if why:
            print(f"skipped: {why}")
            return SKIPPED
        inside = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, "--inside"]
        with tempfile.TemporaryDirectory(prefix="banditd-image-") as folder:
            return subprocess.run(inside, env={**os.environ, "TMPDIR": folder}, check=False).returncode
    work = Path(tempfile.gettempdir())
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", work)
    serve(build(work))
    return 0


if __name__ == "__main__":
    sys.exit(main())
