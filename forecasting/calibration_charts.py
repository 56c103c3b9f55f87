"""Figures of calibration: whether what was forecast with a probability came as often as that.

Shares and probabilities are handed as fractions; what `forecasting.charts` says holds here.
"""

from itertools import cycle
from typing import TYPE_CHECKING

from forecasting.charts import BLUE, GREY, ORANGE, plain_layout, set_days
from forecasting.score_charts import CHANCE, STYLES, ahead, horizons_of, percent

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_NINE_OF_TEN = 1.645  # standard errors either side
_MARGIN = 0.01  # probability drawn beyond the points, so that one alone has an axis, too
_MOST_TICKS = 12


def pit_figure(pit: "pd.DataFrame") -> "Figure":
    """Draw how full each bin between two quantiles is, over how full it should be; all bins are equally wide.

    Parameters
    ----------
    pit : `low`, `high` (levels), `rows`, `density` of each bin, ascending, as `pit_histogram` returns them
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=plain_layout(300))
    figure.add_bar(
        x=[i + 0.5 for i in range(len(pit))],
        y=pit["density"].tolist(),
        width=0.86,
        marker={"color": BLUE},
        hovertext=[
            f"from {percent(low)} to {percent(high)}<br>{int(rows):,} outcomes<br>{density:.2f} of what should be"
            for low, high, rows, density in pit[["low", "high", "rows", "density"]].itertuples(index=False)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    figure.add_hline(y=1, line={"color": ORANGE, "width": 2, "dash": "dash"})
    edges = range(1, len(pit), -(-(len(pit) - 1) // _MOST_TICKS))
    figure.update_xaxes(
        title_text="Quantile of the forecast",
        tickvals=list(edges),
        ticktext=[percent(pit["low"].iloc[i]) for i in edges],
        tickangle=-60,
        range=[0, len(pit)],
        showgrid=False,
        automargin=True,
    )
    top = max(1.25, 1.08 * float(pit["density"].max()))
    figure.update_yaxes(title_text="Outcomes over expected", range=[0, top], automargin=True)
    return figure


def rises_figure(rises: "pd.DataFrame") -> "Figure":
    """Draw how often prices rose, by the probability of a rise that was forecast; on the diagonal it is calibrated.

    Parameters
    ----------
    rises : `horizon`, `rows`, `forecast` (mean probability), `rose` (share), as `calibration_of_rises` returns them
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=plain_layout(420))
    ends = [float(rises["forecast"].min()) - _MARGIN, float(rises["forecast"].max()) + _MARGIN]
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"color": GREY, "width": 1.5, "dash": "dash"},
        name="calibrated",
        hoverinfo="skip",
    )
    for horizon, (color, symbol) in zip(horizons_of(rises), cycle(STYLES), strict=False):
        rows = rises[rises["horizon"] == horizon]
        figure.add_scatter(
            x=rows["forecast"].tolist(),
            y=rows["rose"].tolist(),
            mode="lines+markers",
            line={"color": color, "width": 1.4},
            marker={"color": color, "symbol": symbol, "size": 9},
            name=ahead(horizon),
            hovertext=[
                f"<b>{ahead(horizon)}</b><br>said {said:.1%}, rose {rose:.1%}<br>{int(count):,} outcomes"
                for said, rose, count in rows[["forecast", "rose", "rows"]].itertuples(index=False)
            ],
            hoverinfo="text",
        )
    figure.update_xaxes(title_text="Forecast probability of a rise", tickformat=".1~%", automargin=True)
    figure.update_yaxes(title_text="Share that rose", tickformat=".1~%", automargin=True)
    return figure


def breaches_figure(breaches: "pd.DataFrame") -> "Figure":
    """Draw the breaches of an outer quantile and of its mirror, added up over time, less those expected.

    Each date counts once, with the share of its rows. The band holds nine of ten calibrated forecasts of one
    symbol at each date; of several symbols that rise and fall together too.

    Parameters
    ----------
    breaches : `level`, `origin`, `rows`, `below`, `above`, ascending by origin
    """
    import plotly.graph_objects as go

    level = float(breaches["level"].iloc[0])
    days = [f"{day:%Y-%m-%d}" for day in breaches["origin"]]
    reach = [_NINE_OF_TEN * (level * (1 - level) * count) ** 0.5 for count in range(1, len(days) + 1)]
    figure = go.Figure(layout=plain_layout(420))
    figure.add_scatter(
        x=[*days, *reversed(days)],
        y=[*reach, *(-r for r in reversed(reach))],
        fill="toself",
        fillcolor=CHANCE,
        mode="none",
        name="chance",
        hoverinfo="skip",
    )
    for column, quantile, color, dash in (("below", level, ORANGE, "solid"), ("above", 1 - level, BLUE, "dot")):
        excess = (breaches[column] / breaches["rows"] - level).cumsum()
        name = f"{column} the {percent(quantile)} quantile"
        figure.add_scatter(
            x=days,
            y=excess.tolist(),
            mode="lines",
            line={"color": color, "width": 2.2, "dash": dash, "shape": "hv"},
            name=name,
            hovertext=[
                f"<b>{day}</b><br>{int(hit):,} of {int(rows):,} {name}<br>so far {so_far:+.1f} beyond expected"
                for day, hit, rows, so_far in zip(days, breaches[column], breaches["rows"], excess, strict=True)
            ],
            hoverinfo="text",
        )
    figure.add_hline(y=0, line={"color": GREY, "width": 1.5})
    set_days(figure, breaches["origin"])
    figure.update_yaxes(title_text="Breaches beyond expected, per symbol", automargin=True)
    return figure
