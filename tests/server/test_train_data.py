"""`banditd train` on the Hillstrom e-mail test: thompson begins with the best e-mail for all."""

import json
from pathlib import Path

import pytest
import yaml

from tests.clients.test_studies import EXAMPLES, ROOT, hillstrom
from tests.server.stored import Stored
from tests.server.training import command

CONFIG = ROOT / "examples" / "train" / "hillstrom.yaml"


def test_hillstrom_starts_with_the_mens_email(tmp_path: Path) -> None:
    """The counts and visit rates of the log; and the first visitors of a server that starts from it."""
    arguments = ["--config", str(CONFIG), "--mapping", str(EXAMPLES / "hillstrom-mapping.yaml")]
    code, output = command("train", str(hillstrom()), *arguments, "--data-dir", str(tmp_path / "d"), "--json")
    assert code == 0, output
    found = json.loads(output)
    compared = {one["arm"]: one for one in found["audiences"][0]["arms"]}
    rates = {"mens": 0.1828, "none": 0.1062, "womens": 0.1514}
    rows = {"mens": 21_307, "none": 21_306, "womens": 21_387}
    for arm, rate in rates.items():
        assert compared[arm]["mean"] == pytest.approx(rate, abs=5e-5)
        assert compared[arm]["effective"] == compared[arm]["rows"] == rows[arm]
    assert compared["mens"]["pmf"]["best"] == pytest.approx(0.99 + 0.01 / 3, abs=1e-6)
    assert found["decisions"] == found["rows"] == 64_000
    document = yaml.safe_load(CONFIG.read_text())["placements"]
    served = Stored(tmp_path / "d", placements=document)
    first = [served.choose("hillstrom", str(visitor)) for visitor in range(300)]
    best = [choice.arm for choice in first if choice.policy == "best"]
    assert len(best) > 50
    assert best.count("mens") > 0.9 * len(best)


def test_the_output_of_the_document_is_real(tmp_path: Path) -> None:
    """What docs/train.md shows of Hillstrom's log is what the command prints, but for where lines end."""
    arguments = ["--config", str(CONFIG), "--mapping", str(EXAMPLES / "hillstrom-mapping.yaml")]
    code, output = command("train", str(hillstrom()), *arguments, "--data-dir", str(tmp_path / "data"))
    assert code == 0
    shown = (ROOT / "docs" / "train.md").read_text("utf-8").split("```")[5]
    printed = output.replace(str(tmp_path / "data"), "data").replace(
        str(CONFIG), "examples/train/hillstrom.yaml"
    )
    assert shown.split() == printed.replace(str(hillstrom()), "hillstrom.csv.gz").split()
