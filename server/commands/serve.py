"""`banditd serve`: flags to settings, settings to a running sidecar, signals to its stop and reload."""

import asyncio
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bandit.limits import JOURNAL_SEGMENT_BYTES, LEDGER_BYTES_MAX
from server import limits
from server.addresses import OPERATOR_SOCKET, Address, parse_address
from server.exit_codes import ExitCode, StartError
from server.settings import Fsync, Settings, Transport
from server.tls import TlsFiles

if TYPE_CHECKING:
    from bandit.config import Config

DEMO = Path(__file__).parents[1] / "defaults" / "demo.yaml"
"""The embedded example, served when no --config is given."""


class AddressType(click.ParamType[Address]):
    """An address to listen on."""

    name = "HOST:PORT|unix:PATH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """The address in a flag's text; a usage error when it is none."""
        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class DurationType(click.ParamType[float]):
    """A duration, in seconds."""

    name = "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds in e.g. "10s"; a usage error when it is no duration."""
        from bandit.config.units import DURATION_FORM, SECOND_US, parse_duration

        duration_us = parse_duration(str(value))
        if duration_us is None:
            self.fail(f"{value!r} is no duration: expected {DURATION_FORM}", param, ctx)
        return duration_us / SECOND_US


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("serve")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration: a YAML file, or a directory of them. Default: an embedded example.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="Where the key, the operator's socket and all that is learned live.",
)
@click.option(
    "--listen",
    type=AddressType(),
    multiple=True,
    default=("127.0.0.1:50051",),
    show_default=True,
    help="Where applications call. May be repeated.",
)
@click.option(
    "--operator-listen",
    type=AddressType(),
    help="Where operators call.  [default: operator.sock in the data directory, for its owner alone]",
)
@click.option(
    "--http",
    type=AddressType(),
    default="127.0.0.1:9100",
    show_default=True,
    help="Where /metrics, /healthz and /readyz are.",
)
@click.option("--tls-cert", type=_FILE, help="Certificate chain (PEM): TLS on every TCP listener of gRPC.")
@click.option("--tls-key", type=_FILE, help="Private key of --tls-cert (PEM, no password).")
@click.option(
    "--tls-client-ca", type=_FILE, help="Who signs clients' certificates (PEM): only such clients may call."
)
@click.option(
    "--key-file",
    type=_FILE,
    help="Secrets of tokens and routing.  [default: secret.key in the data directory, made if missing]",
)
@click.option("--allow-insecure", is_flag=True, help="Allow listening beyond this machine without TLS.")
@click.option(
    "--drain-timeout",
    type=DurationType(),
    default="10s",
    show_default=True,
    help="How long a stop waits for calls under way.",
)
@click.option(
    "--transport",
    type=click.Choice(["ngh2", "grpcio"]),
    default="ngh2",
    show_default=True,
    help="The engine of gRPC: ours, or the reference, which is slower.",
)
@click.option(
    "--message-bytes-max",
    type=click.IntRange(1024, 64 * 2**20),
    default=limits.MESSAGE_BYTES_MAX,
    show_default=True,
    help="Largest message that is received.",
)
@click.option(
    "--streams-max",
    type=click.IntRange(1, 100_000),
    default=limits.STREAMS_MAX,
    show_default=True,
    help="Calls at once on one connection.",
)
@click.option(
    "--calls-max",
    type=click.IntRange(1, 1_000_000),
    default=limits.CALLS_MAX,
    show_default=True,
    help="Calls at once in all; more are refused with RESOURCE_EXHAUSTED.",
)
@click.option(
    "--connections-max",
    type=click.IntRange(1, 1_000_000),
    default=limits.CONNECTIONS_MAX,
    show_default=True,
    help="Connections at once; more are closed as they are made (ngh2).",
)
@click.option(
    "--ledger-bytes-max",
    type=click.IntRange(2**20),
    default=LEDGER_BYTES_MAX,
    show_default=True,
    help="Memory for what keeps rewards from being counted twice.",
)
@click.option(
    "--fsync",
    type=click.Choice(["always", "interval", "never"]),
    default="interval",
    show_default=True,
    help="What a power cut may lose: nothing acknowledged, the last second, or what the system held back.",
)
@click.option(
    "--snapshot-interval",
    type=DurationType(),
    default="60s",
    show_default=True,
    help="How often a snapshot is taken; 0s: only when asked for, and at the stop.",
)
@click.option(
    "--journal-keep",
    type=DurationType(),
    default="0s",
    show_default=True,
    help="How long journal that snapshots hold is kept, for explain, export and evaluate.",
)
@click.option(
    "--journal-max-bytes",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Most bytes of journal that --journal-keep keeps; 0: any.",
)
@click.option(
    "--journal-segment-bytes",
    type=click.IntRange(2**20, 2**30),
    default=JOURNAL_SEGMENT_BYTES,
    show_default=True,
    help="Bytes of each of the journal's files.",
)
@click.option(
    "--accept-clock",
    is_flag=True,
    help="Believe a wall clock that is more than 31 days ahead of the last record.",
)
def serve(
    *,
    config: Path | None,
    data_dir: Path,
    listen: tuple[Address, ...],
    operator_listen: Address | None,
    http: Address,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    key_file: Path | None,
    allow_insecure: bool,
    drain_timeout: float,
    transport: Transport,
    message_bytes_max: int,
    streams_max: int,
    calls_max: int,
    connections_max: int,
    ledger_bytes_max: int,
    fsync: Fsync,
    snapshot_interval: float,
    journal_keep: float,
    journal_max_bytes: int,
    journal_segment_bytes: int,
    accept_clock: bool,
) -> None:
    """Choose and learn: run the sidecar until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    settings = Settings(
        config=config,
        data_dir=data_dir,
        listen=listen,
        operator_listen=operator_listen or _operator_socket(data_dir),
        http=http,
        tls=_tls_files(tls_cert, tls_key, tls_client_ca),
        key_file=key_file,
        allow_insecure=allow_insecure,
        drain_timeout_s=drain_timeout,
        transport=transport,
        message_bytes_max=message_bytes_max,
        streams_max=streams_max,
        calls_max=calls_max,
        connections_max=connections_max,
        ledger_bytes_max=ledger_bytes_max,
        fsync=fsync,
        snapshot_interval_s=snapshot_interval,
        journal_keep_s=journal_keep,
        journal_max_bytes=journal_max_bytes,
        journal_segment_bytes=journal_segment_bytes,
        accept_clock=accept_clock,
    )
    if http.path:
        raise click.BadParameter("expected HOST:PORT", param_hint="--http")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until we can reload: its default would end us
    sys.exit(run(settings))


def run(settings: Settings) -> ExitCode:
    """Serve until stopped. Whatever prevents the start is logged, and is the exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what gRPC says of a failed bind, we say ourselves
    import structlog

    from server import logs

    logs.configure()
    log = structlog.get_logger()
    try:
        return _run(settings)
    except StartError as error:
        log.error(  # noqa: TRY400 - the message is the whole story
            "cannot start", problem=str(error), exit_code=int(error.code)
        )
        return error.code


