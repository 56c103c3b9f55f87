"""What a workspace holds, at a glance."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from forecasting.errors import DataError
from forecasting.evaluation.finished import list_backtests
from forecasting.evaluation.report import load_report
from forecasting.holdings import read_holdings
from forecasting.ledger import Ledger
from forecasting.model.manifest import list_models
from forecasting.records import running_job
from forecasting.registry import Registry
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

_FACTS = ("calendar", "currency", "major_currency", "minor_unit", "price_basis")


def read_status(workspace: Workspace) -> dict[str, Any]:
    """Return what a workspace holds, as plain values: symbols, the running job, champions, backtests."""
    return {
        "workspace": str(workspace.root),
        "revision": workspace.revision,
        "symbols": _symbols(workspace),
        "running": running_job(workspace),
        "models": list_models(workspace.models),
        "champions": [asdict(p) for p in Registry(workspace.models).champions()],
        "backtests": [_summary(folder) for folder in list_backtests(workspace.backtests).values()],
    }


def _symbols(workspace: Workspace) -> list[dict[str, Any]]:
    """Return per symbol what it is, its range, what is wrong with it, last fetch and newest forecast.

    A symbol that was asked for and of which nothing is stored has 0 bars.
    """
    store = PriceStore(workspace.prices)
    origins = Ledger(workspace.ledger).last_origins()
    instruments = store.instruments()
    return [
        {
            "symbol": row.symbol,
            "source": row.source or None,
            **{name: getattr(instruments.get(row.symbol), name, None) for name in _FACTS},
            "first": str(row.first.date()) if row.bars else None,
            "last": str(row.last.date()) if row.bars else None,
            "bars": row.bars,
            "gaps": row.gaps,
            "quarantined": row.quarantined,
            "restatements": row.restatements,
            "fetched": f"{row.fetched:%Y-%m-%d %H:%M}" if row.outcome else None,
            "outcome": row.outcome or None,
            "cause": row.cause if row.outcome else None,
            "last_forecast_from": str(origins[row.symbol].date()) if row.symbol in origins else None,
        }
        for row in read_holdings(store).itertuples()
    ]


def _summary(folder: Path) -> str:
    try:
        report = load_report(folder)
        recipe = report.plan.recipe
        return (
            f"backtest {folder.name} ({recipe.network.cell}, horizon {recipe.horizon}, {', '.join(report.universe)}): "
            f"{report.summary()}"
        )
    except DataError as error:
        return str(error)
