"""What a workspace holds, at a glance."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from forecasting.errors import DataError
from forecasting.evaluation.report import load_report
from forecasting.ledger import Ledger
from forecasting.model.manifest import MANIFEST
from forecasting.registry import Registry
from forecasting.store import PriceStore
from forecasting.workspace import Workspace


def read_status(workspace: Workspace) -> dict[str, Any]:
    """Return what a workspace holds, as plain values: symbols, champions, backtests."""
    origins = Ledger(workspace.ledger).read(columns=["symbol", "origin"]).groupby("symbol")["origin"].max()
    symbols = [
        {
            "symbol": row["symbol"],
            "source": row["source"],
            "first": str(row["first"].date()),
            "last": str(row["last"].date()),
            "bars": row["bars"],
            "quarantined": row["quarantined"],
            "last_forecast_from": str(origins[row["symbol"]].date()) if row["symbol"] in origins else None,
        }
        for row in PriceStore(workspace.prices).summary().to_dict("records")
    ]
    return {
        "workspace": str(workspace.root),
        "revision": workspace.revision,
        "symbols": symbols,
        "models": sorted(path.parent.name for path in workspace.models.glob(f"*/{MANIFEST}")),
        "champions": [asdict(p) for p in Registry(workspace.models).champions()],
        "backtests": [_summary(path.parent) for path in sorted(workspace.backtests.glob("*/backtest.json"))],
    }


def _summary(folder: Path) -> str:
    try:
        report = load_report(folder)
        network = report.recipe["network"]["cell"]
        return (
            f"backtest {folder.name} ({network}, horizon {report.recipe['horizon']}, {', '.join(report.universe)}): "
            f"{report.summary()}"
        )
    except DataError as error:
        return str(error)
