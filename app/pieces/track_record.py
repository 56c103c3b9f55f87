"""Pieces of the track record's view that cost time to draw, cached by the workspace's revision."""

import elements
import pandas as pd
import streamlit as st
from reads import track_record as reads
from state import Source

from forecasting import (
    forecast_figure,
    percent,
    pit_figure,
    price_text,
    read_call,
    rolling_coverage_figure,
    skill_to_date_figure,
)

VIEWS = {"first": "as first known", "now": "as known now"}
HISTORY = 63  # sessions before a call
BASIS_POINTS = "{:,.1f}"


@elements.drawn_once(max_entries=64)
def coverage(source: Source, chosen: reads.Chosen, horizon: int, name: str) -> None:
    """Draw how often the range `name` held lately."""
    rolling = reads.record(source, chosen).rolling[horizon, name]
    figure = rolling_coverage_figure(rolling, reads.INTERVALS[name])
    elements.show_chart(figure, "rolling")
    st.caption(
        f"Share of outcomes {elements.sessions(horizon)} ahead inside the {name}% range, in percent, over the "
        "last 60 origins (20 at the beginning), by origin; each origin counts once, with the mean over its "
        "symbols. Dashed: what the range promises. Grey: the band of chance, in which nine of ten calibrated "
        "forecasts lie on any date, for forecasts that overlap and symbols that move together; there is none "
        "before 20 origins, or four times as many as sessions ahead."
    )


@elements.drawn_once(max_entries=64)
def skill(source: Source, chosen: reads.Chosen, horizon: int) -> None:
    """Draw the skill of all forecasts so far."""
    elements.show_chart(skill_to_date_figure(reads.record(source, chosen).skill, horizon), "skill")
    st.caption(
        "By how much the CRPS of all forecasts up to an origin is lower than that of the random walk that was "
        "issued with them, in percent, from the 20th origin on; above zero is better. The last value of each "
        "line has its interval and p in the table below."
    )


@elements.drawn_once(max_entries=32)
def by_model(source: Source, chosen: reads.Chosen) -> None:
    """Show the record by horizon and model."""
    table = reads.record(source, chosen).table
    if chosen.model_id:
        table = table[table["model_id"] == chosen.model_id]
    columns = {
        "horizon": ("Ahead", "{}"),
        "model_id": ("Model", "{}"),
        "forecasts": ("Forecasts", "{:,}"),
        "sessions": ("Origins", "{:,}"),
        "skill": ("Skill", "{:+.1%}"),
        "low": ("at least", "{:+.1%}"),
        "high": ("at most", "{:+.1%}"),
        "p": ("p", elements.p_text),
        **{f"coverage_{name}": (f"Inside {name}%", "{:.1%}") for name in reads.INTERVALS},
        "low_80": ("80%: at least", "{:.1%}"),
        "high_80": ("80%: at most", "{:.1%}"),
        "brier": ("Brier", "{:.4f}"),
    }
    elements.show_table(table, columns)
    st.caption(
        "Skill against the random walk issued with each forecast, and the share of outcomes inside each range, with "
        "90% intervals (at least, at most). Each origin counts once. The model `all` pools them: of several forecasts "
        "of a symbol from one origin the first one counts. A dash: too few origins to say, 20 or four times as many as "
        "sessions ahead are needed."
    )


@elements.drawn_once(max_entries=64)
def pit(source: Source, chosen: reads.Chosen, horizon: int) -> None:
    """Draw at which quantiles of their forecasts outcomes fell."""
    counts = reads.record(source, chosen).pit[horizon]
    elements.show_chart(pit_figure(counts), "pit")
    st.caption(
        f"PIT, {elements.sessions(horizon)} ahead: how many of {counts['rows'].sum():,} outcomes fell between two "
        "neighbouring quantiles of their forecast, over how many should have. All bars at the dashed line would be "
        "right; bins in the tails rest on few outcomes."
    )


@elements.drawn_once(max_entries=64)
def extremes(source: Source, chosen: reads.Chosen, horizon: int) -> None:
    """Show the best and the worst calls."""
    columns = {
        "number": ("No.", "{}"),
        "call": ("Call", "{}"),
        "symbol": ("Symbol", "{}"),
        "origin": ("Origin", "{:%a %Y-%m-%d}"),
        "target_session": ("Target session", "{:%a %Y-%m-%d}"),
        "outcome": ("Log return", "{:+.2%}"),
        "below": ("above the quantile of", percent),
        "above": ("below that of", percent),
        "crps_points": ("CRPS", BASIS_POINTS),
        "walk_points": ("CRPS, random walk", BASIS_POINTS),
        "gain_points": ("Gain", "{:+,.1f}"),
    }
    elements.show_table(reads.record(source, chosen).calls[horizon], columns)
    st.caption(
        f"The forecasts {elements.sessions(horizon)} ahead whose CRPS was furthest below and above that of the random "
        "walk issued with them, in basis points (hundredths of a percent) of log return; no two of a kind from "
        "overlapping dates. Beside each outcome the levels of the quantiles between which it fell."
    )


@elements.drawn_once(max_entries=64)
def fan(source: Source, symbol: str, origin: pd.Timestamp, view: str, model_id: str | None) -> None:
    """Draw the forecast of a day with the outcome over it, and show the outcomes."""
    call = read_call(source.workspace, symbol, origin, view, model_id)
    forecast = call.forecast
    figure = forecast_figure(call.series, forecast, HISTORY, show_outcome=True)
    elements.show_chart(figure, "day_fan")
    st.caption(
        f"{elements.plain(forecast.symbol)} in {forecast.instrument.currency_in_words}, as it was forecast from "
        f"{forecast.origin:%a %Y-%m-%d} by model `{call.rows['model_id'].iloc[0]}`: closes as known then, the "
        "median, and the ranges meant to hold the close with 50%, 80%, 90% and 95% probability; over it, in orange "
        f"with dots, the outcomes by prices {VIEWS[view]}. Adjusted for splits; one place per session."
    )
    table = call.scores.assign(close=[call.series.bars["close"][day] for day in call.scores["target_session"]])
    hits = {f"hit_{name}": (f"Inside {name}%", yes_or_no) for name in reads.INTERVALS}
    with st.expander(f"Outcomes of {elements.sessions(len(table))}", icon=":material/table_rows:"):
        elements.show_table(
            table,
            {
                "horizon": ("Ahead", "{}"),
                "target_session": ("Session", "{:%a %Y-%m-%d}"),
                "close": ("Close", price_text),
                "outcome": ("Log return", "{:+.2%}"),
                **hits,
            },
        )
        st.caption(f"Closes in {forecast.instrument.currency_in_words}; whether each lay inside the range.")


def yes_or_no(held: bool) -> str:
    return "yes" if held else "no"
