"""Figures: pure functions, frames in, a plotly Figure out. plotly is imported when one is drawn.

Colours keep apart for colour-blind readers and on light and dark pages: the background is transparent,
bands differ in lightness, and grey, blue and orange never carry a meaning alone. plotly reads tags in
every text it draws, so text from outside is escaped.
"""

from collections.abc import Iterator
from contextlib import suppress
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from forecasting.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from forecasting.bars import PriceSeries
    from forecasting.forecasts import Forecast

BANDS = (0.9, 0.8, 0.5)
"""Coverages of the central intervals drawn, widest first; a forecast without one is drawn without it."""

GREY, BLUE, ORANGE = "#808080", "#2b7fd4", "#d55e00"
_BAND_FILLS = {0.9: "rgba(43,127,212,0.16)", 0.8: "rgba(43,127,212,0.20)", 0.5: "rgba(43,127,212,0.34)"}
_MOST_TICKS = 8
_TICK_MONTHS = (1, 2, 3, 6, 12, 24, 60)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def price_text(price: float, currency: str = "") -> str:
    """Return a price for reading: two decimals, below one four significant digits; then its currency.

    >>> price_text(2506.847, "USD"), price_text(0.0123456)
    ('2,506.85 USD', '0.01235')
    """
    return f"{price:,.2f} {currency}".rstrip() if price >= 1 else f"{price:.4g} {currency}".rstrip()


