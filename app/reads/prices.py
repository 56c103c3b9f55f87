"""What the view of prices reads, cached by the workspace's revision."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st
from state import Source

from forecasting import PriceSeries, PriceStore, basis_of, check_quality, count_months, read_holdings


@dataclass(frozen=True)
class SymbolPrices:
    """All that is stored of a symbol: its bars, how complete they are, what was found, and how they came in."""

    series: PriceSeries
    months: pd.DataFrame
    findings: pd.DataFrame
    restatements: pd.DataFrame


@st.cache_data(max_entries=4, show_spinner="Reading what is stored")
def holdings(source: Source) -> pd.DataFrame:
    """Return what is stored of each symbol, and what came of its last fetch."""
    return read_holdings(PriceStore(source.workspace.prices))


@st.cache_data(max_entries=32, show_spinner="Reading the symbol's prices")
def symbol_prices(source: Source, symbol: str) -> SymbolPrices | None:
    """Return all that is stored of a symbol; None where nothing is."""
    store = PriceStore(source.workspace.prices)
    instrument = store.instruments().get(symbol)
    if instrument is None:
        return None
    series = store.read([symbol], basis=basis_of(instrument))[symbol]
    held = pd.DatetimeIndex(store.quarantined([symbol])["session"])
    return SymbolPrices(
        series, count_months(series, held), check_quality(store, [symbol]), store.restatements([symbol])
    )


@st.cache_data(max_entries=32, show_spinner=False)
def fetches(source: Source, symbol: str) -> pd.DataFrame:
    """Return when a symbol was asked for and what came of it, newest first."""
    return PriceStore(source.workspace.prices).fetches([symbol])


@st.cache_data(max_entries=2, show_spinner="Checking all prices")
def findings(source: Source) -> pd.DataFrame:
    """Return what is quarantined and doubtful in the prices of all symbols."""
    return check_quality(PriceStore(source.workspace.prices))
