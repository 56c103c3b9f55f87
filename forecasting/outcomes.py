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
_DAYS = 2**20  # more than there are days between a symbol's sessions


class _Told:
    """All that was told of a number by symbol and session, and when; an instant is microseconds since 1970.

    Parameters
    ----------
    days : integers that name symbol and session, as `_days` returns them
    values : the number; NaN where it was withdrawn
    known : instants
    """

    def __init__(self, days: np.ndarray, values: np.ndarray, known: np.ndarray) -> None:
        order = np.lexsort([known, days])
        days, values, known = days[order], values[order], known[order]
        # what was told again without a change was not told
        same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        new = np.ones(len(days), dtype=bool)
        new[1:] = ~same | (days[1:] != days[:-1])
        self._values, self._known = values[new], known[new]
        self.days, self._begins, lengths = np.unique(days[new], return_index=True, return_counts=True)
        self._instants = np.unique(self._known)
        position = np.repeat(np.arange(len(self.days)), lengths)
        self._order = self._place(position, self._known)
        # when the first number of each day was known, which a withdrawal is not
        numbered = np.flatnonzero(~np.isnan(self._values))[::-1]
        self.first_known = np.full(len(self.days), _FOREVER)
        self.first_known[position[numbered]] = self._known[numbered]

    def find(self, days: np.ndarray) -> np.ndarray:
        """Return where days stand among those told; -1 where one is not."""
        return pd.Index(self.days).get_indexer(pd.Index(days))

    def at(self, positions: np.ndarray, instants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of days as known at instants, NaN where there was none, and since when."""
        last = np.searchsorted(self._order, self._place(positions, instants), side="right") - 1
        there = last >= self._begins[positions]
        return np.where(there, self._values[last], np.nan), np.where(there, self._known[last], 0)

    def _place(self, positions: np.ndarray, instants: np.ndarray) -> np.ndarray:
        """Return integers that are ordered by day, then instant."""
        return positions * (len(self._instants) + 1) + np.searchsorted(self._instants, instants, side="right")


def find_outcomes(rows: pd.DataFrame, closes: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes of forecasts that have any, under each of `VIEWS`.

    Parameters
    ----------
    rows : `symbol`, `origin` and `target_session` of forecasts, on any index
    closes : all that was told of `symbol`, `session`, `close` as traded, `known_at`
    splits : all that was told of `symbol`, `session`, `value` (new shares per old), `known_at`

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
    symbols = pd.Index(rows["symbol"].unique())
    told = _Told(_days(symbols, closes, "session"), closes["close"].to_numpy("float64"), closes["known_at"].array.asi8)
    ratios = _Told(
        _days(symbols, splits, "session"), splits["value"].to_numpy("float64"), splits["known_at"].array.asi8
    )
    origin, target = _days(symbols, rows, "origin"), _days(symbols, rows, "target_session")
    begin, end = told.find(origin), told.find(target)
    there = np.flatnonzero((begin >= 0) & (end >= 0))
    origin, target, begin, end = origin[there], target[there], begin[there], end[there]
    first = np.maximum(told.first_known[begin], told.first_known[end])
    between = [np.flatnonzero((origin < day) & (day <= target)) for day in ratios.days]
    in_force = ~np.isnan(ratios.at(np.arange(len(ratios.days)), np.full(len(ratios.days), _FOREVER))[0])
    for inside, since in zip(between, np.where(in_force, ratios.first_known, 0), strict=True):
        first[inside] = np.maximum(first[inside], since)
    parts = []
    for view, instants in zip(VIEWS, (first, np.full(len(there), _FOREVER)), strict=True):
        (before, begun), (after, ended) = told.at(begin, instants), told.at(end, instants)
        outcome, known = np.log(after) - np.log(before), np.maximum(begun, ended)
        for k, inside in enumerate(between):
            ratio, when = ratios.at(np.full(len(inside), k), instants[inside])
            outcome[inside] += np.log(np.where(np.isnan(ratio), 1.0, ratio))
            known[inside] = np.maximum(known[inside], when)
        known = np.where(np.isnan(outcome), 0, first if view == "first" else known)
        known_at = pd.to_datetime(known, unit="us", utc=True).as_unit("us")
        part = pd.DataFrame({"row": rows.index[there], "view": view, "outcome": outcome, "known_at": known_at})
        parts.append(part[~np.isnan(outcome)])
    return pd.concat(parts, ignore_index=True)


def _days(symbols: pd.Index, frame: pd.DataFrame, column: str) -> np.ndarray:
    """Return integers that name the symbol and a session of each row, those of one symbol in order."""
    return symbols.get_indexer(frame["symbol"]) * _DAYS + frame[column].to_numpy("datetime64[D]").astype("int64")
