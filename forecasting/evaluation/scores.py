"""Scores of quantile forecasts against what happened. Lower is better but for coverage."""

from collections.abc import Sequence

import numpy as np
import scoringrules

from forecasting.errors import UsageError


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


def has_interval(levels: Sequence[float], coverage: float) -> bool:
    """Return whether quantile levels, which are symmetric, hold the central interval of a coverage.

    >>> has_interval((0.1, 0.5, 0.9), 0.8), has_interval((0.1, 0.5, 0.9), 0.95)
    (True, False)
    """
    return bool(np.isclose(levels, (1 - coverage) / 2, rtol=0, atol=1e-9).any())


def coverage_hits(values: np.ndarray, outcomes: np.ndarray, levels: Sequence[float], coverage: float) -> np.ndarray:
    """Return 1.0 where an outcome lies within the central interval of a coverage, else 0.0; NaN stays.

    Raises
    ------
    UsageError
        The levels hold no interval of that coverage.
    """
    if not has_interval(levels, coverage):
        raise UsageError(f"coverage {coverage}: the levels {tuple(levels)} hold no central interval of it")
    low = int(np.argmin(np.abs(np.asarray(levels) - (1 - coverage) / 2)))
    inside = (outcomes >= values[..., low]) & (outcomes <= values[..., -1 - low])
    return np.where(np.isnan(outcomes), np.nan, inside)
