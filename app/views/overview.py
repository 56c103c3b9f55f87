"""The universe at a glance: a row a symbol."""

import elements
import meanings
import pandas as pd
import state
import streamlit as st
from reads import overview as reads

from forecasting import SCREENS, outlook_csv, screen_outlooks, sum_up_outlooks

FORECAST = "views/forecast.py"
AHEAD = {"1": "Tomorrow", "5": "A week", "20": "A month", "all": "All three"}
COLUMNS = {"few": "The main ones", "all": "All"}
MARKS = {
    "failed": "✖ failed",
    "stale": "▲ stale",
    "no forecast": "○ no forecast",
    "ended": "◇ ended",
    "current": "● current",
}
TALLEST = 15  # rows of a table that is shown whole

FIRST = [
    "open",
    "mark",
    "closes",
    "last_close",
    "currency",
    "change",
    "verdict",
    "expected_volatility",
    "volatility_ratio",
]
RANGES = ["median", "lower", "upper", "prob_up"]
DETAILS = ["past_volatility", "verdict_cause", "last_session", "origin", "model_id", "mode", "flags"]

WORDS = ("median", "low and high", "sessions ahead", "chance of a rise", "volatility", "verdict", "p", "state")
DIGITS = {"volatility": 3, "prob_up": 2}  # of fractions, by a part of the column's name: as many as mean anything


