"""Issued forecasts against what happened: how often the ranges held, what they were worth, and any day's fan."""

import access
import calls
import elements
import meanings
import pandas as pd
import state
import streamlit as st
import work
from reads import track_record as reads

from forecasting import pit_figure, rolling_coverage_figure, skill_to_date_figure

MODES = {"live": "Live", "replay": "Replay"}
ABOUT = {
    "live": "**Live**: issued before the target session opened.",
    "replay": "**Replay**: computed as if on that day, from the prices of then. No part of the live record.",
}
ALL = ""
WORDS = (
    "live and replay", "origin", "CRPS", "skill", "interval", "p", "coverage", "band of chance", "PIT", "Brier",
    "best and worst calls", "log return", "quantile",
)  # fmt: skip
PLAIN = {"displayModeBar": False}


def show(source: state.Source) -> None:
    mode_at, view_at = st.columns([1, 1], vertical_alignment="bottom")
    with view_at:
        view = state.choose("prices", calls.VIEWS, "first", "Outcomes by prices", buttons=True)
    everything = reads.scored(source, view)
    offered = {mode: name for mode, name in MODES.items() if mode in set(everything["mode"])}
    with mode_at:
        mode = state.choose("mode", offered, next(iter(offered)), "Forecasts", buttons=True)
    of_mode = everything[everything["mode"] == mode]
    chosen = choose_part(of_mode, mode, view)
    record = reads.record(source, chosen)
    if record.table.empty:
        st.info("None of these forecasts has a score. Choose other dates, or another model.", icon=":material/info:")
        return
    horizons = {str(h): elements.sessions(h) for h in record.pooled["horizon"]}
    horizon = int(state.choose("horizon", horizons, next(iter(horizons)), "Ahead", buttons=True))
    show_key_numbers(record.pooled.loc[horizon], mode)
    show_over_time(record, horizon)
    show_table(record, chosen)
    show_pit(record, horizon)
    calls.show_extremes(record.calls[horizon], horizon)
    calls.show_day(source, of_mode, chosen)
    meanings.explain(*WORDS)


def choose_part(of_mode: pd.DataFrame, mode: str, view: str) -> reads.Chosen:
    """Return of which symbol, model and dates the record is to be shown."""
    symbol_at, model_at, first_at, last_at = st.columns(4, vertical_alignment="bottom")
    with symbol_at:
        symbols = {ALL: "All symbols"} | {s: s for s in of_mode["symbol"].unique()}
        symbol = state.choose("symbol", symbols, ALL, "Symbol")
    with model_at:
        models = {ALL: "All models"} | {m: m for m in of_mode["model_id"].unique()}
        model = state.choose("model", models, ALL, "Model")
    earliest, latest = of_mode["origin"].min().date(), of_mode["origin"].max().date()
    with first_at:
        first = state.choose_day("first", earliest, latest, earliest, "Origins from")
    with last_at:
        last = state.choose_day("last", first, latest, latest, "to")
    return reads.Chosen(mode, view, model or None, symbol or None, pd.Timestamp(first), pd.Timestamp(last))


def show_key_numbers(row: pd.Series, mode: str) -> None:
    days = f"{row['first']:%Y-%m-%d} to {row['last']:%Y-%m-%d}"
    missing = f"No interval before {row['needed']} origins"
    has_interval = pd.notna(row["low"])
    origins = f"{row['sessions']:,} {'origin' if row['sessions'] == 1 else 'origins'}"
    cards = [("Forecasts scored", f"{row['forecasts']:,}", f"From {origins},  \n{days}")]
    interval = f"90% interval {row['low']:+.1%} to {row['high']:+.1%}  \np {elements.p_text(row['p'])}"
    skill = f"{row['skill']:+.1%}" if pd.notna(row["skill"]) else elements.NOTHING
    cards.append(("Skill against the random walk", skill, interval if has_interval else missing))
    for name in ("80", "90"):
        if pd.notna(covered := row[f"coverage_{name}"]):
            low, high = row[f"low_{name}"], row[f"high_{name}"]
            note = f"90% interval {low:.1%} to {high:.1%}" if pd.notna(low) else missing
            cards.append((f"Inside the {name}% range", f"{covered:.1%}", note))
    for column, texts in zip(st.columns(len(cards)), cards, strict=True):
        with column:
            elements.card(*texts)
    st.caption(ABOUT[mode])


