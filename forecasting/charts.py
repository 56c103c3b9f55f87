"""Figures: pure functions, frames in, a plotly Figure out. plotly is imported when one is drawn.

Colours keep apart for colour-blind readers and on light and dark pages: the background is transparent,
bands differ in lightness, and grey, blue and orange never carry a meaning alone. plotly reads tags in
every text it draws, so text from outside is escaped.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from forecasting.session_axis import session_axis

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from forecasting.bars import PriceSeries
    from forecasting.forecasts import Forecast

GREY, BLUE, ORANGE = "#808080", "#2b7fd4", "#d55e00"
_BAND_FILLS = {
    0.95: "rgba(43,127,212,0.05)",
    0.9: "rgba(43,127,212,0.13)",
    0.8: "rgba(43,127,212,0.18)",
    0.5: "rgba(43,127,212,0.34)",
}
_OUTLINED = 0.95  # its band hardly shows beside the next one
_EARLIER = 0.8  # coverage of the band of an earlier forecast
_EARLIER_FILL = "rgba(213,94,0,0.08)"


def price_text(price: float, currency: str = "") -> str:
    """Return a price for reading: two decimals, below one four significant digits; then its currency.

    >>> price_text(2506.847, "USD"), price_text(0.0123456)
    ('2,506.85 USD', '0.01235')
    """
    return f"{price:,.2f} {currency}".rstrip() if price >= 1 else f"{price:.4g} {currency}".rstrip()


def forecast_figure(
    series: "PriceSeries",
    forecast: "Forecast",
    history: int = 120,
    *,
    candles: bool = False,
    earlier: "Sequence[Forecast]" = (),
    show_outcome: bool = False,
    background: str = "rgba(0,0,0,0)",
    title: str = "",
) -> "Figure":
    """Draw a forecast as a fan of price quantiles after the prices it continues.

    The x axis counts sessions: it has one place per session and none for weekends and holidays. The fan
    starts at the origin's last close, as it was when the forecast was issued. Sessions whose date is
    estimated are marked on the median, and those up to which a quarterly report is likely.

    Parameters
    ----------
    series : bars after the forecast's origin are not drawn, unless `show_outcome`
    forecast
    history : number of sessions drawn up to the origin, at least 1
    candles : draw open, high, low and close instead of closes alone
    earlier : forecasts from origins before, at the prices of `series`; drawn as median and 80% range, as far as
        they begin within the history
    show_outcome : draw over the fan what became of it, the closes on its target sessions as far as there are any
    background : colour; transparent by default, where the page's own shows
    title : stands below, for those who get it as an image
    """
    import plotly.graph_objects as go

    bars = series.until(forecast.origin).bars.iloc[-history:]
    currency = escape(forecast.instrument.currency, quote=False)
    axis = list(dict.fromkeys(_iso(day) for day in (*bars.index, forecast.origin, *forecast.target_sessions)))
    places = set(axis)
    layout = _layout(axis, currency, escape(title, quote=False))
    figure = go.Figure(layout={**layout, "paper_bgcolor": background, "plot_bgcolor": background})
    _draw_earlier(figure, earlier, places)
    for coverage, interval in reversed(forecast.intervals().items()):
        figure.add_scatter(
            **_band(forecast, interval, places),
            fillcolor=_BAND_FILLS[coverage],
            mode="lines",
            line={"color": BLUE, "width": 1 if coverage == _OUTLINED else 0, "dash": "dot"},
            name=f"{coverage:.0%} range",
        )
    _draw_history(figure, bars, candles, currency)
    _draw_median(figure, forecast)
    if show_outcome:
        outcome = series.bars["close"].reindex(forecast.target_sessions).dropna()
        _draw_outcome(figure, forecast, outcome, currency)
    figure.add_vline(x=_iso(forecast.origin), line={"color": GREY, "width": 1, "dash": "dot"})
    return figure


def _band(forecast: "Forecast", interval: "pd.DataFrame", axis: Collection[str]) -> dict[str, Any]:
    """Return an interval as an area that begins at the origin's close, on the sessions of an axis."""
    drawn = [_iso(day) in axis for day in interval.index]
    days = [_iso(forecast.origin), *map(_iso, interval.index[drawn])]
    upper, lower = (interval.loc[drawn, bound].tolist() for bound in ("upper", "lower"))
    edge = [forecast.last_close, *upper, *reversed(lower), forecast.last_close]
    return {"x": [*days, *reversed(days)], "y": edge, "fill": "toself", "hoverinfo": "skip"}


def _draw_earlier(figure: "Figure", earlier: "Sequence[Forecast]", axis: Collection[str]) -> None:
    from forecasting.forecasts import central_intervals

    shared = {"legendgroup": "earlier", "mode": "lines"}
    drawn = [one for one in earlier if _iso(one.origin) in axis]
    for i, one in enumerate(drawn):
        if _EARLIER in central_intervals(one.levels):
            figure.add_scatter(
                **_band(one, one.interval(_EARLIER), axis),
                **shared,
                fillcolor=_EARLIER_FILL,
                line={"color": ORANGE, "width": 0.6, "dash": "dot"},
                name="earlier 80% range",
                showlegend=False,
            )
        days = [day for day in one.target_sessions if _iso(day) in axis]
        medians = one.frame()[0.5][days]
        currency = escape(one.instrument.currency, quote=False)
        figure.add_scatter(
            **shared,
            x=[_iso(one.origin), *map(_iso, days)],
            y=[one.last_close, *medians],
            line={"color": ORANGE, "width": 1.4, "dash": "dash"},
            name="earlier forecasts",
            showlegend=i == 0,
            hovertext=["", *(f"median as of {_iso(one.origin)}: {price_text(m, currency)}" for m in medians)],
            hoverinfo=["skip", *["text"] * len(days)],
        )


