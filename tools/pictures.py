"""Make the README's pictures of the dashboard and of a backtest's report, from the embedded prices.

python tools/pictures.py            writes docs/dashboard.png and docs/report.png
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from browsing import Server, open_browser
from playwright.sync_api import Page

from forecasting import Workspace

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 1280


def wait_for_charts(page: Page) -> None:
    page.wait_for_selector(".js-plotly-plot .cartesianlayer")
    page.wait_for_timeout(1500)  # until fonts and the last redraw are there


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        workspace = Workspace(Path(folder) / "sample")
        options = ["--source", "sample", "--workspace", str(workspace.root)]
        subprocess.run([sys.executable, "-m", "forecasting", "run", *options], check=True)
        server = Server(workspace.root)
        page = browser.new_page(viewport={"width": WIDTH, "height": 960}, device_scale_factor=1)
        page.goto(f"{server.url}/forecast?symbol=^GSPC")
        wait_for_charts(page)
        page.screenshot(path=DOCS / "dashboard.png")
        server.stop()
        (report,) = workspace.backtests.glob("*/report.html")
        page.set_viewport_size({"width": WIDTH, "height": 1000})
        page.goto(report.as_uri())
        wait_for_charts(page)
        page.screenshot(path=DOCS / "report.png")


if __name__ == "__main__":
    main()
