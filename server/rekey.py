"""Reading the key file again, on SIGHUP: keys rotate without a restart."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from bandit.token import Keys
from server import keys
from server.counts import Counts
from server.exit_codes import StartError


async def rekey(path: Path, take: Callable[[Keys], bool], counts: Counts) -> None:
    """Hand the keys of the file to `take`, between two calls. A bad file changes nothing; the log says why.

    `take` is the engine's: whether they were other keys, or ValueError if they may not follow its own.
    """
    log = structlog.get_logger()
    try:
        found = await asyncio.to_thread(keys.read, path)
        changed = take(found)
    except (StartError, ValueError) as error:
        counts.key_reloads["refused"] += 1
        log.error(  # noqa: TRY400 - the message is the whole story
            "key file refused, the old keys stay", path=str(path), problem=str(error)
        )
        return
    if changed:
        counts.key_reloads["applied"] += 1
        log.info("keys taken over", seals=found.current, opens=sorted(found.masters))