def _run(settings: Settings) -> ExitCode:
    import structlog

    from bandit.config import ConfigError, warnings
    from server import config_files, data_dir

    log = structlog.get_logger()
    settings.check()
    path = settings.config or DEMO
    if settings.config is None:
        log.info("no --config: serving the embedded example", config=str(path))
    try:
        config = config_files.load(path)
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
        log.error(  # noqa: TRY400 - the problems are the whole story
            "configuration refused", problems=problems, exit_code=int(ExitCode.CONFIG)
        )
        return ExitCode.CONFIG
    for problem in warnings(config):
        log.warning("configuration", warning=str(problem))
    with data_dir.held(settings.data_dir):
        return _serve(settings, path, config)


def _serve(settings: Settings, path: Path, config: "Config") -> ExitCode:
    """Serve `config`, which was read from `path`, with the data directory to ourselves."""
    import structlog
    import uvloop

    from server import config_files, keys
    from server.tls import load_tls

    log = structlog.get_logger()
    held = keys.load(settings.key_file, settings.data_dir)
    tls = load_tls(settings.tls) if settings.tls else None
    if tls is not None:
        log.info("TLS", expires=tls.expires.isoformat(), clients_need_certificates=tls.client_ca is not None)
    if settings.allow_insecure:
        log.warning("--allow-insecure: whoever reaches these addresses may call, and read along")

    async def live() -> ExitCode:
        from server.lifecycle import Sidecar

        sidecar = Sidecar(settings, lambda: config_files.load(path), config, held, tls)
        await sidecar.start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, sidecar.request_stop)
        loop.add_signal_handler(signal.SIGHUP, sidecar.request_reload)
        await sidecar.stopped.wait()
        return sidecar.exit_code

    connections_max = _raise_descriptor_limit(settings.connections_max)
    settings = replace(settings, connections_max=connections_max)
    sys.setswitchinterval(limits.SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(live())


def _raise_descriptor_limit(connections_max: int) -> int:
    """Let the process have descriptors for so many connections; return for how many the system allows."""
    import structlog

    wanted = connections_max + limits.DESCRIPTORS_SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == wanted:
        return connections_max
    possible = max(1, allowed - limits.DESCRIPTORS_SPARE)
    structlog.get_logger().warning(
        "fewer connections than --connections-max: raise the limit of descriptors (ulimit -n)",
        connections=possible,
        descriptors=allowed,
        wanted=wanted,
    )
    return possible


def _operator_socket(data_dir: Path) -> Address:
    try:
        return parse_address(f"unix:{data_dir / OPERATOR_SOCKET}")
    except ValueError as error:
        raise StartError(
            ExitCode.USAGE, f"{error} (--operator-listen sets it apart from --data-dir)"
        ) from None


def _tls_files(cert: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    if (cert is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    if cert is None or key is None:
        if client_ca is not None:
            raise click.UsageError("--tls-client-ca needs --tls-cert and --tls-key")
        return None
    return TlsFiles(cert, key, client_ca)
