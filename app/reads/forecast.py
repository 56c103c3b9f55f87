"""What the forecast's view reads, cached by the workspace's revision."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st
from state import Source

from forecasting import (
    BacktestReport,
    Forecast,
    Ledger,
    PriceSeries,
    PriceStore,
    TickercastError,
    explain_flags,
    find_report,
    flags_of,
    forecast_of,
    last_report,
    read_manifest,
)


@dataclass(frozen=True)
class Issued:
    """A symbol's newest forecast as it stands in the ledger, and the prices known when it was issued."""

    rows: pd.DataFrame
    forecast: Forecast
    series: PriceSeries

    @property
    def remarks(self) -> list[str]:
        """What the forecast says of itself beside its numbers."""
        flags = flags_of(self.rows.sort_values("horizon"))
        return list(explain_flags(flags, self.forecast.target_sessions, self.forecast.report_widening).values())


@st.cache_data(max_entries=8, show_spinner=False)
def issued_symbols(source: Source) -> list[str]:
    """Return the symbols that have a forecast in the ledger."""
    return list(Ledger(source.workspace.ledger).last_origins().index)


@st.cache_data(max_entries=64, show_spinner="Reading the forecast")
def issued_forecast(source: Source, symbol: str) -> Issued:
    """Return a symbol's newest forecast and its history up to the origin.

    Prices are read as they were known then: a later split or correction does not move them.
    """
    workspace = source.workspace
    rows = Ledger(workspace.ledger).latest([symbol])
    known_at = rows[["as_of", "data_as_of"]].max(axis=None)  # a replay's as_of lies before its fetch
    known = PriceStore(workspace.prices).read([symbol], as_of=known_at)[symbol]
    forecast = forecast_of(rows, known.instrument)
    return Issued(rows, forecast, known.until(forecast.origin))


@st.cache_data(max_entries=8, show_spinner=False)
def troubles(source: Source, symbol: str) -> list[str]:
    """Return what the last evening's run said is wrong with a symbol: that it failed, or that its prices are old."""
    try:
        report = last_report(source.workspace)
    except TickercastError:
        return []  # what was issued is shown all the same
    if report is None:
        return []
    said = {"Prices are stale": report.stale, "Not fetched": report.failures}
    evening = f"{report.ended:%Y-%m-%d %H:%M} UTC"
    return [f"{what}, as of {evening}: {named[symbol]}" for what, named in said.items() if symbol in named]


@st.cache_data(max_entries=64, show_spinner=False)
def backtest_report(source: Source, model_id: str) -> BacktestReport | None:
    """Return the newest backtest of a model's recipe over its universe; none where the model is damaged."""
    workspace = source.workspace
    try:
        manifest = read_manifest(workspace.models, model_id)
    except TickercastError:
        return None  # what was issued is shown all the same
    return find_report(workspace.backtests, manifest["universe"], manifest["recipe"])
