"""Figures of the track record over time; what `forecasting.charts` says holds here."""

from itertools import cycle
from typing import TYPE_CHECKING

from forecasting.charts import BLUE, GREY, ORANGE, plain_layout, set_days
from forecasting.score_charts import CHANCE, STYLES, ahead

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def rolling_coverage_figure(rolling: "pd.DataFrame", interval: float) -> "Figure":
    """Draw the share of the last outcomes that an interval held, its band of chance, and what it promises (dashed).

    Where the share leaves the band, a cross marks it.

    Parameters
    ----------
    rolling : of `rolling_coverage`
    interval : nominal coverage
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=plain_layout(380))
    days = [f"{day:%Y-%m-%d}" for day in rolling["origin"]]
    if rolling["low"].notna().any():
        figure.add_scatter(
            x=[*days, *reversed(days)],
            y=[*rolling["high"], *rolling["low"][::-1]],
            fill="toself",
            fillcolor=CHANCE,
            mode="none",
            name="chance",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=days,
        y=rolling["covered"].tolist(),
        mode="lines" if len(days) > 1 else "markers",
        line={"color": BLUE, "width": 2.2},
        name=f"inside the {interval:.0%} range",
        hovertext=[
            f"<b>{day}</b><br>{covered:.1%} of the last {count} sessions"
            + (f"<br>chance: {low:.1%} to {high:.1%}" if low == low else "")
            for day, count, covered, low, high in zip(
                days, *(rolling[c] for c in ("sessions", "covered", "low", "high")), strict=True
            )
        ],
        hoverinfo="text",
    )
    outside = (rolling["covered"] < rolling["low"]) | (rolling["covered"] > rolling["high"])
    if outside.any():
        figure.add_scatter(
            x=[day for day, out in zip(days, outside, strict=True) if out],
            y=rolling["covered"][outside].tolist(),
            mode="markers",
            marker={"color": ORANGE, "symbol": "x", "size": 6},
            name="beyond chance",
            hoverinfo="skip",
        )
    figure.add_hline(y=interval, line={"color": GREY, "width": 1.5, "dash": "dash"})
    set_days(figure, rolling["origin"])
    figure.update_yaxes(title_text="Outcomes within the range", tickformat=".1~%", automargin=True)
    return figure


def skill_to_date_figure(skill: "pd.DataFrame", horizon: int) -> "Figure":
    """Draw the skill of all forecasts up to each origin, a line per horizon.

    Parameters
    ----------
    skill : of `skill_to_date`
    horizon : the one that stands out
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=plain_layout(380))
    horizons = sorted(int(h) for h in skill["horizon"].unique())
    for one, (color, _), dash in zip(horizons, cycle(STYLES), cycle(_DASHES), strict=False):
        rows = skill[skill["horizon"] == one]
        days = [f"{day:%Y-%m-%d}" for day in rows["origin"]]
        figure.add_scatter(
            x=days,
            y=rows["skill"].tolist(),
            mode="lines" if len(days) > 1 else "markers",
            line={"color": color, "dash": dash, "width": 3.2 if one == horizon else 1.6},
            name=ahead(one),
            hovertext=[
                f"<b>{day}</b><br>{ahead(one)}<br>skill so far {value:+.1%}"
                for day, value in zip(days, rows["skill"], strict=True)
            ],
            hoverinfo="text",
        )
    figure.add_hline(y=0, line={"color": GREY, "width": 1.5})
    set_days(figure, skill["origin"])
    figure.update_yaxes(title_text="CRPS lower than the random walk's by", tickformat="+.1~%", automargin=True)
    return figure
