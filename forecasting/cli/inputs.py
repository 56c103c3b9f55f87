"""From options to what the engine takes; bad ones are refused here, before any work."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.config import BacktestConfig, NetworkConfig, Recipe, TrainingConfig
from forecasting.errors import DataError, UsageError
from forecasting.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.evaluation.workers import Workers
    from forecasting.universe import Universe


def open_workspace(asked: Path | None) -> Workspace:
    """Return the workspace asked for, or the default one."""
    return Workspace(find_workspace(asked))


def choose_universe(
    symbols: list[str] | None, asked: str | None, workspace: Workspace | None = None
) -> "Universe | None":
    """Return the universe of the symbols or of the file asked for; None where neither was.

    Of a workspace, the name of a universe that has models there will do, too.
    """
    from forecasting.universe import make_universe, read_universe

    if symbols and asked:
        raise UsageError("symbols and --universe together: one or the other")
    if asked:
        try:
            return read_universe(asked)
        except UsageError:
            from forecasting.registry import Registry

            known = Registry(workspace.models).universes() if workspace else {}
            if asked not in known:
                raise
            return known[asked]
    return make_universe(symbols) if symbols else None


def stored_universe(workspace: Workspace) -> "Universe":
    """Return the universe of all stored symbols."""
    from forecasting.store import PriceStore
    from forecasting.universe import make_universe

    if not (symbols := list(PriceStore(workspace.prices).instruments())):
        raise DataError(f"workspace {workspace.root} holds no prices; next: tickercast fetch --source sample")
    return make_universe(symbols)


def read_day(option: str, text: str | None) -> "pd.Timestamp | None":
    """Return the session that an option names; None where it was not given."""
    import pandas as pd

    try:
        return None if text is None else pd.Timestamp(date.fromisoformat(text)).as_unit("us")
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: a session is a date such as 2019-01-02") from error


def evening_universe(workspace: Workspace, asked: str | None, source: str) -> "Universe":
    """Return the universe asked for; else of all stored symbols, or where there are none of the source's own."""
    from forecasting.ingestion.collector import make_provider
    from forecasting.store import PriceStore
    from forecasting.universe import make_universe

    if chosen := choose_universe(None, asked):
        return chosen
    symbols = list(PriceStore(workspace.prices).instruments()) or make_provider(source).symbols
    if not symbols:
        raise UsageError(f"{source} has no symbols of its own, and none are stored; next: --universe FILE")
    return make_universe(symbols)


def make_recipe(cell: str, nonlinearity: str, horizon: int, window: int, epochs: int, seed: int) -> Recipe:
    """Return the default recipe with these settings; half of a window carries state but no loss."""
    return Recipe(
        horizon=horizon,
        network=NetworkConfig(cell=cell, nonlinearity=nonlinearity),
        training=TrainingConfig(window=window, burn_in=window // 2, epochs=epochs, seed=seed),
    )


def make_split(
    test_sessions: int, refit_every: int, train_sessions: int | None = None, embargo: int = 0
) -> BacktestConfig:
    """Return the walk-forward split with these settings; 0 sessions between refits fit once."""
    return BacktestConfig(test_sessions, refit_every or None, train_sessions, embargo)


def choose_workers(jobs: int | None, backend: str, scheduler: str | None) -> "Workers | None":
    """Return where folds run; None leaves that to the engine."""
    from forecasting.evaluation.workers import Workers

    return (
        None
        if (jobs, backend, scheduler) == (None, "local", None)
        else Workers(1 if jobs is None else jobs, backend, scheduler)
    )
