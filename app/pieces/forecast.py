"""Pieces of the forecast's view that cost time to draw, cached by the workspace's revision."""

import elements
import streamlit as st
import trust
from reads import forecast as reads
from state import Source

from forecasting import IssuedForecast, forecast_figure, price_text, range_table


@elements.drawn_once(max_entries=128)
def chart(source: Source, symbol: str, history: int, candles: bool, count: int, background: str) -> None:
    """Draw a symbol's forecast after so many sessions of history, with so many earlier forecasts."""
    issued = reads.issued_forecast(source, symbol)
    forecast = issued.forecast
    earlier = reads.earlier_forecasts(source, symbol, count) if count else []
    figure = forecast_figure(
        issued.series,
        forecast,
        history,
        candles=candles,
        earlier=earlier,
        background=background,
        title=f"{symbol}, forecast from {forecast.origin:%a %Y-%m-%d}",
    )
    st.plotly_chart(figure, config=_image_button(issued), key="fan")
    drawn = "Prices from open to close, with their highs and lows," if candles else "Closing prices"
    estimated = " Diamonds: the exchange has not published its holidays that far, so the date is estimated."
    reports = " Circles: the ranges are wider, because a quarterly report is likely up to there."
    before = (
        " Dashed, in orange: medians and 80% ranges of earlier forecasts as they were issued, one a week at most, as "
        "far as they begin in the history shown; prices are in today's shares."
    )
    st.caption(
        f"{drawn} of {symbol} in {forecast.instrument.currency_in_words}, adjusted for splits, and its "
        f"forecast for the next {elements.sessions(forecast.horizon)}: the median, and the ranges meant to hold the "
        "close with 50%, 80%, 90% and 95% probability (95%: the dotted outline). One place per session; weekends and "
        "holidays take none."
        + (estimated if forecast.estimated.any() else "")
        + (reports if any("report_likely" in flags for flags in forecast.flags()) else "")
        + (before if earlier else "")
    )
    if count and not earlier:
        st.caption("No forecast of it was issued a week before this one or earlier.")


def _image_button(issued: IssuedForecast) -> dict:
    """Return plotly's settings for a chart whose one button saves it as an image."""
    return {
        "displayModeBar": True,
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "png", "filename": file_stem(issued), "scale": 2},
    }


def file_stem(issued: IssuedForecast) -> str:
    return f"forecast-{issued.forecast.symbol}-{issued.forecast.origin:%Y-%m-%d}-{issued.rows['model_id'].iloc[0]}"


@elements.drawn_once(max_entries=64)
def sessions(source: Source, symbol: str) -> None:
    """Show a symbol's forecast by target session."""
    forecast = reads.issued_forecast(source, symbol).forecast
    table = range_table(forecast)
    estimated = {"estimated": ("Date estimated", "{}")} if forecast.estimated.any() else {}
    columns = {
        "target_session": ("Session", "{:%a %Y-%m-%d}"),
        "horizon": ("Ahead", "{}"),
        **estimated,
        "prob_up": ("Chance of a rise", "{:.0%}"),
        "median": ("Median", price_text),
        **{name: (f"{name[-2:]}% range", "{}") for name in table if name.startswith("range_")},
    }
    elements.show_table(table, columns)
    st.caption(f"Prices in {forecast.instrument.currency_in_words}; a rise is a close above the last one.")


@elements.drawn_once(max_entries=64)
def quantiles(source: Source, symbol: str) -> None:
    """Show all quantiles of a symbol's forecast."""
    forecast = reads.issued_forecast(source, symbol).forecast
    columns = {
        "target_session": ("Session", "{:%a %Y-%m-%d}"),
        "horizon": ("Ahead", "{}"),
        **({"estimated": ("Date estimated", "{}")} if forecast.estimated.any() else {}),
        **({} if forecast.report_widening is None else {"report_widening": ("Wider for a report", "{:+.0%}")}),
        "expected": ("Mean", price_text),
        **{str(level): (f"{level:.1%}".replace(".0%", "%"), price_text) for level in forecast.levels},
    }
    table = forecast.frame().reset_index().assign(report_widening=forecast.report_widening)
    elements.show_table(table.rename(columns=str), columns)
    st.caption(
        f"Prices in {forecast.instrument.currency_in_words}; a column's heading is the chance of a close below its "
        "price."
    )


@elements.drawn_once(max_entries=16)
def scores(source: Source, model_id: str) -> None:
    """Show the walk-forward scores of a model's recipe, where it has been backtested."""
    if report := reads.backtest_report(source, model_id):
        trust.show_scores(report)
