"""The track record over time: coverage of the last sessions with its band of chance, and skill so far."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.evaluation.significance import long_run_mean, sessions_needed

WINDOW = 60
"""Origin dates that a rolling coverage is of."""

FEWEST = 20
"""Origin dates after which a rolling coverage and a skill so far begin."""

_SHARE = 0.9  # of calibrated forecasts that lie in the band


def rolling_coverage(scores: pd.DataFrame, interval: float) -> pd.DataFrame:
    """Return how many of the last outcomes a central interval held, and how many chance would let it hold.

    Parameters
    ----------
    scores : of one mode, view and horizon, one per symbol and origin (`track_record.first_issued`): `origin`,
        `horizon`, `hit_80` ..
    interval : nominal coverage, such as 0.8

    Returns
    -------
    DataFrame
        By origin date, ascending, from the `FEWEST`th on: `origin`; `sessions`, how many origin dates up to it, at most
        `WINDOW`; `covered`, the mean of their shares, each date counting once; `low` to `high`, the band of chance, NaN
        where there are fewer than `sessions_needed` dates in all.

    Notes
    -----
    The band is where the coverage of so many dates lies, at each date by itself, for nine of ten calibrated
    forecasts: `interval` give or take t sqrt(LRV / sessions), with the long-run variance LRV of the daily shares and
    the quantile of Student's t as in `long_run_mean`. The data's own variance stands in for a binomial one, which
    would take neighbouring forecasts of several sessions, and symbols that move together, for as many
    independent ones. Of simulated calibrated forecasts with 60 to 750 dates, of one symbol or of 20 that move
    together, 7 to 14% lay outside at 1, 5 and 20 sessions ahead (`tests/test_rolling.py` has some of them).
    """
    hits = scores[f"hit_{interval * 100:.0f}"].astype("float64")
    daily = hits.groupby(scores["origin"]).mean().dropna()
    shares, count = daily.to_numpy("float64"), len(daily)
    sums = np.concatenate([[0.0], shares.cumsum()])
    ends = np.arange(min(FEWEST, count + 1), count + 1)
    sessions = np.minimum(ends, WINDOW)
    covered = (sums[ends] - sums[ends - sessions]) / sessions
    reach = np.full(len(ends), np.nan)
    horizon = int(scores["horizon"].iloc[0]) if len(scores) else 1
    if count >= sessions_needed(horizon):
        _, error, freedom = long_run_mean(shares, horizon)
        reach = float(stats.t.isf((1 - _SHARE) / 2, freedom)) * error * np.sqrt(count / sessions)
    return pd.DataFrame(
        {
            "origin": daily.index[ends - 1],
            "sessions": sessions,
            "covered": covered,
            "low": np.maximum(interval - reach, 0.0),
            "high": np.minimum(interval + reach, 1.0),
        }
    )


def skill_to_date(scores: pd.DataFrame, horizons: Sequence[int]) -> pd.DataFrame:
    """Return the skill over the random walk of all forecasts up to each origin date.

    Parameters
    ----------
    scores : of one mode and view, one per symbol, origin and horizon: `origin`, `horizon`, `crps`,
        `crps_random_walk`; those without a random walk do not count

    Returns
    -------
    DataFrame
        `horizon`, `origin` and `skill`, 1 - mean CRPS over that of the random walk, each date counting once; from the
        `FEWEST`th date on. The last one of a horizon is that of `make_track_record`.
    """
    compared = scores[scores["crps_random_walk"].notna() & scores["horizon"].isin(list(horizons))]
    daily = compared.groupby(["horizon", "origin"])[["crps", "crps_random_walk"]].mean()
    so_far = daily.groupby(level="horizon").cumsum()
    skill = (1 - so_far["crps"] / so_far["crps_random_walk"]).rename("skill").reset_index()
    return skill[skill.groupby("horizon").cumcount() >= FEWEST - 1].reset_index(drop=True)
