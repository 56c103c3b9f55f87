"""Pages show the last published state while a job is at work, after it was killed, and while the store is locked."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from app_helpers import save_tiny_model
from cli_helpers import SMALL
from helpers import utc

from forecasting import PriceStore, Registry, Universe, Workspace, running_job

APP = Path(__file__).parents[2] / "app"
PAIR = Universe("SYN1,SYN2", ("SYN1", "SYN2"))


@pytest.fixture
def place(filled, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "workspace"))
    series = PriceStore(workspace.prices).read(PAIR.symbols)
    Registry(workspace.models).promote(PAIR, save_tiny_model(workspace, series), utc("2019-01-01"), "first")
    workspace.publish()
    return workspace


@pytest.fixture
def pages(open_app, place):
    """Return a function that opens every page, and returns what each said without the strip and the revision."""
    views = sorted(path.stem for path in (APP / "views").glob("*.py"))

    def opened():
        said = {}
        for view in views:
            app = open_app(place.root, page=view)
            assert not app.exception, view
            assert not app.error, view
            kinds = (app.title, app.subheader, app.markdown, app.caption[1:-1], app.info, app.warning, app.code)
            tables = [table.value.to_csv() for table in app.dataframe]
            said[view] = [str(element.value) for kind in kinds for element in kind], tables
        return said

    assert {"forecast", "prices", "models", "overview", "track_record", "backtest"} <= set(views)
    return opened


def start(place, *command):
    process = subprocess.Popen(
        [sys.executable, "-m", "forecasting", *command, "--workspace", str(place.root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not running_job(place):
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_pages_show_what_was_published_while_a_training_runs_and_after_it_was_killed(open_app, place, pages):
    before = pages()
    process = start(place, "train", "SYN1", "SYN2", "--epochs", "1000")
    try:
        while not (running_job(place) or {}).get("progress"):
            assert process.poll() is None
            time.sleep(0.02)
        assert pages() == before
        app = open_app(place.root, page="models")
        assert "Cancel" not in [button.label for button in app.button]  # it was started elsewhere
        assert next(button for button in app.button if button.label == "Train").disabled
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert pages() == before
    assert not next(b for b in open_app(place.root, page="models").button if b.label == "Train").disabled


@pytest.mark.slow
def test_pages_show_whole_states_while_the_main_job_publishes_step_after_step(place, pages):
    revision = place.revision
    process = start(place, "run", "SYN1", "SYN2", *SMALL)
    rounds = 0
    while process.poll() is None:
        pages()
        rounds += 1
    assert process.returncode == 0
    assert rounds > 0
    assert place.revision >= revision + 5  # a step each
    pages()


def test_pages_show_what_was_published_while_the_store_is_locked(place, pages):
    before = pages()
    with place.lock():
        assert pages() == before
