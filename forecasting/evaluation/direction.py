"""Is the direction called better than chance?

A share of right directions says little by itself: in a rising market it is high for who always says "up". The
test of Pesaran and Timmermann compares it with what independent calls of the same frequency would get.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.evaluation.significance import diebold_mariano

_NAN = float("nan")


class DirectionTest(NamedTuple):
    """What `pesaran_timmermann` found.

    Parameters
    ----------
    rows : how many were tested
    accuracy : share of right directions
    by_chance : the share that calls independent of the outcomes would have, both as often "up" as these
    statistic : standard normal where the calls are independent of the outcomes
    p_value : one-sided: how likely so many right directions are by chance
    reason : why there is no statistic, or empty
    """

    rows: int
    accuracy: float
    by_chance: float
    statistic: float
    p_value: float
    reason: str


def pesaran_timmermann(called_up: np.ndarray, went_up: np.ndarray) -> DirectionTest:
    """Test directions of one series, of rows that do not overlap (Pesaran and Timmermann 1992).

    Parameters
    ----------
    called_up, went_up : bool (n,)

    Notes
    -----
    S = (P - P*) / sqrt(var(P) - var(P*)), P* = Px Py + (1 - Px)(1 - Py). The paper's two variances differ by
    4 Px (1 - Px) Py (1 - Py) (n - 1) / n^2. Where all calls or all outcomes are the same, P is P* whatever happens,
    and there is nothing to test: NaN, with the reason.
    """
    n = len(called_up)
    if not n:
        return DirectionTest(0, _NAN, _NAN, _NAN, _NAN, "there is no row with a direction")
    accuracy = float((called_up == went_up).mean())
    x, y = float(called_up.mean()), float(went_up.mean())
    by_chance = x * y + (1 - x) * (1 - y)
    for share, what in ((x, "calls"), (y, "outcomes")):
        if share in (0.0, 1.0):
            reason = f"all {n} {what} are {'up' if share else 'down'}"
            return DirectionTest(n, accuracy, by_chance, _NAN, _NAN, reason)
    variance = 4 * x * (1 - x) * y * (1 - y) * (n - 1) / n**2
    statistic = float((accuracy - by_chance) / np.sqrt(variance))
    return DirectionTest(n, accuracy, by_chance, statistic, float(stats.norm.sf(statistic)), "")


def judge_directions(rows: pd.DataFrame, horizons: Sequence[int]) -> pd.DataFrame:
    """Return the test of Pesaran and Timmermann by symbol and horizon, on every h-th origin, from the first.

    Rows whose outcome or median is exactly zero have no direction and are left out after that.

    Parameters
    ----------
    rows : of one forecaster, as `score_rows` returns them
    horizons : sessions ahead

    Returns
    -------
    DataFrame
        One row per symbol and horizon with the fields of `DirectionTest`.
    """
    table = []
    for horizon in horizons:
        ahead = rows.loc[rows["horizon"] == horizon, ["symbol", "outcome", "median"]]
        for symbol, of_symbol in ahead.groupby("symbol", observed=True, sort=False):
            directed = _directed(of_symbol.iloc[::horizon])
            found = pesaran_timmermann(directed["median"].to_numpy() > 0, directed["outcome"].to_numpy() > 0)
            table.append({"symbol": str(symbol), "horizon": horizon, **found._asdict()})
    return pd.DataFrame(table, columns=["symbol", "horizon", *DirectionTest._fields])


def pooled_directions(rows: pd.DataFrame, horizons: Sequence[int]) -> pd.DataFrame:
    """Return one test of the direction by horizon, of all symbols and all origins.

    The same question as that of Pesaran and Timmermann, with errors that overlap and symbols that move together:
    whether called and realised directions, each less its symbol's mean, have a product of mean zero. The
    p-value is `diebold_mariano`'s on the mean product of each origin date, one-sided.

    Parameters
    ----------
    rows : of one forecaster, as `score_rows` returns them; rows without a direction are left out
    horizons : sessions ahead

    Returns
    -------
    DataFrame
        One row per horizon: `rows`, `accuracy`, `best_constant` (of always "up" and always "down", the better
        one's accuracy), `statistic`, `p_value`; the last two NaN where no symbol has both calls and both outcomes.
    """
    table = []
    for horizon in horizons:
        ahead = _directed(rows[rows["horizon"] == horizon])
        calls = pd.DataFrame({"called": ahead["median"] > 0, "went": ahead["outcome"] > 0}).astype("float64")
        centred = calls - calls.groupby(ahead["symbol"], observed=True).transform("mean")
        product = (centred["called"] * centred["went"]).groupby(ahead["origin"]).mean().to_numpy()
        statistic, two_sided = diebold_mariano(product, horizon) if product.any() else (_NAN, _NAN)
        table.append(
            {
                "horizon": horizon,
                "rows": len(ahead),
                "accuracy": (calls["called"] == calls["went"]).mean(),
                "best_constant": max(calls["went"].mean(), 1 - calls["went"].mean()),
                "statistic": statistic,
                "p_value": two_sided / 2 if statistic > 0 else 1 - two_sided / 2,
            }
        )
    return pd.DataFrame(table)


def calibration_of_rises(rows: pd.DataFrame, horizons: Sequence[int], bins: int = 10) -> pd.DataFrame:
    """Return how often prices rose, by the probability of a rise that was forecast.

    Parameters
    ----------
    rows : of one forecaster, as `score_rows` returns them
    horizons : sessions ahead
    bins : groups of about as many rows each; rows of the same probability share one

    Returns
    -------
    DataFrame
        One row per horizon and group, by rising probability: `rows`, `forecast` (mean probability of a rise), `rose`
        (share of rows whose outcome was above zero; equal to `forecast` where that is calibrated).
    """
    table = []
    for horizon in horizons:
        ahead = rows.loc[rows["horizon"] == horizon, ["prob_up", "outcome"]].to_numpy(dtype="float64")
        edges = np.unique(np.quantile(ahead[:, 0], np.arange(1, bins) / bins)) if len(ahead) else np.empty(0)
        group = np.searchsorted(edges, ahead[:, 0], side="right")
        counts = np.bincount(group, minlength=len(edges) + 1)
        means = [np.bincount(group, weights=x, minlength=len(counts)) for x in (ahead[:, 0], ahead[:, 1] > 0)]
        table += [
            {"horizon": horizon, "rows": n, "forecast": forecast / n, "rose": rose / n}
            for n, forecast, rose in zip(counts, *means, strict=True)
            if n
        ]
    return pd.DataFrame(table, columns=["horizon", "rows", "forecast", "rose"])


def _directed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows where neither outcome nor median is exactly zero."""
    return rows[(rows["outcome"] != 0) & (rows["median"] != 0)]
