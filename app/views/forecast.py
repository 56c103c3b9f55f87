"""One symbol's newest forecast, as it was issued, and how far such forecasts can be trusted."""

from collections.abc import Sequence

import elements
import state
import streamlit as st
from reads import forecast as reads

from forecasting import BacktestReport, csv_text, forecast_figure, long_table, make_headline, price_text, wide_table

HISTORIES = {"21": "1 mo", "63": "3 mo", "126": "6 mo", "252": "1 yr", "756": "3 yr"}
MOST_NAMED = 12
MODES = {
    frozenset({"live"}): "**Live**: issued before any of its target sessions opened",
    frozenset({"replay"}): "**Replay**: computed as if on that day, and no part of the live track record",
    frozenset({"live", "replay"}): "**Partly live**: target sessions that had opened by then count as replay",
}
WORDS = ("session", "quantile", "log return", "CRPS", "skill", "p", "baselines", "coverage")


def show(source: state.Source, symbols: Sequence[str]) -> None:
    asked = st.query_params.get("symbol", symbols[0])
    if asked not in symbols:
        st.warning(
            f"No forecast of {elements.code(asked)} has been issued in this workspace; {symbols[0]} is shown instead. "
            "Next: choose another symbol, or forecast this one with `tickercast run`.",
            icon=":material/search_off:",
        )
    pick, span = st.columns([1, 3], vertical_alignment="bottom")
    with pick:
        symbol = state.choose("symbol", {s: s for s in symbols}, symbols[0], "Symbol")
    with span:
        history = state.choose("history", HISTORIES, "63", "History shown", buttons=True)

    issued = reads.issued_forecast(source, symbol)
    report = reads.backtest_report(source, issued.rows["model_id"].iloc[0])
    for trouble in reads.troubles(source, symbol):
        st.warning(trouble, icon=":material/warning:")
    show_key_numbers(issued)
    for remark in issued.remarks:
        st.info(remark, icon=":material/info:")
    show_chart(issued, int(history))
    trust, origin = st.columns([3, 2], gap="large")
    with trust:
        show_verdict(report, symbol)
    with origin:
        show_provenance(issued)
    if report:
        show_scores(report)
    elements.explain(*WORDS)
    show_quantiles(issued)


def show_key_numbers(issued: reads.Issued) -> None:
    forecast = issued.forecast
    currency = forecast.instrument.currency
    table = forecast.frame().join(forecast.interval(0.8))
    table = table[table["horizon"].isin([1, 5, forecast.horizon])]
    first, *rest = st.columns(1 + len(table))
    with first:
        elements.card(
            f"Last close  \n{forecast.origin:%a %Y-%m-%d}",
            price_text(forecast.last_close, currency),
            "What the forecast starts from",
        )
    for column, (day, row) in zip(rest, table.iterrows(), strict=True):
        with column:
            estimated = " (estimated)" if row["estimated"] else ""
            elements.card(
                f"Median {elements.sessions(row['horizon'])} ahead  \n{day:%a %Y-%m-%d}{estimated}",
                price_text(row[0.5], currency),
                f"80% range {price_text(row['lower'])} to {price_text(row['upper'])}  \n"
                f"Chance of a rise {row['prob_up']:.0%}",
            )


def show_chart(issued: reads.Issued, history: int) -> None:
    forecast = issued.forecast
    figure = forecast_figure(issued.series, forecast, history)
    st.plotly_chart(figure, config={"displayModeBar": False}, key="fan")
    estimated = " Diamonds: the exchange has not published its holidays that far, so the date is estimated."
    reports = " Circles: the ranges are wider, because a quarterly report is likely up to there."
    st.caption(
        f"Closing prices of {forecast.symbol} in {forecast.instrument.currency_in_words}, adjusted for splits, and its "
        f"forecast for the next {elements.sessions(forecast.horizon)}: the median, and the ranges meant to hold the "
        "close with 50%, 80% and 90% probability. One place per session; weekends and holidays take none."
        + (estimated if forecast.estimated.any() else "")
        + (reports if any("report_likely" in flags for flags in forecast.flags()) else "")
    )


def show_verdict(report: BacktestReport | None, symbol: str) -> None:
    st.subheader("Can it be trusted?")
    if report is None:
        st.markdown("This model's recipe has not been backtested on its universe, so nothing is known about it. Next:")
        st.code("tickercast backtest", language="bash")
        return
    for alarm in report.alarms:
        st.warning(alarm, icon=":material/warning:")
    st.markdown(report.summary())
    st.markdown(report.summary_of(symbol))
    others = "" if len(report.universe) <= MOST_NAMED else " and others"
    st.caption(f"Pooled over {', '.join(report.universe[:MOST_NAMED])}{others}. Backtest `{report.backtest_id}`.")


def show_provenance(issued: reads.Issued) -> None:
    row = issued.rows.iloc[0]
    st.subheader("Where does it come from?")
    st.markdown(
        f"- Issued as of {row['as_of']:%Y-%m-%d %H:%M} UTC by model `{row['model_id']}`\n"
        f"- Made from prices up to {row['origin']:%a %Y-%m-%d}, source `{issued.forecast.instrument.source}`\n"
        f"- {MODES[frozenset(issued.rows['mode'])]}\n"
        "- A statistical statement, **not investment advice**"
    )


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


def show_quantiles(issued: reads.Issued) -> None:
    forecast, rows = issued.forecast, issued.rows
    st.subheader("Price quantiles by session")
    columns = {
        "target_session": ("Session", "{:%a %Y-%m-%d}"),
        "horizon": ("Ahead", "{}"),
        **({"estimated": ("Date estimated", "{}")} if forecast.estimated.any() else {}),
        **({} if forecast.report_widening is None else {"report_widening": ("Wider for a report", "{:+.0%}")}),
        "prob_up": ("Chance of a rise", "{:.0%}"),
        "expected": ("Mean", price_text),
        **{str(level): (f"{level:.1%}".replace(".0%", "%"), price_text) for level in forecast.levels},
    }
    table = forecast.frame().reset_index().assign(report_widening=forecast.report_widening)
    elements.show_table(table.rename(columns=str), columns)
    st.caption(
        f"Prices in {forecast.instrument.currency_in_words}; a column's heading is the chance of a close below its "
        "price."
    )
    name = f"forecast-{forecast.symbol}-{forecast.origin:%Y-%m-%d}-{rows['model_id'].iloc[0]}"
    with st.container(horizontal=True):
        for label, suffix, export in (
            ("CSV for spreadsheets (wide)", "-wide", wide_table),
            ("CSV for programs (long)", "", long_table),
        ):
            st.download_button(
                label,
                csv_text(export(rows)),
                f"{name}{suffix}.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
            )


source = state.current()
st.title("Forecast")
if symbols := reads.issued_symbols(source):
    show(source, symbols)
else:
    state.explain_empty(source)
