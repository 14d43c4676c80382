"""The programs that measure the transport: what they read, what they compare, and that they run."""

import os
import shutil
from pathlib import Path

import pytest

from loadtest import transport_bench as bench
from loadtest import transport_memory as memory
from loadtest.transport_load import Load, LoadError, Shape, calls_per_s, frame, median_us, need_h2load, run
from loadtest.transport_subjects import Server, Subject, busy_ns, cores, cpu_ns, ok_calls, on_core, request

PRINTED = """starting benchmark...
spawning thread #0: 16 total client(s). 6400 total requests
Application protocol: h2c
progress: 100% done

finished in 419.81ms, 15245.10 req/s, 3.51MB/s
requests: 6400 total, 6400 started, 6400 done, 6400 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 6400 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.47MB (1545805) total, 19.92KB (20400) headers (space savings 96.06%), 1.13MB (1184000) data
"""


def test_a_frame_is_a_flag_a_length_and_the_message() -> None:
    """Uncompressed, four bytes of length, big end first."""
    assert frame(b"abc") == b"\x00\x00\x00\x00\x03abc"
    assert frame(bytes(300))[:5] == b"\x00\x00\x00\x01\x2c"


def test_every_stream_gets_as_many_calls() -> None:
    """The number of calls is rounded up to a multiple of all streams."""
    assert Shape(16, 20).calls(1000) == 1280
    assert Shape(1, 1).calls(0.3) == 1


def test_what_h2load_prints() -> None:
    """The rate, if every call was answered."""
    assert calls_per_s(PRINTED, 6400) == 15245.10


@pytest.mark.parametrize(
    "printed",
    [
        PRINTED.replace("6400 succeeded, 0 failed", "6399 succeeded, 1 failed"),
        PRINTED.replace("6400 2xx, 0 3xx, 0 4xx", "6399 2xx, 0 3xx, 1 4xx"),
        "could not connect to host",
    ],
)
def test_a_run_with_a_failure_is_no_result(printed: str) -> None:
    """A call that was not answered, or not with 200, spoils the run."""
    with pytest.raises(LoadError):
        calls_per_s(printed, 6400)


def test_the_median_of_a_log() -> None:
    """The third column of the calls that were answered; all of them must have been."""
    log = "1795339428400077\t200\t62\n1795339428400141\t200\t53\n1795339428400241\t200\t90\n"
    assert median_us(log, 3) == 62
    with pytest.raises(LoadError):
        median_us(log.replace("200\t90", "-1\t90"), 3)


def test_without_h2load_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the package's name."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as ended:
        need_h2load()
    assert ended.value.code == 2
    assert "nghttp2-client" in capsys.readouterr().err


def runs(choose: bench.Measured) -> bench.Runs:
    """Three rounds in which peers are always the same: 10,000 calls/s at 100 µs, our no-op 100,000 at 10."""
    slow, aio = bench.Measured(10_000, 100.0, 100.0), bench.Measured(9_000, 80.0, 120.0)
    return {
        (name, shape): [measured] * 3
        for shape in bench.SHAPES
        for name, measured in [
            (bench.SYNC, slow),
            (bench.AIO, aio),
            (bench.NOOP, bench.Measured(100_000, 10.0, 20.0)),
            (bench.CHOOSE, choose),
        ]
    }


def test_bars_are_against_the_better_peer() -> None:
    """By calls a second that is sync here, by CPU time aio."""
    choose = bench.Measured(40_000, 20.0, 50.0)
    found = {(bar.figure, str(bar.shape), bar.bound): bar.ratios(runs(choose)) for bar in bench.BARS}
    assert found == {
        ("calls a second", "16 × 20", 4.0): (bench.SYNC, [4.0] * 3),
        ("CPU time a call", "16 × 20", 0.25): (bench.AIO, [0.25] * 3),
        ("calls a second", "16 × 1", 2.5): (bench.SYNC, [4.0] * 3),
        ("p50", "1 × 1", 0.5): (bench.SYNC, [0.5] * 3),
        ("calls a second", "16 × 20", 0.35): (bench.NOOP, [0.4] * 3),
    }
    assert bench.verdicts(runs(choose))[1]


@pytest.mark.parametrize(
    ("choose", "missed"),
    [
        (bench.Measured(39_000, 20.0, 50.0), "BELOW 4"),
        (bench.Measured(40_000, 21.0, 50.0), "ABOVE 0.25"),
        (bench.Measured(40_000, 20.0, 51.0), "ABOVE 0.5"),
        (bench.Measured(24_000, 20.0, 50.0), "BELOW 2.5"),
        (bench.Measured(34_000, 20.0, 50.0), "BELOW 0.35"),
    ],
)
def test_a_missed_bar_is_told(choose: bench.Measured, missed: str) -> None:
    """One missed bar is enough."""
    text, good = bench.verdicts(runs(choose))
    assert missed in text
    assert not good


