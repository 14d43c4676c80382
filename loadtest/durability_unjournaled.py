"""`banditd` whose engine has no journal: what the journal costs is what the real one takes longer.

    python -m loadtest.durability_unjournaled serve --listen 127.0.0.1:0

Only the benchmark runs it, and no flag of the service does this: what it learns is gone when it ends.
"""

from bandit.config import Config
from bandit.engine import Engine
from bandit.token import Keys
from server import cli, lifecycle, opening
from server.clock import LearningClock
from server.settings import Settings
from server.store import Store


def open_engine(settings: Settings, config: Config, keys: Keys, clock: LearningClock) -> tuple[Store, Engine]:
    """As `server.opening.open_engine`, which journals the start; the engine then forgets its journal."""
    store, engine = opening.open_engine(settings, config, keys, clock)
    engine._journal = None  # noqa: SLF001 - nothing else can, nor should
    return store, engine


if __name__ == "__main__":
    vars(lifecycle)["open_engine"] = open_engine
    cli.main()