def show_over_time(record: reads.Record, horizon: int) -> None:
    coverage, skill = st.columns(2, gap="large")
    with coverage:
        st.subheader("Did the ranges hold?")
        names = {name: f"{name}%" for name in reads.INTERVALS if len(record.rolling[horizon, name])}
        if not names:
            st.info("A rolling coverage begins after 20 origins.", icon=":material/hourglass:")
        else:
            name = state.choose("interval", names, "80" if "80" in names else next(iter(names)), "Range", buttons=True)
            figure = rolling_coverage_figure(record.rolling[horizon, name], reads.INTERVALS[name])
            st.plotly_chart(figure, config=PLAIN, key="rolling")
            st.caption(
                f"Share of outcomes {elements.sessions(horizon)} ahead inside the {name}% range, in percent, over the "
                "last 60 origins (20 at the beginning), by origin; each origin counts once, with the mean over its "
                "symbols. Dashed: what the range promises. Grey: the band of chance, in which nine of ten calibrated "
                "forecasts lie on any date, for forecasts that overlap and symbols that move together; there is none "
                "before 20 origins, or four times as many as sessions ahead."
            )
    with skill:
        st.subheader("What were they worth?")
        if record.skill.empty:
            st.info("A skill so far begins after 20 origins.", icon=":material/hourglass:")
        else:
            st.plotly_chart(skill_to_date_figure(record.skill, horizon), config=PLAIN, key="skill")
            st.caption(
                "By how much the CRPS of all forecasts up to an origin is lower than that of the random walk that was "
                "issued with them, in percent, from the 20th origin on; above zero is better. The last value of each "
                "line has its interval and p in the table below."
            )


def show_table(record: reads.Record, chosen: reads.Chosen) -> None:
    st.subheader("By horizon and model")
    table = record.table
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
    elements.offer_csv("Record as CSV", record.table, f"track-record-{chosen.mode}.csv")


def show_pit(record: reads.Record, horizon: int) -> None:
    st.subheader("Where did outcomes fall?")
    pit = record.pit[horizon]
    st.plotly_chart(pit_figure(pit), config=PLAIN, key="pit")
    st.caption(
        f"PIT, {elements.sessions(horizon)} ahead: how many of {pit['rows'].sum():,} outcomes fell between two "
        "neighbouring quantiles of their forecast, over how many should have. All bars at the dashed line would be "
        "right; bins in the tails rest on few outcomes."
    )


def explain_unscored(source: state.Source) -> None:
    """Say that no issued forecast has a score yet, and what brings one."""
    st.info(
        f"{reads.issued_rows(source):,} forecasts have been issued, and none has been scored yet: their target "
        "sessions lie ahead, or nobody has scored them.",
        icon=":material/info:",
    )
    st.markdown("Score what has matured; a scheduled evening job does it by itself:")
    st.code(access.command("score"), language="bash")
    work.offer("Score now", ("score",), "score_now", icon=":material/fact_check:")
    st.markdown("Or let past evenings run as if on their days, for a track record at once; it is marked as replay:")
    st.code(access.command("replay --from 2018-01-02"), language="bash")
    why = "The evenings of the last year on stored prices; takes minutes"
    work.offer("Replay a year", ("replay",), "replay_year", why, ":material/history:")


source = state.current()
st.title("Track record")
if len(reads.scored(source, "first")):
    show(source)
elif reads.issued_rows(source):
    explain_unscored(source)
else:
    state.explain_empty(source)
