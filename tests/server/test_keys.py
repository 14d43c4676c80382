"""Key files: what they may hold, who may read them, how they rotate."""

import asyncio
import base64
import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from bandit.errors import BanditError
from bandit.token import Keys, Sealer
from server import keys
from server.cli import cli
from server.counts import Counts
from server.exit_codes import ExitCode, StartError
from server.key_file import KeyFile, KeyFileError, parse_key_file
from server.rekey import rekey
from tests.core.world import decision

SECRET = bytes(range(32))
SECOND, THIRD = b"2" * 32, b"3" * 32
TWO = f"{SECRET.hex()}\n2 {SECOND.hex()}\n"
DERIVED = Keys.derive(SECRET)


def key_in(folder: Path, text: str, mode: int = 0o600) -> Path:
    """A key file."""
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


def rotate(path: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of `banditd rotate-key`; a refusal's code and message."""
    result = CliRunner().invoke(cli, ["rotate-key", "--key-file", str(path), *arguments])
    if isinstance(result.exception, StartError):
        return result.exception.code, str(result.exception)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "content",
    [
        SECRET.hex(),
        SECRET.hex().upper() + "\n",
        base64.b64encode(SECRET).decode(),
        base64.urlsafe_b64encode(bytes([251, 255] * 16)).decode(),
    ],
)
def test_key_files_are_hex_or_base64(tmp_path: Path, content: str) -> None:
    """32 bytes in either writing, with or without a final line end."""
    path = key_in(tmp_path, content)
    assert keys.load(path, tmp_path) in (DERIVED, Keys.derive(bytes([251, 255] * 16)))


@pytest.mark.parametrize("content", ["", "00" * 31, "zz" * 32, "00" * 33, "secret"])
def test_other_key_files_are_refused(tmp_path: Path, content: str) -> None:
    """The message says how to make one, and does not quote what it found."""
    path = key_in(tmp_path, content)
    with pytest.raises(StartError, match="openssl rand -hex 32") as caught:
        keys.load(path, tmp_path)
    assert caught.value.code is ExitCode.FILES
    assert not content or content not in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize(("mode", "accepted"), [(0o600, True), (0o440, True), (0o644, False), (0o660, False)])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int, accepted: bool) -> None:
    """Its group may read it (mounted secrets are that way), nobody else; only its owner may write."""
    path = key_in(tmp_path, SECRET.hex(), mode)
    if accepted:
        assert keys.load(path, tmp_path) == DERIVED
    else:
        with pytest.raises(StartError, match=f"{mode:04o}.*chmod 600"):
            keys.load(path, tmp_path)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """At the first start, for its owner alone; the second start finds it, so tokens stay good."""
    first = keys.load(None, tmp_path)
    assert first.masters[1] != DERIVED.masters[1]
    assert keys.load(None, tmp_path) == first
    (made,) = tmp_path.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_key_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk: the message says so, no file is left, and with room again the next start makes the key."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StartError, match="No space left"):
            keys.load(None, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert keys.load(None, tmp_path).current == 1


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    """One that was asked for is not made: a typing error must not change the key."""
    with pytest.raises(StartError, match="cannot be read"):
        keys.load(tmp_path / "kye", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "current", "opens"),
    [
        (TWO, 2, [1, 2]),
        (f"\n{SECRET.hex()}\n\n 2\tnext  {SECOND.hex()}\r\n", 1, [1, 2]),
        (f"root {SECRET.hex()}\n2 {SECOND.hex()}\n", 2, [2]),
        (f"root {SECRET.hex()}\n7 {SECOND.hex()}\n255 next {THIRD.hex()}", 7, [7, 255]),
    ],
)
def test_a_file_of_several_keys(tmp_path: Path, text: str, current: int, opens: list[int]) -> None:
    """The last that is not `next` seals, all of them open; salts and key 1 are those of the first line."""
    found = keys.load(key_in(tmp_path, text), tmp_path)
    assert (found.current, sorted(found.masters)) == (current, opens)
    assert (found.unit_salt, found.draw_salt) == (DERIVED.unit_salt, DERIVED.draw_salt)
    assert found.masters.get(1, DERIVED.masters[1]) == DERIVED.masters[1]
    assert found.masters[max(opens)] != DERIVED.masters[1]
    assert parse_key_file(parse_key_file(text.encode()).text().encode()).keys() == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"root {SECRET.hex()}\n", "no key in it seals"),
        (f"root {SECRET.hex()}\n2 next {SECOND.hex()}", "no key in it seals"),
        (f"2 {SECOND.hex()}\n", "line 1 does not hold 32 bytes"),
        (f"{SECRET.hex()}\n{SECOND.hex()}\n", "line 2 does not begin with a key's id"),
        (f"{SECRET.hex()}\n1 {SECOND.hex()}\n", "expected a number from 2"),
        (f"{TWO}2 {THIRD.hex()}\n", "line 3 .*expected a number from 3"),
        (f"{TWO}256 {THIRD.hex()}\n", "to 255"),
        (f"{TWO}{'9' * 5000} {THIRD.hex()}\n", "to 255"),
        (f"{SECRET.hex()}\n2 next {SECOND.hex()}\n3 {THIRD.hex()}\n", "line 3 follows a key that is `next`"),
        (f"{TWO}3 {SECOND.hex()}\n", "line 3 repeats a secret"),
        (f"{SECRET.hex()}\n2 {SECRET.hex()}\n", "line 2 repeats a secret"),
        (f"{TWO}3 {THIRD.hex()} {THIRD.hex()}\n", "line 3 does not hold 32 bytes"),
        (f"{TWO}3\n", "line 3 does not hold 32 bytes"),
        (TWO + "\n" * 40_000, "over 32768 bytes"),
    ],
)
def test_files_of_several_keys_that_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    """The line is named; no secret is quoted, not even a wrong one."""
    with pytest.raises(StartError, match=problem) as caught:
        keys.load(key_in(tmp_path, text), tmp_path)
    assert caught.value.code is ExitCode.FILES
    for secret in (SECRET, SECOND, THIRD):
        assert secret.hex() not in str(caught.value)


