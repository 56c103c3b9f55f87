"""The steps that jobs order: each reads from a workspace, does one thing, and writes what came of it."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.chain import Head
from forecasting.config import BacktestConfig, Progress, Recipe
from forecasting.errors import DataError, FetchError
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.plan import make_plan
from forecasting.evaluation.repetition import first_difference
from forecasting.evaluation.report import BacktestReport, load_report, save_backtest
from forecasting.evaluation.walkforward import walk_forward
from forecasting.evaluation.workers import Workers, workers_for
from forecasting.exports.files import export_forecasts
from forecasting.forecasts import STALE, Forecast
from forecasting.ingestion.collector import SOURCES, Collection, fetch_bars, make_provider, source_of_new
from forecasting.ingestion.provider import Failed, Provider
from forecasting.issuing import find_late, find_stale, make_random_walks, split_forecastable
from forecasting.ledger import Ledger
from forecasting.model.forecaster import RNNForecaster
from forecasting.scoring import ScoreReport, Scores
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

Clock = Callable[[], pd.Timestamp]


@dataclass(frozen=True)
class FetchReport:
    """What a fetch added to the store, and why symbols failed.

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
    failures: Mapping[str, Failed]
    retry_at: pd.Timestamp | None = None


@dataclass(frozen=True)
class ForecastReport:
    """What was issued.

    Parameters
    ----------
    model_id
    forecasts : by symbol
    rows : new ones in the ledger
    files
    failures, stale : why symbols were left out or could not be fetched, or are forecast from old prices
    head : of the ledger, by which its records can be verified later
    outsiders : symbols that the model was not trained on
    """

    model_id: str
    forecasts: Mapping[str, Forecast]
    rows: int
    files: tuple[Path, ...]
    failures: Mapping[str, str]
    stale: Mapping[str, str]
    head: Head
    outsiders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repetition:
    """What became of running a backtest again.

    Parameters
    ----------
    backtest_id
    difference : where it first differs from what was written, to the last bit; None where it does not
    changed : what of the engine and its packages is not what it was
    """

    backtest_id: str
    difference: str | None
    changed: tuple[str, ...]


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
    return FetchReport(
        tuple(sorted(collection.instruments)),
        collection.current,
        appended.bars,
        appended.quarantined,
        dict(zip(appended.restatements["symbol"], appended.restatements["cause"], strict=True)),
        collection.failures,
        max((f.retry_at for f in collection.failures.values() if f.retry_at), default=None),
    )


def fetch_missing(
    workspace: Workspace, symbols: Sequence[str], source: str | None, progress: Progress, clock: Clock
) -> dict[str, str]:
    """Fetch what is missing of symbols, each from the source it is stored from; return why some could not be fetched.

    What a person's files hold is taken as it is stored.

    Parameters
    ----------
    source : of symbols that are not stored, by name; `source_of_new` by default

    Raises
    ------
    FetchError
        None of them could be fetched, and none is stored.
    """
    store = PriceStore(workspace.prices)
    known = store.instruments()
    new = make_provider(source or source_of_new(known.values()))
    asked: dict[str, list[str]] = {}
    for symbol in symbols:
        asked.setdefault(known[symbol].source if symbol in known else new.source, []).append(symbol)
    causes: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for name in sorted(asked.keys() & SOURCES):
        try:
            provider = new if name == new.source else make_provider(name)
            collection = collect(workspace, store, provider, asked[name], progress, clock)
        except FetchError as error:
            causes, kinds = causes | error.causes, kinds | error.kinds
        else:
            store_prices(store, collection, clock())
            causes |= {symbol: failed.cause for symbol, failed in collection.failures.items()}
            kinds |= {symbol: failed.kind for symbol, failed in collection.failures.items()}
    if set(symbols) <= causes.keys() - known.keys():
        raise FetchError(f"{', '.join(causes)} could not be fetched; nothing was changed", causes, kinds)
    return {s: f"{s} could not be fetched: {cause}" for s, cause in causes.items()}


