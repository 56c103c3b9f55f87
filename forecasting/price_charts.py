"""Figures of stored prices: their completeness and their closes; what `forecasting.charts` says holds here."""

from html import escape
from typing import TYPE_CHECKING

from forecasting.charts import BLUE, GREY, ORANGE, plain_layout, price_text

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from forecasting.bars import PriceSeries

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COMPLETE, _HELD, _GAPS = "#b9d6f2", "#8c8c8c", "#e8833a"  # apart in lightness, too
_ROW = 22  # pixels of a year
_MARKERS = {"quarantined": ("x", ORANGE), "flag": ("diamond-open", BLUE)}


def completeness_figure(months: "pd.DataFrame") -> "Figure":
    """Draw a history as a calendar, a row a year and a cell a month: complete, or the number of sessions that lack.

    Beside each year stands the share of its sessions that have a bar.

    Parameters
    ----------
    months : as `forecasting.completeness.count_months` returns them, at least one
    """
    import plotly.graph_objects as go

    from forecasting.completeness import STATES, share_of

    years = months.groupby("year")[list(STATES)].sum().pipe(share_of)
    colours = {0: _COMPLETE, 1: _HELD, 2: _GAPS}
    scale = [[i / 3 + end / 3, colour] for i, colour in colours.items() for end in (0, 1)]
    places = [list(months["year"]), list(months["month"])]
    states = [2 if gaps else 1 if held else 0 for gaps, held in zip(months["gaps"], months["quarantined"], strict=True)]
    figure = go.Figure(layout=plain_layout(70 + _ROW * (int(years.index.max() - years.index.min()) + 1)))
    figure.add_heatmap(
        y=places[0],
        x=places[1],
        z=states,
        zmin=-0.5,
        zmax=2.5,
        colorscale=scale,
        showscale=False,
        xgap=2,
        ygap=2,
        text=[_lacking(row.gaps, row.quarantined) for row in months.itertuples()],
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertext=[
            f"<b>{_MONTHS[row.month - 1]} {row.year}</b><br>{_sessions(row.bars)} with a bar"
            + (f"<br>{_sessions(row.gaps)} without" if row.gaps else "")
            + (f"<br>{_sessions(row.quarantined)} held in quarantine" if row.quarantined else "")
            for row in months.itertuples()
        ],
        hoverinfo="text",
    )
    figure.update_xaxes(
        tickvals=list(range(1, 13)), ticktext=list(_MONTHS), range=[0.5, 12.5], side="top", tickangle=0, showgrid=False
    )
    figure.update_yaxes(
        tickvals=[int(year) for year in years.index],
        ticktext=[f"{year} {_percent(share)}" for year, share in years.items()],
        range=[int(years.index.max()) + 0.5, int(years.index.min()) - 0.5],
        showgrid=False,
        automargin=True,
    )
    figure.update_layout(font_size=11)
    return figure


def _lacking(gaps: int, held: int) -> str:
    return "+".join([f"{gaps}"] * (gaps > 0) + [f"{held}q"] * (held > 0))


def _percent(share: float) -> str:
    """Return a share in percent; only what is whole is 100%.

    >>> _percent(1.0), _percent(0.9999), _percent(0.5)
    ('100%', '99.9%', '50.0%')
    """
    return "100%" if share == 1 else f"{min(share, 0.999):.1%}"


def _sessions(count: int) -> str:
    return f"{count} session{'s' * (count != 1)}"


def closes_figure(series: "PriceSeries", findings: "pd.DataFrame", history: int | None = None) -> "Figure":
    """Draw closes over time on a logarithmic axis, broken where sessions lack, and mark what was found.

    Parameters
    ----------
    series : at least one bar
    findings : `first` session, `severity`, `rule` and `found`, as `check_quality` returns them; marked on the close
        of their session, or on the last one before it
    history : number of last bars drawn; all by default
    """
    import numpy as np
    import plotly.graph_objects as go

    from forecasting.sessions import missing_sessions

    closes = series.bars["close"].iloc[-history if history else 0 :]
    gaps = missing_sessions(series.instrument.calendar, closes.index)
    currency = escape(series.instrument.currency, quote=False)
    drawn = closes.reindex(closes.index.union(gaps))
    figure = go.Figure(layout=plain_layout(340))
    figure.add_scatter(
        x=[f"{day:%Y-%m-%d}" for day in drawn.index],
        y=[None if np.isnan(close) else close for close in drawn],
        mode="lines",
        line={"color": GREY, "width": 1.4},
        name="close",
        hovertext=[f"{day:%a %Y-%m-%d}<br>close {price_text(close, currency)}" for day, close in drawn.items()],
        hoverinfo="text",
    )
    within = findings[(findings["first"] >= closes.index[0]) & (findings["first"] <= closes.index[-1])]
    for severity, rows in within.groupby("severity"):
        symbol, colour = _MARKERS[str(severity)]
        at = closes.index.searchsorted(rows["first"].to_numpy(), side="right") - 1
        figure.add_scatter(
            x=[f"{day:%Y-%m-%d}" for day in rows["first"]],
            y=closes.iloc[at].tolist(),
            mode="markers",
            marker={"symbol": symbol, "color": colour, "size": 9, "line": {"width": 1.6}},
            name="quarantined" if severity == "quarantined" else "flagged",
            hovertext=[
                f"<b>{escape(row.rule)}</b> from {row.first:%a %Y-%m-%d}<br>{escape(row.found)}"
                for row in rows[["rule", "first", "found"]].itertuples(index=False)
            ],
            hoverinfo="text",
        )
    figure.update_xaxes(type="date")
    figure.update_yaxes(type="log", title_text=f"Close ({currency})", automargin=True)
    return figure
