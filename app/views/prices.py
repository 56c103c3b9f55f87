"""What prices are stored, and what is wrong with them."""

from collections.abc import Sequence

import access
import elements
import meanings
import pandas as pd
import state
import streamlit as st
import work
from pieces import prices as pieces
from reads import prices as reads

from forecasting import EMBEDDED_SOURCES, TickercastError, split_symbols

SOURCES = {
    "yahoo": "Yahoo, live prices",
    "sample": "Sample, embedded S&P 500 and NASDAQ",
    "synthetic": "Synthetic, an embedded random market",
}
HISTORIES = {"252": "1 yr", "1260": "5 yr", "all": "All"}
WORDS = ("session", "gap", "quarantine", "flag", "restatement")


def show_all(source: state.Source, table: pd.DataFrame) -> None:
    shown = {"all": f"All {len(table)}", "troubled": f"With troubles {table['troubled'].sum()}"}
    chosen = state.choose("show", shown, "all", "Symbols shown", buttons=True)
    pieces.symbols(source, chosen == "troubled")


def show_symbol(source: state.Source, table: pd.DataFrame) -> None:
    symbols = list(table["symbol"])
    symbol = state.choose("symbol", {s: s for s in symbols}, symbols[0], "Symbol")
    row = table.set_index("symbol").loc[symbol]
    if row["outcome"] not in ("", "ok"):
        st.error(
            f"The last fetch of {elements.plain(symbol)}, {elements.instant_text(row['fetched'])} UTC, failed "
            f"({row['outcome']}): {elements.plain(row['cause'])}",
            icon=":material/error:",
        )
    offer_fetch(symbol, row["source"])
    prices = reads.symbol_prices(source, symbol)
    if prices is None or prices.months.empty:
        st.info(f"No bar of {elements.plain(symbol)} is stored.", icon=":material/info:")
    else:
        st.subheader("How complete is it?")
        pieces.completeness(source, symbol)
        chosen = state.choose("history", HISTORIES, "all", "History shown", buttons=True)
        pieces.closes(source, symbol, None if chosen == "all" else int(chosen))
    if prices is not None:
        show_findings(symbol, prices.findings)
        show_restatements(prices.restatements)
    show_fetches(reads.fetches(source, symbol))


def offer_fetch(symbol: str, source: str) -> None:
    if source == "files":
        st.caption("These prices came from files; `tickercast fetch --files PATH` brings newer ones in.")
    elif source:
        command = ("fetch", symbol, "--source", source)
        work.offer(f"Fetch {symbol} now", command, "fetch_one", "Ask for the missing sessions", ":material/sync:")


def show_findings(symbol: str, findings: pd.DataFrame) -> None:
    st.subheader("What was found?")
    if findings.empty:
        st.markdown("Nothing: no row broke a rule, and no bar gives reason to doubt.")
        return
    columns = {
        "rule": ("Rule", "{}"),
        "severity": ("Kind", "{}"),
        "first": ("From", elements.day_text),
        "last": ("To", elements.day_text),
        "bars": ("Sessions", "{:,}"),
        "found": ("Found", "{}"),
        "likely_cause": ("Likely cause", "{}"),
    }
    elements.show_table(findings, columns)
    st.caption(
        "Quarantined rows broke a rule and are used for nothing. Flagged bars are kept and used, but give reason to "
        "doubt."
    )
    elements.offer_csv("Findings as CSV", findings, f"findings-{symbol}.csv")


def show_restatements(restatements: pd.DataFrame) -> None:
    if restatements.empty:
        return
    st.subheader("What did the source change?")
    columns = {
        "known_at": ("Known since (UTC)", elements.instant_text),
        "first": ("From", elements.day_text),
        "last": ("To", elements.day_text),
        "bars": ("Bars changed", "{:,}"),
        "withdrawn": ("Withdrawn", "{:,}"),
        "events": ("Events changed", "{:,}"),
        "largest": ("Largest change of a close", "{:.2%}"),
        "cause": ("Likely cause", "{}"),
    }
    elements.show_table(restatements[::-1], columns)
    st.caption("Nothing is overwritten: forecasts issued before are read with the prices that were known then.")


def show_fetches(fetches: pd.DataFrame) -> None:
    if fetches.empty:
        return
    with st.expander(f"Fetches ({len(fetches)})", icon=":material/history:"):
        columns = {
            "known_at": ("When (UTC)", elements.instant_text),
            "outcome": ("Outcome", "{}"),
            "cause": ("Cause of failure", elements.known),
            "first": ("Asked from", elements.day_text),
            "last": ("Asked to", elements.day_text),
            "bars": ("Bars that came", "{:,}"),
        }
        elements.show_table(fetches, columns)
        st.caption("Newest first. A fetch asks for the missing sessions and ten days before them.")


def show_fetching(table: pd.DataFrame) -> None:
    """Offer to fetch all that is stored, and symbols that are not stored yet."""
    if not access.may_operate():
        return
    st.subheader("Fetch")
    with st.container(horizontal=True):
        for source, rows in table[table["source"].isin(list(SOURCES))].groupby("source"):
            command = ("fetch", *rows["symbol"], "--source", str(source))
            why = "Ask for the missing sessions of every symbol stored from this source"
            work.offer(f"Fetch all {len(rows)} from {source}", command, f"fetch_{source}", why, ":material/sync:")
    with st.form("fetch_new"):
        typed = st.text_input("New symbols", placeholder="AAPL MSFT ^GSPC", help="Apart by spaces or commas.")
        source = st.selectbox("Source", list(SOURCES), format_func=SOURCES.__getitem__)
        pressed = st.form_submit_button("Fetch", icon=":material/download:", disabled=work.is_busy())
    if pressed:
        fetch_typed(typed, source)


def fetch_typed(typed: str, source: str) -> None:
    try:
        symbols: Sequence[str] = split_symbols(typed)
    except TickercastError as error:
        st.error(elements.plain(str(error)), icon=":material/error:")
        return
    if not symbols and source not in EMBEDDED_SOURCES:
        st.error("No symbol was typed. Next: symbols such as AAPL MSFT.", icon=":material/error:")
    else:
        work.start(("fetch", *symbols, "--source", source))


def show_all_findings(source: state.Source) -> None:
    with st.expander("Findings of all symbols", icon=":material/rule:"):
        st.markdown("Every bar of every symbol is checked; that takes some seconds for hundreds of them.")
        if st.button("Check all prices", key="check_all"):
            elements.offer_csv("Findings of all symbols as CSV", reads.findings(source), "findings.csv")


source = state.current()
st.title("Prices")
holdings = reads.holdings(source)
if holdings.empty:
    state.explain_empty(source, "No price has been stored")
else:
    show_all(source, holdings)
    show_symbol(source, holdings)
    show_all_findings(source)
    meanings.explain(*WORDS)
show_fetching(holdings)
