"""Figures of a training; what `forecasting.charts` says holds here."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forecasting.charts import BLUE, GREY, ORANGE, plain_layout

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def training_figure(history: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw how a training went, an epoch after the other: above the loss, below the norm of its gradient.

    Parameters
    ----------
    history : per epoch `loss`, `gradient_norm`, `seconds`, and `validation_loss` or None, as a model's manifest has
        them
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=plain_layout(380))
    for name, key, axis, colour, symbol, dash in (
        ("training loss", "loss", "y", BLUE, "circle", "solid"),
        ("validation loss", "validation_loss", "y", ORANGE, "square", "dash"),
        ("gradient norm", "gradient_norm", "y2", GREY, "diamond", "dot"),
    ):
        found = [(i, epoch[key], epoch["seconds"]) for i, epoch in enumerate(history, 1) if epoch.get(key) is not None]
        if found:
            figure.add_scatter(
                x=[i for i, _, _ in found],
                y=[value for _, value, _ in found],
                yaxis=axis,
                mode="lines+markers",
                line={"color": colour, "width": 2, "dash": dash},
                marker={"symbol": symbol, "size": 7},
                name=name,
                hovertext=[f"epoch {i}<br><b>{name} {value:.4g}</b><br>{s:.1f} s" for i, value, s in found],
                hoverinfo="text",
            )
    shared = figure.layout.template.layout.yaxis
    figure.update_layout(
        hovermode="closest",
        xaxis={"title": "Epoch", "anchor": "y2", "dtick": max(1, len(history) // 10)},
        yaxis={"title": "Loss", "domain": [0.42, 1], "automargin": True},
        yaxis2={"title": "Gradient norm", "domain": [0, 0.34], "automargin": True, "gridcolor": shared.gridcolor},
    )
    return figure
