"""From a document to a configuration: the contract's keys, top down.

Nothing here has a side effect, and a document with any problem gives no configuration at all: `ConfigError`
carries all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from bandit.config.arms import parse_arms
from bandit.config.canonical import schema_id, written
from bandit.config.features import parse_features
from bandit.config.keys import KEYS
from bandit.config.memory import format_bytes, memory_bytes
from bandit.config.model import Config, ExposureMode, Placement
from bandit.config.policies import parse_policies
from bandit.config.problems import ConfigError, Problem
from bandit.config.ramp import parse_ramp
from bandit.config.reader import Reader
from bandit.config.reward import parse_reward
from bandit.config.wording import show
from bandit.limits import CATEGORY_BYTES_MAX, MODEL_BYTES_MAX, MODEL_BYTES_TOTAL_MAX, PLACEMENTS_MAX

VERSION = 1


def parse(document: object) -> Config:
    """Return the configuration in a plain document: a mapping, as a YAML or JSON reader gives it.

    Raises ConfigError with every problem found. Equal documents give equal configurations, byte for byte
    in their schema ids.
    """
    root = Reader(dict(document) if isinstance(document, Mapping) else document)
    fields = root.fields(KEYS["document"])
    _version(fields["version"])
    owner = fields["owner"].text(CATEGORY_BYTES_MAX, "")
    placements = {
        name: _placement(name, owner, entry)
        for name, entry in fields["placements"].entries("placement", PLACEMENTS_MAX)
    }
    if root.noted:
        raise ConfigError(root.noted)
    return _config(placement for placement in placements.values() if placement)


def combine(parts: Mapping[str, Config]) -> Config:
    """Return one configuration of several, by the name of the file each came from.

    Raises ConfigError when two define the same placement, naming both, or when all together are too much.
    """
    origin: dict[str, str] = {}
    problems: list[Problem] = []
    for source, part in parts.items():
        for name in part.placements:
            if name in origin:
                message = f"placement {name!r} is defined in {origin[name]} too; keep it in one file"
                problems.append(Problem(f"$.placements.{name}", message, source))
            origin.setdefault(name, source)
    if len(origin) > PLACEMENTS_MAX:
        message = f"got {len(origin)} placements in all files, expected at most {PLACEMENTS_MAX}"
        problems.append(Problem("$.placements", message))
    if problems:
        raise ConfigError(problems)
    return _config(placement for part in parts.values() for placement in part.placements.values())


def _config(placements: Iterable[Placement]) -> Config:
    config = Config(
        MappingProxyType({entry.name: entry for entry in sorted(placements, key=lambda p: p.name)})
    )
    total = sum(map(memory_bytes, config.placements.values()))
    if total > MODEL_BYTES_TOTAL_MAX:
        message = (
            f"all placements together need {format_bytes(total)} of memory, expected at most "
            f"{format_bytes(MODEL_BYTES_TOTAL_MAX)}; use fewer placements, arms or columns"
        )
        raise ConfigError([Problem("$.placements", message)])
    return config


def _version(reader: Reader) -> None:
    if reader.present and (reader.value != VERSION or isinstance(reader.value, bool | float)):
        reader.refuse(
            f"got {show(reader.value)}, expected {VERSION}, the version of the form this program reads"
        )
    elif not reader.present:
        reader.integer(at_least=VERSION, at_most=VERSION)


def _placement(name: str, owner: str, reader: Reader) -> Placement | None:
    fields = reader.fields(KEYS["placement"])
    features = parse_features(fields["features"])
    policies, policy_names = parse_policies(fields["policies"])
    placement = Placement(
        name=name,
        owner=owner,
        arms=parse_arms(fields["arms"], features),
        features=tuple(feature for feature in features.values() if feature),
        reward=parse_reward(fields["reward"]),
        exposure=fields["exposure"].choice(ExposureMode, list(ExposureMode), ExposureMode.ON_CHOOSE)
        or ExposureMode.ON_CHOOSE,
        half_life_us=fields["half_life"].duration_us() if fields["half_life"].present else None,
        policies=policies,
        ramp=parse_ramp(fields["ramp"], policy_names, features),
        document="",
        schema_id=b"",
    )
    if not reader.sound:
        return None
    size = memory_bytes(placement)
    if size > MODEL_BYTES_MAX:
        reader.refuse(
            f"needs {format_bytes(size)} of memory, expected at most {format_bytes(MODEL_BYTES_MAX)}: "
            f"it grows with arms x columns²; use fewer arms, values or buckets, or one prior_precision"
        )
    document = written(placement)
    return replace(placement, document=document, schema_id=schema_id(document))
