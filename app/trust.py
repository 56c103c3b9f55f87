"""How far a forecast can be trusted, and where it comes from."""

from typing import Any

import access
import elements
import streamlit as st

from forecasting import BacktestReport, IssuedForecast, make_headline

MOST_NAMED = 12
MODES = {
    frozenset({"live"}): "**Live**: issued before any of its target sessions opened",
    frozenset({"replay"}): "**Replay**: computed as if on that day, and no part of the live track record",
    frozenset({"live", "replay"}): "**Partly live**: target sessions that had opened by then count as replay",
}


def show_verdict(report: BacktestReport | None, symbol: str) -> None:
    st.subheader("Can it be trusted?")
    if report is None:
        st.markdown(
            "This model's recipe has not been backtested on its universe, so nothing is known about it. Next: "
            + elements.code(access.command("backtest"))
        )
        return
    for alarm in report.alarms:
        st.warning(alarm, icon=":material/warning:")
    st.markdown(report.summary())
    st.markdown(report.summary_of(symbol))
    others = "" if len(report.universe) <= MOST_NAMED else " and others"
    st.caption(f"Pooled over {', '.join(report.universe[:MOST_NAMED])}{others}. Backtest `{report.backtest_id}`.")


def show_provenance(issued: IssuedForecast, model: dict[str, Any] | None) -> None:
    row, instrument = issued.rows.iloc[0], issued.forecast.instrument
    st.subheader("Where does it come from?")
    lines = [
        f"Issued as of {row['as_of']:%Y-%m-%d %H:%M} UTC by model `{row['model_id']}`",
        f"Made from prices up to {row['origin']:%a %Y-%m-%d}, source `{instrument.source}`, stored by "
        f"{row['data_as_of']:%Y-%m-%d %H:%M} UTC",
        MODES[frozenset(issued.rows["mode"])],
    ]
    if model:
        outside = "" if instrument.symbol in model["universe"] else f", {instrument.symbol} not among them"
        symbols = f"{len(model['universe'])} {'symbol' if len(model['universe']) == 1 else 'symbols'}"
        lines.append(f"The model learned from {symbols}{outside}, up to {model['trained_until']}")
    lines.append("A statistical statement, **not investment advice**")
    st.markdown("\n".join(f"- {line}" for line in lines))


def show_scores(report: BacktestReport) -> None:
    columns = {
        "horizon": ("Sessions ahead", "{}"),
        "rows": ("Forecasts scored", "{:,}"),
        "crps": ("CRPS, network", "{:.5f}"),
        "crps_judge": ("CRPS, EWMA random walk", "{:.5f}"),
        "skill": ("Skill against it", "{:+.1%}"),
        "low": ("at least", "{:+.1%}"),
        "high": ("at most", "{:+.1%}"),
        "p": ("p", elements.p_text),
        "verdict": ("The network …", "{}"),
        "strongest": ("Strongest baseline", "{}"),
        "skill_strongest": ("Skill against it ", "{:+.1%}"),
        "p_strongest": ("p ", elements.p_text),
        **{f"coverage_{c}": (f"Inside {c}% range", "{:.1%}") for c in (80, 90)},
    }
    elements.show_table(make_headline(report.scores), columns)
    st.caption(
        f"Walk-forward scores, origins {report.test_first} to {report.test_last}: every forecast was made by a network "
        "trained on earlier sessions only. CRPS is in log return, lower is better. "
        "Skill: by how much it is lower, with its 90% interval. The EWMA random walk counts as it is or calibrated, "
        "whichever is better."
    )
