"""A locust user that visits a running sidecar: Choose, then Reward, on a schedule.

    locust --headless -f loadtest/locustfile.py --host 127.0.0.1:50051 \
        --visits-per-s 200 --seconds 10 --metrics 127.0.0.1:9100

Open model: visits start when the schedule says so, however long the earlier ones take, and a visit's latency
counts from its scheduled start, so a sidecar that stalls is not asked less often and cannot look better.
The run ends by itself, and its exit code says whether it passed. One locust process is full at about 1,000
calls a second and then reports its own queue: so the client's CPU and the sidecar's own latencies are shown
beside locust's.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-call"
# gevent has no types, locust's listeners and shapes have some.

import random
import resource
import time
from argparse import Namespace
from urllib.request import urlopen

import gevent
from gevent.pool import Pool
from grpc.experimental import gevent as grpc_gevent
from locust import LoadTestShape, User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from prometheus_client.parser import text_string_to_metric_families

grpc_gevent.init_gevent()  # locust has patched the standard library; this must come before any gRPC object

from server.addresses import parse_address  # noqa: E402 - after init_gevent
from server.client import CallError, Client  # noqa: E402 - the same
from server.pb import bandit_pb2 as pb  # noqa: E402 - the same

VISITS_PER_S_MAX = 2_000
SECONDS_MAX = 600
OUTSTANDING_MAX = 500
"""Visits of one user under way; a schedule that gets further behind counts as failed visits."""

REWARDED = 0.3
"""Part of the visits that is followed by a click."""

CLIENT_CPU_HIGH = 0.8
"""Part of one core from which on locust measures itself."""


@events.init_command_line_parser.add_listener
def options(parser: LocustArgumentParser) -> None:
    """What a run is, and when it has passed."""
    parser.add_argument("--visits-per-s", type=float, default=200, help="visits a second, of all users")
    parser.add_argument("--seconds", type=float, default=10, help=f"length of the run, at most {SECONDS_MAX}")
    parser.add_argument("--visitors", type=int, default=4, help="users, each with a connection of its own")
    parser.add_argument("--placement", default="home-hero", help="the placement that is visited")
    parser.add_argument("--metrics", default="", help="HOST:PORT of the sidecar's /metrics")
    parser.add_argument("--failures-max", type=float, default=0.0, help="largest part of calls that may fail")
    parser.add_argument(
        "--p99-ms-max", type=float, default=250, help="largest 99th percentile, as seen by locust"
    )


def options_of(environment: Environment) -> Namespace:
    """The command line's options."""
    given = environment.parsed_options
    assert isinstance(given, Namespace)
    return given


class Bounded(LoadTestShape):
    """All users from the start; the end after --seconds, whatever happens."""

    def tick(self) -> tuple[int, float] | None:
        """Users and users started a second; None ends the run."""
        assert self.runner is not None
        given = options_of(self.runner.environment)
        if self.get_run_time() > min(given.seconds, SECONDS_MAX):
            return None
        return given.visitors, given.visitors


class Visitor(User):
    """One connection, with its part of the schedule."""

    def on_start(self) -> None:
        """Open the connection; the schedule begins."""
        given = options_of(self.environment)
        self._interval_s = given.visitors / min(given.visits_per_s, VISITS_PER_S_MAX)
        self._placement = given.placement
        self._client = Client(must_be_local(self.host))
        self._visits = Pool(OUTSTANDING_MAX)
        self._random = random.Random(id(self))
        self._due = time.monotonic() + self._random.random() * self._interval_s

    def on_stop(self) -> None:
        """Let what is under way end, then close."""
        self._visits.join(timeout=10)
        self._client.close()

    @task
    def keep_schedule(self) -> None:
        """Start the next visit when it is due."""
        gevent.sleep(max(0.0, self._due - time.monotonic()))
        if self._visits.full():
            self._fire("Choose", self._due, RuntimeError(f"{OUTSTANDING_MAX} visits are still under way"))
        else:
            self._visits.spawn(self._visit, self._due)
        self._due += self._interval_s

    def _visit(self, due: float) -> None:
        context = {"interest": self._random.choice(("womens", "mens", "both")), "device": "phone"}
        unit = f"visitor-{self._random.randrange(100_000)}"
        request = pb.ChooseRequest(
            placement=self._placement,
            unit=unit,
            categories=context,
            numbers={"spend": self._random.expovariate(1 / 150), "returning": self._random.randrange(2)},
        )
        try:
            decision_id = self._client.choose(request).decision_id
        except CallError as error:
            self._fire("Choose", due, error)
            return
        self._fire("Choose", due)
        if self._random.random() < REWARDED:
            self._reward(decision_id)

    def _reward(self, decision_id: str) -> None:
        start = time.monotonic()
        try:
            outcome = self._client.reward(pb.RewardRequest(decision_id=decision_id, event="click"))
        except CallError as error:
            self._fire("Reward", start, error)
        else:
            self._fire("Reward", start, None if outcome == "applied" else RuntimeError(f"outcome {outcome}"))

    def _fire(self, name: str, start: float, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=(time.monotonic() - start) * 1000,
            response_length=0,
            exception=error,
            context={},
        )