def run_backtest(
    workspace: Workspace,
    series: Mapping[str, PriceSeries],
    recipe: Recipe,
    config: BacktestConfig,
    progress: Progress,
    baselines: str = "standard",
    workers: Workers | None = None,
    data_as_of: pd.Timestamp | None = None,
) -> BacktestReport:
    """Walk a recipe and the baselines forward, and save the report.

    A finished backtest of the same prices, settings and engine stands; one that was killed goes on where it was.
    """
    plan = make_plan(series, recipe, config, baselines)
    folder = workspace.backtests / plan.backtest_id
    with suppress(DataError):
        return load_report(folder)
    workers = workers or workers_for(sum(map(len, series.values())))
    parts = folder / "parts"
    backtest = walk_forward(plan.forecasters(), series, config, progress, workers, parts)
    report = save_backtest(backtest, score_backtest(backtest), plan, workspace.backtests, data_as_of)
    shutil.rmtree(parts, ignore_errors=True)
    return report


def run_again(
    report: BacktestReport, series: Mapping[str, PriceSeries], progress: Progress, workers: Workers | None
) -> Repetition:
    """Run a finished backtest again on the prices it had, and compare to the last bit; nothing is written.

    Raises
    ------
    DataError
        The prices are not those it had.
    """
    written = report.plan
    plan = make_plan(series, written.recipe, written.config, written.baselines)
    if plan.prices_sha256 != written.prices_sha256:
        raise DataError(
            f"backtest {report.backtest_id} was made from other prices than the store held as of {report.data_as_of} "
            f"(SHA-256 {written.prices_sha256[:12]}…, now {plan.prices_sha256[:12]}…); next: tickercast backtest"
        )
    packages = [
        f"{name} {now} for {before}"
        for name, now in plan.packages.items()
        if now != (before := written.packages.get(name))
    ]
    changed = ["the engine's source"] * (plan.engine_sha256 != written.engine_sha256) + packages
    workers = workers or workers_for(sum(map(len, series.values())))
    backtest = walk_forward(plan.forecasters(), series, plan.config, progress, workers)
    difference = first_difference(report, backtest, score_backtest(backtest))
    return Repetition(report.backtest_id, difference, tuple(changed))


def issue(
    workspace: Workspace,
    forecaster: RNNForecaster,
    model_id: str,
    symbols: Sequence[str],
    clock: Clock,
    *,
    live_only: bool = False,
) -> ForecastReport:
    """Forecast symbols with a fitted model into the ledger and the exports; name those that it cannot.

    Parameters
    ----------
    live_only : leave symbols out whose next session has opened, or that cannot be forecast live at all
    """
    store, wanted = PriceStore(workspace.prices), dict.fromkeys(symbols)
    # the model's whole universe is read, so that its calibration does not depend on what is asked for
    present = store.instruments()
    series = store.read(sorted({*wanted, *(s for s in forecaster.model.universe if s in present)}))
    series, failures = split_forecastable(series, forecaster)
    if not series.keys() & wanted.keys():
        raise DataError("; ".join(failures[s] for s in wanted) + f"; next: tickercast run {' '.join(wanted)}")
    forecasts = {symbol: f for symbol, f in forecaster.forecast(series).items() if symbol in wanted}
    now = clock()  # of the issue: what opened while the job ran is not forecast live
    if live_only:
        late = find_late(forecasts.values(), now)
        failures |= late
        forecasts = {symbol: f for symbol, f in forecasts.items() if symbol not in late}
        if not forecasts:
            raise DataError("; ".join(failures[s] for s in wanted) + "; next: the same without --live, as a replay")
    stale = find_stale({symbol: series[symbol] for symbol in forecasts}, now)
    known_at = store.summary().set_index("symbol")["known_at"].loc[sorted(forecasts)].max()
    walks = make_random_walks(forecasts.values(), series, forecaster)
    ledger = Ledger(workspace.ledger)
    rows = ledger.issue(forecasts.values(), model_id, now, known_at, walks, {symbol: [STALE] for symbol in stale})
    files = export_forecasts(ledger.latest(model_id=model_id), workspace.exports)
    failures = {symbol: cause for symbol, cause in failures.items() if symbol in wanted}
    outsiders = tuple(symbol for symbol in forecasts if symbol not in forecaster.model.universe)
    return ForecastReport(model_id, forecasts, rows, tuple(files), failures, stale, ledger.head(), outsiders)


def score(workspace: Workspace) -> ScoreReport:
    """Score the issued forecasts that have matured, or whose prices were restated, since the last time."""
    return Scores(workspace.scores).update(Ledger(workspace.ledger), PriceStore(workspace.prices))
