"""Online conformal calibration: intervals corrected by outcomes, each only after it is known.

For every horizon and quantile level an offset is added to the network's quantile, in units of the
volatility scale. Whenever an outcome falls above its corrected quantile the offset rises by
step x level, whenever it falls below it sinks by step x (1 - level), so that in the long run the share
below is the level (quantile tracking: Gibbs and Candes, 2021; Angelopoulos, Candes and Tibshirani,
2023); step = rate / sqrt(horizon). The tracking starts at zero on the first session that was kept out
of training; it is the same pass in a backtest and when serving. It is pooled: one offset for all
symbols, moved by their mean.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.bars import unite_dates


@dataclass(frozen=True)
class OutOfTraining:
    """One symbol's out-of-training forecasts and what became of them.

    Parameters
    ----------
    origins : length N, ascending
    scale : float64 (N, H), volatility of each horizon, in log returns; the rest is in its units
    quantiles : float64 (N, H, L), not yet corrected
    outcomes : float64 (N, H); NaN where not yet known
    matures : datetime64 (N, H), the UTC date on which each outcome is known; NaT where not yet
    """

    origins: pd.DatetimeIndex
    scale: np.ndarray
    quantiles: np.ndarray
    outcomes: np.ndarray
    matures: np.ndarray


@dataclass(frozen=True)
class Tracked:
    """The out-of-training forecasts of a pool, and what corrects them.

    Parameters
    ----------
    rows : by symbol
    dates : length D, ascending; every date on which a symbol has an origin
    offsets : float64 (D, H, L), in force on each date, in units of the volatility scale
    """

    rows: Mapping[str, OutOfTraining]
    dates: pd.DatetimeIndex
    offsets: np.ndarray

    def offsets_on(self, origins: pd.DatetimeIndex) -> np.ndarray:
        """Return the offsets (N, H, L) in force on N of the dates."""
        return self.offsets[self.dates.get_indexer(origins)]


def origin_dates(rows: Iterable[OutOfTraining]) -> pd.DatetimeIndex:
    """Return every date on which a symbol has an origin, ascending."""
    return unite_dates(r.origins for r in rows)


def track_offsets(
    pool: Sequence[OutOfTraining], dates: pd.DatetimeIndex, levels: np.ndarray, rate: float
) -> np.ndarray:
    """Return the offsets in force on each date.

    An outcome moves the offsets of origins on strictly later dates only: with exchanges in several time
    zones, a close of the same date may lie in the origin's future. Of no exchange does a session close before the
    UTC date of its own begins, but for Wellington's half days, fifteen minutes before, when nothing else closes.

    Parameters
    ----------
    pool : the symbols whose outcomes are tracked
    dates : length D, ascending
    levels : length L
    rate : step of the correction at horizon 1, in units of the volatility scale

    Returns
    -------
    float64 array (D, H, L)
    """
    horizon, n_levels = pool[0].quantiles.shape[1:]
    offset = np.zeros((horizon, n_levels))
    # outcomes of h sessions overlap: h of them say as much as one, so each says less
    step = rate / np.sqrt(np.arange(1, horizon + 1))[:, None]
    in_force = np.empty((len(dates), horizon, n_levels))
    # the flat (row, horizon) outcomes of all symbols, ordered by the date on which they are known
    known = np.concatenate([r.matures.ravel() for r in pool])
    outcomes = np.concatenate([r.outcomes.ravel() for r in pool])
    quantiles = np.concatenate([r.quantiles.reshape(-1, n_levels) for r in pool])
    horizons = np.concatenate([np.tile(np.arange(horizon), len(r.origins)) for r in pool])
    order = np.argsort(known, kind="stable")
    order = order[~np.isnan(outcomes[order])]
    ends = np.searchsorted(known[order], dates.to_numpy(), side="left")
    begin = 0
    for i, end in enumerate(ends):
        # day by day: the offsets of a day are judged by the outcomes of that day
        for day in _runs(known[order[begin:end]]):
            chosen = order[begin:end][day]
            h = horizons[chosen]
            below = outcomes[chosen, None] <= quantiles[chosen] + offset[h]
            moved, count = np.zeros_like(offset), np.bincount(h, minlength=horizon)
            np.add.at(moved, h, levels - below)
            offset += step * moved / np.maximum(count, 1)[:, None]
        begin = end
        in_force[i] = offset
    return in_force


def _runs(values: np.ndarray) -> list[slice]:
    """Return the slices of equal neighbours."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    return [slice(a, b) for a, b in zip([0, *edges], [*edges, len(values)], strict=True) if a < b]


def apply_offsets(quantiles: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return corrected quantiles, ordered: from the median outwards no quantile crosses the one inside it."""
    moved = quantiles + offsets
    middle = moved.shape[-1] // 2
    for level in range(middle + 1, moved.shape[-1]):
        np.maximum(moved[..., level], moved[..., level - 1], out=moved[..., level])
    for level in range(middle - 1, -1, -1):
        np.minimum(moved[..., level], moved[..., level + 1], out=moved[..., level])
    return moved
