"""Scores of quantile forecasts against what happened. Lower is better but for coverage."""

from collections.abc import Sequence

import numpy as np
import scoringrules

from forecasting.forecasts import central_intervals


def crps(values: np.ndarray, outcomes: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return the CRPS on a quantile grid: twice the mean pinball loss over the levels.

    Scores are comparable only between forecasts on the same levels.

    Parameters
    ----------
    values : (..., L) log returns
    outcomes : (...) log returns; NaN gives NaN

    Examples
    --------
    >>> float(crps(np.array([-0.01, 0.0, 0.01]), np.array(0.02), (0.25, 0.5, 0.75)).round(6))
    0.016667
    """
    return np.asarray(scoringrules.crps_quantile(outcomes, values, np.asarray(levels)))


def coverage_hits(values: np.ndarray, outcomes: np.ndarray, levels: Sequence[float], coverage: float) -> np.ndarray:
    """Return 1.0 where an outcome lies within the central interval of a coverage, else 0.0; NaN stays.

    Raises
    ------
    KeyError
        The levels hold no interval of that coverage; see `central_intervals`.
    """
    low = central_intervals(levels)[coverage]
    inside = (outcomes >= values[..., low]) & (outcomes <= values[..., -1 - low])
    return np.where(np.isnan(outcomes), np.nan, inside)