def test_rotation_keeps_tokens_and_routing(tmp_path: Path) -> None:
    """What was sealed before opens, what is sealed after has the new id, and the salts are the same."""
    path = key_in(tmp_path, SECRET.hex())
    before = Sealer(keys.read(path)).seal(decision())
    code, output = rotate(path)
    assert (code, "key 2 seals; keys 1, 2 open" in output, "--retire 1`" in output) == (0, True, True)
    after = keys.read(path)
    assert (after.unit_salt, after.draw_salt) == (DERIVED.unit_salt, DERIVED.draw_salt)
    sealed = Sealer(after).seal(decision())
    assert Sealer(after).open(before) == Sealer(after).open(sealed) == decision()
    with pytest.raises(BanditError, match="key id 2 is not known"):
        Sealer(DERIVED).open(sealed)
    assert [secret.hex() in output for secret in (SECRET, *after.masters.values())] == [False] * 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_prepared_key_opens_before_it_seals(tmp_path: Path) -> None:
    """So that a fleet has it everywhere when the first of it seals; the next rotation adds none."""
    path = key_in(tmp_path, SECRET.hex())
    assert "key 1 seals; keys 1, 2 open" in rotate(path, "--prepare")[1]
    prepared = keys.read(path)
    assert "key 2 is prepared already" in rotate(path, "--prepare")[1]
    assert "key 2 seals; keys 1, 2 open" in rotate(path)[1]
    rotated = keys.read(path)
    assert (prepared.current, rotated.current, prepared.masters) == (1, 2, rotated.masters)
    assert Sealer(prepared).open(Sealer(rotated).seal(decision())) == decision()


