"""Configuration files and `banditd check`: directories, what cannot be read or is too large, exit codes."""

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from bandit.config import Config, ConfigError
from server.commands.check import check
from server.config_files import FILE_BYTES_MAX, FILES_MAX, load
from server.exit_codes import ExitCode

PLACEMENT = "    arms: {a: {}, b: {}}\n    reward: {values: {click: 1}}\n"


def text(*names: str, owner: str = "crm") -> str:
    """A file with placements of these names."""
    return f"version: 1\nowner: {owner}\nplacements:\n" + "".join(f"  {name}:\n{PLACEMENT}" for name in names)


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, and return its path."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> list[str]:
    """The problems of what is refused, without the folder they were found in."""
    with pytest.raises(ConfigError) as refused:
        load(path)
    folder = path if path.is_dir() else path.parent
    return [str(problem).replace(f"{folder}/", "") for problem in refused.value.problems]


def names(config: Config) -> list[tuple[str, str]]:
    """Every placement with its owner."""
    return [(placement.name, placement.owner) for placement in config.placements.values()]


def test_one_file(tmp_path: Path) -> None:
    """A file of any name is read."""
    assert names(load(write(tmp_path / "bandit.conf", text("q", "p")))) == [("p", "crm"), ("q", "crm")]


def test_a_directory_is_read_as_one(tmp_path: Path) -> None:
    """All *.yaml and *.yml, each with its owner; other files, hidden ones and folders are left alone."""
    write(tmp_path / "b.yaml", text("b", owner="shop"))
    write(tmp_path / "a.yml", text("a", "c"))
    write(tmp_path / "notes.txt", "[")
    write(tmp_path / ".hidden.yaml", "[")
    (tmp_path / "old.yaml").mkdir()
    (tmp_path / "link.yaml").symlink_to(write(tmp_path / "target", text("d")))
    assert names(load(tmp_path)) == [("a", "crm"), ("b", "shop"), ("c", "crm"), ("d", "crm")]


def test_two_files_that_define_the_same_placement(tmp_path: Path) -> None:
    """Both are named."""
    write(tmp_path / "one.yaml", text("a", "b"))
    write(tmp_path / "two.yaml", text("b", "c"))
    assert refusal(tmp_path) == [
        "two.yaml: $.placements.b: placement 'b' is defined in one.yaml too; keep it in one file"
    ]


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    """One run says everything there is to mend, in every file, with line and column."""
    write(tmp_path / "one.yaml", text("a").replace("click: 1", "click: x"))
    write(
        tmp_path / "two.yaml",
        text("b").replace("{a: {}", "{a: {weight: -1}").replace("version: 1", "version: 7"),
    )
    write(tmp_path / "three.yaml", "a: [\n")
    write(tmp_path / "well.yaml", text("c"))
    assert [line.split(" ")[0] for line in refusal(tmp_path)] == [
        "one.yaml:6:23:", "three.yaml:2:1:", "two.yaml:1:1:", "two.yaml:5:16:",
    ]  # fmt: skip


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """No such file, no such place, and a directory without a file."""
    assert refusal(tmp_path / "nothing.yaml") == [
        "nothing.yaml: $: cannot be read (No such file or directory); check the path"
    ]
    assert refusal(write(tmp_path / "file", "") / "below.yaml")[0].endswith(
        "(Not a directory); check the path"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(empty)[0].endswith(
        "got 0 files named *.yaml or *.yml in this directory, expected 1 to 1000"
    )


def test_too_many_files(tmp_path: Path) -> None:
    """One more than there may be placements."""
    for index in range(FILES_MAX + 1):
        write(tmp_path / f"{index}.yaml", "")
    assert "got 1001 files" in refusal(tmp_path)[0]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """It is not parsed at all."""
    path = write(tmp_path / "large.yaml", b"#" * (FILE_BYTES_MAX + 1))
    assert refusal(path) == ["large.yaml: $: has more than 8388608 bytes; split it into a directory of files"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00", b"\x80", b"a: \x00", "owner: \ud83d".encode("utf-16", "surrogatepass"),
    ],
)  # fmt: skip
def test_what_is_no_text(tmp_path: Path, content: bytes) -> None:
    """Bytes that are not UTF-8, halves of characters and control characters are refused."""
    assert "is not text in UTF-8" in refusal(write(tmp_path / "x.yaml", content))[0]


@pytest.mark.parametrize(
    "content",
    [
        "[" * 1_000_000,
        "- " * 100_000,
        "{" * 1_000_000,
        "? " * 100_000,
        "version: " + "1:" * 2_000_000 + "1",
        "version: " + "9" * 7_000_000,
        "version: 0b" + "1" * 7_000_000,
        "x: &x [" + "*x," * 100_000 + "]",
        "".join(f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else '0'}]\n" for i in range(1000)),
        "k: &a\n"
        + "".join(f" k{i}: {i}\n" for i in range(1000))
        + "".join(f"j{i}: {{<<: *a}}\n" for i in range(2000)),
    ],
    ids=["lists", "bullets", "maps", "keys", "sexagesimal", "digits", "bits", "cycle", "billion", "merges"],
)
def test_hostile_files_end_soon(tmp_path: Path, content: str) -> None:
    """Nesting, numbers and aliases made to exhaust stack, time or memory are refused in seconds."""
    path = write(tmp_path / "x.yaml", content)
    before = time.process_time()
    assert refusal(path)
    assert time.process_time() - before < 20


def test_check_describes_what_is_accepted(tmp_path: Path) -> None:
    """Placements, memory and warnings go to stdout; the exit code is 0."""
    result = CliRunner().invoke(check, [str(write(tmp_path / "x.yaml", text("home")))])
    assert result.exit_code == ExitCode.OK
    assert "home (schema " in result.stdout
    assert "1 placement, 44.1 KiB of memory" in result.stdout
    assert not result.stderr


def test_check_says_what_is_refused(tmp_path: Path) -> None:
    """Problems go to stderr, nothing to stdout; the exit code is that of a configuration."""
    result = CliRunner().invoke(check, [str(write(tmp_path / "x.yaml", "version: 2\nplacements: {}\n"))])
    assert result.exit_code == ExitCode.CONFIG
    assert not result.stdout
    assert "x.yaml:1:1: $.version: got 2, expected 1" in result.stderr
    assert "refused: 2 problems" in result.stderr
