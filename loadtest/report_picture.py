"""Makes docs/report.png: the top of the page of the example's campaign, as a browser shows it.

`python -m loadtest.report_picture`, with Debian's chromium; half a minute.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from server.config_files import load
from server.reporting.message import report_message
from server.reporting.page import write_page
from server.simulation.campaign import Campaign
from server.simulation.scenario_file import read_scenario

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "campaign"
PICTURE = ROOT / "docs" / "report.png"
WIDTH, HEIGHT, SCALE = 1180, 1780, 0.68
"""In CSS pixels, down to the first plots of days, and how much smaller the picture is."""

DAYS, SHOPPERS = 60, 200_000


def main() -> None:
    """Play the campaign, write its page, and take the picture."""
    scenario, config = read_scenario(EXAMPLE / "scenario.yaml"), load(EXAMPLE / "config.yaml")
    campaign = Campaign(scenario, config, DAYS, SHOPPERS, 1)
    campaign.run()
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        write_page(report_message(campaign.state, campaign.now_us), path)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        screen = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE)
        shown = screen.new_page()
        shown.goto(path.as_uri())
        shown.screenshot(path=PICTURE)
        browser.close()
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
