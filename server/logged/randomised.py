"""Whether a log without propensities looks as if its arms had been drawn without looking at the context."""

from bandit.comparing import dependences
from bandit.config import Placement, column_names
from server.logged.logs import Loaded
from server.replays.rows import LogError

NEEDED = "has no propensities ($.propensity of the mapping names their column), and cannot do without"


def check_independent(loaded: Loaded, placement: Placement) -> None:
    """Refuse a log whose arms depend on a column of the context. Raises LogError."""
    columns = column_names(placement)
    found = dependences(loaded.log, len(columns))
    if not found:
        return
    arm, column, among, mean = found[0]
    saw = f"saw arm {placement.arms[arm].id!r}" if arm >= 0 else "saw arms that the placement does not have"
    raise LogError(
        f"{loaded.source}: {NEEDED}: those who {saw} have a mean of {among:.3g} in the column "
        f"{columns[column]!r}, all have {mean:.3g}, so arms were not drawn at random, and who saw one is not "
        "like who saw another"
    )
