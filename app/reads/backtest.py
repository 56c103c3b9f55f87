"""What the backtests' view reads, cached by the workspace's revision."""

import streamlit as st
from state import Source

from forecasting import BacktestReport, Exhibit, PriceStore, Registry, TickercastError, read_backtests


@st.cache_data(max_entries=4, show_spinner="Reading the backtests")
def backtests(source: Source) -> tuple[dict[str, BacktestReport], dict[str, str]]:
    """Return the finished backtests by ID, the newest first, and what is wrong with damaged ones."""
    reports, damaged = read_backtests(source.workspace.backtests)
    return {report.backtest_id: report for report in reports}, damaged


@st.cache_data(max_entries=16, show_spinner="Drawing the figures")
def exhibits(source: Source, backtest_id: str) -> list[Exhibit]:
    """Return the figures of a backtest in the listing."""
    return backtests(source)[0][backtest_id].exhibits()


@st.cache_data(max_entries=2, show_spinner=False)
def page(source: Source, backtest_id: str) -> bytes | None:
    """Return the report for people of a backtest in the listing; none where the file is gone."""
    try:
        return backtests(source)[0][backtest_id].page.read_bytes()
    except OSError:
        return None


@st.cache_data(max_entries=8, show_spinner=False)
def universes(source: Source) -> dict[str, tuple[str, ...]]:
    """Return what a backtest can be of: the symbols of each universe that has models, by its name."""
    try:
        entries = Registry(source.workspace.models).entries()
    except TickercastError:
        return {}  # all stored symbols can be tested all the same
    return {entry.universe: entry.symbols for entry in entries}


@st.cache_data(max_entries=8, show_spinner=False)
def stored_symbols(source: Source) -> list[str]:
    """Return the symbols that have prices."""
    return list(PriceStore(source.workspace.prices).instruments())
