"""Configuration: from a plain document to frozen objects, in one pass and without side effects.

`parse` reads top down (parse.py), each concern in its own file, through one `Reader` that keeps the path and
collects the problems. What the core reads afterwards is in model.py.
"""

from bandit.config.canonical import canonical, measured_id
from bandit.config.columns import column_names, columns, columns_of
from bandit.config.keys import POLICY_KEYS
from bandit.config.memory import format_bytes, memory_bytes
from bandit.config.model import (
    EXPOSURE,
    STATIC,
    Arm,
    ArmState,
    Condition,
    Config,
    ExposureMode,
    Feature,
    FeatureKind,
    Gate,
    Placement,
    Policy,
    PolicyKind,
    Ramp,
    Reward,
    Scale,
)
from bandit.config.parse import combine, parse
from bandit.config.problems import ConfigError, Problem
from bandit.config.ramp import DEFAULT_GATE
from bandit.config.reader import path_step
from bandit.config.units import format_duration, format_time
from bandit.config.warn import warnings

__all__ = [
    "DEFAULT_GATE",
    "EXPOSURE",
    "POLICY_KEYS",
    "STATIC",
    "Arm",
    "ArmState",
    "Condition",
    "Config",
    "ConfigError",
    "ExposureMode",
    "Feature",
    "FeatureKind",
    "Gate",
    "Placement",
    "Policy",
    "PolicyKind",
    "Problem",
    "Ramp",
    "Reward",
    "Scale",
    "canonical",
    "column_names",
    "columns",
    "columns_of",
    "combine",
    "format_bytes",
    "format_duration",
    "format_time",
    "measured_id",
    "memory_bytes",
    "parse",
    "path_step",
    "warnings",
]
