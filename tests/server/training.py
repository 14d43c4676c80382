"""What tests of `banditd train` share: a folder with a configuration, a mapping and logs, and the command."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from click.testing import CliRunner

from bandit.placement import PlacementState
from server.cli import cli
from server.exit_codes import StartError
from server.recovery import recover
from tests.core.world import Document, simple

LINES = "segment,pscore,visit,person,platform"
POLICIES = {"best": {"kind": "thompson"}, "personal": {"kind": "linear_thompson"}}
FEATURES = {"platform": {"kind": "category", "values": ["web", "app"]}}


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output; a refusal's code and message."""
    result = CliRunner().invoke(cli, arguments)
    if isinstance(result.exception, StartError):
        return result.exception.code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def campaign(*arms: str, **changes: object) -> Document:
    """A placement of arms whose visits count, with a platform, thompson and linear_thompson in a ramp."""
    ramp = {"policies": {"best": 0.5, "personal": 0.5}, "from": 0.5, "to": 0.9}
    reward = {"values": {"visit": 1}, "max": 1}
    document = {"policies": POLICIES, "features": FEATURES, "ramp": ramp, "reward": reward} | changes
    return simple(*arms, **document)


class Desk(NamedTuple):
    """A folder to train in; the data directory is `data`."""

    path: Path

    @property
    def data(self) -> Path:
        """Where training goes."""
        return self.path / "data"

    def configure(self, **placements: Document) -> None:
        """Write `config.yaml`."""
        document = {"version": 1, "placements": placements}
        (self.path / "config.yaml").write_text(yaml.safe_dump(document))

    def map(self, **keys: object) -> None:
        """Write `mapping.yaml` for the columns of LINES, with these keys."""
        mapping: Document = {
            "version": 1,
            "arm": {"column": "segment"},
            "categories": {"platform": "platform"},
            "events": {"visit": {"column": "visit"}},
        }
        (self.path / "mapping.yaml").write_text(yaml.safe_dump(mapping | keys))

    def log(self, lines: list[str]) -> Path:
        """Write `log.csv`."""
        path = self.path / "log.csv"
        path.write_text("\n".join([LINES, *lines, ""]))
        return path

    def train(self, log: Path, *arguments: str) -> tuple[int, str]:
        """Run the command, with the mapping unless the log is an export."""
        flags = ["--config", str(self.path / "config.yaml"), "--data-dir", str(self.data)]
        if log.suffix in {".csv", ".gz"}:
            flags += ["--mapping", str(self.path / "mapping.yaml")]
        return command("train", str(log), *flags, *arguments)

    def learned(self, lines: list[str], *arguments: str) -> dict[str, Any]:
        """What it says, from --json, of a log of these lines."""
        code, output = self.train(self.log(lines), *arguments, "--json")
        assert code == 0, output
        found: dict[str, Any] = json.loads(output)
        return found

    def state(self, placement: str = "p") -> PlacementState:
        """What a start finds in the data directory."""
        recovered = recover(self.data, ledger_bytes_max=2**20)
        assert recovered.problems == ()
        return recovered.state.placements[placement]


def desk(path: Path) -> Desk:
    """A desk for the placement `p` of a campaign of a and b, with propensities."""
    made = Desk(path)
    made.configure(p=campaign("a", "b"))
    made.map(propensity="pscore")
    return made


def drawn(number: int, seed: int = 5) -> list[str]:
    """Lines of a log that drew a and b alike; a earns 0.5, b 0.2."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(number):
        arm, platform = rng.choice(["a", "b"]), rng.choice(["web", "app"])
        visit = int(rng.random() < (0.5 if arm == "a" else 0.2))
        lines.append(f"{arm},0.5,{visit},visitor-{i},{platform}")
    return lines


def targeted(number: int, seed: int = 5) -> list[str]:
    """Lines of a log that shows a to 90 % of web, 10 % of app. Web buys more; everybody buys more from b."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(number):
        platform, likely = ("web", 0.9) if rng.random() < 0.5 else ("app", 0.1)
        arm, propensity = ("a", likely) if rng.random() < likely else ("b", 1 - likely)
        rate = (0.5 if platform == "web" else 0.1) + (0.1 if arm == "b" else 0.0)
        lines.append(f"{arm},{propensity:.1f},{int(rng.random() < rate)},visitor-{i},{platform}")
    return lines
