"""Pieces of the view of prices that cost time to draw, cached by the workspace's revision."""

import elements
import streamlit as st
from reads import prices as reads
from state import Source

from forecasting import closes_figure, completeness_figure


@elements.drawn_once(max_entries=8)
def symbols(source: Source, troubled: bool) -> None:
    """Show what is stored of all symbols, or of those with troubles."""
    table = reads.holdings(source)
    if troubled:
        table = table[table["troubled"]]
    columns = {
        "symbol": ("Symbol", "{}"),
        "first": ("First session", elements.day_text),
        "last": ("Last session", elements.day_text),
        "bars": ("Bars", "{:,}"),
        "gaps": ("Gaps", "{:,}"),
        "quarantined": ("Quarantined", "{:,}"),
        "restatements": ("Restatements", "{:,}"),
        "source": ("Source", elements.known),
        "currency": ("Currency", elements.known),
        "fetched": ("Last fetch (UTC)", elements.instant_text),
        "outcome": ("Outcome", elements.known),
        "cause": ("Cause of failure", elements.known),
    }
    if table.empty:
        st.success("No symbol has gaps, quarantined bars or a failed fetch.", icon=":material/check:")
    else:
        elements.show_table(table, columns)
    st.caption(
        "Gaps: sessions of the exchange's calendar between the first and the last bar that have none. Quarantined: "
        "sessions with rows that broke a rule and are kept apart. Restatements: how often a source changed what it had "
        "told. Troubled is a symbol with either of the first two, without bars, or whose last fetch failed."
    )


@elements.drawn_once(max_entries=64)
def completeness(source: Source, symbol: str) -> None:
    """Draw how complete a symbol's stored prices are, a cell a month."""
    prices = reads.symbol_prices(source, symbol)
    elements.show_chart(completeness_figure(prices.months), "completeness")
    st.caption(
        f"A cell per month of {elements.plain(symbol)}. Light: every session has a bar. A number: so many sessions "
        "have none; with a q, rows of so many sessions are in quarantine instead. Beside the year, the share of its "
        "sessions that have a bar."
    )


@elements.drawn_once(max_entries=64)
def closes(source: Source, symbol: str, history: int | None) -> None:
    """Draw a symbol's closes, of the last so many sessions or all, and what was found in them."""
    prices = reads.symbol_prices(source, symbol)
    figure = closes_figure(prices.series, prices.findings, history)
    elements.show_chart(figure, "closes")
    st.caption(
        f"Closes in {prices.series.instrument.currency_in_words}, adjusted for splits, on a logarithmic axis; the line "
        "is broken where sessions lack. Crosses: rows in quarantine; diamonds: flags."
    )
