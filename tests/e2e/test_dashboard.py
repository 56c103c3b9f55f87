from playwright.sync_api import expect


def chart(page):
    return page.locator(".js-plotly-plot .cartesianlayer")


def test_every_page_is_reached_from_the_first_one_without_an_error(serve, full, page):
    page.goto(serve(full.root).url)
    for title in ("Overview", "Forecast", "Track record", "Backtest", "Prices", "Models"):
        page.get_by_role("link", name=title, exact=True).click()
        expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)


def test_the_url_of_a_forecast_reproduces_it_and_a_choice_is_written_there(serve, full, page):
    server = serve(full.root)
    page.goto(f"{server.url}/forecast?symbol=SYN2&history=21")
    expect(chart(page).first).to_be_visible()
    expect(page.get_by_text("Closing prices of SYN2 in USD")).to_be_visible()
    page.get_by_text("6 mo", exact=True).click()
    page.wait_for_url("**history=126**")
    page.reload()
    expect(page.get_by_text("Closing prices of SYN2 in USD")).to_be_visible()
    assert "history=126" in page.url


def test_an_empty_workspace_says_how_to_begin(serve, tmp_path, page):
    page.goto(serve(tmp_path / "none").url)
    expect(page.get_by_text("tickercast run --source sample")).to_be_visible()
    assert not (tmp_path / "none").exists()
