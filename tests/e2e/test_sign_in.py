"""A public dashboard and a provider that people sign in at, in a browser."""

import pandas as pd
import pytest
from app_helpers import fill
from browsing import Server, free_port
from oidc_provider import CLIENT_ID, CLIENT_SECRET, provider
from playwright.sync_api import expect

from forecasting import cancel_job, job_at_work, last_ending, start_job

READER, OPERATOR = "ada@example.org", "grace@example.org"
PEOPLE = {
    "reader": {"email": "Ada@Example.org", "email_verified": True},
    "operator": {"email": OPERATOR, "email_verified": True},
    "stranger": {"email": "eve@example.org", "email_verified": True},
    "impostor": {"email": OPERATOR, "email_verified": False},
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("filled") / "workspace")


@pytest.fixture(scope="module")
def url(workspace, tmp_path_factory):
    """Return the URL of a public dashboard that is up."""
    secrets, port = tmp_path_factory.mktemp("home") / "secrets of the dashboard.toml", free_port()
    with provider(PEOPLE) as signs_in:
        secrets.write_text(
            f'[auth]\nredirect_uri = "http://localhost:{port}/oauth2callback"\ncookie_secret = "{"c0" * 32}"\n'
            f'client_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n'
            f'server_metadata_url = "{signs_in.metadata_url}"\n'
        )
        people = ["--allow", READER, "--operator", OPERATOR, "--secrets", str(secrets)]
        server = Server(workspace.root, "--public", "--address", "127.0.0.1", *people, port=port)
        yield f"http://localhost:{port}"
        server.stop()
    said = server.log.read_text()
    assert "Traceback" not in said, said
    assert CLIENT_SECRET not in said


def sign_in(page, url, who):
    page.goto(url)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=who).click()
    page.wait_for_url(f"{url}/**")


@pytest.mark.parametrize("path", ["", "/forecast?symbol=SYN1", "/models", "/nowhere"])
def test_who_has_not_signed_in_sees_a_button_and_nothing_else(page, url, workspace, path):
    page.goto(url + path)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.wait_for_timeout(1000)
    text = page.inner_text("body")
    assert not any(word in text for word in ("SYN1", "Overview", "Models", "revision", str(workspace.root)))


@pytest.mark.parametrize("who", ["stranger", "impostor"])
def test_who_is_not_listed_is_refused(page, url, who):
    sign_in(page, url, who)
    expect(page.get_by_text("your address is not on the list")).to_be_visible()
    page.goto(f"{url}/forecast?symbol=SYN1")
    expect(page.get_by_text("your address is not on the list")).to_be_visible()
    assert "SYN1" not in page.inner_text("body")


def test_a_reader_sees_the_forecast_and_no_path_and_leaves(page, url, workspace):
    sign_in(page, url, "reader")
    expect(page.get_by_text("Read-only")).to_be_visible()
    expect(page.get_by_text(READER)).to_be_visible()
    page.goto(f"{url}/forecast?symbol=SYN1")
    expect(page.get_by_text("Closing prices of SYN1")).to_be_visible()
    assert str(workspace.root) not in page.content()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto(f"{url}/forecast?symbol=SYN1")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_job_is_seen_by_all_and_cancelled_by_an_operator_only(page, url, workspace, browser):
    start_job(workspace, ["train", "SYN1", "SYN2", "--epochs", "500"], pd.Timestamp.now(tz="UTC"))
    try:
        sign_in(page, url, "reader")
        expect(page.get_by_test_id("stProgress")).to_contain_text("Training")
        expect(page.get_by_text("Read-only")).to_be_visible()
        assert page.get_by_role("button", name="Cancel").count() == 0
        page.context.clear_cookies()
        sign_in(page, url, "operator")
        expect(page.get_by_text(OPERATOR)).to_be_visible()
        assert page.get_by_text("Read-only").count() == 0
        assert job_at_work(workspace)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("was cancelled")).to_be_visible()
        assert last_ending(workspace).state == "cancelled"
    finally:
        cancel_job(workspace)
