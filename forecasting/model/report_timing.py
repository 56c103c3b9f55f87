"""When the next quarterly report comes, as prices and volume tell it.

Companies report about every 13 weeks, mostly on the same weekday, and on such days range and volume are large beside
those of other companies. What stood out 13, 26, 39 and 52 weeks before a coming session says how likely it is to
stand out.
"""

import numpy as np
import pandas as pd

from forecasting.config import REPORT_HORIZONS

_QUARTERS = (13, 26, 39, 52)  # weeks
_YEARS = (52, 104, 156)
_LATEST = 66  # sessions among which the last report is looked for: a little more than a quarter
_AROUND = 20  # sessions on either side of an event that are all smaller
_NEAR = np.exp(-((np.arange(-2, 3) / 0.7) ** 2) / 2)  # a report may come a session or two sooner or later
_SETTLED = _AROUND + len(_NEAR) // 2  # sessions after which an event changes no more
_LARGEST = 4.0  # the size of an event, in logarithms, beyond which it says no more


def report_timing(jump: np.ndarray, surprise: np.ndarray, sessions: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    """Return what the report days of the past say of the sessions up to each report horizon.

    Parameters
    ----------
    jump : float64 (N,), log of a session's volatility over that of the days before, less the market's
    surprise : float64 (N,), log of its volume over the mean of recent ones, less the market's
    sessions : length N

    Returns
    -------
    dict of float64 (N,)
        For each report horizon H, `event_quarters_H` and `event_years_H`: the mean, over the sessions 1 to H ahead,
        of the events seen one to four quarters, and one to three years, before each. An event is the session whose
        jump and surprise together are the largest of two months; they are its size. `report_age`, in quarters since
        the largest session of the last one, and its `report_strength`. Row t knows rows up to t; NaN where nothing is
        known.
    """
    size = jump + surprise
    events = _events(size)
    out: dict[str, np.ndarray] = {}
    for lags, weeks in (("quarters", _QUARTERS), ("years", _YEARS)):
        before = np.stack([_weeks_before(sessions, w) for w in weeks])
        out |= {f"event_{lags}_{h}": _mean_over(events, before + 1, before + h) for h in REPORT_HORIZONS}
    age, strength = _last_report(size)
    return {**out, "report_age": age / 63, "report_strength": strength}


def _events(size: np.ndarray) -> np.ndarray:
    """Return the size of each row that is the largest of those around it, some of it on the rows beside, else 0."""
    known, reach = np.isfinite(size), len(_NEAR) // 2
    padded = np.pad(np.where(known, size, -np.inf), _AROUND, constant_values=-np.inf)
    largest = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1).max(axis=1)
    events = np.where(known & (size == largest), size.clip(0, _LARGEST), 0.0)
    spread = np.lib.stride_tricks.sliding_window_view(np.pad(events, reach), len(_NEAR)) @ _NEAR
    return np.where(known, spread, np.nan)


def _weeks_before(sessions: pd.DatetimeIndex, weeks: int) -> np.ndarray:
    """Return, counted from each row, the row of the last session up to so many weeks before it."""
    days = sessions.to_numpy().astype("datetime64[D]")
    rows = np.searchsorted(days, days - 7 * weeks, side="right") - 1
    return np.where(rows < 0, -2 * len(days), rows) - np.arange(len(days))


def _mean_over(x: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return, for each row t, the mean of what is known of x in the rows t + first to t + last of all spans.

    Rows that are not settled at t yet are left out.

    Parameters
    ----------
    x : (N,)
    first, last : (spans, N)
    """
    known, rows = np.isfinite(x), np.arange(len(x))
    sums, counts = (np.concatenate([[0], np.cumsum(values)]) for values in (np.where(known, x, 0.0), known))
    end = np.maximum(rows + np.minimum(last, -_SETTLED) + 1, 0)
    begin = np.minimum(np.maximum(rows + first, 0), end)
    total, count = ((upto[end] - upto[begin]).sum(axis=0) for upto in (sums, counts))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _last_report(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many sessions ago the largest of the latest sessions was, and how large it was."""
    padded = np.concatenate([np.full(_LATEST - 1, -np.inf), np.where(np.isfinite(size), size, -np.inf)])
    recent = np.lib.stride_tricks.sliding_window_view(padded, _LATEST)[:, ::-1]  # (N, 66), today first
    largest = recent.max(axis=1)
    known = np.isfinite(largest)
    return np.where(known, recent.argmax(axis=1), np.nan), np.where(known, largest, np.nan)
