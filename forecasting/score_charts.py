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
_LUCK = 0.05  # p from which on a difference may be luck


def skill_figure(skill: "pd.DataFrame", judge: str) -> "Figure":
    """Draw by how much the CRPS is lower than that of each baseline, by horizon.

    Parameters
    ----------
    skill : `baseline`, `horizon`, `skill` (1 - ratio of CRPS), its interval `low` to `high`; NaN where there is none
    judge : the baseline that stands out
    """
    horizons = horizons_of(skill)
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
    horizons = horizons_of(coverage)
    figure = _by_horizon(horizons)
    for interval, (color, symbol) in zip(sorted(coverage["interval"].unique())[::-1], cycle(STYLES), strict=False):
        rows = coverage[coverage["interval"] == interval]
        marker = {"color": color, "symbol": symbol, "size": 9}
        places = [horizons.index(h) for h in rows["horizon"]]
        figure.add_hline(y=interval, line={"color": color, "width": 1.5, "dash": "dash"})
        _add_measured(figure, places, rows, "covered", f"{interval:.0%} range", marker, ".1%")
    figure.update_yaxes(title_text="Outcomes within the range", tickformat=".1~%")
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

    horizons = horizons_of(skill)
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


def horizons_of(table: "pd.DataFrame") -> list[int]:
    """Return the horizons that a table has rows of, ascending."""
    return sorted(int(h) for h in table["horizon"].unique())


def ahead(horizon: int) -> str:
    """Return a horizon in words."""
    return f"{horizon} {'session' if horizon == 1 else 'sessions'} ahead"


def percent(level: float) -> str:
    """Return a quantile level in percent, with as many digits as it has."""
    return f"{level * 100:.4g}%"
