"""The verbs that judge: is it better than doing nothing, and does it see the future?"""

from typing import TYPE_CHECKING

import typer

from forecasting.cli.console import reported_errors, say, show_json, shown_progress
from forecasting.cli.inputs import (
    choose_universe,
    choose_workers,
    make_recipe,
    make_split,
    open_workspace,
    stored_universe,
)
from forecasting.cli.options import (
    Backend,
    BaselinesOption,
    Cell,
    Embargo,
    Epochs,
    Horizon,
    Jobs,
    JsonOption,
    ModelOption,
    Nonlinearity,
    RefitEvery,
    Repeat,
    Scheduler,
    Seed,
    Symbols,
    TestSessions,
    TrainSessions,
    UniverseOption,
    Verbose,
    Window,
    WorkspaceOption,
)

if TYPE_CHECKING:
    from forecasting.evaluation.workers import Workers
    from forecasting.workspace import Workspace


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
    train_sessions: TrainSessions = None,
    embargo: Embargo = 0,
    baselines: BaselinesOption = "standard",
    jobs: Jobs = None,
    backend: Backend = "local",
    scheduler: Scheduler = None,
    repeat: Repeat = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Compare a recipe with doing nothing.

    Walks it and the baselines forward over stored prices, from every origin; fits and keeps no model. Killed,
    it goes on where it was. With --repeat all settings are those of the backtest named.
    """
    with reported_errors(as_json, verbose, workspace):
        place, workers = open_workspace(workspace), choose_workers(jobs, backend, scheduler)
        if repeat is not None:
            _repeat(place, repeat, workers, as_json)
            return
        recipe = make_recipe(cell, nonlinearity, horizon, window, epochs, seed)
        config = make_split(test_sessions, refit_every, train_sessions, embargo)
        chosen = choose_universe(symbols, universe) or stored_universe(place)
        from forecasting.jobs import backtest_model

        with shown_progress(as_json) as progress:
            report = backtest_model(place, chosen, recipe, config, progress, baselines=baselines, workers=workers)
        from forecasting.cli import render, values
        from forecasting.cli.printing import show_files

        if as_json:
            show_json(values.backtest_values(report))
        else:
            render.show_backtest(report)
            show_files([report.page])


def _repeat(place: "Workspace", backtest_id: str, workers: "Workers | None", as_json: bool) -> None:
    """Run a backtest again and say whether it came out the same; end with 1 where it did not."""
    from forecasting.jobs import repeat_backtest

    with shown_progress(as_json) as progress:
        repetition = repeat_backtest(place, backtest_id, progress, workers)
    if as_json:
        show_json(vars(repetition))
    changed = f" ({', '.join(repetition.changed)} changed meanwhile)" if repetition.changed else ""
    if repetition.difference:
        say(f"tickercast: backtest {backtest_id} came out different{changed}: {repetition.difference}")
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"backtest {backtest_id} came out the same to the last bit{changed}")


def audit(
    symbols: Symbols = None,
    universe: UniverseOption = None,
    model: ModelOption = None,
    seed: Seed = 0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Look for leaks: does any forecast change with its future?

    Checks the stored prices, a model, a fresh fit of its recipe for one epoch, and a backtest fold: with all
    that an origin cannot know replaced by noise, removed, and continued by more noise. Writes nothing; ends with 1
    where something changed.
    """
    with reported_errors(as_json, verbose, workspace):
        place, chosen = open_workspace(workspace), choose_universe(symbols, universe)
        from forecasting.jobs import audit_model

        with shown_progress(as_json) as progress:
            report = audit_model(place, chosen.symbols if chosen else (), model, seed, progress)
        from forecasting.cli import render, values

        if as_json:
            show_json(values.audit_values(report))
        else:
            render.show_audit(report)
        if report.leak:
            say(f"tickercast: {report.summary()}; next: mend it, and train and test again before believing a score")
            raise typer.Exit(1)
