"""Jobs: order the steps over a workspace, record them, nothing else.

Each job holds the workspace's lock while it runs and publishes after each step, so that readers always
see a finished one. What breaks a rule is refused before anything is written. A symbol that fails is
named and left out; the others go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from forecasting.candidates import TrainingReport, fit_candidate, settle_candidate, train_candidate
from forecasting.cards import write_cards
from forecasting.checks import leave_out_short, require_whole
from forecasting.config import BacktestConfig, Progress, Recipe, no_progress
from forecasting.errors import DataError
from forecasting.evaluation.audit.leakage import AuditReport, audit_network, audit_store
from forecasting.evaluation.finished import find_backtest
from forecasting.evaluation.folds import require_longer_than
from forecasting.evaluation.report import BacktestReport
from forecasting.evaluation.workers import Workers
from forecasting.ingestion.collector import make_provider
from forecasting.ingestion.provider import Provider
from forecasting.ledger import Ledger
from forecasting.model.bundle import load_model
from forecasting.model.manifest import find_models
from forecasting.records import JobRecord
from forecasting.registry import Registry
from forecasting.scoring import ScoreReport
from forecasting.steps import (
    Clock,
    FetchReport,
    ForecastReport,
    Repetition,
    collect,
    fetch_missing,
    issue,
    run_again,
    run_backtest,
    score,
    store_prices,
)
from forecasting.store import PriceStore
from forecasting.universe import Universe, make_universe
from forecasting.workspace import Workspace


@dataclass(frozen=True)
class RunReport:
    """The main job's results, step by step."""

    universe: Universe
    fetched: FetchReport
    training: TrainingReport
    backtest: BacktestReport
    issued: ForecastReport

    @property
    def model_id(self) -> str:
        """The champion, whose forecasts were issued."""
        return self.issued.model_id


def utc_now() -> pd.Timestamp:
    """Return the present instant."""
    return pd.Timestamp.now(tz="UTC").as_unit("us")


def fetch_prices(
    workspace: Workspace,
    source: str | Provider,
    symbols: Sequence[str] = (),
    progress: Progress = no_progress,
    clock: Clock = utc_now,
    full: bool = False,
) -> FetchReport:
    """Fetch what is missing into the store.

    Parameters
    ----------
    source : name of a source, or a provider such as `FileProvider`
    symbols : none means the provider's own
    full : ask for whole histories, so that corrections older than the last sessions are found too

    Raises
    ------
    FetchError
        Every symbol failed; the prices are as they were.
    """
    with workspace.lock(), JobRecord(workspace, "fetch", clock()) as record:
        store = PriceStore(workspace.prices)
        provider = make_provider(source) if isinstance(source, str) else source
        collection = collect(workspace, store, provider, symbols, record.watch(progress), clock, full)
        with record.step("fetch"):
            return store_prices(store, collection, clock())


def train_model(
    workspace: Workspace,
    universe: Universe,
    recipe: Recipe,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
) -> TrainingReport:
    """Train one pooled model on stored prices; it serves the universe where it is the first, or wins its contest."""
    with workspace.lock(), JobRecord(workspace, "train", clock()) as record:
        require_whole(workspace)
        series = PriceStore(workspace.prices).read(universe.symbols)
        with record.step("train"):
            return train_candidate(workspace, universe, series, recipe, record.watch(progress), clock)


def backtest_model(
    workspace: Workspace,
    universe: Universe,
    recipe: Recipe,
    config: BacktestConfig,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
    baselines: str = "standard",
    workers: Workers | None = None,
) -> BacktestReport:
    """Walk a recipe and the baselines forward over stored prices and write the report.

    Parameters
    ----------
    baselines : kind of `make_baselines`
    workers : where folds run; by default a process for each core, where that is worth it
    """
    require_longer_than(recipe.horizon, config)
    with workspace.lock(), JobRecord(workspace, "backtest", clock()) as record:
        store = PriceStore(workspace.prices)
        data_as_of = store.known_until
        series = store.read(universe.symbols, as_of=data_as_of)
        with record.step("backtest"):
            watched = record.watch(progress)
            report = run_backtest(workspace, series, recipe, config, watched, baselines, workers, data_as_of)
            write_cards(workspace, find_models(workspace.models, recipe, universe.symbols))
            return report


def repeat_backtest(
    workspace: Workspace, backtest_id: str, progress: Progress = no_progress, workers: Workers | None = None
) -> Repetition:
    """Run a finished backtest again on the prices it had, and compare to the last bit; nothing is written.

    Raises
    ------
    DataError
        There is no such backtest, it is damaged, or the prices it had are not stored.
    """
    report = find_backtest(workspace.backtests, backtest_id)
    as_of = None if report.data_as_of is None else pd.Timestamp(report.data_as_of)
    return run_again(report, PriceStore(workspace.prices).read(report.plan.universe, as_of), progress, workers)


