"""The verbs that train models, do all at once, and say which model serves."""

from typing import TYPE_CHECKING

import typer

from forecasting.cli.console import exit_if_partly, reported_errors, show_json, shown_progress, typed
from forecasting.cli.inputs import choose_universe, make_recipe, make_split, open_workspace, stored_universe
from forecasting.cli.options import (
    Cell,
    Epochs,
    Horizon,
    JsonOption,
    ModelId,
    Nonlinearity,
    Reason,
    RefitEvery,
    Seed,
    Source,
    Symbols,
    TestSessions,
    UniverseName,
    UniverseOption,
    Verbose,
    Window,
    WorkspaceOption,
)

if TYPE_CHECKING:
    from forecasting.promotions import Change


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

    One pooled network over the symbols, by default all that are stored. It serves them where it is the first, refreshes
    the champion's recipe and is not clearly worse, or proves to be better. Killed, training goes on where it was.
    """
    with reported_errors(as_json, verbose, workspace):
        recipe = make_recipe(cell, nonlinearity, horizon, window, epochs, seed)
        place = open_workspace(workspace)
        chosen = choose_universe(symbols, universe, place) or stored_universe(place)
        from forecasting.jobs import train_model

        with shown_progress(as_json) as progress:
            report = train_model(place, chosen, recipe, progress)
        from forecasting.cli import render, values

        if as_json:
            show_json(values.training_values(report) | {"symbols": chosen.symbols})
        else:
            render.show_training(report, workspace)
            typer.echo(f"next: {typed('forecast', workspace)}")


models = typer.Typer(
    help="List and show models; choose which one serves.",
    epilog="Example: tickercast models list",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@models.command("list", epilog="Example: tickercast models list --json")
def list_models(workspace: WorkspaceOption = None, as_json: JsonOption = False, verbose: Verbose = False) -> None:
    """List the models of every universe, newest first, and what was decided about each."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.cards import read_models

        rows = read_models(place)
        from forecasting.cli import render

        if as_json:
            show_json(rows)
        else:
            render.show_models(rows, workspace)


@models.command("show", epilog="Example: tickercast models show rnn-20181231-0123456789")
def show_model(
    model: ModelId, workspace: WorkspaceOption = None, as_json: JsonOption = False, verbose: Verbose = False
) -> None:
    """Show a model's card: data, recipe, scores against baselines, coverage, limits, history."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.cards import card_markdown, make_card

        card = make_card(place, model)
        if as_json:
            show_json(card)
        else:
            typer.echo(card_markdown(card), nl=False)


@models.command(
    "promote", epilog="Example: tickercast models promote rnn-20181231-0123456789 --reason 'longer horizon'"
)
def promote(
    model: ModelId,
    universe: UniverseName = None,
    reason: Reason = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Make a model serve a universe, whatever the contests say."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.promotions import promote_model

        _show_change(promote_model(place, model, universe, reason), as_json)


@models.command("rollback", epilog="Example: tickercast models rollback --universe us20")
def roll_back(
    universe: UniverseName = None,
    reason: Reason = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Make the champion before the present one serve again, at once."""
    with reported_errors(as_json, verbose, workspace):
        place = open_workspace(workspace)
        from forecasting.promotions import rollback_model

        _show_change(rollback_model(place, universe, reason), as_json)


def _show_change(change: "Change", as_json: bool) -> None:
    if as_json:
        show_json(vars(change))
    elif change.model_id == change.before:
        typer.echo(f"model {change.model_id} serves {change.universe} already; nothing was changed")
    else:
        instead = f" in place of {change.before}" if change.before else ""
        typer.echo(f"model {change.model_id} serves {change.universe}{instead}: {change.reason}")
