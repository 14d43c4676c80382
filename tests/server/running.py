"""Running sidecars for tests: in this process on one event loop's thread, or as a process of their own."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import uvloop
from google.rpc import error_details_pb2, status_pb2

from bandit.config import Config
from bandit.engine import Engine
from bandit.token import Keys
from loadtest.hostile_server import PATIENT, program
from server import config_files
from server.addresses import Address
from server.lifecycle import Sidecar
from server.pb import bandit_pb2 as pb
from server.pb import bandit_pb2_grpc as pb_grpc
from server.settings import Settings
from server.tls import load_tls

T = TypeVar("T")

WAIT_S = 60.0
"""Seconds after which whatever a test waits for is given up."""

LOOPBACK = Address(host="127.0.0.1", port=0)

SECRET = bytes(range(32))

CONFIG = """
version: 1
owner: tests
placements:
  hero:
    arms:
      a: {weight: 1, payload: '{"banner": "a"}'}
      b: {weight: 2}
      c: {weight: 1, when: {platform: [web]}}
      old: {weight: 1, state: draining}
    features:
      platform: {kind: category, values: [web, app]}
      history: {kind: number, min: 0, max: 100}
      returning: {kind: boolean}
    reward:
      window: 24h
      values: {click: 1.0, purchase: 0.5}
      max: 5.0
      repeatable: [purchase]
    policies:
      best-arm: {kind: thompson, explore: 0.05}
      personal: {kind: linear_thompson, explore: 0.05}
    ramp:
      policies: {best-arm: 0.5, personal: 0.5}
      start: 2026-01-01T00:00:00Z
      from: 0.5
      to: 0.5
      over: 1d
  web-only:
    arms:
      a: {weight: 1, when: {platform: [web]}}
    features:
      platform: {kind: category, values: [web, app]}
    reward:
      window: 1h
      values: {click: 1.0}
      max: 1.0
