"""Makes server/pb from the contract, and checks both.

protoc compiles the file under its own name, `bandit/v1/bandit.proto`: that is what a client's stubs in the
same process are registered as, and protobuf refuses two files that define the same messages. The output
lies flat in server/pb, because `bandit` is the name of our core; only the `_grpc` half imports its sibling,
and that import is made relative.

    python proto/generate.py            write server/pb
    python proto/generate.py --check    fail when server/pb is not what would be written
    python proto/generate.py --lint     buf lint and buf format
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

PROTO_DIR = Path(__file__).resolve().parent
PB_DIR = PROTO_DIR.parent / "server" / "pb"
SOURCE = "bandit/v1/bandit.proto"
OUTPUTS = ("bandit_pb2.py", "bandit_pb2.pyi", "bandit_pb2_grpc.py")
SIBLING_IMPORT = "from bandit.v1 import bandit_pb2"


def includes() -> list[Path]:
    """Folders that hold google/protobuf/*.proto and google/rpc/*.proto: both come with packages of ours."""
    well_known = resources.files("grpc_tools") / "_proto"
    apis = resources.files("google.rpc") / ".."
    return [Path(str(well_known)), Path(str(apis)).resolve().parent]


def compile_proto(out: Path) -> None:
    """Compile the contract into `out`, as protoc lays it out: bandit/v1/bandit_pb2*.py."""
    paths = [f"-I{path}" for path in (PROTO_DIR, *includes())]
    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *paths, *outputs, SOURCE], check=True)


def generated() -> dict[str, str]:
    """What server/pb should hold: text by file name."""
    with tempfile.TemporaryDirectory() as folder:
        compile_proto(Path(folder))
        texts = {name: (Path(folder) / "bandit" / "v1" / name).read_text("utf-8") for name in OUTPUTS}
    stub = texts["bandit_pb2_grpc.py"]
    if stub.count(SIBLING_IMPORT) != 1:
        message = f"expected {SIBLING_IMPORT!r} once in protoc's output, found {stub.count(SIBLING_IMPORT)}"
        raise SystemExit(message)
    texts["bandit_pb2_grpc.py"] = stub.replace(SIBLING_IMPORT, "from . import bandit_pb2")
    return texts


def stale() -> list[str]:
    """Names of the files in server/pb that differ from what would be written."""
    return [
        name
        for name, text in generated().items()
        if not (PB_DIR / name).is_file() or (PB_DIR / name).read_text("utf-8") != text
    ]


def lint() -> int:
    """Run buf over the contract beside the one file it imports that buf does not carry. Its exit code."""
    buf = Path(sys.executable).with_name("buf")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROTO_DIR, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py"))
        status = Path("google/rpc/status.proto")
        (Path(folder) / status.parent).mkdir(parents=True)
        shutil.copy(includes()[1] / status, Path(folder) / status)
        only = ("--path", SOURCE)
        for command in (("lint", *only), ("format", "--diff", "--exit-code", *only)):
            done = subprocess.run([buf, *command], cwd=folder, check=False)
            if done.returncode:
                return done.returncode
    return 0


def main() -> int:
    """Write, check or lint, by the flag."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="fail when server/pb is out of date")
    what.add_argument("--lint", action="store_true", help="run buf lint and buf format")
    chosen = parser.parse_args()
    if chosen.lint:
        return lint()
    if chosen.check:
        names = stale()
        if names:
            print(f"server/pb/{{{','.join(names)}}} differ from proto/: run `make proto`", file=sys.stderr)
        return 1 if names else 0
    for name, text in generated().items():
        (PB_DIR / name).write_text(text, "utf-8")
        print(f"wrote server/pb/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
