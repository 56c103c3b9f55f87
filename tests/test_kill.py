"""A job killed at any moment: readers see the last published state, and the next run completes."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from cli_helpers import SMALL, Tickercast

from forecasting.evaluation.finished import list_backtests
from forecasting.ledger import Ledger
from forecasting.store import PriceStore

COMMAND = [sys.executable, "-m", "forecasting", "run", "SYN1", "SYN2", *SMALL, "--workspace"]


def _killed_loop(place, times, rng):
    """Start the main job and kill it after a random while, again and again."""
    began = time.monotonic()
    subprocess.run([*COMMAND, str(place.workspace.with_name("clean"))], check=True, capture_output=True)
    whole = time.monotonic() - began
    for _ in range(times):
        process = subprocess.Popen(
            [*COMMAND, str(place.workspace)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.2, 1.0) * whole)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        # readers need no repair
        assert place("status").exit_code == 0
        Ledger(place.workspace / "ledger").verify()
        PriceStore(place.workspace / "prices").read()
    result = place("run", "SYN1", "SYN2", *SMALL)
    assert result.exit_code == 0, result.output
    assert Ledger(place.workspace / "ledger").verify() == 10
    clean = Tickercast(place.workspace.with_name("clean")).fingerprint()
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
    settings = ["--epochs", "1", "--window", "60", "--horizon", "5", "--test-sessions", "120", "--refit-every", "30"]
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
