"""The market of each session: means over the symbols of an exchange, whose sessions close together.

Row t of a history is set against the same session of others on its calendar, so that nothing in it closes after t.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries, unite_dates

FEWEST = 5
"""Symbols with a bar and past their warm-up below which an exchange has no market on a session."""


@dataclass(frozen=True)
class Market:
    """Means over an exchange: float64 (sessions, Q), NaN on sessions on which too few took part."""

    sessions: pd.DatetimeIndex
    means: np.ndarray

    def on(self, sessions: pd.DatetimeIndex) -> np.ndarray:
        """Return the means (N, Q) on N sessions; NaN where there are none."""
        found, at = np.full((len(sessions), self.means.shape[1]), np.nan), self.sessions.get_indexer(sessions)
        found[at >= 0] = self.means[at[at >= 0]]
        return found


def make_markets(
    pool: Sequence[PriceSeries],
    values: Iterable[np.ndarray],
    members: Collection[str] | None = None,
    fewest: int = FEWEST,
) -> dict[str, Market]:
    """Return, by calendar, the mean over the market's rows of the same session.

    Parameters
    ----------
    pool
    values : float64 (bars, Q) for each history, which are read one after another; a row that is NaN throughout takes
        no part
    members : symbols that make the market; by default all
    fewest : members that must take part
    """
    makers = [members is None or s.symbol in members for s in pool]
    markets: dict[str, Market] = {}
    counts: dict[str, np.ndarray] = {}
    for series, is_maker, own in zip(pool, makers, values, strict=True):
        calendar = series.instrument.calendar
        if calendar not in markets:
            days = unite_dates(
                s.sessions for s, m in zip(pool, makers, strict=True) if m and s.instrument.calendar == calendar
            )
            markets[calendar] = Market(days, np.zeros((len(days), own.shape[1])))
            counts[calendar] = np.zeros_like(markets[calendar].means)
        if is_maker:
            at, known = markets[calendar].sessions.get_indexer(series.sessions), np.isfinite(own)
            markets[calendar].means[at] += np.where(known, own, 0.0)
            counts[calendar][at] += known
    for calendar, market in markets.items():
        count = counts[calendar]
        market.means[:] = np.where(count >= fewest, market.means / np.maximum(count, 1), np.nan)
    return markets
