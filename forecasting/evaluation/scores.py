"""Scores of quantile forecasts against what happened. Lower is better but for coverage and direction.

Every function takes quantiles along the last axis, natural log returns, and gives NaN where the outcome is
NaN. Scores depend on the quantile levels, so they compare only between forecasts on the same grid:
`require_same_levels` refuses anything else.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scoringrules

from forecasting.errors import DataError
from forecasting.forecasts import central_intervals

COVERAGES = (0.5, 0.8, 0.9, 0.95)
"""Central intervals whose coverage is reported, as far as the levels hold them."""


def require_same_levels(levels_of: Mapping[str, Sequence[float]]) -> tuple[float, ...]:
    """Return the quantile levels that all forecasters share.

    Raises
    ------
    DataError
        Two forecasters are on different levels; both are named with theirs.
    """
    (first, grid), *others = ((name, tuple(float(level) for level in levels)) for name, levels in levels_of.items())
    for name, other in others:
        if other != grid:
            raise DataError(
                f"{first} is scored on the quantile levels {_in_words(grid)}, {name} on {_in_words(other)}: a CRPS on "
                "a grid depends on the grid, so these scores cannot be compared; next: forecast both on the same levels"
            )
    return grid


def _in_words(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" for level in levels)


def _middle(levels: Sequence[float]) -> int:
    """Return the position of the median, of levels that are symmetric around it."""
    grid = np.asarray(levels)
    if len(grid) % 2 == 0 or not np.allclose(grid + grid[::-1], 1, rtol=0, atol=1e-9):
        raise DataError(
            f"quantile levels {_in_words(levels)}: a median and central intervals need levels that are symmetric "
            "and contain 0.5"
        )
    return len(grid) // 2


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


def pinball(values: np.ndarray, outcomes: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return the pinball loss of each quantile (..., L), in log returns (Koenker and Bassett 1978).

    Its expectation is smallest for the quantile of its level. Parameters are those of `crps`.

    >>> pinball(np.array([-0.01, 0.0, 0.01]), np.array(0.02), (0.25, 0.5, 0.75)).round(6).tolist()
    [0.0075, 0.01, 0.0075]
    """
    return np.asarray(scoringrules.quantile_score(np.asarray(outcomes)[..., None], values, np.asarray(levels)))


class IntervalScore(NamedTuple):
    """The weighted interval score and the three parts it is the sum of; each (...), in log returns.

    Parameters
    ----------
    total
    dispersion : the weighted width of the intervals
    underprediction : the penalty of outcomes above them
    overprediction : the penalty of outcomes below them
    """

    total: np.ndarray
    dispersion: np.ndarray
    underprediction: np.ndarray
    overprediction: np.ndarray


def weighted_interval_score(values: np.ndarray, outcomes: np.ndarray, levels: Sequence[float]) -> IntervalScore:
    """Return the weighted interval score with its parts (Bracher, Ray, Gneiting and Reich 2021).

    Parameters are those of `crps`, the levels symmetric around 0.5.

    Raises
    ------
    DataError
        The levels are not symmetric, or lack 0.5.

    Notes
    -----
    With K intervals of level 1 - a and median m: WIS = (|y - m| / 2 + sum of a / 2 * IS_a) / (K + 1 / 2).
    Each a / 2 * IS_a is the sum of two pinball losses, so that on such levels the total equals `crps`.
    scoringrules 0.10 puts m in the place of |y - m| where numba is missing, hence not its function.

    Examples
    --------
    >>> score = weighted_interval_score(np.array([-0.01, 0.0, 0.01]), np.array(0.02), (0.25, 0.5, 0.75))
    >>> [round(float(part), 6) for part in score]
    [0.016667, 0.003333, 0.013333, 0.0]
    """
    middle = _middle(levels)
    grid = np.asarray(levels)
    scale = middle + 0.5
    # a / 2 is the lower bound's level and one minus the upper bound's
    width = np.where(np.arange(len(grid)) > middle, 1 - grid, -grid)
    width[middle] = 0.0
    outcomes = np.asarray(outcomes)
    known = np.where(np.isnan(outcomes), np.nan, 0.0)
    dispersion = values @ (width / scale) + known
    halves = np.ones(middle + 1)
    halves[-1] = 0.5
    over = np.maximum(values[..., : middle + 1] - outcomes[..., None], 0) @ (halves / scale)
    under = np.maximum(outcomes[..., None] - values[..., middle:], 0) @ (halves[::-1] / scale)
    return IntervalScore(dispersion + under + over, dispersion, under, over)


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


