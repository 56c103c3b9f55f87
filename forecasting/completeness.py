"""How complete a history is, month by month: sessions with a bar, without one, and held in quarantine."""

import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.sessions import missing_sessions

STATES = ("bars", "gaps", "quarantined")


def count_months(series: PriceSeries, quarantined: pd.DatetimeIndex) -> pd.DataFrame:
    """Return, by month from the first bar to the last, the number of sessions in each of `STATES`.

    Parameters
    ----------
    series : one symbol's bars
    quarantined : sessions with rows held apart; those that have a bar, too, count as `bars`

    Returns
    -------
    DataFrame
        `year`, `month` (1 to 12), `bars`, `gaps` (sessions of the calendar without a row), `quarantined`, and `share`,
        bars over all three; without rows where there is no bar. Months outside the calendar's recorded range have no
        gaps.
    """
    if not len(series):
        return pd.DataFrame(columns=["year", "month", *STATES, "share"])
    held = quarantined.unique().difference(series.sessions)
    held = held[(held >= series.sessions[0]) & (held <= series.sessions[-1])]
    gaps = missing_sessions(series.instrument.calendar, series.sessions, held)
    days = dict(zip(STATES, (series.sessions, gaps, held), strict=True))
    months = pd.period_range(series.sessions[0], series.sessions[-1], freq="M")
    counts = {state: found.to_period("M").value_counts().reindex(months, fill_value=0) for state, found in days.items()}
    out = pd.DataFrame({"year": months.year, "month": months.month} | {s: c.to_numpy() for s, c in counts.items()})
    return out.assign(share=share_of(out))


def share_of(counts: pd.DataFrame) -> pd.Series:
    """Return the share of sessions that have a bar, of counts by state; 1 where there is no session."""
    return (counts["bars"] / counts[list(STATES)].sum(axis=1)).fillna(1.0)
