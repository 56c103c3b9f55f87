"""What a workspace holds, at a glance."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from forecasting.errors import DataError
from forecasting.evaluation.report import list_backtests, load_report
from forecasting.instruments import SYMBOL_RULE
from forecasting.ledger import Ledger
from forecasting.model.manifest import list_models
from forecasting.records import running_job
from forecasting.registry import Registry
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

_NOTHING = {"source": None, "bars": 0, "gaps": 0, "quarantined": 0}
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
    """Return per symbol what it is, its range, bars, gaps, quarantined sessions, last fetch and newest forecast.

    A symbol that was asked for and of which nothing is stored has 0 bars.
    """
    store = PriceStore(workspace.prices)
    origins = Ledger(workspace.ledger).last_origins()
    fetches = {row["symbol"]: row for row in store.last_fetches().to_dict("records")}
    stored = {row["symbol"]: row for row in store.summary(gaps=True).to_dict("records")}
    instruments = store.instruments()
    asked = {symbol for symbol in fetches if re.fullmatch(SYMBOL_RULE[1:-1], symbol)}  # a file may have other names
    rows = []
    for symbol in sorted(stored.keys() | asked):
        row, fetch = stored.get(symbol, _NOTHING), fetches.get(symbol)
        rows.append(
            {
                "symbol": symbol,
                "source": row["source"],
                **{name: getattr(instruments.get(symbol), name, None) for name in _FACTS},
                "first": str(row["first"].date()) if row["bars"] else None,
                "last": str(row["last"].date()) if row["bars"] else None,
                "bars": row["bars"],
                "gaps": row["gaps"],
                "quarantined": row["quarantined"],
                "fetched": f"{fetch['known_at']:%Y-%m-%d %H:%M}" if fetch else None,
                "outcome": fetch["outcome"] if fetch else None,
                "cause": fetch["cause"] if fetch else None,
                "last_forecast_from": str(origins[symbol].date()) if symbol in origins else None,
            }
        )
    return rows


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
