"""What becomes of TLS files that change: without a server, a look at a time, on a clock of our own."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.types import EventDict

from server.counts import Counts
from server.tls import Tls, TlsFiles, load_tls
from server.tls_watch import TlsWatch
from tests.server.certificates import Authority

REFUSED = "TLS files refused, the last good pair stays"


class Watched:
    """A pair on disk, a watch that serves it, and what it would have had an engine serve since."""

    def __init__(self, folder: Path, valid_until: datetime | None = None) -> None:
        self.authority = Authority(folder)
        self.files = TlsFiles(*self.authority.issue("server", valid_until), client_ca=self.authority.pem)
        self.counts = Counts()
        self.first = load_tls(self.files)
        self.served = [self.first]
        self.fails: OSError | None = None
        self.late = timedelta()
        self.watch = TlsWatch(self.files, self.first, self._renew, self.counts, self._now)

    def look(self, times: int = 2, *, now: bool = False) -> list[EventDict]:
        """Look so many times; the lines logged meanwhile."""

        async def look() -> None:
            for _ in range(times):
                await self.watch.look(now=now)

        with capture_logs() as lines:
            asyncio.run(look())
        return lines

    async def _renew(self, tls: Tls) -> None:
        if self.fails:
            raise self.fails
        self.served.append(tls)

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.late


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A watch that has seen its files."""
    result = Watched(tmp_path)
    assert result.look() == []
    return result


def test_unchanged_files_are_left_alone(watched: Watched) -> None:
    """Also when they were written again with what they held."""
    watched.files.cert.write_bytes(watched.files.cert.read_bytes())
    assert watched.look(4) == []
    assert watched.served == [watched.first]
    assert watched.counts.tls_reloads == {"applied": 0, "refused": 0}


def test_a_renewed_pair_is_served_when_it_stands_still(watched: Watched) -> None:
    """At the second look that finds it so: the first may have come between certificate and key."""
    end = datetime.now(UTC) + timedelta(hours=30)
    watched.authority.issue("server", end)
    assert watched.look(1) == []
    (line,) = watched.look(1)
    assert (line["event"], line["expires"]) == ("TLS renewed", f"{end:%Y-%m-%dT%H:%M:%S+00:00}")
    assert watched.served[1:] == [load_tls(watched.files)]
    assert watched.counts.tls_expires_s == int(end.timestamp())
    assert watched.counts.tls_reloads == {"applied": 1, "refused": 0}


def test_a_signal_does_not_wait(watched: Watched) -> None:
    """Whoever asks for it has written all there is to write."""
    watched.authority.issue("server")
    assert [line["event"] for line in watched.look(1, now=True)] == ["TLS renewed"]


