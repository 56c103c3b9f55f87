"""Figures of scores: tables of a comparison in, a plotly Figure out; what `forecasting.charts` says holds here.

Shares and skills are handed as fractions and drawn in percent. Lines keep apart by colour and by marker.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import TYPE_CHECKING, Any

from forecasting.charts import BLUE, GREY, ORANGE, plain_layout

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

STYLES = (
    (BLUE, "circle"),
    (ORANGE, "square"),
    ("#009e73", "diamond"),
    ("#cc79a7", "triangle-up"),
    ("#c98500", "x"),
    ("#7b61c9", "cross"),
    (GREY, "triangle-down"),
)
"""Colour and marker of each series; both differ."""

CHANCE = "rgba(128,128,128,0.20)"
"""The fill of a band in which chance alone lies."""

_WORSE_TO_BETTER = [[0.0, "#f2a773"], [0.5, "#f0efec"], [1.0, "#86b7ea"]]  # dark text reads on all of them
_LEAST_SCALE = 0.01  # skill painted in full colour at least: smaller ones are noise
_FEW = 10  # a group with fewer rows than the largest one over this does not set the scale
_NINE_OF_TEN = 1.645  # standard errors either side
_MARGIN = 0.01  # probability drawn beyond the points, so that one alone has an axis, too
_MOST_TICKS = 12
_LUCK = 0.05  # p from which on a difference may be luck


def skill_figure(skill: "pd.DataFrame", judge: str) -> "Figure":
    """Draw by how much the CRPS is lower than that of each baseline, by horizon.

    Parameters
    ----------
    skill : `baseline`, `horizon`, `skill` (1 - ratio of CRPS), its interval `low` to `high`; NaN where there is none
    judge : the baseline that stands out
    """
    horizons = _horizons(skill)
    names = sorted(skill["baseline"].unique(), key=lambda name: name != judge)
    figure = _by_horizon(horizons)
    step = 0.7 / max(len(names), 3)
    # the judge is drawn last, on top of the others
    for i, name, (color, symbol) in reversed(list(zip(range(len(names)), names, cycle(STYLES), strict=False))):
        rows = skill[skill["baseline"] == name]
        marker = {"color": color, "symbol": symbol, "size": 11 if name == judge else 7}
        places = [horizons.index(h) + (i - (len(names) - 1) / 2) * step for h in rows["horizon"]]
        _add_measured(figure, places, rows, "skill", str(name), marker, "+.1%")
    figure.add_hline(y=0, line={"color": GREY, "width": 1.5})
    figure.update_layout(legend_traceorder="reversed")
    figure.update_yaxes(title_text="CRPS lower than the baseline's by", tickformat="+.1~%")
    return figure


def coverage_figure(coverage: "pd.DataFrame") -> "Figure":
    """Draw the share of outcomes that each central interval held, by horizon, beside what it should be (dashed).

    Parameters
    ----------
    coverage : `interval` (nominal), `horizon`, `covered`, its interval `low` to `high`; NaN where there is none
    """
    horizons = _horizons(coverage)
    figure = _by_horizon(horizons)
    for interval, (color, symbol) in zip(sorted(coverage["interval"].unique())[::-1], cycle(STYLES), strict=False):
        rows = coverage[coverage["interval"] == interval]
        marker = {"color": color, "symbol": symbol, "size": 9}
        places = [horizons.index(h) for h in rows["horizon"]]
        figure.add_hline(y=interval, line={"color": color, "width": 1.5, "dash": "dash"})
        _add_measured(figure, places, rows, "covered", f"{interval:.0%} interval", marker, ".1%")
    figure.update_yaxes(title_text="Outcomes within the interval", tickformat=".1~%")
    return figure


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
    for horizon, (color, symbol) in zip(_horizons(rises), cycle(STYLES), strict=False):
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
    figure.update_xaxes(type="date", automargin=True)
    figure.update_yaxes(title_text="Breaches beyond expected, per symbol", automargin=True)
    return figure


def skill_grid_figure(skill: "pd.DataFrame") -> "Figure":
    """Draw skill as a grid of groups by horizons, in every cell the number and the rows it rests on.

    Blue is better, orange worse. A star follows the number where p < 0.05.

    Parameters
    ----------
    skill : `group` (its name), `horizon`, `skill`, `rows` it rests on, its interval `low` to `high` and `p`, NaN where
        there is none; the groups stand in the order they come in
    """
    import pandas as pd
    import plotly.graph_objects as go

    horizons = _horizons(skill)
    groups = [str(group) for group in skill["group"].unique()]
    found = skill.set_index(["group", "horizon"])
    order = pd.MultiIndex.from_product([skill["group"].unique(), horizons])
    names = ("skill", "rows", "low", "high", "p")
    cells = [
        list(zip(*line, strict=True))
        for line in zip(*(found[c].reindex(order).to_numpy().reshape(len(groups), -1) for c in names), strict=True)
    ]
    well_founded = skill["rows"] * _FEW >= skill["rows"].max()
    scale = max(_LEAST_SCALE, float(skill.loc[well_founded, "skill"].abs().max()))
    figure = go.Figure(layout=plain_layout(110 + 52 * len(groups)))
    figure.add_heatmap(
        x=list(range(len(horizons))),
        y=list(range(len(groups))),
        z=[[skill for skill, *_ in line] for line in cells],
        zmin=-scale,
        zmax=scale,
        colorscale=_WORSE_TO_BETTER,
        showscale=False,
        xgap=3,
        ygap=3,
        text=[
            [f"<b>{v:+.1%}{'*' if p < _LUCK else ''}</b><br>{n:,.0f}" if v == v else "" for v, n, _, _, p in line]
            for line in cells
        ],
        texttemplate="%{text}",
        textfont={"color": "#1b1b1b", "size": 11},
        hovertext=[
            [
                f"{ahead(h)}<br>skill {v:+.1%}"
                + (f"<br>90% interval {low:+.1%} to {high:+.1%}<br>p {p:.2g}" if p == p else "")
                + f"<br>{n:,.0f} rows"
                for h, (v, n, low, high, p) in zip(horizons, line, strict=True)
            ]
            for line in cells
        ],
        hoverongaps=False,
        hoverinfo="text",
    )
    figure.update_xaxes(
        title_text="Sessions ahead",
        tickvals=list(range(len(horizons))),
        ticktext=[str(h) for h in horizons],
        showgrid=False,
        automargin=True,
    )
    figure.update_yaxes(
        tickvals=list(range(len(groups))),
        ticktext=[escape(group, quote=False) for group in groups],
        autorange="reversed",
        showgrid=False,
        automargin=True,
    )
    return figure


def _by_horizon(horizons: Sequence[int]) -> "Figure":
    """Return an empty figure with one equally wide place per horizon."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=plain_layout(440))
    figure.update_xaxes(
        title_text="Sessions ahead",
        tickvals=list(range(len(horizons))),
        ticktext=[str(h) for h in horizons],
        range=[-0.5, len(horizons) - 0.5],
        showgrid=False,
        automargin=True,
    )
    figure.update_yaxes(automargin=True)
    return figure


