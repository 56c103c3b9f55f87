"""The track record: what issued forecasts came to, against the random walk issued with them.

Each origin date counts once, with the mean over its symbols; live and replay are never mixed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecasting.config import report_horizons
from forecasting.evaluation.scores import COVERAGES
from forecasting.evaluation.significance import diebold_mariano, mean_and_reach, sessions_needed, skill_interval
from forecasting.scoring import Scores

ALL_MODELS = "all"
_KEY = ["mode", "view", "model_id", "horizon"]
_HITS = [f"hit_{coverage * 100:.0f}" for coverage in COVERAGES]
_MEANS = ["crps", "crps_random_walk", *_HITS, "brier"]
RECORD_COLUMNS = ["sequence", "symbol", "origin", *_KEY, *_MEANS]
"""Columns of the scores that a track record is made of."""

_MODES = ("live", "replay")
_COLUMNS = [
    *_KEY, "forecasts", "sessions", "needed", "first", "last", "compared", "crps", "crps_random_walk", "skill", "low",
    "high", "p", *(hit.replace("hit", name) for hit in _HITS for name in ("coverage", "low", "high")), "brier",
]  # fmt: skip


def make_track_record(scores: pd.DataFrame, horizons: Sequence[int] | None = None) -> pd.DataFrame:
    """Return the track record by mode, view, model and horizon.

    Parameters
    ----------
    scores : as `Scores.read` returns them, at least `RECORD_COLUMNS`
    horizons : sessions ahead; by default `report_horizons` of the longest one scored

    Returns
    -------
    DataFrame
        Ordered by `mode` (live first), `view`, `model_id` (`all` first) and `horizon`. The model `all` pools all of
        them: where several forecast a symbol from the same origin, the one that issued first counts. `forecasts`
        scored from `sessions` origin dates, `first` to `last`; `crps` and `crps_random_walk` of those that were issued
        with a random walk, `compared` of them, and `skill`, 1 - their ratio, with its 90% interval `low` to `high` and
        `p` (Diebold-Mariano); `coverage_50` .., each with its 90% interval `low_50` to `high_50`; `brier`. Means are
        over origin dates. `needed` is how many sessions an interval takes (`sessions_needed`): with fewer, intervals
        and p are NaN.

    Notes
    -----
    The statistics are those of a backtest (`evaluation.significance`). With `needed` to 250 sessions, 90% intervals of
    the skill of two equals held in 84 to 93% of simulated records, those of coverage in 80 to 93%: least at 20
    sessions ahead.
    """
    horizons = horizons or report_horizons(int(scores["horizon"].max()) if len(scores) else 1)
    scores = scores[scores["horizon"].isin(horizons)]
    pooled = first_issued(scores).assign(model_id=ALL_MODELS)
    daily = pd.concat([_daily_means(pooled), _daily_means(scores)])
    records = [
        dict(zip(_KEY, key, strict=True)) | _record(days.droplevel(_KEY), horizon=int(key[-1]))
        for key, days in daily.groupby(level=_KEY)
    ]
    return pd.DataFrame(records, columns=_COLUMNS).sort_values(_KEY, key=_ranks, ignore_index=True)


def first_issued(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores, as `Scores.read` returns them, without those of forecasts of which an earlier one was issued.

    So models are pooled: of each mode, view, symbol, origin and horizon the forecast that was issued first counts.
    """
    key = [*_KEY[:2], "symbol", "origin", "horizon"]
    return scores.sort_values("sequence", kind="stable").drop_duplicates(key, ignore_index=True)


def read_track_record(
    scores: Scores, view: str, model_id: str | None = None, horizons: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return the track record of stored scores, as `make_track_record` has it.

    Parameters
    ----------
    view : of `outcomes.VIEWS`: prices as first known, or as known now
    model_id : of whose forecasts alone; by default all
    horizons : sessions ahead; by default `report_horizons` of the longest one scored
    """
    if horizons is None:
        reached = scores.read(view, model_id=model_id, columns=["horizon"])["horizon"]
        horizons = report_horizons(int(reached.max()) if len(reached) else 1)
    return make_track_record(scores.read(view, None, model_id, horizons, RECORD_COLUMNS), horizons)


def _daily_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the means of each origin date, by the key of a record and the origin, and of how many forecasts."""
    values = scores[_MEANS].astype("float64")
    values["crps"] = values["crps"].where(values["crps_random_walk"].notna())
    grouped = values.groupby([scores[name] for name in [*_KEY, "origin"]], observed=True)
    return grouped.mean().assign(forecasts=grouped.size(), compared=grouped["crps_random_walk"].count())


def _record(days: pd.DataFrame, horizon: int) -> dict[str, Any]:
    """Return a record from the means of its origin dates, which are in order."""
    needed = sessions_needed(horizon)
    record = {
        "forecasts": days["forecasts"].sum(),
        "sessions": len(days),
        "needed": needed,
        "first": days.index[0],
        "last": days.index[-1],
        "compared": days["compared"].sum(),
        "brier": days["brier"].mean(),
    }
    own, walk = days[["crps", "crps_random_walk"]].dropna().to_numpy().T
    if len(own):
        record |= {"crps": own.mean(), "crps_random_walk": walk.mean(), "skill": 1 - own.mean() / walk.mean()}
    if len(own) >= needed:
        record["low"], record["high"] = skill_interval(own, walk, horizon)
        record["p"] = diebold_mariano(walk - own, horizon)[1]
    for hit in _HITS:
        hits, percent = days[hit].dropna().to_numpy(), hit.removeprefix("hit_")
        record[f"coverage_{percent}"] = hits.mean() if len(hits) else np.nan
        if len(hits) >= needed:
            covered, reach = mean_and_reach(hits, horizon)
            record[f"low_{percent}"], record[f"high_{percent}"] = max(covered - reach, 0.0), min(covered + reach, 1.0)
    return record


def _ranks(column: pd.Series) -> pd.Series:
    """Return what a column of the key is ordered by."""
    if column.name == "mode":
        return column.map(_MODES.index)
    return column.where(column != ALL_MODELS, "") if column.name == "model_id" else column
