"""Issued forecasts against what happened: how often the ranges held, what they were worth, and any day's fan."""

import access
import calls
import elements
import meanings
import pandas as pd
import state
import streamlit as st
import work
from pieces import track_record as pieces
from reads import track_record as reads

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


def show(source: state.Source) -> None:
    mode_at, view_at = st.columns([1, 1], vertical_alignment="bottom")
    with view_at:
        view = state.choose("prices", pieces.VIEWS, "first", "Outcomes by prices", buttons=True)
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
    show_over_time(source, chosen, record, horizon)
    st.subheader("By horizon and model")
    pieces.by_model(source, chosen)
    elements.offer_csv("Record as CSV", record.table, f"track-record-{chosen.mode}.csv")
    st.subheader("Where did outcomes fall?")
    pieces.pit(source, chosen, horizon)
    calls.show_extremes(source, chosen, horizon)
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


def show_over_time(source: state.Source, chosen: reads.Chosen, record: reads.Record, horizon: int) -> None:
    coverage, skill = st.columns(2, gap="large")
    with coverage:
        st.subheader("Did the ranges hold?")
        names = {name: f"{name}%" for name in reads.INTERVALS if len(record.rolling[horizon, name])}
        if not names:
            st.info("A rolling coverage begins after 20 origins.", icon=":material/hourglass:")
        else:
            name = state.choose("interval", names, "80" if "80" in names else next(iter(names)), "Range", buttons=True)
            pieces.coverage(source, chosen, horizon, name)
    with skill:
        st.subheader("What were they worth?")
        if record.skill.empty:
            st.info("A skill so far begins after 20 origins.", icon=":material/hourglass:")
        else:
            pieces.skill(source, chosen, horizon)


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
