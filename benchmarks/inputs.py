"""What each group of inputs is worth: the network with all of them and without each, on two validation blocks.

    python benchmarks/inputs.py PARQUET                            (columns symbol, date, open .. volume)
    python benchmarks/inputs.py PARQUET --ablate                   (and once without each group)
    python benchmarks/inputs.py PARQUET --try training.seed=1      (a change of the recipe; repeatable)

Block A is fitted on sessions to 2011 and scored on 2012 and 2013, block B to 2013 and on 2014 and 2015; the network
keeps the last 250 sessions before either for its calibration, so it trains to 2010 and to 2012. Later sessions are
never read. Printed are gains in CRPS, in %, on the pooled HAR and on the EWMA random walk at the report horizons,
and t of the Diebold-Mariano test against the HAR. An input earns its place where leaving it out costs on both blocks.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from choose_recipe import changed

from forecasting import BacktestConfig, PriceSeries, Recipe, RNNForecaster, make_series
from forecasting.config import report_horizons
from forecasting.evaluation.baselines import RandomWalk
from forecasting.evaluation.folds import make_folds
from forecasting.evaluation.har import HarQuantiles
from forecasting.evaluation.significance import diebold_mariano
from forecasting.forecasts import Forecaster
from forecasting.model.features import GROUPS

BLOCKS = {"A": ("2012-01-01", "2013-12-31"), "B": ("2014-01-01", "2015-12-31")}
HORIZONS = report_horizons(20)


def load(path: str, symbols: int) -> dict[str, PriceSeries]:
    last = max(end for _, end in BLOCKS.values())
    bars = pd.read_parquet(Path(path), filters=[("date", "<=", pd.Timestamp(last))]).rename(columns={"date": "session"})
    chosen = sorted(bars["symbol"].unique())[:symbols]
    return make_series(bars[bars["symbol"].isin(chosen)])


def losses(forecaster: Forecaster, series: Mapping[str, PriceSeries], block: str) -> pd.DataFrame:
    """Return the CRPS of each (symbol, origin), by horizon: twice the mean pinball loss over the levels."""
    first, last = map(pd.Timestamp, BLOCKS[block])
    series = {symbol: s.until(last) for symbol, s in series.items()}
    dates = pd.DatetimeIndex(sorted(set().union(*(s.sessions for s in series.values()))))
    fold = make_folds(dates, BacktestConfig(int((dates >= first).sum()), refit_every=None))[0]
    rolled = forecaster.fit(fold.training_part(series)).roll(series, fold.test_first)
    found = {}
    for symbol, rolling in rolled.items():
        outcomes = series[symbol].log_returns(HORIZONS)[-len(rolling.origins) :, :, None]
        error = outcomes - rolling.values[:, np.asarray(HORIZONS) - 1]
        levels = np.asarray(rolling.levels)
        crps = 2 * np.maximum(levels * error, (levels - 1) * error).mean(-1)
        found[symbol] = pd.DataFrame(crps, index=rolling.origins, columns=list(HORIZONS))
    return pd.concat(found, names=["symbol", "session"])


def baselines(series: Mapping[str, PriceSeries], block: str, kept: Path) -> dict[str, pd.DataFrame]:
    """Return the losses of both baselines; they do not change between runs, so they are kept."""
    found = {}
    for forecaster in (HarQuantiles(max(HORIZONS)), RandomWalk("ewma", max(HORIZONS))):
        path = kept / f"{forecaster.name}-{block}-{len(series)}.parquet"
        if not path.exists():
            kept.mkdir(parents=True, exist_ok=True)
            losses(forecaster, series, block).rename(columns=str).to_parquet(path)
        found[forecaster.name] = pd.read_parquet(path).rename(columns=int)
    return found


def gains(own: pd.DataFrame, other: pd.DataFrame) -> tuple[list[float], list[float]]:
    """Return, by horizon, the gain in % and its t; differences are averaged over the symbols of each session."""
    difference = other - own
    daily = difference.groupby("session").mean()
    t = [diebold_mariano(daily[h].dropna().to_numpy(), h)[0] for h in HORIZONS]
    return (100 * difference.mean() / other.mean()).tolist(), t


def report(name: str, recipe: Recipe, series: Mapping[str, PriceSeries], kept: Path) -> None:
    for block in BLOCKS:
        began = time.perf_counter()
        forecaster = RNNForecaster(recipe)
        own, others = losses(forecaster, series, block), baselines(series, block, kept)
        har, t = gains(own, others["har"])
        walk, _ = gains(own, others["random_walk_ewma"])
        text = [" ".join(f"{x:5.2f}" for x in values) for values in (har, walk)]
        print(
            f"{name:34s} {block} | har {text[0]} mean {np.mean(har):5.2f} | t {' '.join(f'{x:4.1f}' for x in t)} | "
            f"walk {text[1]} | {len(forecaster.model.mean)} inputs, {time.perf_counter() - began:.0f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--ablate", action="store_true", help="also train without each group")
    parser.add_argument("--without", action="append", default=[], help="train without this group only")
    parser.add_argument("--try", dest="tries", action="append", default=[], help="a change of the recipe")
    kept = Path(tempfile.gettempdir()) / "tickercast-inputs"
    parser.add_argument("--kept", type=Path, default=kept, help="folder of the baselines' losses")
    arguments = parser.parse_args()
    series = load(arguments.data, arguments.symbols)
    print(f"{len(series)} symbols; ahead: {', '.join(map(str, HORIZONS))}", flush=True)
    for changes in arguments.tries or [""] * (not arguments.without):
        report(changes or "all groups", changed(Recipe(), changes), series, arguments.kept)
    everything = dict(GROUPS)
    for group in [*arguments.without, *(everything if arguments.ablate else ())]:
        del GROUPS[group]
        report(f"without {group}", Recipe(), series, arguments.kept)
        GROUPS.clear()
        GROUPS.update(everything)


if __name__ == "__main__":
    main()
