"""Reading the configuration again, on SIGHUP and ReloadConfig.

It is parsed off the event loop and swapped in between requests.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import structlog

from bandit.config import Config, ConfigError, Placement, warnings
from bandit.engine import Engine
from bandit.errors import BanditError, Reason
from bandit.migrate import warnings_between
from server import collector
from server.counts import Counts
from server.logs import places

PROBLEMS_SHOWN = 20
"""Problems that a refusal quotes; the log has all of them."""


class Reloaded(NamedTuple):
    """What a reload changed: names of placements, sorted, and what is probably not meant."""

    placement_count: int
    added: list[str]
    removed: list[str]
    changed: list[str]
    warnings: list[str]


class Reloader:
    """Reads the configuration again, one attempt at a time. A bad one changes nothing.

    `settle` makes sure that one that was taken over stays so.
    """

    def __init__(
        self,
        source: Callable[[], Config],
        engine: Engine,
        now_us: Callable[[], int],
        counts: Counts,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._source = source
        self._settle = settle
        self._engine = engine
        self._now_us = now_us
        self._counts = counts
        self._turn = asyncio.Lock()
        self._log = structlog.get_logger()

    async def reload(self) -> Reloaded:
        """Read, parse and swap in. Raises BanditError CONFIG_INVALID with every problem's path and remedy.

        The swap happens between two requests, however long the reading took.
        """
        async with self._turn:
            before = {name: state.config for name, state in self._engine.state.placements.items()}
            try:
                config, result = await asyncio.to_thread(self._read, before)
                self._engine.reconfigure(config, self._now_us())
                await self._settle()
            except Exception as error:
                self._counts.reloads["refused"] += 1
                if isinstance(error, BanditError):
                    self._log.error("configuration refused, the old one stays", problems=[str(error)])
                if not isinstance(error, ConfigError):
                    raise
                problems = [str(problem) for problem in error.problems]
                self._log.error("configuration refused, the old one stays", problems=problems)
                raise _refusal(problems) from error
            self._counts.reloads["applied"] += 1
            self._log.info("configuration applied", **result._asdict())
            return result

    def _read(self, before: Mapping[str, Placement]) -> tuple[Config, Reloaded]:
        """All that can be done off the event loop: a thousand placements take a second."""
        with collector.resting():
            config = self._source()
            after = config.placements
            return config, Reloaded(
                placement_count=len(after),
                added=sorted(after.keys() - before.keys()),
                removed=sorted(before.keys() - after.keys()),
                changed=sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
                warnings=[str(problem) for problem in (*warnings_between(before, config), *warnings(config))],
            )

    async def on_signal(self) -> None:
        """Reload because of SIGHUP: there is no caller to tell, the log and the metric say what happened."""
        try:
            await self.reload()
        except BanditError:
            return  # it is logged and counted
        except Exception as error:  # noqa: BLE001 - a fault in reading is no reason to stop serving
            self._log.error(
                "internal error, the old configuration stays",
                error=type(error).__name__,
                places=places(error),
            )


def _refusal(problems: list[str]) -> BanditError:
    more = len(problems) - PROBLEMS_SHOWN
    shown = problems[:PROBLEMS_SHOWN] + (
        [f"and {more} more: see `banditd check` or the log"] if more > 0 else []
    )
    return BanditError(
        Reason.CONFIG_INVALID,
        "the configuration was refused, the old one stays: " + "; ".join(shown),
        problems=str(len(problems)),
    )
