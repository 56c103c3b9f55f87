"""What the forecast's view reads, cached by the workspace's revision."""

from typing import Any

import streamlit as st
from state import Source

from forecasting import (
    BacktestReport,
    Forecast,
    IssuedForecast,
    Ledger,
    PriceStore,
    Registry,
    TickercastError,
    find_report,
    last_report,
    read_earlier,
    read_issued,
    read_manifest,
    source_of_new,
)


@st.cache_data(max_entries=8, show_spinner=False)
def known_symbols(source: Source) -> dict[str, bool]:
    """Return the symbols that have prices or a forecast, in order, and whether each has a forecast."""
    issued = set(Ledger(source.workspace.ledger).last_origins().index)
    return {s: s in issued for s in sorted({*issued, *PriceStore(source.workspace.prices).instruments()})}


@st.cache_data(max_entries=64, show_spinner="Reading the forecast")
def issued_forecast(source: Source, symbol: str) -> IssuedForecast:
    """Return a symbol's newest forecast and its history up to the origin."""
    return read_issued(source.workspace, symbol)


@st.cache_data(max_entries=64, show_spinner="Reading earlier forecasts")
def earlier_forecasts(source: Source, symbol: str, count: int) -> list[Forecast]:
    """Return forecasts of a symbol that were issued before the newest one."""
    return read_earlier(source.workspace, issued_forecast(source, symbol), count)


@st.cache_data(max_entries=64, show_spinner=False)
def asked_of(source: Source, symbol: str) -> str:
    """Return the source that a symbol's prices are fetched from."""
    stored = PriceStore(source.workspace.prices).instruments()
    return stored[symbol].source if symbol in stored else source_of_new(stored.values())


@st.cache_data(max_entries=64, show_spinner=False)
def serving_model(source: Source, symbol: str) -> tuple[str, bool] | None:
    """Return the model that would forecast a symbol, and whether it was trained on it; None where no model serves."""
    try:
        champion = Registry(source.workspace.models).champion([symbol], or_newest=True)
    except TickercastError:
        return None
    return champion.model_id, symbol in champion.symbols


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
def manifest(source: Source, model_id: str) -> dict[str, Any] | None:
    """Return what a model says of itself; none where it is damaged."""
    try:
        return read_manifest(source.workspace.models, model_id)
    except TickercastError:
        return None  # what was issued is shown all the same


@st.cache_resource(max_entries=64, show_spinner=False)  # one object, which keeps the verdicts it has made
def backtest_report(source: Source, model_id: str) -> BacktestReport | None:
    """Return the newest backtest of a model's recipe over its universe; none where the model is damaged."""
    model = manifest(source, model_id)
    return find_report(source.workspace.backtests, model["universe"], model["recipe"]) if model else None
