"""Single forecasts after the fact: where their outcomes fell, the best and the worst, and any one with its outcome."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.evaluation.extremes import find_extremes
from forecasting.evaluation.scores import pit_histogram
from forecasting.forecasts import Forecast
from forecasting.ledger import Ledger
from forecasting.ledger_rows import LEDGER_SCHEMA, forecast_of
from forecasting.scoring import Scores
from forecasting.store import PriceStore
from forecasting.tables import all_of, one_of
from forecasting.workspace import Workspace

CALLS = 5
"""Best calls that are named, and as many worst ones."""

_BASIS_POINTS = 10_000

Levels = Mapping[str, tuple[float, ...]]
"""The quantile levels that each model forecasts, by its ID."""


@dataclass(frozen=True)
class Call:
    """What was forecast of a symbol from one origin, and what became of it.

    Parameters
    ----------
    rows : of the ledger, by horizon
    forecast
    series : closes up to the origin as they were known at the issue; after it, on the forecast's target sessions, what
        the outcomes come to on the same price basis
    scores : of those that have an outcome, by horizon
    """

    rows: pd.DataFrame
    forecast: Forecast
    series: PriceSeries
    scores: pd.DataFrame


def read_scored(scores: Scores, view: str, horizons: Sequence[int]) -> pd.DataFrame:
    """Return what there are scores of.

    Parameters
    ----------
    view : of `outcomes.VIEWS`
    horizons : sessions ahead; a forecast that has a score at others alone is left out

    Returns
    -------
    DataFrame
        `mode`, `model_id`, `symbol`, `origin`, each combination once, ascending, and `reached`, the longest horizon
        that it has a score at.
    """
    key = ["mode", "model_id", "symbol", "origin"]
    rows = scores.read(view, horizons=horizons, columns=[*key, "horizon"])
    return rows.groupby(key, observed=True)["horizon"].max().rename("reached").reset_index()


def read_levels(ledger: Ledger, scores: pd.DataFrame) -> Levels:
    """Return the levels of the models that scores are of, by one record of each.

    Parameters
    ----------
    scores : `model_id` and `sequence`
    """
    records = scores.groupby("model_id")["sequence"].min()
    rows = ledger.select(one_of("sequence", records.tolist(), LEDGER_SCHEMA), ["model_id", "levels"])
    return {row["model_id"]: tuple(float(level) for level in row["levels"]) for row in rows.to_dict("records")}


def count_pit(scores: pd.DataFrame, levels: Levels) -> pd.DataFrame:
    """Return between which quantiles outcomes fell, as `pit_histogram` does.

    Parameters
    ----------
    scores : `model_id`, `pit_bin`
    levels : of `read_levels`; of models on different ones, those that most of the scores are on are counted
    """
    rows = Counter[tuple[float, ...]]()
    for model_id, count in scores["model_id"].value_counts().items():
        rows[levels[str(model_id)]] += count
    if not rows:
        return pit_histogram(np.empty(0), ())
    commonest, _ = rows.most_common(1)[0]
    counted = scores["model_id"].isin([model_id for model_id, grid in levels.items() if grid == commonest])
    return pit_histogram(scores["pit_bin"][counted].to_numpy("float64"), commonest)


def find_calls(scores: pd.DataFrame, levels: Levels, count: int = CALLS) -> pd.DataFrame:
    """Return the best and the worst calls by how much their CRPS is below that of the random walk.

    Parameters
    ----------
    scores : of one mode, view and horizon, one per symbol and origin: at least `model_id`, `symbol`, `origin`,
        `horizon`, `target_session`, `outcome`, `crps`, `crps_random_walk`, `pit_bin`
    levels : of `read_levels`
    count : of each kind; no two of a kind lie on overlapping dates

    Returns
    -------
    DataFrame
        `number` from 1, `call` (`best` or `worst`), the most extreme of its kind first; the columns above; `gain`, the
        random walk's CRPS less the forecast's, log return; `crps_points`, `walk_points` and `gain_points` in basis
        points; `below` and `above`, the levels whose quantiles the outcome fell between, 0 and 1 beyond the outermost.
    """
    compared = scores[scores["crps_random_walk"].notna()].reset_index(drop=True)
    gain = (compared["crps_random_walk"] - compared["crps"]).to_numpy()
    horizon = int(compared["horizon"].iloc[0]) if len(compared) else 1
    best, worst = find_extremes(-gain, compared["origin"].to_numpy(), horizon, count)
    chosen = [*best, *worst]
    calls = compared.iloc[chosen].reset_index(drop=True)
    edges = [(0.0, *levels[model_id], 1.0) for model_id in calls["model_id"]]
    bins = calls["pit_bin"].tolist()
    calls.insert(0, "number", range(1, len(calls) + 1))
    calls.insert(1, "call", ["best"] * len(best) + ["worst"] * len(worst))
    return calls.assign(
        gain=gain[chosen],
        crps_points=calls["crps"] * _BASIS_POINTS,
        walk_points=calls["crps_random_walk"] * _BASIS_POINTS,
        gain_points=gain[chosen] * _BASIS_POINTS,
        below=[edge[k] for edge, k in zip(edges, bins, strict=True)],
        above=[edge[k + 1] for edge, k in zip(edges, bins, strict=True)],
    )


def read_call(
    workspace: Workspace, symbol: str, origin: pd.Timestamp, view: str, model_id: str | None = None
) -> Call | None:
    """Return one symbol's forecast from an origin, with what became of it; None where none was issued.

    Parameters
    ----------
    view : of `outcomes.VIEWS`: outcomes by prices as first known, or as known now
    model_id : whose; by default the model that issued first
    """
    wanted = {"symbol": [symbol], "origin": [origin.date()], "model_id": model_id and [model_id]}
    rows = Ledger(workspace.ledger).select(all_of(wanted, LEDGER_SCHEMA))
    if rows.empty:
        return None
    rows = rows[rows["model_id"] == rows["model_id"].iloc[0]].sort_values("horizon", ignore_index=True)
    known_at = rows[["as_of", "data_as_of"]].max(axis=None)  # a replay's as_of lies before its fetch
    known = PriceStore(workspace.prices).read([symbol], as_of=known_at)[symbol]
    forecast = forecast_of(rows, known.instrument)
    scores = Scores(workspace.scores).read(view, [symbol], first=origin, last=origin)
    scores = scores[scores["sequence"].isin(rows["sequence"])].sort_values("horizon", ignore_index=True)
    return Call(rows, forecast, _with_outcomes(known.until(origin), forecast, scores), scores)


def _with_outcomes(series: PriceSeries, forecast: Forecast, scores: pd.DataFrame) -> PriceSeries:
    """Return a series with a close on each target session that has an outcome: the last close grown by it."""
    days = pd.DatetimeIndex(scores["target_session"], name=series.bars.index.name)
    after = pd.DataFrame({"close": forecast.last_close * np.exp(scores["outcome"].to_numpy())}, index=days)
    return replace(series, bars=pd.concat([series.bars, after]))