def test_the_table_has_every_subject_and_tells_who_was_the_bottleneck() -> None:
    """Where h2load's core was full and the server's was not, the figure is a lower bound."""
    measured = {("busy", bench.MANY): [bench.Measured(1e5, 3.0, server=0.6, others=0.2, client=0.99)]}
    text = bench.table(measured)
    assert "| 16 × 20 | busy | 100,000 | 100,000 | 100,000 | 3.0 |  | 60% | 99%, client-bound |" in text
    assert (
        "NOT QUIET: in 1 of 1 runs others took more than 5% of the server's core, 20%"
        in bench.disturbances(measured)
    )
    assert bench.disturbances(runs(bench.Measured(1.0, 1.0, 1.0))) == ""


def test_only_ok_answers_count() -> None:
    """Refused Chooses and other methods do not."""
    page = (
        "# TYPE banditd_requests counter\n"
        'banditd_requests_total{code="OK",method="/bandit.v1.BanditService/Choose"} 7.0\n'
        'banditd_requests_total{code="RESOURCE_EXHAUSTED",method="/bandit.v1.BanditService/Choose"} 5.0\n'
        'banditd_requests_total{code="OK",method="/bandit.v1.BanditService/Reward"} 3.0\n'
    )
    assert ok_calls(page) == 7


def test_a_run_is_repeated_until_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a refusal never does; of disturbed ones the least disturbed; how often is told."""
    monkeypatch.setattr(bench.Bench, "__init__", lambda *_: None)
    monkeypatch.setattr(bench, "run", lambda *_: Load(10, 10.0, 1.0, 0.1))
    monkeypatch.setattr(bench.Bench, "_request", Path(), raising=False)

    def measure(*others: float | None) -> bench.Measured:
        """What becomes of runs with these disturbances; None: one with a refusal."""
        answered: list[int] = []

        def timed(_self: object, _server: Server, _shape: Shape, calls: int) -> bench.Measured:
            disturbed = others[len(answered)]
            answered.append(calls - (disturbed is None))
            return bench.Measured(1.0, 1.0, others=disturbed or 0.0)

        monkeypatch.setattr(bench.Bench, "_timed", timed)
        return bench.Bench(Path(), 0, 0).measure(Server("", 0, lambda: sum(answered)), bench.SINGLE)

    assert measure(0.01) == bench.Measured(1.0, 1.0, others=0.01)
    assert measure(None, 0.5, 0.02) == bench.Measured(1.0, 1.0, others=0.02, repeated=2)
    best = measure(0.5, 0.2, None, 0.4)
    assert best == bench.Measured(1.0, 1.0, others=0.2, repeated=3)
    assert "3 runs were repeats" in bench.disturbances({("x", bench.SINGLE): [best]})


def test_a_server_that_goes_on_refusing_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many runs it gives up."""
    monkeypatch.setattr(bench.Bench, "__init__", lambda *_: None)
    monkeypatch.setattr(bench.Bench, "_timed", lambda *_: bench.Measured(1.0, 1.0))
    monkeypatch.setattr(bench, "run", lambda *_: Load(10, 10.0, 1.0, 0.1))
    monkeypatch.setattr(bench.Bench, "_request", Path(), raising=False)
    with pytest.raises(RuntimeError, match="not all of 10 calls"):
        bench.Bench(Path(), 0, 0).measure(Server("", 0, lambda: 0), bench.SINGLE)


def test_memory_is_held_to_the_fitted_line() -> None:
    """A megabyte or one in a hundred, whichever is more, from the first point after the warm-up."""
    flat = [memory.Point(calls, 200_000_000 + calls % 3) for calls in range(0, 2_000_001, 100_000)]
    assert memory.verdict(flat, 200_000)[1]
    leak = [memory.Point(point.calls, point.resident + 2 * point.calls) for point in flat]
    text, good = memory.verdict(leak, 200_000)
    assert not good
    assert "From 200,000 to 2,000,000 calls the fitted line grows by 3.60 MB (1.80%): ABOVE 2.00 MB" in text
    late = [memory.Point(point.calls, 1 if point.calls < 200_000 else point.resident) for point in flat]
    assert memory.verdict(late, 200_000)[1], "what comes before does not count"
    assert memory.resident("Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t1\n") == 2 * 2**20


def test_accounts_of_cpu_time() -> None:
    """Ours grows as we work; a core's is told too; affinity is put back."""
    before, began = os.sched_getaffinity(0), cpu_ns(os.getpid())
    with on_core(cores()[0]):
        assert os.sched_getaffinity(0) == {cores()[0]}
        sum(range(1_000_000))
    assert cpu_ns(os.getpid()) > began
    assert busy_ns(cores()[0]) > 0
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load (nghttp2-client) is not installed")
@pytest.mark.parametrize("arguments", [("sync",), ("aio",), ("ngh2",)], ids=lambda arguments: arguments[0])
def test_a_no_op_server_under_load(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A short run: every call answered and counted, its time logged."""
    (tmp_path / "reply").write_bytes(bytes(220))
    (tmp_path / "request").write_bytes(frame(request()))
    shape = Shape(2, 5)
    with Subject("no-op", arguments).serving(tmp_path, tmp_path / "reply", cores()[0]) as server:
        load = run(server.target, tmp_path / "request", shape, 500, tmp_path / "log")
        assert server.answered() == 500
        assert cpu_ns(server.pid) > 0
    assert load.calls_per_s > 0
    assert load.p50_us is not None
    assert load.p50_us > 0