def test_a_folder_swapped_by_its_link_is_seen(tmp_path: Path) -> None:
    """Kubernetes replaces a symbolic link to a folder; the paths that are given stay as they were."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        Authority(folder).issue("server")
    (tmp_path / "data").symlink_to("one")
    for name in ("server.pem", "server.key"):
        (tmp_path / name).symlink_to(Path("data") / name)
    files = TlsFiles(tmp_path / "server.pem", tmp_path / "server.key")
    served: list[Tls] = []

    async def renew(tls: Tls) -> None:
        served.append(tls)

    watch = TlsWatch(files, load_tls(files), renew, Counts())
    for name in ("one", "two", "one"):
        (tmp_path / "new").symlink_to(name)
        (tmp_path / "new").rename(tmp_path / "data")
        asyncio.run(watch.look(now=True))
    assert [tls.cert for tls in served] == [(folders[n] / "server.pem").read_bytes() for n in (1, 0)]


def half(path: Path) -> None:
    """Leave of a file its first half, as a writer that is still at it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def a_chain_cut_off(watched: Watched) -> None:
    """The certificate is whole, what follows it is not."""
    chain = watched.authority.pem.read_bytes()
    watched.files.cert.write_bytes(watched.files.cert.read_bytes() + chain[: len(chain) // 2])


def a_chain_of_another_ca(watched: Watched) -> None:
    """The certificate with a CA's that has not signed it."""
    other = Authority(watched.files.cert.parent, "other").pem.read_bytes()
    watched.files.cert.write_bytes(watched.files.cert.read_bytes() + other)


def another_key(watched: Watched) -> None:
    """The key was renewed, the certificate not yet."""
    watched.files.key.write_bytes(watched.authority.issue("other")[1].read_bytes())


def no_ca(watched: Watched) -> None:
    """The server's own certificate in the place of the clients' CA."""
    assert watched.files.client_ca is not None
    watched.files.client_ca.write_bytes(watched.files.cert.read_bytes())


def expired_ca(watched: Watched) -> None:
    """A clients' CA of the past."""
    Authority(watched.files.cert.parent, valid_until=datetime.now(UTC) - timedelta(hours=1))


SPOILT: list[tuple[Callable[[Watched], object], str]] = [
    (lambda w: half(w.files.cert), r"server\.pem' holds no certificate"),
    (lambda w: half(w.files.key), r"server\.key' holds no private key"),
    (lambda w: half(w.authority.pem), r"ca\.pem' holds no certificate"),
    (lambda w: w.files.key.unlink(), r"server\.key' cannot be read \(No such file"),
    (a_chain_cut_off, r"server\.pem' holds a certificate in PEM that is cut off"),
    (a_chain_of_another_ca, r"server\.pem' holds a chain in which no certificate signed the first"),
    (another_key, r"server\.key' is not the key of the certificate in .*server\.pem'"),
    (
        lambda w: w.authority.issue("server", datetime.now(UTC) - timedelta(hours=1)),
        r"valid from .*, not now",
    ),
    (no_ca, r"ca\.pem' holds certificates, but none of a CA"),
    (expired_ca, r"ca\.pem' holds a CA's certificate that is valid from .*, not now"),
]


@pytest.mark.parametrize(("spoil", "says"), SPOILT)
def test_the_last_good_pair_stays(watched: Watched, spoil: Callable[[Watched], object], says: str) -> None:
    """Once in the log, at each look in the metric; mended, the files are served, without a restart."""
    spoil(watched)
    lines = watched.look(4)
    assert [line["event"] for line in lines] == [REFUSED]
    assert lines[0]["log_level"] == "error"
    assert re.search(says, lines[0]["problem"])
    assert watched.served == [watched.first]
    assert watched.counts.tls_reloads == {"applied": 0, "refused": 3}
    mended = Authority(watched.files.cert.parent)
    mended.issue("server")
    assert [line["event"] for line in watched.look()] == ["TLS renewed"]
    assert watched.served[1:] == [load_tls(watched.files)]


def test_files_put_back_are_said_to_be(watched: Watched) -> None:
    """The pair that is served all the time: nothing is renewed, and the log ends the alarm."""
    kept = watched.files.key.read_bytes()
    half(watched.files.key)
    watched.look()
    watched.files.key.write_bytes(kept)
    assert [line["event"] for line in watched.look()] == ["TLS files are those that are served again"]
    assert watched.served == [watched.first]


def test_each_problem_is_logged(watched: Watched) -> None:
    """Another problem after the first is another line."""
    half(watched.files.key)
    watched.look()
    half(watched.files.cert)
    assert [line["event"] for line in watched.look()] == [REFUSED]


def test_files_that_change_while_they_are_read_are_read_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither taken over nor refused: the next look finds what they became."""

    def slow(files: TlsFiles, now: datetime | None) -> Tls:
        monkeypatch.undo()
        tls = load_tls(files, now)
        watched.authority.issue("server")
        return tls

    monkeypatch.setattr("server.tls_watch.load_tls", slow)
    watched.authority.issue("server")
    assert watched.look() == []
    assert [line["event"] for line in watched.look()] == ["TLS renewed"]
    assert watched.served[1:] == [load_tls(watched.files)]


def test_an_engine_that_cannot_take_it_is_asked_again(watched: Watched) -> None:
    """No descriptor is free for a moment: the old pair is served until one is."""
    watched.authority.issue("server")
    watched.fails = OSError(24, "Too many open files")
    (line,) = watched.look()
    assert (line["event"], "Too many open files" in line["problem"]) == (REFUSED, True)
    watched.fails = None
    assert [line["event"] for line in watched.look(1)] == ["TLS renewed"]


def test_a_fault_of_ours_is_no_end(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody thought of in a certificate is refused too, with its place."""

    def faulty(*_: object) -> Tls:
        raise ZeroDivisionError

    monkeypatch.setattr("server.tls_watch.load_tls", faulty)
    watched.authority.issue("server")
    (line,) = watched.look()
    assert "internal error ZeroDivisionError in " in line["problem"]


def test_the_end_is_announced_once_a_day(tmp_path: Path) -> None:
    """From a week before; as an error once it has come; from a renewed pair on no more."""
    end = datetime.now(UTC) + timedelta(days=30)
    watched = Watched(tmp_path, end)
    said = []
    for half_days in range(64):
        watched.late = timedelta(hours=12 * half_days)
        said += [(half_days / 2, line["log_level"]) for line in watched.look(1)]
    assert [day for day, _ in said] == [23, 24, 25, 26, 27, 28, 29, 30, 31]
    assert [level for _, level in said] == ["warning"] * 7 + ["error"] * 2


def test_short_lived_certificates_are_announced_late(tmp_path: Path) -> None:
    """One of three days, in its last quarter only: its renewal is due every day."""
    watched = Watched(tmp_path, datetime.now(UTC) + timedelta(hours=24))
    assert watched.look() == []
    watched.late = timedelta(hours=7)
    (line,) = watched.look()
    assert (line["event"], line["days"]) == ("TLS certificate ends soon", 0.7)
