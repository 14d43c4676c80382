"""The shape of the project: who imports whom, what the core may touch, how long things get.

Each test collects offenders as `file:line what` and expects none.
"""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES_MAX = 400
FILE_LINES_MEDIAN_MAX = 200
FUNCTION_LINES_MAX = 70

CORE_PACKAGES = {"bandit", "numpy", "numba", "msgpack", "cryptography"}
"""All that the core may import besides the standard library."""

CLOCKS = {"time", "sched", "calendar"}
RANDOMNESS = {"random", "secrets", "uuid"}
CONCURRENCY = {
    "asyncio", "concurrent", "contextvars", "multiprocessing", "queue", "selectors", "signal", "socket",
    "socketserver", "ssl", "subprocess", "threading",
}  # fmt: skip
FILES = {
    "fcntl",
    "fileinput",
    "glob",
    "io",
    "mmap",
    "os",
    "pathlib",
    "shutil",
    "sqlite3",
    "tempfile",
    "zipfile",
}
SURROUNDINGS = {"argparse", "ctypes", "getpass", "http", "logging", "platform", "sys", "urllib", "warnings"}
UNSAFE = {"dill", "cloudpickle", "joblib", "marshal", "pickle", "shelve"}
CORE_BANNED = CLOCKS | RANDOMNESS | CONCURRENCY | FILES | SURROUNDINGS | UNSAFE

FILE_MODULES = {
    "bandit/files.py",
    "bandit/journal.py",
    "bandit/journal_reader.py",
    "bandit/ledger_files.py",
    "bandit/ledger_reader.py",
    "bandit/snapshot.py",
}
"""The only modules of the core that may read and write files."""

JIT = "bandit/kernels/jit.py"
"""The one place that imports numba and owns its flags."""

CORE_CALLS_BANNED = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",  # a clock
    "np.random", "numpy.random",  # randomness without an argument it comes from
    "np.fromfile", "np.load", "np.loadtxt", "np.memmap", "np.save", "np.savez",  # files
}  # fmt: skip

WORDS_BANNED = {
    "a registry's host": r"python[h]osted|pypi\.[o]rg|registry\.[n]pmjs|deb\.[d]ebian|proxy\.[g]olang",
    "a path of one machine": r"(?<![\w.$}])/(?:(?:home|Users|root|work|workspace|mnt)/|opt/(?!banditd))[\w.]",
    "work left undone": r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b",
}


def tracked(pattern: str) -> list[Path]:
    """Our own files that match, tracked or about to be; generated code and what git ignores left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [ROOT / name for name in sorted(set(names)) if not name.startswith("server/pb/bandit_pb2")]
    return [path for path in paths if path.is_file()]


def name_of(path: Path) -> str:
    """The path as it is written in messages and in the tables above."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each module that the file imports, wherever the import stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            package = name_of(path).removesuffix(".py").replace("/", ".").split(".")[: -node.level or None]
            parts = [*(package if node.level else []), *([node.module] if node.module else [])]
            yield node.lineno, ".".join(parts)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of the file, nested ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def offenders(pattern: str, find: Callable[[Path], Iterator[tuple[int, str]]]) -> list[str]:
    """What `find` sees in the matching Python files, as `file:line what`."""
    return [f"{name_of(path)}:{line} {what}" for path in tracked(pattern) for line, what in find(path)]


def test_there_is_something_to_look_at() -> None:
    """The tests below look at both packages: an empty list of offenders means that there are none."""
    names = {name_of(path) for path in tracked("*.py")}
    assert {"bandit/errors.py", "server/__init__.py", JIT, "tests/test_architecture.py"} <= names


def test_core_imports_only_what_is_pure() -> None:
    """`bandit` imports four packages and the standard library without clock, chance, files and network."""

    def find(path: Path) -> Iterator[tuple[int, str]]:
        allowed = FILES if name_of(path) in FILE_MODULES else set()
        for line, module in imports(path):
            top = module.partition(".")[0]
            known = top in CORE_PACKAGES or top in sys.stdlib_module_names
            if not known or top in CORE_BANNED - allowed:
                yield line, f"imports {module}"

    assert offenders("bandit/*.py", find) == []


def test_core_reads_no_clock_no_file_and_no_global_randomness() -> None:
    """Time, randomness and bytes come into `bandit` as arguments."""

    def find(path: Path) -> Iterator[tuple[int, str]]:
        banned = {"print", "input"} | (set() if name_of(path) in FILE_MODULES else {"open"})
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in CORE_CALLS_BANNED:
                yield node.lineno, f"uses {ast.unparse(node)}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) in banned:
                yield node.lineno, f"calls {ast.unparse(node)}"

    assert offenders("bandit/*.py", find) == []


def test_one_module_knows_numba() -> None:
    """Only the decorator's module imports numba, so every flag is stated once, with its reason."""

    def find(path: Path) -> Iterator[tuple[int, str]]:
        for line, module in imports(path):
            if module.partition(".")[0] in {"numba", "llvmlite"} and name_of(path) != JIT:
                yield line, f"imports {module}; use the decorator of {JIT}"

    assert offenders("bandit/*.py", find) == []


