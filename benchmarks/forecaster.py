"""How long the forecaster takes and how much memory: forecasts from every origin, and fits of more and more symbols.

    python benchmarks/forecaster.py PARQUET    (columns symbol, date, open .. volume)
    python benchmarks/forecaster.py            (the synthetic market alone)

First one symbol at a time, forecast from every origin by a network that was trained on the first two years: `roll` as
multiples of the network's own pass over the sequence. Then `fit` as it is by default on 25, 50 and 100 symbols of the
file, to the end of 2013, and one epoch on 100, 300 and 1,000 symbols of the synthetic market: where it is linear in
symbols x sessions, the last two columns are the same in each row. Each fit runs in a process of its own, which reads or
makes the bars too. Seconds are the process's own on the processor, on one thread, so that neighbours count for little;
memory is what the process has when the fit begins, and the most it had by its end. Where there is a GPU, the synthetic
market is fitted on it too; those seconds are the clock's.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from forecasting import PriceSeries, Recipe, RNNForecaster, make_series
from forecasting.bars import all_dates
from forecasting.config import TrainingConfig
from forecasting.ingestion.synthetic import make_market
from forecasting.model import forecaster as forecaster_module
from forecasting.model.devices import one_thread
from forecasting.model.features import WARM_UP
from forecasting.model.windows import standardize

UNTIL = pd.Timestamp("2013-12-31")  # what is later is for choosing and for testing
FEW = 500  # sessions after which the network of the first table has been fitted
SIZES, SYNTHETIC_SIZES = (25, 50, 100), (100, 300, 1000)
SYNTHETIC = "synthetic"


def load(source: str, symbols: int) -> dict[str, PriceSeries]:
    if source == SYNTHETIC:
        frames = {f"SYN{i}": make_market(f"SYN{i}").drop(columns="volatility") for i in range(1, symbols + 1)}
        return make_series(pd.concat(frames, names=["symbol", "session"]).reset_index())
    early = [("date", "<=", UNTIL)]
    chosen = sorted(pd.read_parquet(Path(source), columns=["symbol"], filters=early)["symbol"].unique())[:symbols]
    bars = pd.read_parquet(Path(source), filters=[*early, ("symbol", "in", chosen)])
    return make_series(bars.rename(columns={"date": "session"}))


def memory_mb() -> tuple[float, float]:
    """Return what this process has now (Linux), and the most it had."""
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return now / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_fit(source: str, symbols: int, epochs: int, device: str) -> None:
    """Print the bars, seconds, and memory before and at its peak, of one fit."""
    series = load(source, symbols)
    recipe = Recipe(training=replace(TrainingConfig(), epochs=epochs, device=device))
    before, began, clock = memory_mb()[0], time.process_time(), time.perf_counter()
    RNNForecaster(recipe).fit(series)
    seconds = time.perf_counter() - clock if device == "cuda" else time.process_time() - began
    print(sum(map(len, series.values())), seconds, before, memory_mb()[1])


def print_fits(source: str, sizes: tuple[int, ...], epochs: int, device: str = "cpu") -> None:
    name = "synthetic market" if source == SYNTHETIC else Path(source).name
    print(f"\nfit, {name}, epochs: {epochs}, on the {'GPU' if device == 'cuda' else 'processor, one thread'}")
    print(f"{'symbols':>8s} {'bars':>10s} {'seconds':>8s} {'before, MB':>10s} {'peak, MB':>9s} ", end="")
    print(f"{'us a bar and epoch':>18s} {'bytes a bar':>11s}")
    for size in sizes:
        asked = [sys.executable, __file__, source, "--fit", str(size), str(epochs), device]
        out = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
        bars, seconds, before, peak = map(float, out.split())
        print(f"{size:8d} {bars:10,.0f} {seconds:8.1f} {before:10,.0f} {peak:9,.0f} ", end="")
        print(f"{1e6 * seconds / bars / epochs:18.1f} {(peak - before) * 2**20 / bars:11,.0f}", flush=True)


@contextmanager
def timed(spent: dict[str, float], *names: str) -> Iterator[None]:
    """Add up the seconds that functions take which the forecaster calls by these names."""
    functions = {name: getattr(forecaster_module, name) for name in names}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.process_time()
            out = functions[name](*arguments)
            spent[name] = spent.get(name, 0.0) + time.process_time() - began
            return out

        return call

    for name in names:
        setattr(forecaster_module, name, wrapped(name))
    try:
        yield
    finally:
        for name, function in functions.items():
            setattr(forecaster_module, name, function)


def pass_seconds(forecaster: RNNForecaster, series: PriceSeries) -> float:
    """Return the time of one forward pass of the network over a sequence that is already made."""
    model, (features,) = forecaster.model, forecaster.features({series.symbol: series}).values()
    inputs = standardize(torch.from_numpy(features.values[WARM_UP:]), model.mean, model.std)[None]
    with torch.no_grad(), one_thread():
        began = time.process_time()
        model.network(inputs)
        return time.process_time() - began


def print_rolls(source: str, symbols: int, rounds: int) -> None:
    series = load(source, symbols)
    cut = all_dates(series)[FEW]
    begun = {symbol: s.until(cut) for symbol, s in series.items() if s.sessions[0] <= cut}
    recipe = Recipe(training=replace(TrainingConfig(), epochs=1))
    forecaster = RNNForecaster(recipe).fit(begun)
    first = forecaster.model.trained_until + pd.Timedelta(days=1)
    found = []
    for symbol, s in series.items():
        for _ in range(rounds):
            spent: dict[str, float] = {}
            one = pass_seconds(forecaster, s)
            with timed(spent, "make_features", "track_offsets", "apply_offsets"):
                began = time.process_time()
                rolled = forecaster.roll({symbol: s}, first)[symbol]
                whole = time.process_time() - began
            calibration = spent["track_offsets"] + spent["apply_offsets"]
            found.append((len(s), len(rolled.origins), one, spent["make_features"], whole - calibration, whole))
    bars, origins, one, inputs, forecast, whole = np.array(found).T
    print(
        f"{symbols} symbols of {bars.mean():,.0f} sessions, each forecast from {origins.mean():,.0f} origins, ", end=""
    )
    print(f"{rounds} times; medians and quartiles\n{'':44s} {'ms':>7s} {'multiple of the pass':>26s}")
    for name, seconds in (
        ("one pass of the network", one),
        ("forecasts without inputs and calibration", forecast - inputs),
        ("forecasts without calibration", forecast),
        ("forecasts, calibrated", whole),
    ):
        low, middle, high = np.quantile(seconds / one, [0.25, 0.5, 0.75])
        print(f"{name:44s} {1e3 * np.median(seconds):7.1f} {middle:12.2f} ({low:.2f} to {high:.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=SYNTHETIC, help="a Parquet file")
    parser.add_argument("--rounds", type=int, default=5, help="how often each symbol is forecast")
    parser.add_argument("--fit", nargs=3, metavar=("SYMBOLS", "EPOCHS", "DEVICE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        symbols, epochs, device = arguments.fit
        measure_fit(arguments.data, int(symbols), int(epochs), device)
        return
    print_rolls(arguments.data, 10, arguments.rounds)
    if arguments.data != SYNTHETIC:
        print_fits(arguments.data, SIZES, TrainingConfig().epochs)
    print_fits(SYNTHETIC, SYNTHETIC_SIZES, 1)
    if torch.cuda.is_available():
        print_fits(SYNTHETIC, SYNTHETIC_SIZES, 1, "cuda")
    else:
        print("\nno GPU here to compare with")


if __name__ == "__main__":
    main()