def audit_model(
    workspace: Workspace,
    symbols: Sequence[str] = (),
    model_id: str | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> AuditReport:
    """Look for leaks in a model, a fresh fit of its recipe, a backtest fold and the stored prices; write nothing.

    Parameters
    ----------
    symbols : none means the model's universe
    model_id : by default the newest champion whose universe holds the symbols
    seed : of the noise that takes the future's place
    """
    store = PriceStore(workspace.prices)
    store.require(symbols)
    model_id = model_id or Registry(workspace.models).champion(symbols).model_id
    network = load_model(workspace.models, model_id)
    present = store.instruments()
    wanted = symbols or [s for s in network.model.universe if s in present] or network.model.universe
    series = store.read(wanted)
    prices = audit_store(store, wanted, seed=seed)
    checks, left_out = audit_network(network, series, seed, progress)
    return AuditReport(f"model {model_id}", tuple(sorted(series)), (prices, *checks), left_out)


def issue_forecasts(
    workspace: Workspace,
    symbols: Sequence[str] = (),
    model_id: str | None = None,
    clock: Clock = utc_now,
    *,
    live_only: bool = False,
    fetch: bool = False,
    source: str | None = None,
    progress: Progress = no_progress,
) -> ForecastReport:
    """Forecast with a model into the ledger and the exports.

    Parameters
    ----------
    symbols : none means the model's universe
    model_id : by default the newest champion whose universe holds the symbols
    live_only : leave symbols out, and name them, whose next session has opened or that cannot be forecast live
    fetch : first fetch what is missing of the symbols; where no champion's universe holds them, the newest one
        forecasts them all the same
    source : that symbols are fetched from that are not stored; as `fetch_missing` takes it

    Raises
    ------
    DataError
        No symbol can be forecast, or none live where that was asked for; nothing is issued.
    FetchError
        No symbol could be fetched, and none is stored.
    """
    store = PriceStore(workspace.prices)
    with workspace.lock(), JobRecord(workspace, "forecast", clock()) as record:
        if not fetch:
            store.require(symbols)
        model_id = model_id or Registry(workspace.models).champion(symbols, or_newest=fetch).model_id
        forecaster = load_model(workspace.models, model_id)
        wanted, unfetched = symbols or forecaster.model.universe, {}
        if fetch:
            watched = record.watch(progress)
            watched("fetch", 0, len(wanted))
            with record.step("fetch"):
                unfetched = fetch_missing(workspace, wanted, source, watched, clock)
            wanted = [symbol for symbol in wanted if symbol in store.instruments()]
        with record.step("forecast"):
            report = issue(workspace, forecaster, model_id, wanted, clock, live_only=live_only)
        return replace(report, failures={**unfetched, **report.failures})


def score_matured(workspace: Workspace, clock: Clock = utc_now) -> ScoreReport:
    """Score the issued forecasts whose outcome is known, and those whose prices were restated since.

    Raises
    ------
    DataError
        No forecast was issued yet.
    """
    with workspace.lock(), JobRecord(workspace, "score", clock()) as record:
        if not Ledger(workspace.ledger).head().rows:
            raise DataError("no forecast has been issued yet; next: tickercast forecast")
        with record.step("score"):
            return score(workspace)


def run_job(
    workspace: Workspace,
    source: str,
    universe: Universe | None,
    recipe: Recipe,
    config: BacktestConfig,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
) -> RunReport:
    """Run the main job: fetch, train, backtest, settle which model serves, forecast with it, export.

    A symbol that could not be fetched takes part with the bars it has in the store; one without any, or
    with too few, is left out. Both are named.

    Parameters
    ----------
    universe : None means the source's own symbols

    Raises
    ------
    FetchError, TooFewBars, UsageError
        Nothing can be forecast, or not tested; the workspace is as it was.
    """
    require_longer_than(recipe.horizon, config)
    provider = make_provider(source)
    wanted = universe.symbols if universe else provider.symbols
    with workspace.lock(), JobRecord(workspace, "run", clock()) as record:
        require_whole(workspace)
        store, progress = PriceStore(workspace.prices), record.watch(progress)
        collection = collect(workspace, store, provider, wanted, progress, clock)
        collection, usable = leave_out_short(collection, wanted, store, recipe, config)
        universe = replace(universe or make_universe(wanted), symbols=usable)
        with record.step("fetch"):
            fetched = store_prices(store, collection, clock())
        data_as_of = store.known_until
        series = store.read(usable, as_of=data_as_of)
        with record.step("train"):
            candidate = fit_candidate(workspace, universe, series, recipe, progress, clock)
        with record.step("backtest"):
            backtest = run_backtest(workspace, series, recipe, config, progress, data_as_of=data_as_of)
        with record.step("settle"):
            training = settle_candidate(workspace, universe, candidate, series, progress, clock)
        with record.step("forecast"):
            champion = load_model(workspace.models, training.champion)
            issued = issue(workspace, champion, training.champion, usable, clock)
        return RunReport(universe, fetched, training, backtest, issued)
