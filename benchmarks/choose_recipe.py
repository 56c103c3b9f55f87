"""Compare recipes on validation years, never on the test part: skill against the EWMA random walk.

    python benchmarks/choose_recipe.py sample                    (embedded indices, 2010-2015)
    python benchmarks/choose_recipe.py PARQUET --symbols 40      (columns symbol, date, open .. volume)
    python benchmarks/choose_recipe.py sample --try network.cell=gru --try training.epochs=20,training.seed=1

Each --try is one recipe, as changes of the default; the default itself is always the first.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from forecasting import (
    BacktestConfig,
    PriceSeries,
    PriceStore,
    Recipe,
    RNNForecaster,
    fetch_bars,
    make_baselines,
    make_provider,
    make_series,
    score_backtest,
    walk_forward,
)

VALIDATION_END = pd.Timestamp("2015-12-29")  # the demo's test part starts on the next session


def load(path: str, symbols: int) -> dict[str, PriceSeries]:
    if path == "sample":
        with TemporaryDirectory() as folder:
            collection = fetch_bars(make_provider("sample"), [], PriceStore(Path(folder)), pd.Timestamp.now(tz="UTC"))
        bars = collection.bars
        return make_series(bars[bars["session"] <= VALIDATION_END])
    bars = pd.read_parquet(Path(path)).rename(columns={"date": "session"})
    chosen = sorted(bars["symbol"].unique())[:: max(1, bars["symbol"].nunique() // symbols)][:symbols]
    return make_series(bars[bars["symbol"].isin(chosen) & (pd.to_datetime(bars["session"]) <= VALIDATION_END)])


def changed(recipe: Recipe, changes: str) -> Recipe:
    for change in filter(None, changes.split(",")):
        path, _, text = change.partition("=")
        section, _, name = path.partition(".")
        old = getattr(recipe, section)
        value = type(getattr(old, name))(text)
        recipe = replace(recipe, **{section: replace(old, **{name: value})})
    return recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--test-sessions", type=int, default=1510)
    parser.add_argument("--refit-every", type=int, default=504)
    parser.add_argument("--try", dest="tries", action="append", default=[])
    arguments = parser.parse_args()
    series = load(arguments.data, arguments.symbols)
    split = BacktestConfig(arguments.test_sessions, arguments.refit_every)
    print(f"{len(series)} symbols, test part of {split.test_sessions} sessions up to {VALIDATION_END.date()}")
    for changes in ["", *arguments.tries]:
        recipe = changed(Recipe(), changes)
        began = time.perf_counter()
        forecasters = [RNNForecaster(recipe), *make_baselines(recipe.horizon)]
        scores = score_backtest(walk_forward(forecasters, series, split)).scores.set_index("horizon")
        skill = " ".join(f"{100 * x:6.2f}" for x in scores["skill_random_walk_ewma"])
        cover = " ".join(f"{100 * x:5.1f}" for x in scores["coverage_80"])
        seconds = time.perf_counter() - began
        print(f"{changes or 'default':50s} skill % {skill} | coverage 80% {cover} | {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
