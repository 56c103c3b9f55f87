"""Stored prices and the scores of a backtest as tables. `data/README.md` has the columns."""

from collections.abc import Sequence

import pandas as pd

from forecasting.bars import BAR_COLUMNS, adjust_bars
from forecasting.errors import DataError, UsageError
from forecasting.evaluation.report import BacktestReport
from forecasting.store import PriceStore

BASES = ("traded", "split", "total")
"""Price bases, each of which can be had from those before it."""

_COVERAGES = ["coverage_50", "coverage_80", "coverage_90", "coverage_95"]
# what a column of a baseline's name begins with in a report, and what it is called here
_AGAINST = {
    "skill": "network_skill",
    "low": "network_skill_low",
    "high": "network_skill_high",
    "p": "p",
    "mcs": "mcs",
}


def price_table(store: PriceStore, symbols: Sequence[str] | None = None, basis: str = "split") -> pd.DataFrame:
    """Return stored bars, a row per symbol and session, ascending.

    Parameters
    ----------
    symbols : all that are stored for None
    basis : one of `BASES`; adjusted for the events known now. `known_at` is of the bar as traded

    Raises
    ------
    UsageError
        There is no such basis.
    DataError
        A symbol is not in the store, or is stored on a basis from which the one asked for cannot be had.
    """
    if basis not in BASES:
        raise UsageError(f"price basis {basis!r}: price bases are {', '.join(BASES)}")
    if symbols is not None:
        store.require(symbols)
    stored = store.instruments()
    chosen = {symbol: stored[symbol] for symbol in sorted(set(stored if symbols is None else symbols))}
    if later := [s for s, i in chosen.items() if BASES.index(i.price_basis) > BASES.index(basis)]:
        raise DataError(
            f"{later[0]} is stored with {chosen[later[0]].price_basis} prices, its {basis} prices are not known"
            f"{f' (nor those of {len(later) - 1} other symbols)' if len(later) > 1 else ''}; next: another --basis, or "
            "leave it out"
        )
    bars, events = store.read_overlap(list(chosen), None)
    bars = bars[bars["close"].notna()]
    if not len(bars):
        raise DataError(f"no bars of {', '.join(chosen) or 'any symbol'} are stored; next: tickercast fetch")
    values = bars[BAR_COLUMNS[2:]].to_numpy(dtype="float64", copy=True)
    if basis != "traded":
        for symbol, rows in bars.groupby("symbol").indices.items():
            one = bars.iloc[rows].set_index("session")[BAR_COLUMNS[2:]]
            values[rows] = adjust_bars(one, events[events["symbol"] == symbol], basis)
    currencies = {symbol: instrument.currency for symbol, instrument in chosen.items()}
    table = bars.assign(
        currency=bars["symbol"].map(currencies), basis=basis, **dict(zip(BAR_COLUMNS[2:], values.T, strict=True))
    )
    return table[["symbol", "session", "currency", "basis", *BAR_COLUMNS[2:], "known_at"]].reset_index(drop=True)


def backtest_table(report: BacktestReport) -> pd.DataFrame:
    """Return the pooled scores of a backtest, a row per horizon and forecaster."""
    found = report.table("horizon")
    table = found[["horizon", "rows", "forecaster", "crps", "mae", "rmse"]].join(found.reindex(columns=_COVERAGES))
    for kind, name in _AGAINST.items():
        columns = report.scores.set_index("horizon").filter(regex=f"^{kind}_")
        columns = columns.rename(columns=lambda column: str(column).partition("_")[2])
        values = columns.melt(var_name="forecaster", value_name=name, ignore_index=False).reset_index()
        table = table.merge(values, on=["horizon", "forecaster"], how="left")
    about = {
        "backtest_id": report.backtest_id,
        "test_first": pd.Timestamp(report.test_first),
        "test_last": pd.Timestamp(report.test_last),
        "symbols": len(report.universe),
        "suspected_leak": report.suspected_leak,
    }
    return pd.concat([pd.DataFrame(about, index=table.index), table], axis=1)
