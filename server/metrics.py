"""Prometheus metrics, made at scrape from plain numbers. `docs/metrics.md` says what each one means.

Counting with prometheus-client on the hot path would cost 2 to 6 µs a call; here a scrape pays instead.
"""

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bandit.counters import Outcome
from bandit.engine import Engine
from bandit.placement import PlacementState
from server import collector
from server.clock import LearningClock
from server.codes import Code
from server.counts import LATENCY_BOUNDS_NS, Counts
from server.http import Page
from server.version import VERSION

NS = 1e-9

LOCATED = (Outcome.APPLIED, Outcome.DUPLICATE, Outcome.LATE)
"""Outcomes of rewards whose placement is known; UNRECORDED ones have none."""


class ShellCollector(Collector):
    """What the shell counted: calls, refusals, reloads, the clock."""

    def __init__(self, counts: Counts, clock: LearningClock, serving: Callable[[], bool]) -> None:
        self._counts = counts
        self._clock = clock
        self._serving = serving

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are not checked against a first collection."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        yield gauge("banditd_build_info", "1, labelled with the version", 1.0, version=VERSION)
        yield gauge(
            "banditd_ready", "1 while calls are served, 0 while starting and draining", float(self._serving())
        )
        yield gauge("banditd_start_seconds", "from the process's start to being ready", self._counts.start_s)
        yield gauge(
            "banditd_clock_departure_seconds",
            "wall clock minus learning clock",
            self._clock.departure_s(),
        )
        yield from self._calls()
        yield gauge(
            "banditd_connections", "connections that are open (ngh2)", float(self._counts.connections)
        )
        ended = CounterMetricFamily(
            "banditd_connections_ended", "connections that are not any more (ngh2)", labels=["cause"]
        )
        for cause, count in self._counts.connections_ended.items():
            ended.add_metric([cause.value], count)
        yield ended
        errors = CounterMetricFamily(
            "banditd_errors", "refused calls and batch items, by reason", labels=["reason"]
        )
        for reason, count in list(self._counts.errors.items()):
            errors.add_metric([reason], count)
        yield errors
        outcomes = CounterMetricFamily(
            "banditd_reward_outcomes", "answered rewards, by outcome", labels=["outcome"]
        )
        for outcome, count in self._counts.outcomes.items():
            outcomes.add_metric([outcome.name], count)
        yield outcomes
        yield by_result("banditd_config_reloads", "reads of the configuration", self._counts.reloads)
        yield by_result("banditd_key_reloads", "attempts to take over a key file", self._counts.key_reloads)
        yield from self._tls()

    def _tls(self) -> Iterator[Metric]:
        expires_s = self._counts.tls_expires_s
        if expires_s is None:
            return
        yield gauge("banditd_tls_expires_timestamp_seconds", "when the certificate served ends", expires_s)
        yield by_result("banditd_tls_reloads", "attempts to take over TLS files", self._counts.tls_reloads)

    def _calls(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "banditd_requests", "calls, by method and code", labels=["method", "code"]
        )
        seconds = HistogramMetricFamily(
            "banditd_request_seconds",
            "time in the server from a decoded frame to its reply",
            labels=["method"],
        )
        for path, method in list(self._counts.methods.items()):
            for code, count in enumerate(method.codes):
                if count or code == Code.OK:
                    requests.add_metric([path, Code(code).name], count)
            seconds.add_metric([path], _cumulative(method.buckets), method.total_ns * NS)
        yield requests
        yield seconds


class EngineCollector(Collector):
    """What the core counted, a placement at a time, read from its own arrays."""

    def __init__(self, engine: Engine, clock: LearningClock) -> None:
        self._engine = engine
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are not checked against a first collection."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics now. The event loop may be counting meanwhile, so sums may differ by a call."""
        families = _PlacementFamilies()
        now_us = self._clock.now_us()
        for state in list(self._engine.state.placements.values()):
            families.add(state, now_us)
        yield from families.all()
        yield CounterMetricFamily(
            "banditd_tokens_invalid",
            "rewards whose decision_id was not accepted",
            value=self._engine.tokens_invalid,
        )
        ledger = self._engine.state.ledger
        yield gauge(
            "banditd_ledger_bytes", "memory that keeps rewards from being counted twice", ledger.bytes_held
        )
        yield gauge(
            "banditd_ledger_bytes_max", "what it may grow to before rewards are refused", ledger.bytes_max
        )


