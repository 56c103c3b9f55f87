"""What became of forecasts: the log return to the target session, as it was first known and as it is known now.

An outcome is that of the backtest: the natural log return from the origin's close to the close of the target session,
both adjusted for the splits between them. Where the target session has no bar (the trade was halted, the exchange
closed after all, the price was not positive) there is none, and none takes its place.
"""

import numpy as np
import pandas as pd

VIEWS = ("first", "now")
"""Prices as they stood when the outcome was first known, and as they stand now."""

_FOREVER = np.iinfo("int64").max


class _Told:
    """All that was told of a number by session, and when; an instant is microseconds since 1970.

    Parameters
    ----------
    rows : one symbol's `session`, `known_at` and the number; NaN where it was withdrawn
    number : its column
    """

    def __init__(self, rows: pd.DataFrame, number: str) -> None:
        rows = rows.sort_values(["session", "known_at"])
        sessions, values = rows["session"].to_numpy("datetime64[us]"), rows[number].to_numpy("float64")
        known = rows["known_at"].to_numpy("datetime64[us]").astype("int64")
        # what was told again without a change was not told
        same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        new = np.ones(len(rows), dtype=bool)
        new[1:] = ~same | (sessions[1:] != sessions[:-1])
        self._values, self._known = values[new], known[new]
        self.sessions, self._begins = np.unique(sessions[new], return_index=True)
        self._instants = np.unique(self._known)
        day = np.repeat(np.arange(len(self.sessions)), np.diff(np.append(self._begins, len(self._known))))
        self._order = self._key(day, self._known)
        # the first number of each session, which a withdrawal is not
        numbered = np.flatnonzero(~np.isnan(self._values))
        self.first_known = np.full(len(self.sessions), _FOREVER)
        self.first_known[day[numbered][::-1]] = self._known[numbered][::-1]

    def find(self, sessions: np.ndarray) -> np.ndarray:
        """Return where sessions stand among those told; -1 where one is not."""
        return pd.Index(self.sessions).get_indexer(pd.Index(sessions))

    def at(self, positions: np.ndarray, instants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of sessions as known at instants, NaN where there was none, and since when."""
        last = np.searchsorted(self._order, self._key(positions, instants), side="right") - 1
        there = last >= self._begins[positions]
        return np.where(there, self._values[last], np.nan), np.where(there, self._known[last], 0)

    def _key(self, positions: np.ndarray, instants: np.ndarray) -> np.ndarray:
        """Return integers that are ordered by session, then instant."""
        return positions * (len(self._instants) + 1) + np.searchsorted(self._instants, instants, side="right")


def find_outcomes(rows: pd.DataFrame, closes: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes of one symbol's forecasts that have any, under each of `VIEWS`.

    Parameters
    ----------
    rows : `origin` and `target_session` of forecasts, on any index
    closes : all that was told of `session`, `close` as traded, `known_at`
    splits : all that was told of `session`, `value` (new shares per old), `known_at`

    Returns
    -------
    DataFrame
        One row per forecast and view: `row` (label of the forecast), `view`, `outcome` (log return), `known_at`.
        View `first` is read as of the instant at which both closes, and every split between them that has not been
        withdrawn since, were first known: nothing but a split that is told late changes it. There `known_at` is that
        instant; under `now` it is since when the outcome has been what it is.

    Notes
    -----
    Of splits, only those from the origin to the target count, so that a later one changes no outcome by rounding.
    """
    told, ratios = _Told(closes, "close"), _Told(splits, "value")
    origin, target = (rows[name].to_numpy("datetime64[us]") for name in ("origin", "target_session"))
    begin, end = told.find(origin), told.find(target)
    there = np.flatnonzero((begin >= 0) & (end >= 0))
    origin, target, begin, end = origin[there], target[there], begin[there], end[there]
    first = np.maximum(told.first_known[begin], told.first_known[end])
    between = [np.flatnonzero((origin < session) & (session <= target)) for session in ratios.sessions]
    for k, inside in enumerate(between):
        if not np.isnan(ratios.at(np.array([k]), np.array([_FOREVER]))[0][0]):
            first[inside] = np.maximum(first[inside], ratios.first_known[k])
    parts = []
    for view, instants in zip(VIEWS, (first, np.full(len(there), _FOREVER)), strict=True):
        (before, since), (after, until) = told.at(begin, instants), told.at(end, instants)
        outcome, known = np.log(after) - np.log(before), np.maximum(since, until)
        for k, inside in enumerate(between):
            ratio, when = ratios.at(np.full(len(inside), k), instants[inside])
            outcome[inside] += np.log(np.where(np.isnan(ratio), 1.0, ratio))
            known[inside] = np.maximum(known[inside], when)
        known = first if view == "first" else known
        known_at = pd.to_datetime(np.where(np.isnan(outcome), 0, known), unit="us", utc=True).as_unit("us")
        part = pd.DataFrame({"row": rows.index[there], "view": view, "outcome": outcome, "known_at": known_at})
        parts.append(part[~np.isnan(outcome)])
    return pd.concat(parts, ignore_index=True)
