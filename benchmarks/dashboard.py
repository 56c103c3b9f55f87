"""Measure the dashboard in a real browser, and with many visitors at once.

    CHROMIUM=/usr/bin/chromium python benchmarks/dashboard.py --keep FOLDER
    CHROMIUM=/usr/bin/chromium python benchmarks/dashboard.py --symbols 50 --sessions 1500 --evenings 5

A synthetic market is fetched, a model trained with one epoch, and forecasts issued and scored on some evenings; a
folder that holds this already is used as it is. Then `tickercast dashboard` serves it, and the page's own clock runs
from the address that is entered, or the click, until what was asked for is on the screen, two frames after it came into
the document: from cold, the server and the browser have shown nothing yet; warm, both have. A visitor of the second
part is a session over the websocket, on this machine, that takes all a page sends: it draws its page anew several
times, and pauses in between.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import pandas as pd
from evening import days_of, make_bars, run_day
from playwright.sync_api import Page, sync_playwright
from visitors import visit

_PORT = 8599
_TIMES = 9
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
_CHART = ".js-plotly-plot .cartesianlayer .scatterlayer .trace"
_DRAWN = """[...document.querySelectorAll('.js-plotly-plot')]
    .flatMap(plot => plot.data.map(trace => [trace.x?.length, Object.values(trace.y ?? {})])).join()"""
_TABLE = "[data-testid=stDataFrame] canvas table"
_COLUMNS = f"document.querySelector('{_TABLE}')?.getAttribute('aria-colcount')"
_ASKED = {"cold": 8000, "warm": 1000, "redraw": 500, "visitors": 2000}  # milliseconds


def build(place: Path, symbols: int, sessions: int, evenings: int) -> Path:
    """Return the workspace in a folder, which is built unless it is there already."""
    workspace, whole = place / "workspace", place / "whole"
    if not whole.exists():
        days = days_of(sessions)
        make_bars(place / "bars.parquet", symbols, sessions)
        run_day(place, symbols, days[-1 - evenings], days[0])
        run_day(place, symbols, days[-1], days[-1 - evenings] - pd.Timedelta(days=30))
        whole.touch()
    return workspace


@contextmanager
def serving(workspace: Path) -> Iterator[int]:
    """Serve a workspace, and yield the server's process ID once it answers."""
    command = [sys.executable, "-m", "forecasting", "dashboard", "--workspace", str(workspace), "--port", str(_PORT)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urlopen(f"http://127.0.0.1:{_PORT}/_stcore/health", timeout=1).close()
                break
            except OSError:
                if time.monotonic() > until or server.poll() is not None:
                    raise SystemExit("the dashboard does not answer") from None
                time.sleep(0.05)
        yield server.pid
    finally:
        server.terminate()
        server.wait(20)


def shown_at(page: Page, condition: str) -> float:
    """Wait until a condition in JavaScript holds, and return when it is on the screen, by the page's own clock."""
    return page.evaluate(f"""new Promise((resolve, reject) => {{
        const until = performance.now() + 60e3, nextFrame = requestAnimationFrame
        const look = () => {{
            if ({condition}) nextFrame(() => nextFrame(() => resolve(performance.now())))
            else if (performance.now() > until) reject("nothing came within a minute")
            else nextFrame(look)
        }}
        look()
    }})""")


def open_page(page: Page, path: str, selector: str) -> float:
    """Return how many milliseconds a page takes to show a selector, and wait until nothing is at work on it."""
    page.goto(f"http://127.0.0.1:{_PORT}/{path}", wait_until="commit")
    taken = shown_at(page, f"document.querySelector('{selector}')")
    page.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=60_000)
    page.wait_for_timeout(500)
    return taken


def press(page: Page, button: str, seen: str) -> float:
    """Press a button and return how many milliseconds it took until an expression in JavaScript has another value."""
    before = json.dumps(page.evaluate(seen))
    control = page.get_by_role("radio", name=button, exact=True)
    control.evaluate("control => control.addEventListener('click', event => window.pressed = event.timeStamp)")
    control.click()
    return shown_at(page, f"{seen} !== {before}") - page.evaluate("window.pressed")


def show(what: str, taken: list[float], asked: int | None) -> None:
    aim = f"{asked:10,}" if asked else " " * 10
    print(f"{what:52}{median(taken):10,.0f}{max(taken):10,.0f}{aim}", flush=True)


