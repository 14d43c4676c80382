"""Making an engine of a data directory and today's configuration, and saying what was found there."""

import structlog

from bandit.config import Config
from bandit.engine import Engine
from bandit.migrate import warnings_between
from bandit.token import Keys
from server.clock import LearningClock
from server.exit_codes import ExitCode, StartError
from server.keys import new_start_id, origin_name
from server.recovery import Recovered, boot_id
from server.settings import Settings
from server.store import Keep, Store, is_full


def open_engine(settings: Settings, config: Config, keys: Keys, clock: LearningClock) -> tuple[Store, Engine]:
    """Recover what earlier processes learned, and go on with it; `clock` goes on behind the last record.

    Raises StartError where recovery refuses, ConfigError if the configuration cannot follow the last one.
    """
    origin = origin_name()
    store = _store(settings, origin)
    _report(store, config)
    served = bool(store.state.starts)  # what was trained waits for its first start as long as it takes
    if clock.resume(store.state.time_us, accept=settings.accept_clock or not served):
        structlog.get_logger().warning(
            "the wall clock is behind the last record, or over 31 days ahead of it: learning time goes on "
            "from that record; set the clock, or start with --accept-clock if it is right",
            seconds=round(clock.departure_s(), 1),
        )
    engine = Engine(
        config,
        keys,
        origin=origin,
        start_id=new_start_id(),
        now_us=clock.now_us(),
        state=store.state,
        journal=store,
    )
    return store, engine


def _store(settings: Settings, origin: str) -> Store:
    try:
        return Store(
            settings.data_dir,
            ledger_bytes_max=settings.ledger_bytes_max,
            origin=origin,
            boot=boot_id(),
            segment_bytes=settings.journal_segment_bytes,
            keep=Keep(settings.journal_keep_s, settings.journal_max_bytes),
            progress=_replaying,
            found=_report_damage,
        )
    except OSError as error:
        place = error.filename or settings.data_dir
        if is_full(error):
            raise StartError(
                ExitCode.DISK,
                f"{str(place)!r} cannot be written to ({error.strerror}): make room, and start again",
            ) from error
        raise StartError(
            ExitCode.FILES,
            f"{str(place)!r} cannot be used ({error.strerror}); give the service's user the data directory "
            "and all that is in it, on a disk that works",
        ) from error


def _replaying(records: int, at_least: int) -> None:
    structlog.get_logger().info("replaying the journal", records=records, of_at_least=at_least)


def _report_damage(recovered: Recovered) -> None:
    """Say what was found damaged: at once, since the next start will not find it any more."""
    log = structlog.get_logger()
    for problem in recovered.problems:
        log.error("found damaged, went on without it", problem=problem)
    for path in recovered.aside:
        log.warning("kept aside", file=str(path))


def _report(store: Store, config: Config) -> None:
    """Say what was found, and what of it today's configuration changes or does not have any more."""
    log, recovered = structlog.get_logger(), store.recovered
    before = {name: held.config for name, held in store.state.placements.items()}
    if not before:
        return
    log.info(
        "recovered",
        snapshot=recovered.base.path.name if recovered.base else None,
        records=recovered.records,
        placements=len(before),
    )
    for warning in warnings_between(before, config):
        log.warning("configuration", warning=str(warning))
    gone = sorted(before.keys() - config.placements.keys())
    if gone and len(gone) == len(before):
        raise StartError(
            ExitCode.CONFIG,
            f"none of the {len(before)} placements that the data directory knows ({', '.join(gone[:5])}"
            f"{', …' if len(gone) > 5 else ''}) is configured, and what they learned would end: give their "  # noqa: PLR2004
            "configuration with --config, or another directory with --data-dir",
        )
    if gone:
        log.warning("placements are configured no more: what they learned ends", placements=gone)
