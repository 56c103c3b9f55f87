"""An axis that counts sessions: one place for each, none for weekends and holidays."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

_MOST_TICKS = 8
_TICK_MONTHS = (1, 2, 3, 6, 12, 24, 60)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def session_axis(days: Sequence[str]) -> dict[str, Any]:
    """Return plotly's settings for an axis of sessions.

    Parameters
    ----------
    days : in their order, each as 2019-01-02
    """
    ticks = _month_ticks(days)
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(days),
        "tickmode": "array",
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
        "tickangle": 0,
        "ticks": "outside",
    }


def _month_ticks(days: Sequence[str]) -> dict[str, str]:
    """Return labels for the axis's start and the first session of every month, quarter, year .. as many as fit."""
    firsts = [day for before, day in pairwise(days) if before[:7] != day[:7]]
    ticks = firsts
    for step in _TICK_MONTHS:
        ticks = [day for day in firsts if (int(day[:4]) * 12 + int(day[5:7]) - 1) % step == 0]
        if len(ticks) <= _MOST_TICKS:
            break
    if not ticks or days.index(ticks[0]) > len(days) / 8:
        ticks = [days[0], *ticks]
    labels = {}
    year = ""
    for day in ticks:
        number = "" if day in firsts else f"{int(day[8:])} "
        labels[day] = f"{number}{_MONTHS[int(day[5:7]) - 1]}" + (f"<br>{day[:4]}" if day[:4] != year else "")
        year = day[:4]
    return labels
