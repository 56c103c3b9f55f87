"""A job killed at any moment: readers see the last published state, and the next run completes."""

import random
import subprocess
import sys
import time

import pytest
from cli_helpers import SMALL, Tickercast

from forecasting.evaluation.finished import list_backtests
from forecasting.ledger import Ledger
from forecasting.records import running_job
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

COMMAND = [sys.executable, "-m", "forecasting", "run", "SYN1", "SYN2", *SMALL, "--workspace"]


def _killed_loop(place, times, rng):
    """Start the main job and kill it a random while after it began its work, again and again."""
    undisturbed = Tickercast(place.workspace.with_name("clean"))
    began = time.monotonic()
    assert undisturbed("run", "SYN1", "SYN2", *SMALL).exit_code == 0
    whole = time.monotonic() - began
    for _ in range(times):
        process = subprocess.Popen(
            [*COMMAND, str(place.workspace)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not running_job(Workspace(place.workspace)):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 1.0) * whole)
        process.kill()
        process.wait()
        # readers need no repair
        assert place("status").exit_code == 0
        Ledger(place.workspace / "ledger").verify()
        PriceStore(place.workspace / "prices").read()
    result = place("run", "SYN1", "SYN2", *SMALL)
    assert result.exit_code == 0, result.output
    assert Ledger(place.workspace / "ledger").verify() == 10
    clean = undisturbed.fingerprint()
    after = place.fingerprint()
    for name, digest in clean.items():
        if name.startswith(("exports/", "backtests/", "models/")) and not name.endswith(
            ("registry.json", "bundle.json", "card.md", "card.json", "backtest.json", "report.html")
        ):
            assert after[name] == digest, name
    assert not list(place.workspace.rglob("*.tmp"))


def test_a_backtest_killed_in_the_middle_goes_on_where_it_was(tmp_path):
    place = Tickercast(tmp_path / "place")
    assert place("fetch", "SYN1", "SYN2", "--source", "synthetic").exit_code == 0
    settings = ["--epochs", "1", "--window", "60", "--horizon", "2", "--test-sessions", "60", "--refit-every", "30"]
    command = [sys.executable, "-m", "forecasting", "backtest", *settings, "--workspace"]
    process = subprocess.Popen([*command, str(place.workspace)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(place.workspace.glob("backtests/*/parts/*.npz")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert place("status").exit_code == 0
    assert list_backtests(place.workspace / "backtests") == {}
    result = place("backtest", *settings)
    assert result.exit_code == 0, result.output
    assert len(list_backtests(place.workspace / "backtests")) == 1
    assert not list(place.workspace.glob("backtests/*/parts"))
    clean = Tickercast(tmp_path / "clean")
    assert clean("fetch", "SYN1", "SYN2", "--source", "synthetic").exit_code == 0
    assert clean("backtest", *settings).exit_code == 0
    one, other = place.fingerprint(), clean.fingerprint()
    for name in other:
        if name.endswith((".csv", ".parquet")) and name.startswith("backtests/"):
            assert one[name] == other[name], name


def test_a_job_killed_twice_is_completed_by_the_next(tmp_path):
    _killed_loop(Tickercast(tmp_path / "place"), 2, random.Random(1))


@pytest.mark.slow
def test_a_job_killed_25_times_is_completed_by_the_next(tmp_path):
    _killed_loop(Tickercast(tmp_path / "place"), 25, random.Random(2))
