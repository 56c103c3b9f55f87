"""What must hold before a job begins its work, so that it is refused before anything is written."""

from collections.abc import Sequence
from dataclasses import replace

from forecasting.config import BacktestConfig, Recipe
from forecasting.errors import TooFewBars
from forecasting.ingestion.collector import Collection
from forecasting.ingestion.provider import Failed
from forecasting.ledger import Ledger
from forecasting.model.fitted import minimum_bars, minimum_history
from forecasting.registry import Registry
from forecasting.store import PriceStore
from forecasting.workspace import Workspace


def require_whole(workspace: Workspace) -> None:
    """Find out before any work whether its end can be written down."""
    Registry(workspace.models).promotions()
    Ledger(workspace.ledger).head()


def leave_out_short(
    collection: Collection, wanted: Sequence[str], store: PriceStore, recipe: Recipe, config: BacktestConfig
) -> tuple[Collection, tuple[str, ...]]:
    """Turn symbols whose history cannot fill a window into failures; refuse where none is left to test on.

    Returns the collection without them, and the symbols that can be forecast.
    """
    stored = store.summary().set_index("symbol")
    fetched = collection.bars.join(stored["last"], on="symbol")
    new = fetched[~(fetched["session"] <= fetched["last"])].groupby("symbol").size()
    lengths = {s: int(stored["bars"].get(s, 0) + new.get(s, 0)) for s in wanted}
    lengths = {s: n for s, n in lengths.items() if n or s not in collection.failures}
    needed, history = minimum_bars(recipe), minimum_history(recipe) + config.test_sessions
    rule = (
        f"a forecast needs {needed} bars, the warm-up of its inputs and a window of {recipe.training.window}; next: "
        "a shorter --window, or symbols with a longer history"
    )
    short = {
        symbol: Failed(symbol, "too_few_bars", f"{symbol} has {n} bars: {rule}")
        for symbol, n in lengths.items()
        if n < needed
    }
    if len(short) == len(lengths):
        found = ", ".join(f"{symbol} has {n} bars" for symbol, n in lengths.items())
        raise TooFewBars(f"{found}: {rule}")
    if (longest := max(lengths.values())) < history:
        raise TooFewBars(
            f"the longest history has {longest} bars: a test of {config.test_sessions} sessions after training and "
            f"calibration needs {history}; next: fewer --test-sessions, or symbols with a longer history"
        )
    bars, events, quarantined = (
        frame[~frame["symbol"].isin(short)] for frame in (collection.bars, collection.events, collection.quarantined)
    )
    instruments = {s: i for s, i in collection.instruments.items() if s not in short}
    kept = replace(
        collection,
        instruments=instruments,
        bars=bars,
        events=events,
        quarantined=quarantined,
        failures={**collection.failures, **short},
    )
    return kept, tuple(symbol for symbol in lengths if symbol not in short)