class _PlacementFamilies:
    """The families of metrics that have a placement's label."""

    def __init__(self) -> None:
        self.decisions = _counter("decisions", "choices made", "policy", "arm")
        self.exposures = _counter("exposures", "arms shown", "arm")
        self.rewards = _counter("rewards", "reported events", "event", "outcome")
        self.reward = GaugeMetricFamily(
            "banditd_reward_learned", "sum of R that was learned from", labels=["placement", "arm"]
        )
        self.share = GaugeMetricFamily(
            "banditd_share", "fraction of units in the ramp's scope", labels=["placement", "policy"]
        )
        self.ramp = GaugeMetricFamily(
            "banditd_ramp_state",
            "1 running, 2 held, 3 back to static, 4 waiting for the gate",
            labels=["placement"],
        )
        self.degraded = _counter(
            "degraded", "pmfs answered as static because the model was unusable", "policy"
        )
        self.unknown_features = _counter("unknown_features", "features sent that are not configured")
        self.unknown_arms = _counter("unknown_arms", "arms requested that are not configured")
        self.drift = GaugeMetricFamily(
            "banditd_model_drift",
            "largest relative error that a fresh factorisation found in a linear model",
            labels=["placement"],
        )
        self.unrecorded = _counter(
            "decisions_unrecorded", "choices that were not learned from, since the disk was full"
        )
        self.strata_overflow = _counter("strata_overflow", "decisions beyond the strata that are kept")

    def all(self) -> list[Metric]:
        """Every family."""
        return [
            self.decisions, self.exposures, self.rewards, self.reward, self.share, self.ramp, self.degraded,
            self.unknown_features, self.unknown_arms, self.strata_overflow, self.unrecorded, self.drift,
        ]  # fmt: skip

    def add(self, state: PlacementState, now_us: int) -> None:
        """Add one placement's samples. `tolist` turns an array into Python numbers in one go."""
        config, counters = state.config, state.counters
        name = config.name
        arms = [arm.id for arm in config.arms]
        shares = state.shares(now_us).tolist()
        rows = zip(
            config.policies, counters.decisions.tolist(), counters.degraded.tolist(), shares, strict=True
        )
        for policy, row, degraded, share in rows:
            for arm, count in zip(arms, row, strict=True):
                self.decisions.add_metric([name, policy.name, arm], count)
            self.degraded.add_metric([name, policy.name], degraded)
            self.share.add_metric([name, policy.name], share)
        if config.ramp is not None:
            self.ramp.add_metric([name], int(state.ramp_clock.status))
        by_arm = zip(arms, counters.exposures, counters.reward_sum, strict=True)
        for arm, exposures, reward in by_arm:
            self.exposures.add_metric([name, arm], exposures)
            self.reward.add_metric([name, arm], reward)
        for event, outcomes in list(counters.rewards.items()):
            for outcome in LOCATED:
                self.rewards.add_metric([name, event, outcome.name], outcomes[outcome])
        self.unknown_features.add_metric([name], counters.unknown_features)
        self.unknown_arms.add_metric([name], counters.unknown_arms)
        self.strata_overflow.add_metric([name], counters.strata_overflow)
        self.unrecorded.add_metric([name], counters.unrecorded)
        models = state.models.by_prior.values()
        if models:
            self.drift.add_metric([name], max(model.drift for model in models))


def registry(shell: ShellCollector) -> prometheus_client.CollectorRegistry:
    """A registry with the shell's metrics and those of the process (memory, CPU, descriptors)."""
    result = prometheus_client.CollectorRegistry()
    prometheus_client.ProcessCollector(registry=result)
    result.register(shell)
    return result


def page(source: prometheus_client.CollectorRegistry) -> Page:
    """/metrics: the text format of Prometheus."""
    with collector.resting():
        body = prometheus_client.generate_latest(source)
    return Page(HTTPStatus.OK, prometheus_client.CONTENT_TYPE_LATEST, body)


def gauge(name: str, text: str, value: float, **labels: str) -> Metric:
    """A gauge with one sample."""
    family = GaugeMetricFamily(name, text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def by_result(name: str, text: str, results: dict[str, int]) -> CounterMetricFamily:
    """A counter with one sample for each result."""
    family = CounterMetricFamily(name, text, labels=["result"])
    for result, count in list(results.items()):
        family.add_metric([result], count)
    return family


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"banditd_{name}", text, labels=["placement", *labels])


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    """Prometheus's buckets: how many calls took at most each bound."""
    bounds = [f"{bound * NS:.9g}" for bound in LATENCY_BOUNDS_NS]
    total, result = 0, []
    for bound, count in zip([*bounds, "+Inf"], list(buckets), strict=True):
        total += count
        result.append((bound, float(total)))
    return result