def _draw_history(figure: "Figure", bars: "pd.DataFrame", candles: bool, currency: str) -> None:
    days = [_iso(day) for day in bars.index]
    if not candles:
        figure.add_scatter(
            x=days,
            y=bars["close"].tolist(),
            mode="lines",
            line={"color": GREY, "width": 1.8},
            name="close",
            hovertext=[f"{day:%a %Y-%m-%d}<br>close {price_text(c, currency)}" for day, c in bars["close"].items()],
            hoverinfo="text",
        )
        return
    names, texts = ["open", "high", "low", "close"], []
    for day, *row in bars[names].itertuples():
        told = [f"{name} {price_text(price, currency)}" for name, price in zip(names, row, strict=True)]
        texts.append("<br>".join([f"{day:%a %Y-%m-%d}", *told]))
    figure.add_candlestick(
        x=days,
        **{name: bars[name].tolist() for name in names},
        increasing={"line": {"color": GREY, "width": 1.2}, "fillcolor": "rgba(0,0,0,0)"},
        decreasing={"line": {"color": GREY, "width": 1.2}, "fillcolor": GREY},
        name="bar (filled: fell)",
        hovertext=texts,
        hoverinfo="text",
    )


def _draw_median(figure: "Figure", forecast: "Forecast") -> None:
    from forecasting.forecasts import REPORT_LIKELY

    ahead, medians = [_iso(day) for day in forecast.target_sessions], forecast.frame()[0.5].tolist()
    figure.add_scatter(
        x=[_iso(forecast.origin), *ahead],
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


def _draw_outcome(figure: "Figure", forecast: "Forecast", outcome: "pd.Series[float]", currency: str) -> None:
    if len(outcome):
        figure.add_scatter(
            x=[_iso(forecast.origin), *map(_iso, outcome.index)],
            y=[forecast.last_close, *outcome],
            mode="lines+markers",
            line={"color": ORANGE, "width": 2.4},
            marker={"size": 5},
            name="what happened",
            hovertext=["", *(f"<b>closed at {price_text(close, currency)}</b>" for close in outcome)],
            hoverinfo=["skip", *["text"] * len(outcome)],
        )


def _iso(day: "pd.Timestamp") -> str:
    return f"{day:%Y-%m-%d}"


def _hover_texts(forecast: "Forecast") -> list[str]:
    from forecasting.forecasts import FLAGS, REPORT_LIKELY

    currency = escape(forecast.instrument.currency, quote=False)
    flags, widening, intervals = forecast.flags(), forecast.report_widening, forecast.intervals()
    texts = []
    for i, (day, row) in enumerate(forecast.frame().iterrows()):
        lines = [
            f"{day:%a %Y-%m-%d}{' (estimated)' if row['estimated'] else ''}",
            f"{i + 1} {'session' if i == 0 else 'sessions'} ahead",
            f"<b>median {price_text(row[0.5], currency)}</b>",
        ]
        for coverage, interval in intervals.items():
            lower, upper = interval.iloc[i]
            lines.append(f"{coverage:.0%}: {price_text(lower)} – {price_text(upper)}")  # noqa: RUF001
        lines.append(f"chance of a rise {row['prob_up']:.0%}")
        if widening is not None and REPORT_LIKELY in flags[i]:
            lines.append(f"{widening[i]:.0%} {FLAGS[REPORT_LIKELY]}")
        texts.append("<br>".join(lines))
    return texts


def set_days(figure: "Figure", days: "pd.Series[pd.Timestamp]") -> None:
    """Set a figure's x axis to days, ascending; it spans a week at least, so that no tick falls within a day."""
    first, last, week = days.min(), days.max(), timedelta(days=7)
    room = (week - (last - first)) / 2
    span = [f"{first - room:%Y-%m-%d}", f"{last + room:%Y-%m-%d}"] if last - first < week else None
    figure.update_xaxes(type="date", automargin=True, range=span)


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
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            # one of the machine's own: an image saved from a page has none of the page's, and would not keep the places
            "font": {"family": "Arial, sans-serif"},
        },
    }


def _layout(axis: Sequence[str], currency: str, title: str) -> dict[str, Any]:
    shared = plain_layout(460)
    return {
        **shared,
        "hovermode": "x",
        "legend": {**shared["legend"], "traceorder": "reversed"},
        "xaxis": {
            **session_axis(axis),
            "title": {"text": title},
            "rangeslider": {"visible": False},
        },  # candles bring one
        "yaxis": {"title": {"text": f"Price ({currency})"}, "separatethousands": True, "automargin": True},
    }