@contextmanager
def browsing(workspace: Path) -> Iterator[Page]:
    """Serve a workspace and yield a page of a browser; neither has shown anything yet."""
    with serving(workspace), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM"), args=_FLAGS)
        yield browser.new_page(viewport={"width": 1600, "height": 1200})
        browser.close()


def measure_pages(workspace: Path, symbols: list[str]) -> None:
    """Print how long a browser waits for a page, from cold, warm, and after a click."""
    with browsing(workspace) as page:
        first, *others = (f"forecast?symbol={symbol}" for symbol in symbols[: _TIMES + 1])
        show("forecast, cold", [open_page(page, first, _CHART)], _ASKED["cold"])
        show("forecast, warm", [open_page(page, first, _CHART) for _ in range(_TIMES)], _ASKED["warm"])
        show("forecast, warm, another symbol", [open_page(page, path, _CHART) for path in others], _ASKED["warm"])
        clicks = ("1 yr", "1 mo", "6 mo", "3 yr") * 3
        show("forecast, after a click", [press(page, button, _DRAWN) for button in clicks], _ASKED["redraw"])
    with browsing(workspace) as page:
        show("overview, cold", [open_page(page, "", _TABLE)], _ASKED["cold"])
        show("overview, warm", [open_page(page, "", _TABLE) for _ in range(_TIMES)], _ASKED["warm"])
        clicks = ("Tomorrow", "All three") * 6
        show("overview, after a click", [press(page, button, _COLUMNS) for button in clicks], _ASKED["redraw"])
        show(
            "track record, warm",
            [open_page(page, "track_record?mode=replay", _CHART) for _ in range(_TIMES)],
            _ASKED["warm"],
        )
        clicks = ("5 sessions", "20 sessions", "1 session") * 4
        show("track record, after a click", [press(page, button, _DRAWN) for button in clicks], _ASKED["redraw"])
        prices = f"prices?symbol={symbols[0]}"
        show("prices, warm", [open_page(page, prices, _CHART) for _ in range(_TIMES)], _ASKED["warm"])
        clicks = ("1 yr", "5 yr", "All") * 4
        show("prices, after a click", [press(page, button, _DRAWN) for button in clicks], _ASKED["redraw"])


def rss_mb(process: int) -> float:
    """Return the memory of a process (Linux)."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[0]) / 1e3


def measure_visitors(workspace: Path, symbols: list[str], visitors: int, rounds: int, pause: float) -> None:
    """Print how long visitors wait who come at once, round by round, and how large the server is after each."""
    histories, ahead = ("21", "63", "126", "252"), ("1", "5", "20", "all")
    print(f"\n{visitors} visitors at once, each draws its page 8 times and pauses {pause:g} s\n")
    print(f"{'':20}{'first':>10}{'redraw':>10}{'slowest':>10}{'errors':>10}{'MB':>10}   (milliseconds)")
    with serving(workspace) as process:
        for number in range(1, rounds + 1):
            for page in ("forecast", ""):
                queries = [
                    [
                        f"symbol={symbols[i % len(symbols)]}&history={histories[n % 4]}&ahead={ahead[n % 4]}"
                        for n in range(8)
                    ]
                    for i in range(visitors)
                ]
                seen = visit(_PORT, page, queries, pause)
                waits = (median(seen.first), median(seen.redraws), max(seen.redraws))
                told = "".join(f"{seconds * 1e3:10,.0f}" for seconds in waits)
                print(
                    f"{number}  {page or 'overview':17}{told}{len(seen.errors):10}{rss_mb(process):10,.0f}", flush=True
                )
                for error in sorted(set(seen.errors)):
                    print(f"   {error}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--evenings", type=int, default=60)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between a visitor's redraws")
    parser.add_argument("--keep", type=Path, help="a folder that the workspace is built in once")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = asked.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        workspace = build(place, asked.symbols, asked.sessions, asked.evenings)
        symbols = [f"SYN{i}" for i in range(1, asked.symbols + 1)]
        print(f"{asked.symbols} symbols x {asked.sessions} sessions, {asked.evenings} evenings; milliseconds\n")
        print(f"{'':52}{'median':>10}{'slowest':>10}{'asked':>10}")
        measure_pages(workspace, symbols)
        measure_visitors(workspace, symbols, asked.visitors, asked.rounds, asked.pause)


if __name__ == "__main__":
    main()
