"""The verbs. Heavy packages are imported inside them, so that `tickercast --help` answers at once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from forecasting.cli.console import PARTLY_DONE, reported_errors, show_json, shown_progress, typed
from forecasting.cli.inputs import choose_universe, make_recipe, open_workspace, stored_universe
from forecasting.cli.options import (
    Calendar,
    Cell,
    Currency,
    DayFirst,
    Decimal,
    Epochs,
    Files,
    Horizon,
    JsonOption,
    ModelOption,
    Nonlinearity,
    Prices,
    RefitEvery,
    Seed,
    Source,
    Symbols,
    TestSessions,
    UniverseOption,
    Verbose,
    Window,
    WorkspaceOption,
)
from forecasting.config import BacktestConfig

app = typer.Typer(
    name="tickercast",
    help="Honest probabilistic stock price forecasts, scored against doing nothing.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 partly done or stale, 4 already running.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(epilog="Example: tickercast run AAPL MSFT")
def run(
    symbols: Symbols = None,
    universe: UniverseOption = None,
    source: Source = "yahoo",
    cell: Cell = "rnn",
    nonlinearity: Nonlinearity = "tanh",
    horizon: Horizon = 20,
    window: Window = 120,
    epochs: Epochs = 10,
    seed: Seed = 0,
    test_sessions: TestSessions = 756,
    refit_every: RefitEvery = 252,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Fetch, train, backtest, forecast and export: the main job."""
    with reported_errors(as_json, verbose, workspace):
        recipe = make_recipe(cell, nonlinearity, horizon, window, epochs, seed)
        config = BacktestConfig(test_sessions, refit_every)
        place, chosen = open_workspace(workspace), choose_universe(symbols, universe)
        from forecasting.jobs import run_job

        with shown_progress(as_json) as progress:
            report = run_job(place, source, chosen, recipe, config, progress)
        from forecasting.cli import render

        if as_json:
            show_json(render.run_values(report))
        else:
            render.show_run(report, workspace)
        _partly(report.fetched.failures or report.issued.failures or report.issued.stale)


@app.command(epilog="Example: tickercast fetch AAPL MSFT VOD.L")
def fetch(
    symbols: Symbols = None,
    universe: UniverseOption = None,
    source: Source = "yahoo",
    files: Files = None,
    prices: Prices = None,
    calendar: Calendar = None,
    currency: Currency = "USD",
    day_first: DayFirst = None,
    decimal: Decimal = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Bring prices in; only missing sessions are asked for."""
    with reported_errors(as_json, verbose, workspace):
        place, chosen = open_workspace(workspace), choose_universe(symbols, universe)
        from forecasting.ingestion.files import FileProvider
        from forecasting.jobs import fetch_prices

        wanted = chosen.symbols if chosen else ()
        provider: str | FileProvider = source
        if files is not None:
            one = wanted[0] if len(wanted) == 1 else None
            provider = FileProvider(
                files, prices, one, currency=currency, calendar=calendar, day_first=day_first, decimal=decimal
            )
        with shown_progress(as_json) as progress:
            report = fetch_prices(place, provider, wanted, progress)
        from forecasting.cli import render

        if as_json:
            show_json(render.fetch_values(report))
        else:
            render.show_fetch(report)
        _partly(report.failures)


@app.command(epilog="Example: tickercast train AAPL MSFT --cell gru")
def train(
    symbols: Symbols = None,
    universe: UniverseOption = None,
    cell: Cell = "rnn",
    nonlinearity: Nonlinearity = "tanh",
    horizon: Horizon = 20,
    window: Window = 120,
    epochs: Epochs = 10,
    seed: Seed = 0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Train a model on stored prices.

    One pooled network over the symbols, by default all that are stored; it becomes their champion.
    """
    with reported_errors(as_json, verbose, workspace):
        recipe = make_recipe(cell, nonlinearity, horizon, window, epochs, seed)
        place = open_workspace(workspace)
        chosen = choose_universe(symbols, universe) or stored_universe(place)
        from forecasting.jobs import train_model

        with shown_progress(as_json) as progress:
            model_id = train_model(place, chosen, recipe, progress)
        if as_json:
            show_json({"model_id": model_id, "universe": chosen.name, "symbols": chosen.symbols})
        else:
            typer.echo(f"model {model_id} serves {chosen.name}; next: {typed('forecast', workspace)}")


@app.command(epilog="Example: tickercast backtest --test-sessions 504")
def backtest(
    symbols: Symbols = None,
    universe: UniverseOption = None,
    cell: Cell = "rnn",
    nonlinearity: Nonlinearity = "tanh",
    horizon: Horizon = 20,
    window: Window = 120,
    epochs: Epochs = 10,
    seed: Seed = 0,
    test_sessions: TestSessions = 756,
    refit_every: RefitEvery = 252,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Compare a recipe with doing nothing.

    Walks it and the baselines forward over stored prices; fits and keeps no model.
    """
    with reported_errors(as_json, verbose, workspace):
        recipe = make_recipe(cell, nonlinearity, horizon, window, epochs, seed)
        config = BacktestConfig(test_sessions, refit_every)
        place = open_workspace(workspace)
        chosen = choose_universe(symbols, universe) or stored_universe(place)
        from forecasting.jobs import backtest_model

        with shown_progress(as_json) as progress:
            report = backtest_model(place, chosen, recipe, config, progress)
        from forecasting.cli import render

        if as_json:
            show_json(render.backtest_values(report))
        else:
            render.show_backtest(report)


@app.command(epilog="Example: tickercast forecast AAPL")
def forecast(
    symbols: Symbols = None,
    model: ModelOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Issue forecasts from the last stored session.

    With the newest champion that was trained on the symbols, into the ledger and the CSVs.
    """
    with reported_errors(as_json, verbose, workspace):
        place, chosen = open_workspace(workspace), choose_universe(symbols, None)
        from forecasting.jobs import issue_forecasts

        report = issue_forecasts(place, chosen.symbols if chosen else (), model)
        from forecasting.cli import render

        if as_json:
            show_json(render.issue_values(report))
        else:
            render.show_issue(report)
        _partly(report.failures or report.stale)


@app.command(epilog="Example: tickercast export --to ~/forecasts")
def export(
    to: Annotated[Path | None, typer.Option(help="Folder to write to; the workspace's exports by default.")] = None,
    model: ModelOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Write issued forecasts as long and wide CSV."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.jobs import export_issued

        files = export_issued(place, model, to)
        from forecasting.cli import render

        if as_json:
            show_json({"files": [str(path) for path in files]})
        else:
            render.show_files(files)


@app.command(epilog="Example: tickercast status --json")
def status(workspace: WorkspaceOption = None, as_json: JsonOption = False, verbose: Verbose = False) -> None:
    """Show what the workspace holds."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.status import read_status

        values = read_status(place)
        from forecasting.cli import render

        if as_json:
            show_json(values)
        else:
            render.show_status(values, workspace)


@app.command(epilog="Example: tickercast dashboard --port 8502")
def dashboard(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 8501,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Serve the dashboard on 127.0.0.1 until interrupted."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.cli.serving import require_free, serve_dashboard

        require_free(port)
        url = f"http://127.0.0.1:{port}"
        if as_json:
            show_json({"url": url, "workspace": place.root})
        else:
            typer.echo(f"tickercast dashboard of {place.root} on {url} (Ctrl-C ends it)")
        sys.stdout.flush()
        serve_dashboard(place.root, port)


def _partly(incomplete: object) -> None:
    if incomplete:
        raise typer.Exit(PARTLY_DONE)
