"""The HTTP port: alive, ready, and what was counted."""

import re
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import prometheus_client.parser
import pytest
import structlog

from bandit.engine import Engine
from bandit.token import Keys
from server import config_files, limits
from server.codes import Code
from server.counts import LATENCY_BOUNDS_NS, Counts, MethodCounts
from server.http import HttpServer, Page, text_page
from server.pb import bandit_pb2 as pb
from tests.server.running import CONFIG, LOOPBACK, SECRET, WAIT_S, Loop, Running, refused, running
from tests.server.test_errors import _never

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def get(url: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as response:  # noqa: S310 - http, to ourselves
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(server: Running) -> Samples:
    """Every sample of /metrics by name and labels, read as Prometheus would."""
    status, text = get(f"{server.http}/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in prometheus_client.parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """One sample."""
    return samples[name, frozenset(labels.items())]


def test_alive_and_ready(shared: Running) -> None:
    """200 for both while it serves; 404 for anything else; HEAD without a body."""
    assert get(f"{shared.http}/healthz") == (200, "alive\n")
    assert get(f"{shared.http}/readyz") == (200, "ready\n")
    assert get(f"{shared.http}/etc/passwd")[0] == 404
    request = urllib.request.Request(f"{shared.http}/readyz", method="HEAD")  # noqa: S310 - http
    with urllib.request.urlopen(request, timeout=WAIT_S) as response:  # noqa: S310 - http
        assert (response.status, response.read()) == (200, b"")


def test_not_ready_until_the_kernels_are(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 on /readyz while starting, but alive, and metrics can be read."""
    monkeypatch.setattr("server.lifecycle.Sidecar._make_ready", _never)
    with running(loop, tmp_path, wait=False) as server:
        assert get(f"{server.http}/readyz") == (503, "starting\n")
        assert get(f"{server.http}/healthz")[0] == 200
        assert value(scrape(server), "banditd_ready") == 0


def test_a_loop_that_stands_still_is_not_alive(sidecar: Running) -> None:
    """/healthz fails when the event loop has not turned for long."""
    loop, self = sidecar.loop, sidecar.sidecar
    loop.call(lambda: setattr(self, "_turned_s", self._turned_s - 2 * limits.LOOP_SILENCE_MAX_S))
    assert get(f"{sidecar.http}/healthz")[0] == 503


def test_metrics_count_what_happened(sidecar: Running) -> None:
    """Decisions, exposures, rewards, refusals, calls and their times, each under its labels."""
    for _ in range(3):
        chosen = sidecar.choose(unit="somebody", arms=["b"], numbers={"unheard-of": 1.0})
        assert sidecar.reward(chosen.decision_id) == 1
        sidecar.reward(chosen.decision_id)
    sidecar.choose(defer_exposure=True, arms=["a", "unheard-of"])
    refused(lambda: sidecar.choose("nowhere"))
    refused(lambda: sidecar.reward("forged"))
    samples = scrape(sidecar)
    hero = {"placement": "hero"}
    method = {"method": "/bandit.v1.BanditService/Choose"}
    decisions = {
        labels: count
        for (name, labels), count in samples.items()
        if name == "banditd_decisions_total" and count
    }
    assert sum(decisions.values()) == 4
    assert value(samples, "banditd_exposures_total", **hero, arm="b") == 3
    assert value(samples, "banditd_exposures_total", **hero, arm="a") == 0
    assert value(samples, "banditd_rewards_total", **hero, event="click", outcome="APPLIED") == 3
    assert value(samples, "banditd_rewards_total", **hero, event="click", outcome="DUPLICATE") == 3
    assert value(samples, "banditd_reward_learned", **hero, arm="b") == 3
    assert value(samples, "banditd_share", **hero, policy="static") == pytest.approx(0.5)
    assert value(samples, "banditd_unknown_features_total", **hero) == 3
    assert value(samples, "banditd_unknown_arms_total", **hero) == 1
    assert value(samples, "banditd_tokens_invalid_total") == 1
    assert value(samples, "banditd_errors_total", reason="PLACEMENT_UNKNOWN") == 1
    assert value(samples, "banditd_requests_total", **method, code="OK") == 4
    assert value(samples, "banditd_requests_total", **method, code="NOT_FOUND") == 1
    assert value(samples, "banditd_request_seconds_count", **method) == 5
    assert value(samples, "banditd_request_seconds_bucket", **method, le="+Inf") == 5
    assert 0 < value(samples, "banditd_request_seconds_sum", **method) < 5
    assert value(samples, "banditd_ready") == 1
    assert value(samples, "banditd_start_seconds") > 0
    assert abs(value(samples, "banditd_clock_departure_seconds")) < 1


def test_rewards_are_counted_by_outcome_alone_and_in_batches(sidecar: Running) -> None:
    """Each answered one once for the process, whether its placement is known or not; refused ones never."""
    config = config_files.load_text(CONFIG.encode(), "test")
    foreign = Engine(config, Keys.derive(SECRET), origin="other", start_id=bytes(16), now_us=0)
    unrecorded = foreign.choose("hero", "", {}, {}, (), defer_exposure=False, now_us=0).decision_id
    own = sidecar.choose().decision_id
    requests = [pb.RewardRequest(decision_id=one, event="click") for one in (own, own, unrecorded, "forged")]
    sidecar.bandit.RewardBatch(pb.RewardBatchRequest(requests=requests), timeout=WAIT_S)
    assert sidecar.reward(unrecorded) == pb.REWARD_OUTCOME_UNRECORDED
    samples = scrape(sidecar)
    counted = {
        dict(labels)["outcome"]: count
        for (name, labels), count in samples.items()
        if name == "banditd_reward_outcomes_total"
    }
    assert counted == {"APPLIED": 1, "DUPLICATE": 1, "LATE": 0, "UNRECORDED": 2}
    located = {dict(labels)["outcome"] for name, labels in samples if name == "banditd_rewards_total"}
    assert located == {"APPLIED", "DUPLICATE", "LATE"}


def test_every_metric_is_documented_and_no_other(shared: Running) -> None:
    """docs/metrics.md names exactly the metrics of ours that a scrape has."""
    shared.reward(shared.choose().decision_id)
    refused(lambda: shared.choose("nowhere"))
    shared.sidecar.counts.tls_expires_s = 0.0  # as with TLS
    _, text = get(f"{shared.http}/metrics")
    served = set(re.findall(r"^# TYPE (banditd_\w+)", text, re.MULTILINE))
    documented = set(re.findall(r"^\| `(banditd_\w+)", DOCUMENT.read_text(), re.MULTILINE))
    assert documented == served


def test_latencies_fall_into_their_buckets() -> None:
    """A bound belongs to its bucket; what is longer than the last is counted beyond it."""
    counts = MethodCounts()
    for duration_ns in (1, LATENCY_BOUNDS_NS[0], LATENCY_BOUNDS_NS[0] + 1, 10**12):
        counts.observe(Code.OK, duration_ns)
    assert (counts.buckets[0], counts.buckets[1], counts.buckets[-1]) == (2, 1, 1)
    assert sum(counts.buckets) == counts.codes[Code.OK] == 4
    assert tuple(sorted(LATENCY_BOUNDS_NS)) == LATENCY_BOUNDS_NS


def test_methods_are_counted_before_their_first_call() -> None:
    """A rate over a counter that appears with its first call would miss that call."""
    counts = Counts()
    counts.track(["/a/B"])
    assert counts.methods["/a/B"].codes[Code.OK] == 0


def test_http_requests_at_once_are_bounded() -> None:
    """Clients that send nothing occupy so many threads and no more; the next is turned away."""
    server = HttpServer(LOOPBACK, {"/": lambda: text_page("here")})
    address = (server.address.host, server.address.port)
    idle = [socket.create_connection(address) for _ in range(limits.HTTP_REQUESTS_MAX)]
    try:
        with socket.create_connection(address) as turned_away:
            turned_away.settimeout(WAIT_S)
            assert turned_away.recv(1) == b""
    finally:
        for connection in idle:
            connection.close()
    while True:  # until the threads have noticed that their clients left
        try:
            assert get(f"http://{server.address}/") == (200, "here\n")
            break
        except (OSError, urllib.error.URLError):
            continue
    server.stop()
    assert "http" not in {thread.name for thread in threading.enumerate() if thread is server._thread}


def test_only_reading_is_possible(shared: Running) -> None:
    """POST is no method here."""
    request = urllib.request.Request(f"{shared.http}/metrics", data=b"x")  # noqa: S310 - http
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=WAIT_S)  # noqa: S310 - http
    with caught.value:
        assert caught.value.code == 501


def test_scrapes_and_calls_do_not_disturb_each_other(sidecar: Running) -> None:
    """Reading metrics while calls and reloads change what is read gives whole answers."""
    end = threading.Event()
    failures: list[BaseException] = []

    def scrape_on() -> None:
        try:
            while not end.is_set():
                scrape(sidecar)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shall see it
            failures.append(error)

    thread = threading.Thread(target=scrape_on)
    thread.start()
    assert sidecar.sidecar.reloader is not None
    text = sidecar.config.read_text()
    for turn in range(20):
        sidecar.config.write_text(
            text.replace("b: {weight: 2}", f"b: {{weight: {turn}}}\n      d{turn}: {{weight: 1}}")
        )
        try:
            sidecar.loop.run(sidecar.sidecar.reloader.on_signal())
            sidecar.choose()
        except grpc.RpcError as error:  # pragma: no cover
            failures.append(error)
    end.set()
    thread.join()
    assert failures == []
    assert sidecar.sidecar.counts.reloads == {"applied": 20, "refused": 0}


def test_a_fault_of_a_page_is_an_answer() -> None:
    """500 for the client, the place in the log, and the next request is served."""

    def broken() -> Page:
        raise KeyError("visitor")

    server = HttpServer(LOOPBACK, {"/": lambda: text_page("here"), "/broken": broken})
    with structlog.testing.capture_logs() as lines:
        assert get(f"http://{server.address}/broken") == (500, "internal error\n")
    assert get(f"http://{server.address}/")[0] == 200
    server.stop()
    assert (lines[0]["error"], "visitor" in str(lines)) == ("KeyError", False)