def _add_measured(
    figure: "Figure",
    places: Sequence[float],
    rows: "pd.DataFrame",
    column: str,
    name: str,
    marker: Mapping[str, Any],
    digits: str,
) -> None:
    """Add a column of shares as points, and the intervals that `rows` hold of them as bars."""
    shown = escape(name, quote=False)
    texts = []
    for horizon, value, low, high in rows[["horizon", column, "low", "high"]].itertuples(index=False):
        interval = f"<br>90% interval {low:{digits}} to {high:{digits}}" if low == low else ""
        texts.append(f"<b>{shown}</b><br>{ahead(horizon)}<br>{column} {value:{digits}}{interval}")
    figure.add_scatter(
        x=list(places),
        y=rows[column].tolist(),
        mode="markers",
        marker=marker,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": (rows["high"] - rows[column]).tolist(),
            "arrayminus": (rows[column] - rows["low"]).tolist(),
            "thickness": marker["size"] / 5,
            "width": 3,
            "color": marker["color"],
        },
        name=shown,
        hovertext=texts,
        hoverinfo="text",
    )


def _horizons(table: "pd.DataFrame") -> list[int]:
    return sorted(int(h) for h in table["horizon"].unique())


def ahead(horizon: int) -> str:
    """Return a horizon in words."""
    return f"{horizon} {'session' if horizon == 1 else 'sessions'} ahead"


def percent(level: float) -> str:
    """Return a quantile level in percent, with as many digits as it has."""
    return f"{level * 100:.4g}%"