def show(table: pd.DataFrame) -> None:
    words, screens = st.columns([2, 5], vertical_alignment="bottom")
    with words:
        text = state.type_in("symbols", "Symbols", "Parts of symbols, such as AA or ^GSPC, BTC")
    with screens:
        asked = state.choose_some("show", SCREENS, "Only those that …")
    ahead, many = st.columns([2, 3], vertical_alignment="bottom")
    with ahead:
        horizon = state.choose("ahead", AHEAD, "all", "Sessions ahead", buttons=True)
    with many:
        columns = state.choose("columns", COLUMNS, "few", "Columns", buttons=True)
    shown = screen_outlooks(table, text, asked)
    if shown.empty:
        st.info("No symbol is as asked for. Next: take a filter away.", icon=":material/filter_alt_off:")
        return
    horizons = list(AHEAD)[:-1] if horizon == "all" else [horizon]
    show_table(shown, horizons, cause_first="wrong" in asked, with_details=columns == "all")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        offer_to_open(shown)
        st.download_button(
            "CSV of these symbols",
            lambda: outlook_csv(shown),  # written when it is asked for
            "overview.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def show_table(table: pd.DataFrame, horizons: list[str], *, cause_first: bool, with_details: bool) -> None:
    table = table.assign(open=table.index, mark=table["state"].map(MARKS))
    table = table.round({c: digits for part, digits in DIGITS.items() for c in table if part in c and "ratio" not in c})
    first = [*FIRST[:2], "cause", *FIRST[2:]] if cause_first else FIRST
    ranges = [f"{name}_{horizon}" for horizon in horizons for name in RANGES]
    last = ["as_of", *(["cause"] if (table["cause"] != "").any() and not cause_first else [])]
    st.dataframe(
        table[[*first, *ranges, *last, *(DETAILS if with_details else [])]],
        column_config=make_columns("%.2f" if table["last_close"].min() >= 1 else "%.5g"),
        height="content" if len(table) <= TALLEST else 620,
        hide_index=True,
        placeholder="",
        key="outlooks",
    )
    st.caption(
        "A row a symbol; a click on its name opens its forecast, a click on a heading sorts. Prices are in the "
        "currency named, adjusted for splits; the line is the last 60 closes, each on its own scale; +1, +5 and +20 "
        "are sessions ahead of the forecast's origin; volatilities are of a year's log returns; the verdict is of "
        "forecasts one session ahead; instants are UTC."
    )


def make_columns(price: str) -> dict[str, object]:
    """Return what the table's columns are called and how they are drawn; `price` is how prices are written."""
    kinds = st.column_config
    ahead = {}
    for n in list(AHEAD)[:-1]:
        then = f"{elements.sessions(int(n))} ahead"
        ahead |= {
            f"median_{n}": kinds.NumberColumn(f"Median +{n}", help=f"Median of the close {then}", format=price),
            f"lower_{n}": kinds.NumberColumn(f"Low +{n}", help=f"5% quantile of the close {then}", format=price),
            f"upper_{n}": kinds.NumberColumn(f"High +{n}", help=f"95% quantile of the close {then}", format=price),
            f"prob_up_{n}": kinds.NumberColumn(
                f"P(up) +{n}", help=f"Chance of a close {then} above that of the origin", format="percent"
            ),
        }
    return ahead | {
        "open": kinds.ButtonColumn("Symbol", help="Opens its forecast", pinned=True, key="opened", alignment="left"),
        "mark": kinds.TextColumn("State", help="Failed, stale, without a forecast, ended, or current"),
        "cause": kinds.TextColumn("What is wrong", help="Why it failed or is stale", width="medium"),
        "closes": kinds.LineChartColumn(
            "60 closes", help="The last 60 closes, each symbol on its own scale", width=110
        ),
        "last_close": kinds.NumberColumn("Last close", help="Of the last stored session", format=price),
        "currency": kinds.TextColumn("In", help="Currency, as its source quotes it: GBp is pence"),
        "change": kinds.NumberColumn("Change", help="Against the close of the session before", format="percent"),
        "verdict": kinds.TextColumn("Verdict", help="Against a random walk, one session ahead, in the newest backtest"),
        "expected_volatility": kinds.NumberColumn(
            "Volatility", help="Expected up to 20 sessions ahead, a year's worth, from the 90% range", format="percent"
        ),
        "volatility_ratio": kinds.NumberColumn(
            "Against its past", help="Expected volatility over that of the past 252 sessions", format="%.2f"
        ),
        "past_volatility": kinds.NumberColumn(
            "Volatility, past year", help="Of the daily log returns of the last 252 sessions", format="percent"
        ),
        "as_of": kinds.DatetimeColumn("Issued", help="As of which instant, UTC", format="YYYY-MM-DD HH:mm"),
        "verdict_cause": kinds.TextColumn("What the backtest says", width="large"),
        "last_session": kinds.DateColumn("Last session", help="Of the stored prices"),
        "origin": kinds.DateColumn("Origin", help="The last session that the forecast has seen"),
        "model_id": kinds.TextColumn("Model"),
        "mode": kinds.TextColumn("Mode", help="Live: issued before its sessions opened. Replay: computed as if then"),
        "flags": kinds.ListColumn("Flags", help="What the forecast says of itself; its own page has it in words"),
    }


def offer_to_open(table: pd.DataFrame) -> None:
    """Offer the way to a forecast to those who cannot click into the table."""
    symbol = st.selectbox(
        "Open the forecast of",
        list(table.index),
        index=None,
        placeholder="Symbol",
        key="open",
        width=280,
    )
    if symbol:
        st.switch_page(FORECAST, query_params={"symbol": symbol})


def show_evening(source: state.Source) -> None:
    evening = reads.last_evening(source)
    if evening:
        st.caption(f"Last evening, ended {evening.ended:%Y-%m-%d %H:%M} UTC: {elements.plain(evening.summary)}")


def opened() -> str | None:
    """Return the symbol whose name was clicked just now."""
    clicked = st.session_state.get("opened")
    return clicked["label"] if clicked else None


source = state.current()
table = reads.outlooks(source, pd.Timestamp.now(tz="UTC").floor("h"))
if (symbol := opened()) in table.index:
    st.switch_page(FORECAST, query_params={"symbol": symbol})
st.title("Overview")
if table.empty:
    state.explain_empty(source)
else:
    st.markdown(sum_up_outlooks(table))
    show_evening(source)
    show(table)
    meanings.explain(*WORDS)