def forecast_figure(
    series: "PriceSeries", forecast: "Forecast", history: int = 120, *, show_outcome: bool = False
) -> "Figure":
    """Draw a forecast as a fan of price quantiles after the closes it continues.

    The x axis counts sessions: it has one place per session and none for weekends and holidays. The fan
    starts at the origin's last close, as it was when the forecast was issued. Sessions whose date is
    estimated are marked on the median, and those up to which a quarterly report is likely.

    Parameters
    ----------
    series : closes after the forecast's origin are not drawn, unless `show_outcome`
    forecast
    history : number of sessions drawn up to the origin, at least 1
    show_outcome : draw over the fan what became of it, the closes on its target sessions as far as there are any
    """
    import plotly.graph_objects as go

    from forecasting.forecasts import REPORT_LIKELY

    closes = series.until(forecast.origin).bars["close"].iloc[-history:]
    currency = escape(forecast.instrument.currency, quote=False)
    origin, *ahead = days = [_iso(day) for day in (forecast.origin, *forecast.target_sessions)]
    axis = list(dict.fromkeys([*map(_iso, closes.index), *days]))
    medians = forecast.frame()[0.5].tolist()

    figure = go.Figure()
    for coverage, interval in _intervals(forecast):
        edge = [forecast.last_close, *interval["upper"], *interval["lower"][::-1], forecast.last_close]
        figure.add_scatter(
            x=[*days, *reversed(days)],
            y=edge,
            fill="toself",
            fillcolor=_BAND_FILLS[coverage],
            mode="none",
            name=f"{coverage:.0%} interval",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=[_iso(day) for day in closes.index],
        y=closes.tolist(),
        mode="lines",
        line={"color": GREY, "width": 1.8},
        name="close",
        hovertext=[f"{day:%a %Y-%m-%d}<br>close {price_text(c, currency)}" for day, c in closes.items()],
        hoverinfo="text",
    )
    figure.add_scatter(
        x=days,
        y=[forecast.last_close, *medians],
        mode="lines",
        line={"color": BLUE, "width": 2.4},
        name="median forecast",
        hovertext=["", *_hover_texts(forecast)],
        hoverinfo=["skip", *["text"] * len(ahead)],
    )
    reports = [REPORT_LIKELY in flags for flags in forecast.flags()]
    for name, shape, marked in (
        ("date estimated", "diamond-open", forecast.estimated),
        ("wider for a report", "circle-open", reports),
    ):
        if at := [i for i, mark in enumerate(marked) if mark]:
            figure.add_scatter(
                x=[ahead[i] for i in at],
                y=[medians[i] for i in at],
                mode="markers",
                marker={"symbol": shape, "color": ORANGE, "size": 7, "line": {"width": 1.6}},
                name=name,
                hoverinfo="skip",
            )
    outcome = series.bars["close"].reindex(forecast.target_sessions).dropna() if show_outcome else closes.iloc[:0]
    if len(outcome):
        figure.add_scatter(
            x=[origin, *map(_iso, outcome.index)],
            y=[forecast.last_close, *outcome],
            mode="lines+markers",
            line={"color": ORANGE, "width": 2.4},
            marker={"size": 5},
            name="what happened",
            hovertext=["", *(f"<b>closed at {price_text(close, currency)}</b>" for close in outcome)],
            hoverinfo=["skip", *["text"] * len(outcome)],
        )
    figure.add_vline(x=origin, line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_layout(_layout(axis, currency))
    return figure


def _iso(day: "pd.Timestamp") -> str:
    return f"{day:%Y-%m-%d}"


def _intervals(forecast: "Forecast") -> Iterator[tuple[float, "pd.DataFrame"]]:
    for coverage in BANDS:
        with suppress(UsageError):
            yield coverage, forecast.interval(coverage)


def _hover_texts(forecast: "Forecast") -> list[str]:
    from forecasting.forecasts import FLAGS, REPORT_LIKELY

    currency = escape(forecast.instrument.currency, quote=False)
    intervals = [(f"{coverage:.0%}", interval) for coverage, interval in reversed(list(_intervals(forecast)))]
    flags, widening = forecast.flags(), forecast.report_widening
    texts = []
    for i, (day, row) in enumerate(forecast.frame().iterrows()):
        lines = [
            f"{day:%a %Y-%m-%d}{' (estimated)' if row['estimated'] else ''}",
            f"{i + 1} {'session' if i == 0 else 'sessions'} ahead",
            f"<b>median {price_text(row[0.5], currency)}</b>",
        ]
        for name, interval in intervals:
            lower, upper = interval.iloc[i]
            lines.append(f"{name}: {price_text(lower)} – {price_text(upper)}")  # noqa: RUF001
        lines.append(f"chance of a rise {row['prob_up']:.0%}")
        if widening is not None and REPORT_LIKELY in flags[i]:
            lines.append(f"{widening[i]:.0%} {FLAGS[REPORT_LIKELY]}")
        texts.append("<br>".join(lines))
    return texts


def plain_layout(height: int) -> dict[str, Any]:
    """Return the layout that all figures share."""
    return {
        # a template gives way to the page's own theme where it has one
        "template": {
            "layout": {
                "font": {"color": GREY, "size": 13},
                "xaxis": {"gridcolor": "rgba(128,128,128,0.15)", "zeroline": False},
                "yaxis": {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False},
            }
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "dragmode": False,  # a finger on the chart scrolls the page
        "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }


def _layout(axis: list[str], currency: str) -> dict[str, Any]:
    ticks = _month_ticks(axis)
    shared = plain_layout(460)
    return {
        **shared,
        "hovermode": "x",
        "legend": {**shared["legend"], "traceorder": "reversed"},
        "xaxis": {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": axis,
            "tickmode": "array",
            "tickvals": list(ticks),
            "ticktext": list(ticks.values()),
            "tickangle": 0,
            "ticks": "outside",
        },
        "yaxis": {"title": {"text": f"Price ({currency})"}, "separatethousands": True, "automargin": True},
    }


def _month_ticks(axis: list[str]) -> dict[str, str]:
    """Return labels for the axis's start and the first session of every month, quarter, year .. as many as fit."""
    firsts = [day for before, day in pairwise(axis) if before[:7] != day[:7]]
    ticks = firsts
    for step in _TICK_MONTHS:
        ticks = [day for day in firsts if (int(day[:4]) * 12 + int(day[5:7]) - 1) % step == 0]
        if len(ticks) <= _MOST_TICKS:
            break
    if not ticks or axis.index(ticks[0]) > len(axis) / 8:
        ticks = [axis[0], *ticks]
    labels = {}
    year = ""
    for day in ticks:
        number = "" if day in firsts else f"{int(day[8:])} "
        labels[day] = f"{number}{_MONTHS[int(day[5:7]) - 1]}" + (f"<br>{day[:4]}" if day[:4] != year else "")
        year = day[:4]
    return labels
