"""Which symbols and origins take part: what can be forecast from a date on, and where to look at it."""

import math
from collections.abc import Mapping

import pandas as pd

from forecasting.bars import PriceSeries, all_dates
from forecasting.config import BacktestConfig
from forecasting.errors import TooFewBars
from forecasting.evaluation.folds import Fold, make_folds
from forecasting.sessions import count_closed, session_close

Series = Mapping[str, PriceSeries]


def only_fold(series: Series, first: pd.Timestamp) -> Fold:
    """Return the one fold that is fitted on all dates before `first` and tested on all others."""
    dates = all_dates(series)
    return make_folds(dates, BacktestConfig(int((dates >= first).sum()), refit_every=None))[0]


def choose_usable(series: Series, needs: int, first: pd.Timestamp) -> tuple[dict[str, PriceSeries], dict[str, str]]:
    """Return the series that can be forecast from every origin at or after `first`, and why others cannot.

    Raises
    ------
    TooFewBars
        None can.
    """
    usable, left_out = {}, {}
    for symbol, s in series.items():
        before = int((s.parts()[-1].sessions < first).sum())
        if (s.void >= first).any():
            left_out[symbol] = f"{symbol} had a price that was not positive on {s.void[-1].date()}"
        elif before < needs:
            left_out[symbol] = f"{symbol} has {before} bars{s.since_void} before {first.date()}, {needs} are needed"
        elif before == len(s.parts()[-1]):
            left_out[symbol] = f"{symbol} has no bar from {first.date()} on"
        else:
            usable[symbol] = s
    if not usable:
        raise TooFewBars("; ".join(left_out.values()) + "; next: fetch a longer history, or audit other symbols")
    return usable, left_out


def first_closes(series: Series, first: pd.Timestamp) -> list[pd.Timestamp]:
    """Return when the first session of each series at or after a date closes."""
    return [session_close(s.instrument.calendar, s.sessions[s.sessions >= first][0]) for s in series.values()]


def spread_instants(series: Series, earliest: pd.Timestamp, count: int) -> list[pd.Timestamp]:
    """Return closes from an instant to the end of the histories, evenly spread; each exchange has its turn.

    With more exchanges than `count` there are as many instants as exchanges.
    """
    by_calendar = {s.instrument.calendar: s for s in sorted(series.values(), key=len)}
    calendars, instants = sorted(by_calendar), set()
    count = max(count, len(calendars))
    for i in range(count):
        s = by_calendar[calendars[i % len(calendars)]]
        calendar = s.instrument.calendar
        later = s.sessions[count_closed(calendar, s.sessions, earliest - pd.Timedelta(microseconds=1)) :]
        if len(later):
            instants.add(session_close(calendar, later[math.ceil(len(later) * (i + 1) / count) - 1]))
    return sorted(instants)
