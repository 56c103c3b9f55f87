"""The steps that jobs order: each reads from a workspace, does one thing, and writes what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import BacktestConfig, Progress, Recipe
from forecasting.errors import DataError
from forecasting.evaluation.baselines import make_baselines
from forecasting.evaluation.report import BacktestReport, save_backtest
from forecasting.evaluation.walkforward import score_backtest, walk_forward
from forecasting.exports import export_forecasts
from forecasting.forecasts import Forecast, Forecaster
from forecasting.ingestion.collector import Collection, fetch_bars
from forecasting.ingestion.provider import Provider
from forecasting.ledger import Ledger
from forecasting.model.forecaster import RNNForecaster, minimum_bars
from forecasting.sessions import last_complete_session
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

Clock = Callable[[], pd.Timestamp]


@dataclass(frozen=True)
class FetchReport:
    """What a fetch added to the store, and the cause for each symbol that failed.

    Parameters
    ----------
    symbols : that answered
    current : that were not asked for, because no session has completed since their last bar
    added : bars that are new or other than before
    quarantined : bars that broke a rule and are not in quarantine yet
    restated : by symbol, how and why its source changed what it had told before
    failures : by symbol
    retry_at : UTC instant from which a source that limits requests may be asked for the rest
    """

    symbols: tuple[str, ...]
    current: tuple[str, ...]
    added: int
    quarantined: int
    restated: Mapping[str, str]
    failures: Mapping[str, str]
    retry_at: pd.Timestamp | None = None


@dataclass(frozen=True)
class ForecastReport:
    """What was issued: forecasts by symbol, new ledger rows, files, and the symbols left out or stale."""

    model_id: str
    forecasts: Mapping[str, Forecast]
    rows: int
    files: tuple[Path, ...]
    failures: Mapping[str, str]
    stale: Mapping[str, str]


def collect(
    workspace: Workspace,
    store: PriceStore,
    provider: Provider,
    symbols: Sequence[str],
    progress: Progress,
    clock: Clock,
    full: bool = False,
) -> Collection:
    """Fetch; where nothing came, note that of symbols that are stored, and raise `FetchError`."""
    collection = fetch_bars(provider, symbols, store, clock(), progress, full)
    if collection.nothing_came and store.instruments().keys() & collection.failures.keys():
        store_prices(store, collection, clock())
        workspace.publish()
    collection.require_some()
    return collection


def store_prices(store: PriceStore, collection: Collection, now: pd.Timestamp) -> FetchReport:
    """Append what a fetch brought, and what came of it."""
    appended = store.append(
        collection.instruments.values(),
        collection.bars,
        collection.events,
        collection.quarantined,
        now,
        whole=collection.whole,
        fetches=collection.fetches,
    )
    failures = collection.failures
    return FetchReport(
        tuple(sorted(collection.instruments)),
        collection.current,
        appended.bars,
        appended.quarantined,
        dict(zip(appended.restatements["symbol"], appended.restatements["cause"], strict=True)),
        {symbol: failed.cause for symbol, failed in failures.items()},
        max((f.retry_at for f in failures.values() if f.retry_at), default=None),
    )


def run_backtest(
    workspace: Workspace,
    series: Mapping[str, PriceSeries],
    recipe: Recipe,
    config: BacktestConfig,
    progress: Progress,
) -> BacktestReport:
    """Walk a recipe and the baselines forward, and save the report."""
    forecasters: list[Forecaster] = [RNNForecaster(recipe), *make_baselines(recipe.horizon, recipe.levels)]
    backtest = walk_forward(forecasters, series, config, progress)
    return save_backtest(backtest, score_backtest(backtest), recipe, config, workspace.backtests)


def issue(
    workspace: Workspace, forecaster: RNNForecaster, model_id: str, symbols: Sequence[str], clock: Clock
) -> ForecastReport:
    """Forecast symbols with a fitted model into the ledger and the exports; name those that it cannot."""
    store, model, recipe = PriceStore(workspace.prices), forecaster.model, forecaster.recipe
    wanted = dict.fromkeys(symbols)
    # the model's whole universe is read, so that its calibration does not depend on what is asked for
    present = store.instruments()
    series = store.read(sorted({*wanted, *(s for s in model.universe if s in present)}))
    failures = {}
    for symbol, s in list(series.items()):
        if (found := len(s.parts()[-1])) < minimum_bars(recipe):
            failures[symbol] = f"{symbol} has {found} bars{s.since_void}, a forecast needs {minimum_bars(recipe)}"
        elif s.sessions[-1] <= model.trained_until:
            failures[symbol] = (
                f"{symbol} has no bar after {model.trained_until.date()}, until when the model was trained"
            )
        else:
            continue
        del series[symbol]
    if not series.keys() & wanted.keys():
        raise DataError("; ".join(failures[s] for s in wanted) + f"; next: tickercast run {' '.join(wanted)}")
    forecasts = {symbol: f for symbol, f in forecaster.forecast(series).items() if symbol in wanted}
    now = clock()  # of the issue: what opened while the job ran is not forecast live
    stale = {
        symbol: f"{symbol} was last seen on {f.origin.date()}, {expected.date()} is complete"
        for symbol, f in forecasts.items()
        if not f.instrument.embedded and f.origin < (expected := last_complete_session(f.instrument.calendar, now))
    }
    known_at = store.summary().set_index("symbol")["known_at"]
    ledger = Ledger(workspace.ledger)
    rows = ledger.issue(forecasts.values(), model_id, now, known_at.loc[sorted(forecasts)].max())
    files = export_forecasts(ledger.latest(model_id=model_id), workspace.exports)
    return ForecastReport(
        model_id, forecasts, rows, tuple(files), {s: c for s, c in failures.items() if s in wanted}, stale
    )
