"""The verbs that train models, and do all at once."""

import typer

from forecasting.cli.console import exit_if_partly, reported_errors, show_json, shown_progress, typed
from forecasting.cli.inputs import choose_universe, make_recipe, make_split, open_workspace, stored_universe
from forecasting.cli.options import (
    Cell,
    Epochs,
    Horizon,
    JsonOption,
    Nonlinearity,
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
        config = make_split(test_sessions, refit_every)
        place, chosen = open_workspace(workspace), choose_universe(symbols, universe)
        from forecasting.jobs import run_job

        with shown_progress(as_json) as progress:
            report = run_job(place, source, chosen, recipe, config, progress)
        from forecasting.cli import render, values

        if as_json:
            show_json(values.run_values(report))
        else:
            render.show_run(report, workspace)
        exit_if_partly(report.fetched.failures or report.issued.failures or report.issued.stale)


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