def pit_bins(values: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Return in which bin of the levels the probability integral transform of an outcome falls.

    A forecast by quantiles says of each outcome only between which two levels it stands, so the levels
    themselves are the edges of the bins: nothing is interpolated, drawn, or assumed of the tails.

    Returns
    -------
    float (...), 0 to L
        How many quantiles are at or below the outcome: 0 is below all of them, and bin k or less means
        that the outcome was below quantile k, counted from 0. NaN where the outcome is NaN.
    """
    outcomes = np.asarray(outcomes)
    bins = np.count_nonzero(values <= outcomes[..., None], axis=-1)
    return np.where(np.isnan(outcomes), np.nan, bins)


def pit_histogram(bins: np.ndarray, levels: Sequence[float]) -> pd.DataFrame:
    """Return the histogram of the probability integral transform (Dawid 1984; Diebold, Gunther and Tay 1998).

    Parameters
    ----------
    bins : of `pit_bins`, any shape; NaN is not counted

    Returns
    -------
    DataFrame
        One row per bin, L + 1 of them: `low`, `high` (the levels that bound it), `rows` in it, `share` of all
        rows, `expected` share, `density` (share over expected: 1 throughout where the forecast is calibrated,
        above 1 in the outer bins where its intervals are too narrow).
    """
    edges = np.array([0.0, *levels, 1.0])
    known = bins[~np.isnan(bins)].astype("int64")
    rows = np.bincount(known.ravel(), minlength=len(edges) - 1)
    expected = np.diff(edges)
    share = rows / len(known) if len(known) else np.full(len(rows), np.nan)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "rows": rows,
            "share": share,
            "expected": expected,
            "density": share / expected,
        }
    )


def median_of(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return the median, the point forecast that absolute errors and directions judge.

    Raises
    ------
    DataError
        The levels are not symmetric, or lack 0.5.
    """
    return np.asarray(values[..., _middle(levels)])


def mean_of(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return the mean of the quantile function, the point forecast that squared errors judge.

    The trapezoid rule over the levels, exact for the rule of `forecasting.forecasts`: linear between the
    levels, constant beyond the outermost two.

    >>> float(mean_of(np.array([-0.02, 0.0, 0.04]), (0.25, 0.5, 0.75)).round(6))
    0.0075
    """
    edges = np.array([0.0, *levels, 1.0])
    weights = (edges[2:] - edges[:-2]) / 2
    weights[0] += edges[1] / 2
    weights[-1] += (1 - edges[-2]) / 2
    return np.asarray(values @ weights)


def direction_hits(medians: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Return 1.0 where the median had the sign of the outcome and 0.0 where it had the other.

    A median of exactly zero names no direction and scores 0.5, a coin's average. An outcome of exactly zero
    had none: it is NaN, as is one that is not known, and no accuracy rests on it.
    """
    right = 0.5 * (1 + np.sign(medians) * np.sign(outcomes))
    return np.where(outcomes == 0, np.nan, right)


def brier(prob_up: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Return the squared error of the probability of a rise (Brier 1950); an unchanged price is no rise.

    >>> brier(np.array([0.6, 0.6]), np.array([0.01, 0.0])).round(6).tolist()
    [0.16, 0.36]
    """
    outcomes = np.asarray(outcomes)
    return np.asarray((prob_up - np.where(np.isnan(outcomes), np.nan, outcomes > 0)) ** 2)
