import sys
from pathlib import Path

import pytest
from app_helpers import fill
from streamlit.testing.v1 import AppTest

from forecasting import Workspace

APP = Path(__file__).parents[2] / "app"


@pytest.fixture(scope="session")
def filled(tmp_path_factory) -> Workspace:
    """Return a workspace that tests only read."""
    return fill(tmp_path_factory.mktemp("filled"))


@pytest.fixture
def open_app(monkeypatch):
    """Return a function that opens a page of the app on a workspace, as its server would."""
    monkeypatch.setattr(sys, "path", [str(APP), *sys.path])

    def run(root: Path, page: str = "forecast", **query: str) -> AppTest:
        monkeypatch.setenv("STOCKCAST_WORKSPACE", str(root))
        app = AppTest.from_file(str(APP / "main.py"), default_timeout=30).switch_page(f"views/{page}.py")
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return run