def test_packages_depend_in_one_direction() -> None:
    """`server` imports `bandit`, never the reverse; neither imports tests or load tests."""

    def find(path: Path) -> Iterator[tuple[int, str]]:
        for line, module in imports(path):
            if module.partition(".")[0] in {"tests", "loadtest", "proto"}:
                yield line, f"imports {module}"

    assert offenders("bandit/*.py", find) == []
    assert offenders("server/*.py", find) == []
    # What `bandit` may import at all is the business of test_core_imports_only_what_is_pure.


def test_nothing_turns_data_into_code() -> None:
    """No pickle and its kin, no eval, exec or compile, nowhere."""

    def find(path: Path) -> Iterator[tuple[int, str]]:
        for line, module in imports(path):
            if module.partition(".")[0] in UNSAFE:
                yield line, f"imports {module}"
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in {"eval", "exec", "compile", "__import__"}:
                    yield node.lineno, f"calls {node.func.id}"
            elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                yield node.value.lineno, "allows pickle"

    assert offenders("*.py", find) == []


def test_files_are_short() -> None:
    """No file has more than 400 lines, and half of them at most 200."""
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in tracked("*.py")}
    assert {name: length for name, length in lengths.items() if length > FILE_LINES_MAX} == {}
    assert statistics.median(lengths.values()) <= FILE_LINES_MEDIAN_MAX


def test_functions_are_short() -> None:
    """No function has more than 70 lines, its docstring included."""

    def find(path: Path) -> Iterator[tuple[int, str]]:
        for function in functions(path):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield function.lineno, f"{function.name} has {lines} lines"

    assert offenders("*.py", find) == []


def test_everything_is_annotated() -> None:
    """Every argument and every result has a type."""

    def find(path: Path) -> Iterator[tuple[int, str]]:
        for function in functions(path):
            named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            rest = [arg for arg in (function.args.vararg, function.args.kwarg) if arg]
            bare = [
                arg.arg for arg in (*named, *rest) if not arg.annotation and arg.arg not in {"self", "cls"}
            ]
            if bare or function.returns is None:
                yield function.lineno, f"{function.name} lacks types: {bare or 'its result'}"

    assert offenders("*.py", find) == []


@pytest.mark.parametrize(("what", "pattern"), WORDS_BANNED.items())
def test_no_file_holds(what: str, pattern: str) -> None:
    """No registry's host, no path of a developer's machine, nothing marked as unfinished, in any text."""
    found = []
    for path in tracked("*"):
        if path.suffix not in {".gz", ".png", ".bin", ".pem"}:
            for line, text in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
                if re.search(pattern, text):
                    found.append(f"{name_of(path)}:{line} {what}: {text.strip()[:80]}")
    assert found == []


def pins(name: str) -> dict[str, str]:
    """Requirement → its line's hashes, of a constraints file. The requirement keeps version and marker."""
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {line.partition("--hash")[0].strip(): line.partition("--hash")[2].strip() for line in lines}


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-dev.txt", "constraints-data.txt"])
def test_versions_are_pinned_by_hash_from_any_index(name: str) -> None:
    """Each requirement has one version and hashes, and nothing says where to fetch it."""
    text = (ROOT / name).read_text("utf-8")
    assert re.findall(r"://|^-", text, flags=re.MULTILINE) == []
    found = pins(name)
    assert found
    assert [line for line in found if not re.match(r"[A-Za-z0-9._-]+==[^=*\s]+( ; .+)?$", line)] == []
    assert [line for line, hashes in found.items() if "sha256:" not in hashes] == []


def test_development_runs_on_what_users_get() -> None:
    """Tests run on exactly the versions that `make install` installs."""
    users, developers = ({line.partition(" ;")[0] for line in pins(name)} for name in
                         ("constraints.txt", "constraints-dev.txt"))  # fmt: skip
    assert users - developers == set()


def test_what_is_declared_is_used_and_the_reverse() -> None:
    """The packages import every dependency that is declared, and no other; each is explained in the docs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["export"]]
    declared = {re.split(r"[<>=~]", line)[0].lower() for line in lines}
    providers = metadata.packages_distributions()
    files = [*tracked("bandit/*.py"), *tracked("server/*.py")]
    tops = {module.partition(".")[0] for path in files for _, module in imports(path)} - {"bandit", "server"}
    used = [
        {name.lower().replace("_", "-") for name in providers[top]} for top in tops - sys.stdlib_module_names
    ]
    assert [names for names in used if not names & declared] == []
    assert declared - set().union(*used) == set()
    explained = (ROOT / "docs" / "dependencies.md").read_text("utf-8").lower()
    assert [name for name in declared if not re.search(rf"^\|[^|]*\b{name}\b", explained, re.MULTILINE)] == []


def test_the_linter_named_bandit_is_no_dependency() -> None:
    """Its distribution installs a top-level package of the same name as our core."""
    names = {line.partition("==")[0] for line in pins("constraints-dev.txt")}
    assert "bandit" not in names
