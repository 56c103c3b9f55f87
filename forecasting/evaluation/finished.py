"""The finished backtests of a workspace, listed and found."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from forecasting.config import Recipe, config_from_json
from forecasting.errors import DataError
from forecasting.evaluation.report import MANIFEST, BacktestReport, load_report


def list_backtests(backtests: Path) -> dict[str, Path]:
    """Return the folders of the finished backtests by ID."""
    return {path.parent.name: path.parent for path in sorted(backtests.glob(f"*/{MANIFEST}"))}


def find_backtest(backtests: Path, backtest_id: str | None = None) -> BacktestReport:
    """Return a finished backtest by its ID, or the one that was written last.

    Raises
    ------
    DataError
        There is no such backtest, or it is damaged.
    """
    folders = list_backtests(backtests)
    if backtest_id is None:
        if not folders:
            raise DataError("no backtest in the workspace; next: tickercast backtest")
        return load_report(max(folders.values(), key=_written_at))
    if backtest_id not in folders:
        raise DataError(
            f"no backtest {backtest_id[:40]!r} in the workspace, which holds {', '.join(folders) or 'none'}; "
            "next: tickercast backtest"
        )
    return load_report(folders[backtest_id])


def _written_at(folder: Path) -> float:
    return (folder / MANIFEST).stat().st_mtime


def read_backtests(backtests: Path) -> tuple[list[BacktestReport], dict[str, str]]:
    """Return the finished backtests, the one that was written last first, and by ID what is wrong with damaged ones."""
    reports, damaged = [], {}
    for backtest_id, folder in sorted(list_backtests(backtests).items(), key=lambda x: _written_at(x[1]), reverse=True):
        try:
            reports.append(load_report(folder))
        except DataError as error:
            damaged[backtest_id] = str(error)
    return reports, damaged


def find_report(backtests: Path, universe: Sequence[str], recipe: Mapping[str, Any]) -> BacktestReport | None:
    """Return the newest backtest of a recipe on exactly these symbols, if there is one.

    Parameters
    ----------
    universe, recipe : as a model's manifest has them; damaged backtests are passed over
    """
    wanted = config_from_json(Recipe, recipe)
    for folder in sorted(list_backtests(backtests).values(), key=_written_at, reverse=True):
        with suppress(DataError):
            report = load_report(folder)
            if set(report.plan.universe) == set(universe) and report.plan.recipe == wanted:
                return report
    return None