class Observer:
    """What is known beside locust's own figures: the client's CPU, the sidecar's histograms."""

    def __init__(self, given: Namespace) -> None:
        self._metrics = given.metrics
        self._start_s = time.monotonic()
        self._cpu_s = cpu_s()
        self._before = self._histograms()

    def client_cpu(self) -> float:
        """Cores that this process used, on average."""
        return (cpu_s() - self._cpu_s) / (time.monotonic() - self._start_s)

    def served(self) -> dict[str, list[tuple[float, float]]]:
        """Method → (upper bound in seconds, calls up to it) of this run alone, cumulative."""
        now = self._histograms()
        return {
            method: [
                (le, count - self._before.get(method, {}).get(le, 0.0))
                for le, count in sorted(bounds.items())
            ]
            for method, bounds in now.items()
        }

    def _histograms(self) -> dict[str, dict[float, float]]:
        if not self._metrics:
            return {}
        address = must_be_local(self._metrics)
        with urlopen(f"http://{address}/metrics", timeout=5) as reply:
            text = reply.read().decode()
        found: dict[str, dict[float, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "banditd_request_seconds_bucket":
                    method = sample.labels["method"].rpartition("/")[2]
                    found.setdefault(method, {})[float(sample.labels["le"])] = sample.value
        return found


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def must_be_local(text: str | None) -> str:
    """The address, if it is on this machine: a load test of somebody else's server is an attack.

    Ends the process otherwise: locust only logs the exceptions of its listeners.
    """
    try:
        address = parse_address(text or "")
    except ValueError as error:
        raise SystemExit(f"--host or --metrics: {error}") from None
    if not address.is_local:
        raise SystemExit(f"{text} is not on this machine: a load test goes to 127.0.0.1, [::1] or unix:PATH")
    return str(address)


def quantile_ms(bounds: list[tuple[float, float]], q: float) -> float:
    """The upper bound of the bucket that holds quantile `q`, in ms; infinity in the last."""
    total = bounds[-1][1]
    return next(le for le, count in bounds if count >= q * total) * 1000


@events.init.add_listener
def refuse_others(environment: Environment, **_: object) -> None:
    """Look at the addresses before anything is sent."""
    must_be_local(environment.host)
    if options_of(environment).metrics:
        must_be_local(options_of(environment).metrics)


@events.test_start.add_listener
def start(environment: Environment, **_: object) -> None:
    """Wait until the sidecar serves, and note where the counters stand."""
    with Client(must_be_local(environment.host)) as client:
        client.wait_ready(60)
    environment.observer = Observer(options_of(environment))  # type: ignore[attr-defined]


@events.quitting.add_listener
def verdict(environment: Environment, **_: object) -> None:
    """Print what was seen and set the exit code: 0 passed, 1 failed, 3 nothing was measured."""
    observer: Observer | None = getattr(environment, "observer", None)
    total = environment.stats.total
    if observer is None or total.num_requests == 0:
        print("FAIL: no call was made")
        environment.process_exit_code = 3
        return
    given = options_of(environment)
    p99_ms = total.get_response_time_percentile(0.99)
    cpu = observer.client_cpu()
    calls = f"{total.num_requests} calls, {total.fail_ratio:.2%} failed"
    print(f"client: {calls}, p99 {p99_ms:.1f} ms, {cpu:.0%} of a core")
    problems = _disagreements(environment, observer)
    if total.fail_ratio > given.failures_max:
        problems.append(f"{total.fail_ratio:.2%} of the calls failed, at most {given.failures_max:.2%} may")
    if p99_ms > given.p99_ms_max:
        problems.append(f"p99 is {p99_ms:.1f} ms, at most {given.p99_ms_max:g} ms may be")
    if cpu > CLIENT_CPU_HIGH:
        print(
            "note: the client used most of a core, so its latencies are partly its own; look at the sidecar's"
        )
    print("\n".join(f"FAIL: {problem}" for problem in problems) or "PASS")
    environment.process_exit_code = int(bool(problems))


def _disagreements(environment: Environment, observer: Observer) -> list[str]:
    """Print the sidecar's own latencies; where it counted other calls than locust, say so."""
    problems: list[str] = []
    for method, bounds in observer.served().items():
        entry = environment.stats.entries.get((method, "grpc"))
        served = bounds[-1][1]
        if not served or entry is None:
            continue
        quantiles = ", ".join(
            f"p{q * 100:g} ≤ {quantile_ms(bounds, q):g} ms" for q in (0.5, 0.9, 0.99, 0.999)
        )
        print(f"sidecar: {method} {served:.0f} calls, {quantiles}")
        if served < entry.num_requests - entry.num_failures:
            problems.append(
                f"{method}: the sidecar counted {served:.0f}, locust {entry.num_requests} answers"
            )
    return problems
