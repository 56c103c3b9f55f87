"""The main paths of a person through the dashboard."""

import subprocess
import sys

import pytest
from browsing import Server
from cli_helpers import SMALL
from playwright.sync_api import expect

from forecasting import PriceStore, Registry, Workspace, check_file, job_at_work, last_ending

TITLES = ("Overview", "Forecast", "Track record", "Backtest", "Prices", "Models")
ROW = 35  # pixels of a table's rows and its heading
FOOT = "tickercast, workspace"  # the last thing on every page
LONG = "1000"  # epochs: such a training ends when it is cancelled


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a workspace after the main job, a few evenings replayed and scored; tests add to it."""
    workspace = Workspace(tmp_path_factory.mktemp("run") / "workspace")
    for command in (["run", "SYN1", "SYN2", *SMALL], ["replay", "--from", "2014-06-02", "--to", "2014-06-20"]):
        line = [sys.executable, "-m", "forecasting", *command, "--workspace", str(workspace.root)]
        subprocess.run(line, check=True, capture_output=True)
    return workspace


@pytest.fixture(scope="module")
def url(run):
    server = Server(run.root)
    yield server.url
    server.stop()


def chart(page):
    return page.locator(".js-plotly-plot .cartesianlayer").first


def type_symbol(page, symbol):
    picker = page.get_by_role("combobox").first
    picker.fill(symbol)
    picker.press("Enter")


def test_every_page_is_reached_and_shown_without_an_error(url, page):
    page.goto(url)
    for title in TITLES:
        page.get_by_role("link", name=title, exact=True).click()
        expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
        expect(page.get_by_text(FOOT)).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        expect(page.get_by_text("This page failed")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_telephone(url, browser, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    for path in ("", "forecast", "track_record", "backtest", "prices", "models"):
        page.goto(f"{url}/{path}")
        expect(page.get_by_text(FOOT)).to_be_visible(timeout=30_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    context.close()


def test_a_click_on_a_symbol_opens_its_forecast_and_its_url_reproduces_it(url, page, browser):
    page.goto(url)
    page.get_by_test_id("data-grid-canvas").wait_for()
    page.get_by_test_id("stDataFrame").click(position={"x": 30, "y": 2.5 * ROW})  # the second one below the heading
    page.wait_for_url("**/forecast?symbol=SYN2")
    expect(chart(page)).to_be_visible()
    page.get_by_text("1 mo", exact=True).click()
    page.get_by_text("Candles", exact=True).click()
    expect(page.get_by_text("Prices from open to close, with their highs and lows, of SYN2")).to_be_visible()
    again = browser.new_page()
    again.goto(page.evaluate("location.href"))
    assert "history=21" in again.url
    expect(again.get_by_text("Prices from open to close, with their highs and lows, of SYN2")).to_be_visible()
    again.close()


def test_a_forecast_is_downloaded_as_a_valid_csv_and_as_an_image(url, page, tmp_path):
    page.goto(f"{url}/forecast?symbol=SYN1")
    expect(chart(page)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV for programs").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert not check_file(path).problems
    with page.expect_download() as download:
        page.locator(".modebar-btn").first.press("Enter")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_symbol_that_is_not_stored_is_fetched_and_forecast_or_refused_with_its_cause(url, page):
    page.goto(f"{url}/forecast")
    type_symbol(page, "syn7")
    page.get_by_role("button", name="Fetch and forecast").click()
    expect(page.get_by_text("Forecast is done")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("Closing prices of SYN7")).to_be_visible()
    type_symbol(page, "NOPE")
    page.get_by_role("button", name="Fetch and forecast").click()
    expect(page.get_by_text("the synthetic market holds SYN1 to SYN9999").first).to_be_visible(timeout=90_000)
    page.get_by_role("button", name="Dismiss").click()


def test_a_training_outlives_its_page_is_seen_in_every_tab_and_is_cancelled_from_another(url, run, page, browser):
    page.goto(f"{url}/models")
    page.get_by_role("spinbutton", name="Epochs").fill(LONG)
    page.get_by_role("button", name="Train", exact=True).click()
    strip = page.get_by_test_id("stProgress")
    expect(strip).to_contain_text("Training")
    page.reload()
    expect(strip).to_contain_text("%", timeout=60_000)
    other = browser.new_page()
    other.goto(f"{url}/prices")
    expect(other.get_by_test_id("stProgress")).to_contain_text("Training")
    expect(other.get_by_role("button", name="Fetch SYN1 now")).to_be_disabled()
    champion = Registry(run.models).champion(["SYN1"]).model_id
    page.close()
    other.get_by_role("button", name="Cancel").click()
    expect(other.get_by_text("Training was cancelled")).to_be_visible()
    assert job_at_work(run) is None
    assert last_ending(run).state == "cancelled"
    assert Registry(run.models).champion(["SYN1"]).model_id == champion
    other.close()


def test_a_day_of_the_track_record_shows_its_fan_and_what_happened(url, page):
    page.goto(f"{url}/track_record?day=2014-06-04&of=SYN1")
    expect(page.get_by_text("Did the ranges hold?")).to_be_visible()
    expect(page.get_by_text("what happened").first).to_be_visible()


def test_the_report_of_a_backtest_is_downloaded_whole(url, page):
    page.goto(f"{url}/backtest")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    assert "<html" in download.value.path().read_text()[:200]


def test_read_only_offers_nothing_that_changes_anything(serve, run, page):
    page.goto(serve(run.root, "--read-only").url)
    for title in TITLES:
        page.get_by_role("link", name=title, exact=True).click()
        expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
        expect(page.get_by_text("Read-only")).to_be_visible()
        expect(page.get_by_role("button", name="Train")).to_have_count(0)
        expect(page.get_by_role("button", name="Fetch")).to_have_count(0)
        expect(page.get_by_role("button", name="Start")).to_have_count(0)


def test_the_keyboard_reaches_what_a_page_offers(url, page):
    page.goto(f"{url}/forecast")
    expect(chart(page)).to_be_visible()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => e.innerText || e.getAttribute('role') || e.type)(document.activeElement)"))
    assert {"combobox", "Track record", "CSV for programs (long)"} <= {str(text).split("\n")[-1] for text in reached}
    page.get_by_role("radio", name="3 mo").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.wait_for_function("location.search.includes('history=126')")


def test_the_keyboard_opens_a_forecast_from_the_overview(url, page):
    page.goto(url)
    page.get_by_role("combobox", name="Open the forecast of").focus()
    page.keyboard.type("SYN2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/forecast?symbol=SYN2")
    expect(chart(page)).to_be_visible()


def test_an_empty_workspace_says_how_to_begin(serve, tmp_path, page):
    page.goto(serve(tmp_path / "none").url)
    expect(page.get_by_text("tickercast run --source sample")).to_be_visible()
    assert not (tmp_path / "none").exists()


def test_what_a_job_publishes_is_shown_without_a_reload(url, run, page):
    page.goto(f"{url}/prices")
    expect(page.get_by_text("SYN1").first).to_be_visible()
    subprocess.run(
        [sys.executable, "-m", "forecasting", "fetch", "SYN9", "--source", "synthetic", "--workspace", str(run.root)],
        check=True, capture_output=True,
    )  # fmt: skip
    stored = len(PriceStore(run.prices).instruments())
    expect(page.get_by_role("radio", name=f"All {stored}")).to_be_visible()
