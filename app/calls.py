"""Issued forecasts one by one, with what became of them: the best and the worst, and those of any day."""

from collections.abc import Sequence

import elements
import pandas as pd
import state
import streamlit as st
from pieces import track_record as pieces
from reads import track_record as reads

from forecasting import TickercastError


def show_extremes(source: state.Source, chosen: reads.Chosen, horizon: int) -> None:
    calls = reads.record(source, chosen).calls[horizon]
    st.subheader("Best and worst calls")
    if calls.empty:
        st.info("No random walk was issued with these forecasts to hold them against.", icon=":material/info:")
        return
    pieces.extremes(source, chosen, horizon)
    names = {
        int(row["number"]): f"{row['number']} {row['call']}: {row['symbol']} {row['origin']:%Y-%m-%d}"
        for _, row in calls.iterrows()
    }
    st.pills(
        "Open the day of a call",
        list(names),
        format_func=lambda number: elements.plain(names[number]),
        key="open_call",
        on_change=open_call,
        args=(calls.set_index("number")[["symbol", "origin"]],),
    )


def open_call(calls: pd.DataFrame) -> None:
    if (number := st.session_state["open_call"]) is not None:
        call = calls.loc[number]
        st.query_params["of"] = call["symbol"]
        open_day(call["origin"])


def open_day(day: pd.Timestamp) -> None:
    st.query_params["day"] = f"{day:%Y-%m-%d}"


def show_day(source: state.Source, of_mode: pd.DataFrame, chosen: reads.Chosen) -> None:
    """Show the fan of a symbol and a day with the outcome over it."""
    st.subheader("A day's forecast, and what happened")
    rows = of_mode[of_mode["origin"].between(chosen.first, chosen.last)]
    if chosen.model_id:
        rows = rows[rows["model_id"] == chosen.model_id]
    symbols = list(rows["symbol"].unique())
    pick_symbol, pick_day, before, after = st.columns([2, 2, 1, 1], vertical_alignment="bottom")
    with pick_symbol:
        symbol = state.choose("of", {s: s for s in symbols}, chosen.symbol or symbols[0], "Symbol of the day")
    of_symbol = rows[rows["symbol"] == symbol].drop_duplicates("origin").sort_values("origin")
    days = list(of_symbol["origin"])
    newest_complete = of_symbol["origin"][of_symbol["reached"] == of_symbol["reached"].max()].iloc[-1]
    offered = {f"{day:%Y-%m-%d}": f"{day:%a %Y-%m-%d}" for day in reversed(days)}
    with pick_day:
        day = pd.Timestamp(state.choose("day", offered, f"{newest_complete:%Y-%m-%d}", "Origin"))
    show_neighbours(before, after, days, days.index(day))
    try:
        pieces.fan(source, symbol, day, chosen.view, chosen.model_id)
    except TickercastError as error:
        st.error(elements.plain(str(error)), icon=":material/error:")


def show_neighbours(
    before: st.delta_generator.DeltaGenerator,
    after: st.delta_generator.DeltaGenerator,
    days: Sequence[pd.Timestamp],
    at: int,
) -> None:
    for place, label, key, to, icon in (
        (before, "Previous day", "previous", at - 1, "chevron_left"),
        (after, "Next day", "next", at + 1, "chevron_right"),
    ):
        is_there = 0 <= to < len(days)
        place.button(
            label,
            key=key,
            icon=f":material/{icon}:",
            disabled=not is_there,
            on_click=open_day,
            args=(days[to] if is_there else days[at],),
            width="stretch",
        )
