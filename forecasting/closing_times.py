"""When there is something new: the instants at which sessions of a universe's exchanges are complete.

A session is complete `sessions.SETTLING` (60 minutes) after its close. Instants that follow each other
within `MERGED_WITHIN` count as one, the last of them, so that one run serves them all.
"""

from collections.abc import Collection
from datetime import timedelta
from itertools import pairwise

import pandas as pd

from forecasting.sessions import SETTLING, last_complete_session, session_closes, target_sessions

MERGED_WITHIN = timedelta(minutes=15)
"""Exchanges that close this near to each other, such as London and Dublin, are served by one run."""

_SESSIONS_AHEAD = 2  # of each calendar: a chain of merged closes is shorter than a session


def next_completion(calendars: Collection[str], instant: pd.Timestamp) -> pd.Timestamp:
    """Return the next UTC instant, after a given one, at which sessions are complete and none follows at once.

    A close was missed since a run that began at `instant` if the result has passed.

    Parameters
    ----------
    calendars : names as in `forecasting.sessions`, at least one
    instant : UTC

    Examples
    --------
    >>> next_completion(["XNYS"], pd.Timestamp("2018-12-21 22:00", tz="UTC"))  # a Friday; Monday is a half day
    Timestamp('2018-12-24 19:00:00+0000', tz='UTC')
    >>> next_completion(["XNYS", "XTKS"], pd.Timestamp("2018-12-24 19:00", tz="UTC"))  # Tokyo opens at Christmas
    Timestamp('2018-12-25 07:00:00+0000', tz='UTC')
    """
    instants = sorted({ahead for calendar in calendars for ahead in _next_of(calendar, instant)})
    return next((one for one, other in pairwise(instants) if other - one > MERGED_WITHIN), instants[-1])


def _next_of(calendar: str, instant: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the next UTC instants at which a session of one calendar is complete."""
    sessions, _ = target_sessions(calendar, last_complete_session(calendar, instant), _SESSIONS_AHEAD)
    return session_closes(calendar, sessions) + SETTLING
