import sys
from functools import cache
from pathlib import Path

import pytest
from app_helpers import fill
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from forecasting import Workspace

APP = Path(__file__).parents[2] / "app"


@pytest.fixture(scope="session", autouse=True)
def _packages_looked_through_once():
    """A server looks through the installed packages when it starts; an `AppTest` would do so for every page."""
    with pytest.MonkeyPatch.context() as patch:
        scan = manifest_scanner.scan_component_manifests
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(scan))
        yield


@pytest.fixture(scope="session")
def filled(tmp_path_factory) -> Workspace:
    """Return a workspace that tests only read."""
    return fill(tmp_path_factory.mktemp("filled"))


@pytest.fixture(autouse=True)
def no_page_fails(caplog):
    """Fail where a page did unexpectedly: on screen that looks like an error that is told on purpose."""
    yield
    assert not [record for record in caplog.get_records("call") if record.name == "tickercast.dashboard"]


@pytest.fixture(autouse=True)
def _main_stays(monkeypatch):
    """A page takes the main module's place: processes that later tests start would begin with the page."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def open_app(monkeypatch):
    """Return a function that opens a page of the app on a workspace, as its server would."""
    monkeypatch.setattr(sys, "path", [str(APP), *sys.path])

    def run(root: Path, page: str = "forecast", claims: dict | None = None, **query: str) -> AppTest:
        monkeypatch.setenv("STOCKCAST_WORKSPACE", str(root))
        app = AppTest.from_file(str(APP / "main.py"), default_timeout=30)
        if page != "overview":  # the first page
            app.switch_page(f"views/{page}.py")
        app.user = claims or {}  # what the sign-in provider said of who looks
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return run
