"""A real server, a real browser: the dashboard as a person meets it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing import Server, open_browser
from playwright.sync_api import Browser, Page, expect

PATIENCE_MS = 30_000  # a machine may be busy; what is waited for usually takes a tenth of it

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that serves a workspace, until the test ends."""
    servers: list[Server] = []

    def start(root: Path, *options: str) -> Server:
        servers.append(Server(root, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page of a browser without a past; what it says in its console must be no error."""
    context = browser.new_context(viewport={"width": 1280, "height": 1600})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors
