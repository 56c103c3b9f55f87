"""Is a difference in score luck?"""

import numpy as np
from scipy import stats


def diebold_mariano(differences: np.ndarray, horizon: int) -> tuple[float, float]:
    """Test whether a series of score differences has mean zero, its errors overlapping by the horizon.

    Parameters
    ----------
    differences : one per origin, in order; several symbols are averaged per date before
    horizon : sessions ahead; h-step errors are correlated over h - 1 lags

    Returns
    -------
    statistic, p_value
        Two-sided. Positive means the first score was larger.

    Notes
    -----
    Diebold and Mariano (1995) with rectangular weights to lag h - 1 and the small-sample correction of
    Harvey, Leybourne and Newbold (1997), which held its size better here than Bartlett weights; where
    the rectangular variance is not positive, Bartlett weights over the same lags stand in.
    """
    n = len(differences)
    if n <= horizon:
        return float("nan"), float("nan")
    centred = differences - differences.mean()
    covariances = np.array([centred[lag:] @ centred[: n - lag] / n for lag in range(horizon)])
    variance = covariances[0] + 2 * covariances[1:].sum()
    if variance <= 0:
        weights = 1 - np.arange(1, horizon) / horizon
        variance = covariances[0] + 2 * weights @ covariances[1:]
    if variance <= 0:  # only where all differences are the same
        return 0.0, 1.0
    correction = np.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    statistic = float(differences.mean() / np.sqrt(variance / n) * correction)
    return statistic, float(2 * stats.t.sf(abs(statistic), n - 1))