"""


Dial = Callable[[str], grpc.Channel]
"""Opens a channel to a target."""


def dial_plain(target: str) -> grpc.Channel:
    """A channel with a connection of its own; grpcio otherwise shares them in a process."""
    return grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)])


class Loop:
    """An event loop in a thread, of the kind `serve` runs on; every in-process sidecar lives on it."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sidecars", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def call(self, work: Callable[[], T]) -> T:
        """The result of a plain function, called on the loop's thread, between two requests."""

        async def on_the_loop() -> T:
            return work()

        return self.run(on_the_loop())

    @contextmanager
    def held(self) -> Iterator[None]:
        """The loop does nothing else from before the block begins until it has ended."""
        holding, go = threading.Event(), threading.Event()

        def hold() -> None:
            holding.set()
            assert go.wait(WAIT_S)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(self.call, hold)
            assert holding.wait(WAIT_S)
            try:
                yield
            finally:
                go.set()
            done.result(WAIT_S)

    def close(self) -> None:
        """Stop the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Running:
    """One in-process sidecar with channels to it."""

    def __init__(self, loop: Loop, sidecar: Sidecar, config: Path, dial: Dial) -> None:
        self.loop = loop
        self.sidecar = sidecar
        self.config = config
        self.target = str(sidecar.listening[0])
        self.channel = dial(self.target)
        self.operator_channel = grpc.insecure_channel(str(sidecar.operator_listening))
        self.bandit: pb_grpc.BanditServiceStub = pb_grpc.BanditServiceStub(self.channel)
        self.operator: pb_grpc.OperatorServiceStub = pb_grpc.OperatorServiceStub(self.operator_channel)

    @property
    def engine(self) -> Engine:
        """The real engine; look at it only while no call is under way."""
        assert self.sidecar.engine is not None
        return self.sidecar.engine

    @property
    def http(self) -> str:
        """The HTTP port's base URL."""
        assert self.sidecar.http is not None
        return f"http://{self.sidecar.http.address}"

    def choose(self, placement: str = "hero", **fields: Any) -> pb.ChooseResponse:
        """One decision."""
        response: pb.ChooseResponse = self.bandit.Choose(
            pb.ChooseRequest(placement=placement, **fields), timeout=WAIT_S
        )
        return response

    def reward(self, decision_id: str, event: str = "click", **fields: Any) -> int:
        """One event's outcome."""
        request = pb.RewardRequest(decision_id=decision_id, event=event, **fields)
        return int(self.bandit.Reward(request, timeout=WAIT_S).outcome)

    def stop(self) -> None:
        """Drain and wait for the end."""
        self.loop.call(self.sidecar.request_stop)
        self.loop.run(self.sidecar.stopped.wait())


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Settings for a sidecar that lives in `folder` and on free ports."""
    fixed: dict[str, Any] = {
        "config": folder / "config.yaml",
        "data_dir": folder / "data",
        "listen": (LOOPBACK,),
        "operator_listen": Address(path=str(folder / "operator.sock")),
        "http": LOOPBACK,
        "journal_segment_bytes": 2**20,
    }
    return Settings(**(fixed | changes))


@contextmanager
def running(
    loop: Loop,
    folder: Path,
    text: str = CONFIG,
    *,
    wait: bool = True,
    clock: Any = None,
    dial: Dial = dial_plain,
    **changes: Any,
) -> Iterator[Running]:
    """A sidecar in this process, serving `text`; ready unless `wait` is False; `changes` are of Settings."""
    settings = settings_in(folder, **changes)
    path = folder / "config.yaml"
    path.write_text(text)

    def source() -> Config:
        return config_files.load(path)

    async def start() -> Sidecar:
        tls = load_tls(settings.tls) if settings.tls else None
        sidecar = Sidecar(settings, source, source(), Keys.derive(SECRET), tls, clock)
        await sidecar.start()
        if wait:
            await sidecar.wait_ready()
        return sidecar

    result = Running(loop, loop.run(start()), path, dial)
    try:
        yield result
    finally:
        result.channel.close()
        result.operator_channel.close()
        result.stop()


class Process:
    """`banditd serve` as a process of its own, which sheds no call for waiting, with its log lines."""

    def __init__(self, folder: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.lines: list[dict[str, Any]] = []
        self._seen = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *program(PATIENT), "serve", "--http", "127.0.0.1:0", *flags],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._seen:
                self.lines.append(json.loads(line))
                self._seen.notify_all()
        self.process.stderr.close()

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The `count`th log line about `event`, waiting for it as long as other lines come."""
        with self._seen:
            while True:
                found = [line for line in self.lines if line["event"] == event]
                if len(found) >= count:
                    return found[count - 1]
                assert self.process.poll() is None, self.lines
                assert self._seen.wait(WAIT_S), f"no {event!r} in {self.lines}"

    def end(self, signal_number: int | None = None) -> int:
        """The exit code, after sending a signal if there is one to send."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        code = self.process.wait(WAIT_S)
        self._reader.join()
        return code


@contextmanager
def process(folder: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    """A process that is ended with the test, however that goes."""
    result = Process(folder, *flags, env=env)
    try:
        yield result
    finally:
        if result.process.poll() is None:
            result.process.kill()
        result.end()


def unary(channel: grpc.Channel, path: str, data: bytes = b"") -> bytes:
    """Bytes to a unary method, bytes back."""
    call: Any = channel.unary_unary(path)
    reply: bytes = call(data, timeout=WAIT_S)
    return reply


def stream(channel: grpc.Channel, path: str, requests: Iterator[bytes]) -> Iterator[bytes]:
    """Bytes to a streaming method, bytes back as they come."""
    call: Any = channel.stream_stream(path)
    replies: Iterator[bytes] = call(requests, timeout=WAIT_S)
    return replies


def error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """The one ErrorInfo in the details of a failed call."""
    trailers: dict[str, Any] = dict(error.trailing_metadata())  # type: ignore[arg-type]  # pairs, as they come
    raw = trailers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(raw)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return item_info(status)


def item_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """The one ErrorInfo in a status."""
    info = error_details_pb2.ErrorInfo()
    (detail,) = status.details
    assert detail.Unpack(info)
    assert info.domain == "bandit.v1"
    return info


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo]:
    """The code and ErrorInfo of a call that must fail."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error_info(error)
    raise AssertionError("the call was answered")
