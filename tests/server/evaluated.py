"""What tests of `banditd evaluate` share: an export of a real engine, and the command."""

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner

from bandit.config import EXPOSURE
from server.cli import cli
from server.exit_codes import StartError
from tests.core.world import DAY, SECOND, Document, hero, simple
from tests.server.data_dirs import Served

Found = dict[str, Any]


class Case(NamedTuple):
    """An export, the data directory it is of, and room for candidates."""

    served: Served
    file: Path

    def run(self, candidate: Document, *arguments: str, log: Path | None = None) -> tuple[int, str]:
        """Exit code and output of `banditd evaluate`; a refusal's code and message."""
        return invoke(log or self.file, candidate, *arguments)

    def report(self, candidate: Document, log: Path | None = None) -> Found:
        """What it found, from --json."""
        code, output = self.run(candidate, "--json", log=log)
        assert code == 0, output
        found: Found = json.loads(output)
        return found

    def altered(self, name: str, column: pa.Array) -> Path:
        """The file with another column, in a file of its own."""
        table = pq.read_table(self.file)
        path = self.file.with_name("altered.parquet")
        pq.write_table(table.set_column(table.column_names.index(name), name, column), path)
        return path


def invoke(log: Path, candidate: Document, *arguments: str) -> tuple[int, str]:
    """Run the command on a log and a candidate that has the one placement `p`."""
    path = log.parent / "candidate.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "placements": {"p": candidate}}))
    return command(str(log), "--config", str(path), *arguments)


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output; a refusal's code and message."""
    result = CliRunner().invoke(cli, ["evaluate", *arguments])
    if isinstance(result.exception, StartError):
        return result.exception.code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def policy(found: Found, name: str) -> Found:
    """One policy of a report."""
    (one,) = [one for one in found["policies"] if one["policy"] == name]
    return dict(one)


def traffic(served: Served, visits: int = 1500) -> None:
    """Visitors to `p` who come several times, whose platform says which arm they like; some is deferred."""
    rng = random.Random(3)
    for _ in range(visits):
        served.now += SECOND
        platform = rng.choice(["web", "app", "tv"])
        deferred, shown = rng.random() < 0.4, rng.random() < 0.5
        choice = served.choose(
            unit=f"visitor-{rng.randrange(visits // 3)}",
            categories={"platform": platform, "country": rng.choice(["de", "us", "nl"])},
            numbers={"history": rng.uniform(0, 3000), "returning": float(rng.random() < 0.5)},
            deferred=deferred,
        )
        if deferred and not shown:
            continue
        if deferred:
            served.reward(choice, EXPOSURE)
        liked = {"web": "mens", "app": "womens", "tv": "none"}[platform]
        if rng.random() < (0.6 if choice.arm == liked else 0.1):
            served.reward(choice, "visit")
        if rng.random() < 0.1:
            served.reward(choice, "purchase", rng.uniform(1, 90), "1")
    served.now += 2 * DAY
    served.choose(unit="last", categories={"platform": "web"})


def made(folder: Path) -> Case:
    """1,500 decisions of a placement with everything, and one of two days later."""
    served = Served(folder / "data", p=hero(ramp=None), q=simple())
    traffic(served)
    out = folder / "out.parquet"
    result = CliRunner().invoke(cli, ["export", "--data-dir", str(served.path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return Case(served, out)
