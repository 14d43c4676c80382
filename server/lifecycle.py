"""A sidecar's life: listen, make ready, serve, drain. One event loop owns everything but the HTTP threads.

Addresses are bound before the kernels are compiled, so that a port in use is reported at once; until they
are ready health says NOT_SERVING and calls are refused with STARTING.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from itertools import count
from typing import Any

import structlog

from bandit.config import Config, ConfigError
from bandit.engine import Engine
from bandit.token import Keys
from server import collector, limits, metrics, reflection
from server import http as http_port
from server.addresses import Address
from server.clock import LearningClock
from server.counts import Counts
from server.degradation import LOOK_EVERY_S, Degradation
from server.durability import Durability
from server.durability_metrics import DurabilityCollector
from server.errors import ShellReason
from server.exit_codes import ExitCode, StartError
from server.failures import Failures
from server.gates import Gates
from server.grpcio_engine import GrpcioEngine
from server.handlers import SERVICE, BanditHandlers
from server.health import SERVICE as HEALTH_SERVICE
from server.health import Health
from server.keys import key_path
from server.logs import places
from server.methods import Methods
from server.ngh2_engine import Ngh2Engine
from server.opening import open_engine
from server.operator_handlers import SERVICE as OPERATOR_SERVICE
from server.operator_handlers import OperatorHandlers
from server.rekey import rekey
from server.reload import Reloader
from server.settings import Settings
from server.store import Store
from server.tls import Tls
from server.tls_watch import TlsWatch
from server.warmup import in_daemon_thread, prepare_kernels

TICK_S = 1.0

QUIET_S = 0.05
"""Seconds without a call after which a drain goes on: many times what a call takes on the way."""

QUIET_MAX_S = 1.0
"""Seconds that a drain waits for that quiet at most."""


Server = GrpcioEngine | Ngh2Engine
"""An engine of gRPC, with its listeners."""


class Sidecar:
    """One running service. Make it within its event loop, `start` it, await `stopped`.

    `source` reads the configuration anew, in a thread; `config` is what it gave at first.
    """

    def __init__(
        self,
        settings: Settings,
        source: Callable[[], Config],
        config: Config,
        keys: Keys,
        tls: Tls | None = None,
        clock: LearningClock | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or LearningClock()
        self.counts = Counts()
        self.health = Health([SERVICE, OPERATOR_SERVICE])
        self.engine: Engine | None = None
        self.reloader: Reloader | None = None
        self.listening: list[Address] = []
        self.operator_listening: Address | None = None
        self.http: http_port.HttpServer | None = None
        self.durability: Durability | None = None
        self.stopped = asyncio.Event()
        self.exit_code = ExitCode.OK
        self._source = source
        self._config = config
        self._keys = keys
        self._tls = tls
        self._gates: Gates | None = None
        self._log = structlog.get_logger()
        self._born_s = self._turned_s = time.monotonic()
        self._ready = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloads: set[asyncio.Task[None]] = set()

        failures = Failures(self.counts)
        self._bandit = BanditHandlers(self.clock.now_us, self.counts, failures, settings.message_bytes_max)
        data_methods = self._bandit.methods()
        if settings.fsync == "always":
            data_methods = data_methods.settled(self._settled)
        self._operator = OperatorHandlers(self.clock.now_us)
        shared = self.health.methods()
        self._data_server = self._server(
            data_methods | shared | reflection.methods([SERVICE, HEALTH_SERVICE]), failures
        )
        self._operator_server = self._server(
            self._operator.methods() | shared | reflection.methods([OPERATOR_SERVICE, HEALTH_SERVICE]),
            failures,
        )
        self.tls_watch = (
            TlsWatch(settings.tls, tls, self._renew_tls, self.counts) if settings.tls and tls else None
        )
        self._registry = metrics.registry(
            metrics.ShellCollector(self.counts, self.clock, lambda: self.health.serving)
        )

    async def start(self) -> None:
        """Bind every address, then make ready in the background. Raises `StartError`, with nothing bound."""
        try:
            self._listen()
        except StartError:
            await asyncio.gather(self._data_server.stop(0), self._operator_server.stop(0))
            raise
        await self._data_server.start()
        await self._operator_server.start()
        self._spawn(self._tick())
        if self.tls_watch is not None:
            self._spawn(self.tls_watch.run())
        self._spawn(self._make_ready())

    def _listen(self) -> None:
        settings = self.settings
        self.operator_listening = self._operator_server.listen(
            settings.operator_listen, self._tls, private=True
        )
        self.listening = [self._data_server.listen(address, self._tls) for address in settings.listen]
        self.http = http_port.HttpServer(settings.http, self._pages())
        self._log.info(
            "listening",
            listen=[str(address) for address in self.listening],
            operator=str(self.operator_listening),
            http=str(self.http.address),
            tls=self._tls is not None,
        )

    def request_stop(self) -> None:
        """Drain and stop; once is enough."""
        if not self._stopping:
            self._stopping = True
            self._spawn(self._drain())

    def request_reload(self) -> None:
        """Read the configuration again, as soon as we are ready; and the TLS files, if they changed."""
        if self._stopping:
            return
        reload = self._spawn(self._reload_when_ready())
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)
        if self.tls_watch is not None:
            self._spawn(self.tls_watch.look(now=True))

    async def wait_ready(self) -> None:
        """Return when calls are served."""
        await self._ready.wait()

    async def _make_ready(self) -> None:
        try:
            store, engine = await in_daemon_thread(self._open)
        except StartError as error:
            self._refuse(error.code, problem=str(error))
            return
        except ConfigError as error:
            self._refuse(ExitCode.CONFIG, problems=[str(problem) for problem in error.problems])
            return
        if self._stopping:
            return
        settings = self.settings
        self.engine = engine
        self.durability = Durability(store, settings.fsync, settings.snapshot_interval_s)
        await self.durability.settled()
        if self._stopping:
            return  # the drain ends the journal
        self.reloader = Reloader(self._source, engine, self.clock.now_us, self.counts, self._settled)
        self._gates = Gates(engine)
        self._registry.register(metrics.EngineCollector(engine, self.clock))
        self._registry.register(self._gates)
        self._registry.register(DurabilityCollector(self.durability))
        self._bandit.engine = self._operator.engine = engine
        self._operator.reloader, self._operator.durability = self.reloader, self.durability
        self._spawn(self.durability.run())
        collector.freeze()
        self.counts.start_s = time.monotonic() - self._born_s
        self.health.set_serving()
        self._ready.set()
        self._log.info(
            "ready", placements=len(engine.state.placements), seconds=round(self.counts.start_s, 3)
        )

    def _open(self) -> tuple[Store, Engine]:
        prepare_kernels(self._log)
        return open_engine(self.settings, self._config, self._keys, self.clock)

    def _refuse(self, code: ExitCode, **facts: object) -> None:
        """End a start that cannot go on."""
        self.exit_code = code
        self._log.error("cannot start", exit_code=int(code), **facts)
        self.request_stop()

    def _commit(self) -> None:
        if self.durability is not None:
            self.durability.commit()

    async def _settled(self) -> None:
        if self.durability is not None:
            await self.durability.settled()

    async def _drain(self) -> None:
        grace_s = self.settings.drain_timeout_s
        self._log.info("draining", timeout_s=grace_s)
        try:
            self.health.drain()
            if self.settings.transport == "grpcio":
                self._bandit.engine = self._operator.engine = None
                await self._quiet(grace_s)
            await asyncio.gather(self._data_server.stop(grace_s), self._operator_server.stop(grace_s))
            if self.http is not None:
                await asyncio.to_thread(self.http.stop)
            await self._end_reloads()
            if self.durability is not None:
                await self.durability.close()
        except Exception:
            self.exit_code = ExitCode.FAILURE  # before anybody learns that we have stopped
            raise
        finally:
            for task in self._tasks - {asyncio.current_task()}:
                task.cancel()
            self._log.info("stopped", decisions=self._decisions())
            self.stopped.set()

    async def _end_reloads(self) -> None:
        """Give up reloads that are under way: nothing may be recorded behind the last snapshot."""
        reloads = list(self._reloads)
        for reload in reloads:
            reload.cancel()
        await asyncio.gather(*reloads, return_exceptions=True)

    async def _quiet(self, grace_s: float) -> None:
        """Return when clients have understood that we leave: their calls are refused until none comes.

        gRPC cuts off calls that are in its queues when a server shuts down, as CANCELLED, which clients do
        not repeat; ours they do. A pause in which this process had no turn itself says nothing of clients.
        """
        for _ in range(int(min(grace_s, QUIET_MAX_S) / QUIET_S)):
            refused = self.counts.errors.get(ShellReason.STARTING, 0)
            began_s = time.monotonic()
            await asyncio.sleep(QUIET_S)
            awake = time.monotonic() - began_s < 2 * QUIET_S
            if awake and refused == self.counts.errors.get(ShellReason.STARTING, 0):
                return

    def _decisions(self) -> int:
        placements = self.engine.state.placements.values() if self.engine else ()
        return sum(int(state.counters.decisions.sum()) for state in placements)

    async def _reload_when_ready(self) -> None:
        await self._ready.wait()
        if self.reloader is not None:
            await self.reloader.on_signal()
        if self.engine is not None:
            path = key_path(self.settings.key_file, self.settings.data_dir)
            await rekey(path, self.engine.rekey, self.counts)

    async def _tick(self) -> None:
        """Turn once a second: proof of life for /healthz, and a look at what nobody asked about."""
        degradation = Degradation()
        for turn in count():
            self._turned_s = time.monotonic()
            if self.clock.newly_departed():
                self._log.warning(
                    "the wall clock departed from the learning clock; reported times are off until a restart",
                    seconds=round(self.clock.departure_s(), 1),
                )
            if self._gates is not None and not self._stopping:
                self._gates.look(self.clock.now_us())
                self._commit()
            if self.engine is not None and turn % LOOK_EVERY_S == 0:
                degradation.look(self.engine.state.placements.values())
            await asyncio.sleep(TICK_S)

    def _pages(self) -> http_port.Pages:
        return {
            "/metrics": lambda: metrics.page(self._registry),
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }

    def _healthz(self) -> http_port.Page:
        silence_s = time.monotonic() - self._turned_s
        if silence_s > limits.LOOP_SILENCE_MAX_S:
            return http_port.text_page(
                f"the event loop has not turned for {silence_s:.0f} s", HTTPStatus.SERVICE_UNAVAILABLE
            )
        return http_port.text_page("alive")

    def _readyz(self) -> http_port.Page:
        if self.health.serving:
            return http_port.text_page("ready")
        return http_port.text_page(
            "draining" if self._stopping else "starting", HTTPStatus.SERVICE_UNAVAILABLE
        )

    def _server(self, methods: Methods, failures: Failures) -> Server:
        settings = self.settings
        bounds = settings.message_bytes_max, settings.streams_max, settings.calls_max
        if settings.transport == "grpcio":
            return GrpcioEngine(methods, self.counts, failures, *bounds, self._commit)
        return Ngh2Engine(methods, self.counts, failures, *bounds, settings.connections_max, self._commit)

    async def _renew_tls(self, tls: Tls) -> None:
        for server in (self._data_server, self._operator_server):
            await server.renew_tls(tls)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside us, holding on to it; if it fails, so do we."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.exit_code = ExitCode.FAILURE
            # no request is near: what it says may be logged
            self._log.error(
                "internal error", error=type(error).__name__, text=str(error), places=places(error)
            )
            self.request_stop()
