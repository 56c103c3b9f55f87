"""A fetch killed at any moment: readers see the old or the new prices, never a mixture, and the next completes."""

import random
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from cli_helpers import Tickercast
from helpers import sessions_until

from forecasting.store import PriceStore

SYMBOLS = ["AAA", "BBB", "CCC"]
DAYS = sessions_until("2018-12-31", 400)


def _version(k: int) -> pd.DataFrame:
    """Return what the source tells the k-th time: another scale, another dividend, a day more."""
    days = DAYS[: 300 + k]
    close = np.linspace(100, 200, len(days)) * (1 + k / 100)
    frame = pd.DataFrame({"Date": days.strftime("%Y-%m-%d"), "Open": close, "High": close, "Low": close})
    dividends = np.where(np.arange(len(days)) == 50, 0.5 + k / 10, 0.0)
    return frame.assign(Close=close, Volume=1000 + k, Dividends=dividends, **{"Stock Splits": 0.0})


def _wanted(k: int) -> list[float]:
    """Return the closes of a version, reduced by its dividend before it was paid."""
    frame = _version(k)
    kept = 1 - frame["Dividends"].max() / frame["Close"][49]
    return (frame["Close"] * np.where(frame.index < 50, kept, 1.0)).tolist()


def _seen(place) -> int:
    """Return which version a reader sees; all symbols must show the same one, whole."""
    series = PriceStore(place.workspace / "prices").read(basis="total")
    assert list(series) == SYMBOLS
    versions = {len(s) - 300 for s in series.values()}
    assert len(versions) == 1
    (k,) = versions
    for s in series.values():
        assert s.bars["close"].tolist() == pytest.approx(_wanted(k), rel=1e-12)
    return k


def _written(path):
    """Return when a file was written; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _killed_loop(place, folder, times, rng):
    folder.mkdir()
    command = [
        *(sys.executable, "-m", "forecasting", "fetch", "--files", str(folder), "--prices", "traded"),
        *("--workspace", str(place.workspace)),
    ]

    def tell(k: int) -> None:
        for symbol in SYMBOLS:
            _version(k).to_csv(folder / f"{symbol}.csv", index=False)

    tell(0)
    assert place("fetch", "--files", str(folder), "--prices", "traded").exit_code == 0
    writing = place.workspace / "prices" / "unpublished"
    seen, within, before = 0, 0, 0.0
    for k in range(1, times + 1):
        tell(k)
        unwritten = {None, _written(writing)}  # what a killed fetch has left
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if k % 4:  # while it writes, which is a small part of its time
            while process.poll() is None and _written(writing) in unwritten:
                time.sleep(0.002)
            before = time.monotonic() - began
            time.sleep(rng.uniform(0.0, 0.08))
        else:  # or before it
            time.sleep(rng.uniform(0.0, 1.0) * before)
        process.kill()
        process.wait()
        within += _written(writing) not in unwritten
        after = _seen(place)
        assert after in {seen, k}
        seen = after
        assert place("status").exit_code == 0
    result = place("fetch", "--files", str(folder), "--prices", "traded")
    assert result.exit_code == 0, result.output
    assert _seen(place) == times
    store = PriceStore(place.workspace / "prices")
    assert store.restatements()["known_at"].is_monotonic_increasing
    assert not (place.workspace / "prices" / "unpublished").exists()
    return within


def test_a_fetch_killed_twice_is_completed_by_the_next(tmp_path):
    _killed_loop(Tickercast(tmp_path / "place"), tmp_path / "files", 2, random.Random(1))


@pytest.mark.slow
def test_a_fetch_killed_40_times_is_completed_by_the_next(tmp_path):
    within = _killed_loop(Tickercast(tmp_path / "place"), tmp_path / "files", 40, random.Random(2))
    assert within >= 5  # or it was not the writing that was killed