def test_retired_keys_open_nothing_and_the_root_stays(tmp_path: Path) -> None:
    """Key 1 goes, its salts stay; no id comes back; the key that seals, or will, cannot go."""
    path = key_in(tmp_path, SECRET.hex())
    for _ in range(2):
        rotate(path)
    for key_id in (1, 2):
        code, output = rotate(path, "--retire", str(key_id))
        assert (code, "key 3 seals" in output) == (0, True)
    held = keys.read(path)
    assert (sorted(held.masters), held.unit_salt) == ([3], DERIVED.unit_salt)
    assert path.read_text().startswith(f"root {SECRET.hex()}\n3 ")
    content = path.read_bytes()
    for key_id, problem in ((3, "key 3 seals"), (1, "there is no key 1"), (9, "it has the keys \\[3\\]")):
        code, message = rotate(path, "--retire", str(key_id))
        assert (code, path.read_bytes()) == (ExitCode.FAILURE, content)
        assert problem.replace("\\", "") in message
    rotate(path, "--prepare")
    assert "key 4 seals, or is the next to" in rotate(path, "--retire", "4")[1]


def test_ids_run_out_loudly() -> None:
    """After key 255 there is none; nothing begins again at 2."""
    file = KeyFile(SECRET, {1: SECRET, 255: SECOND})
    for change in (file.rotated, file.preparing):
        with pytest.raises(KeyFileError, match="key 255 was the last"):
            change(THIRD)
    assert SECRET.hex() not in repr(file)


def test_rotation_keeps_who_may_read(tmp_path: Path) -> None:
    """Permissions stay, a symbolic link still leads to the file, and only an existing file is rotated."""
    path = key_in(tmp_path, SECRET.hex(), 0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert rotate(link)[0] == 0
    assert (link.is_symlink(), stat.S_IMODE(path.stat().st_mode)) == (True, 0o640)
    code, message = rotate(tmp_path / "nowhere")
    assert (code, "cannot be read" in message) == (ExitCode.FILES, True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("call", ["os.fsync", "os.open", "pathlib.Path.rename"])
def test_a_rotation_that_fails_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk at each step: exit code 5, the old file, and nothing beside it."""
    path = key_in(tmp_path, SECRET.hex())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(call, full)
        code, message = rotate(path)
    assert (code, "No space left" in message) == (ExitCode.FILES, True)
    assert (path.read_text(), list(tmp_path.iterdir())) == (SECRET.hex(), [path])


def test_two_rotations_at_once_do_not_lose_a_key(tmp_path: Path) -> None:
    """While one holds the file the other is refused, and after a replacement it works on the new file."""
    path = key_in(tmp_path, SECRET.hex())
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, message = rotate(path)
        assert (code, "try again" in message) == (ExitCode.FILES, True)
    assert path.read_text() == SECRET.hex()
    assert rotate(path)[0] == 0


def test_flags_that_exclude_each_other(tmp_path: Path) -> None:
    """--prepare with --retire: a usage error, nothing changed."""
    path = key_in(tmp_path, TWO)
    assert rotate(path, "--prepare", "--retire", "1")[0] == ExitCode.USAGE
    assert path.read_text() == TWO


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TWO, None),
        (f"root {SECRET.hex()}\n2 {SECOND.hex()}\n", None),
        (THIRD.hex(), "its root is another one"),
        (f"{SECRET.hex()}\n2 {THIRD.hex()}\n", "its key 2 is not the key 2 that is served"),
        ("nonsense", "line 1 does not hold 32 bytes"),
        (None, "cannot be read"),
    ],
)
def test_what_may_follow_the_keys_that_are_served(
    tmp_path: Path, text: str | None, problem: str | None
) -> None:
    """Other salts, another key under an old id, a broken or missing file: refused, logged and counted."""
    served, counts, taken = keys.read(key_in(tmp_path, TWO)), Counts(), []

    def take(found: Keys) -> bool:
        found.check_follows(served)
        taken.append(found)
        return found != served

    path = tmp_path / "missing" if text is None else key_in(tmp_path, text)
    with structlog.testing.capture_logs() as lines:
        asyncio.run(rekey(path, take, counts))
    assert [line["problem"] for line in lines if problem and problem in line["problem"]] == [
        line["problem"] for line in lines if line["log_level"] == "error"
    ]
    assert (len(taken), counts.key_reloads["refused"]) == ((0, 1) if problem else (1, 0))
    assert counts.key_reloads["applied"] == int(text not in {TWO, None} and not problem)
    assert not any(secret.hex() in str(lines) for secret in (SECRET, SECOND, THIRD))
