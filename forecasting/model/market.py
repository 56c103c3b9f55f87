"""The market of each session: means over the symbols of an exchange, whose sessions close together.

Row t of a history is set against the same session of others on its calendar, so that nothing in it closes after t.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries

FEWEST = 5
"""Symbols with a bar and past their warm-up below which an exchange has no market on a session."""


def market_means(
    pool: Sequence[PriceSeries],
    values: Sequence[np.ndarray],
    members: Collection[str] | None = None,
    fewest: int = FEWEST,
) -> list[np.ndarray]:
    """Return, for each row of each history, the mean over the market's rows of the same session.

    Parameters
    ----------
    pool
    values : float64 (bars, Q) for each history; a row that is NaN throughout takes no part
    members : symbols that make the market; by default all
    fewest : members that must take part

    Returns
    -------
    list of float64 (bars, Q)
        NaN on sessions on which fewer members took part.
    """
    found = [np.full(v.shape, np.nan) for v in values]
    for calendar in {s.instrument.calendar for s in pool}:
        mine = [i for i, s in enumerate(pool) if s.instrument.calendar == calendar]
        makers = [i for i in mine if members is None or pool[i].symbol in members]
        if len({pool[i].symbol for i in makers}) < fewest:
            continue
        sessions = pd.DatetimeIndex(np.unique(np.concatenate([pool[i].sessions.to_numpy() for i in makers])))
        total = np.zeros((len(sessions), values[mine[0]].shape[1]))
        count = np.zeros_like(total)
        for i in makers:
            at, known = sessions.get_indexer(pool[i].sessions), np.isfinite(values[i])
            total[at] += np.where(known, values[i], 0.0)
            count[at] += known
        mean = np.where(count >= fewest, total / np.maximum(count, 1), np.nan)
        for i in mine:
            at = sessions.get_indexer(pool[i].sessions)
            found[i][at >= 0] = mean[at[at >= 0]]
    return found
