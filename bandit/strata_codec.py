"""A placement's strata, and what each index ever given means today, as fields of msgpack (docs/format.md)."""

import numpy as np

from bandit.arrivals_codec import pack_recent, read_recent
from bandit.config import Placement
from bandit.fields import Fields
from bandit.limits import STRATA_MAX
from bandit.strata import OVERFLOW, Strata, Stratum
from bandit.tally_codec import pack_sums, read_sums


def pack_strata(where: str, config: Placement, strata: Strata) -> dict[str, object]:
    """Return the fields of strata. Raises SectionError for a sum that is not finite."""
    packed = [
        {
            "index": stratum.index,
            "in_scope": stratum.in_scope,
            "arms": [config.arms[k].id for k in stratum.eligible.tolist()],
            "tally": pack_sums(where, stratum.tally),
            **pack_recent(where, stratum.recent),
        }
        for stratum in strata
    ]
    return {"strata": packed, "indices": np.array(strata.indices(), "<u2").tobytes()}


def read_strata(fields: Fields, config: Placement) -> Strata:
    """Return the strata in a section. Raises SectionError."""
    strata = [_stratum(inner, config) for inner in fields.inners("strata")]
    own = [stratum.index for stratum in strata]
    if len({(stratum.mask, stratum.in_scope) for stratum in strata}) != len(strata) or len(own) > STRATA_MAX:
        raise fields.refuse("strata", f"at most {STRATA_MAX}, no two alike", len(own))
    data = fields.binary("indices")
    indices = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
    used = indices != OVERFLOW
    sound = (
        len(data) % 2 == 0
        and len(indices) <= OVERFLOW
        and np.unique(indices[used]).tolist() == own
        and (indices[used] <= np.flatnonzero(used)).all()
        and indices[own].tolist() == own
    )
    if not sound:
        raise fields.refuse("indices", f"what each means: one of {own}, not after it, or {OVERFLOW}", data)
    return Strata.restored(strata, indices.tolist())


def _stratum(fields: Fields, config: Placement) -> Stratum:
    ids = [arm.id for arm in config.arms]
    eligible = fields.array("arms")
    mask = sum(1 << k for k, arm in enumerate(ids) if arm in eligible)
    if not eligible or [ids[k] for k in range(len(ids)) if mask >> k & 1] != eligible:
        raise fields.refuse("arms", "some of the section's arms, in its order", eligible)
    tally = read_sums(fields.inner("tally"), len(ids))
    index = fields.integer("index", 0, OVERFLOW - 1)
    stratum = Stratum(config, index, mask, in_scope=fields.flag("in_scope"), tally=tally)
    read_recent(fields, stratum.recent)
    return stratum
