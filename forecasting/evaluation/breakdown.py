"""Scores row by row, and what they come to by horizon, symbol, year and volatility.

A row is one (symbol, origin, horizon) whose outcome is known. Every forecaster has a table of the same rows;
where one lacks a row that another has, that is an error, so that no average rests on an easier selection.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.errors import DataError, UsageError
from forecasting.evaluation.scores import (
    COVERAGES,
    brier,
    coverage_hits,
    crps,
    direction_hits,
    mean_of,
    median_of,
    pinball,
    pit_bins,
    require_same_levels,
    weighted_interval_score,
)
from forecasting.forecasts import RollingForecast, central_intervals, prob_above_zero

_KEYS = ["symbol", "origin", "horizon"]
_GROUPS = ("horizon", "symbol", "year", "tercile")
_DECAY = 0.94  # RiskMetrics' daily decay of the squared return
_PINBALL = "pinball_"


def score_rows(
    forecasts: Mapping[str, RollingForecast],
    outcomes: Mapping[str, np.ndarray],
    series: Mapping[str, PriceSeries] | None = None,
    horizons: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Return every score of one forecaster, row by row.

    Parameters
    ----------
    forecasts : of one forecaster, by symbol
    outcomes : by symbol, log returns (origins, H); NaN where the target session has no bar yet
    series : what was walked forward, by symbol; without it the rows have no `tercile` and no `scaled_error`
    horizons : sessions ahead to score; by default all

    Returns
    -------
    DataFrame
        One row per known outcome, ordered by symbol as handed, origin, horizon: `symbol` (categorical), `origin`,
        `horizon`, `year` of the origin; `outcome`; `crps`, and what it is the sum of: `dispersion`,
        `underprediction`, `overprediction`; `pinball_LEVEL` of every level; `hit_50` .. of each interval the
        levels hold; `pit_bin`, from 0 to L (see `pit_bins`); `median` and `mean` of the forecast; `prob_up`,
        `brier`, `direction` (see `direction_hits`). With series: `tercile` of the volatility known at the origin
        (1 calm, 2, 3 stormy; see `volatility_terciles`) and `scaled_error` (absolute error of the median over
        `naive_error`). Log returns, not percent.

    Raises
    ------
    DataError
        Forecasts and outcomes differ in symbols or shape, a value is not finite, the levels are not the same for
        all symbols or not symmetric around 0.5, or a history has no volatility at an origin.
    """
    if forecasts.keys() != outcomes.keys():
        raise DataError(
            f"forecasts of {', '.join(forecasts) or 'no symbol'} for outcomes of {', '.join(outcomes) or 'no symbol'}: "
            "every row with an outcome is scored"
        )
    require_same_levels({symbol: forecast.levels for symbol, forecast in forecasts.items()})
    blocks = []
    for code, (symbol, forecast) in enumerate(forecasts.items()):
        _check(symbol, forecast, outcomes[symbol])
        # the outcomes known: (origin, horizon), origin by origin
        known = ~np.isnan(outcomes[symbol])
        if horizons is not None:
            known &= np.isin(np.arange(1, known.shape[1] + 1), horizons)
        origin, ahead = np.nonzero(known)
        block = {
            "symbol": np.full(len(origin), code, dtype="int32"),
            "origin": forecast.origins.to_numpy()[origin],
            "horizon": (ahead + 1).astype("int16"),
            "year": forecast.origins.year.to_numpy().astype("int16")[origin],
            **_scores(forecast.values[origin, ahead], outcomes[symbol][origin, ahead], forecast.levels),
        }
        if series is not None:
            block["tercile"] = volatility_terciles(series[symbol], forecast.origins)[origin]
            naive = naive_error(series[symbol], forecast.origins[0])
            block["scaled_error"] = (np.abs(block["outcome"] - block["median"]) / naive).astype("float32")
        blocks.append(block)
    columns = {name: np.concatenate([block.pop(name) for block in blocks]) for name in list(blocks[0])}
    rows = pd.DataFrame(columns, copy=False)
    rows["symbol"] = pd.Categorical.from_codes(columns["symbol"], list(forecasts))
    return rows


def _check(symbol: str, forecast: RollingForecast, outcomes: np.ndarray) -> None:
    if forecast.values.shape[:2] != outcomes.shape or len(forecast.origins) != len(outcomes):
        raise DataError(
            f"{symbol} has forecasts of shape {forecast.values.shape[:2]} from {len(forecast.origins)} origins for "
            f"outcomes of shape {outcomes.shape} (origins, horizons): every row with an outcome is scored"
        )
    if not np.isfinite(forecast.values).all():
        raise DataError(f"{symbol} has a forecast that is not finite: every row with an outcome is scored")


def _scores(values: np.ndarray, outcomes: np.ndarray, levels: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Return the scores of rows (R, L) with outcomes (R,), none of them missing."""
    interval_score = weighted_interval_score(values, outcomes, levels)
    loss = pinball(values, outcomes, levels).astype("float32")
    medians = median_of(values, levels)
    prob_up = prob_above_zero(values, levels)
    hits = {
        f"hit_{coverage * 100:.0f}": coverage_hits(values, outcomes, levels, coverage).astype("bool")
        for coverage in COVERAGES
        if coverage in central_intervals(levels)
    }
    return {
        "outcome": outcomes,
        "crps": crps(values, outcomes, levels),
        "dispersion": interval_score.dispersion.astype("float32"),
        "underprediction": interval_score.underprediction.astype("float32"),
        "overprediction": interval_score.overprediction.astype("float32"),
        **{f"{_PINBALL}{level}": loss[:, i] for i, level in enumerate(levels)},
        **hits,
        "pit_bin": pit_bins(values, outcomes).astype("int16"),
        "median": medians,
        "mean": mean_of(values, levels),
        "prob_up": prob_up.astype("float32"),
        "brier": brier(prob_up, outcomes).astype("float32"),
        "direction": direction_hits(medians, outcomes).astype("float32"),
    }


def levels_of(rows: pd.DataFrame) -> tuple[float, ...]:
    """Return the quantile levels that rows of `score_rows` were scored on."""
    return tuple(float(str(c).removeprefix(_PINBALL)) for c in rows.columns if str(c).startswith(_PINBALL))


def volatility_terciles(series: PriceSeries, origins: pd.DatetimeIndex) -> np.ndarray:
    """Return the tercile of the volatility known at each origin, among all these origins of the symbol.

    The volatility is the exponentially weighted mean of squared daily log returns up to the origin's close,
    with RiskMetrics' decay of 0.94. Each is known at its origin; which third it belongs to is known only after
    the last one, so terciles group rows and inform no forecast.

    Returns
    -------
    int8 (origins,)
        1 calm, 2, 3 stormy. Equal volatilities share a tercile, so that thirds may differ in size.

    Raises
    ------
    DataError
        An origin has no bar, or no daily return up to it.
    """
    squares = np.full(len(series), np.nan)
    squares[1:] = series.log_returns([1])[:-1, 0] ** 2
    variance = pd.Series(squares, index=series.sessions).ewm(alpha=1 - _DECAY).mean().reindex(origins).to_numpy()
    if np.isnan(variance).any():
        raise DataError(
            f"{series.symbol} has no daily return up to its origin {origins[np.isnan(variance)][0].date()}: rows are "
            "grouped by the volatility known at the origin"
        )
    thirds = np.quantile(variance, [1 / 3, 2 / 3])
    return np.asarray(1 + np.searchsorted(thirds, variance, side="left"), dtype="int8")


def naive_error(series: PriceSeries, first: pd.Timestamp) -> float:
    """Return what absolute errors are divided by in the MASE (Hyndman and Koehler 2006).

    The mean absolute error of the naive forecast one session ahead, of all bars before the first origin, which
    on log prices is the mean absolute daily log return. It is the same at every horizon, as in the M4
    competition: a random walk has a MASE near 1 one session ahead and near sqrt(h) at h sessions.

    Raises
    ------
    DataError
        There is no daily return before the first origin, or none but zero.
    """
    past = series.log_returns([1])[: max(int(series.sessions.searchsorted(first)) - 1, 0), 0]
    moves = np.abs(past[~np.isnan(past)])
    if not moves.any():
        raise DataError(
            f"{series.symbol} has {len(moves)} daily returns before the first origin {first.date()}, none of them "
            "other than zero: the MASE divides by their mean absolute value"
        )
    return float(moves.mean())


def require_same_rows(rows_of: Mapping[str, pd.DataFrame]) -> None:
    """Do nothing where all tables of `score_rows` hold the same rows on the same levels.

    Raises
    ------
    DataError
        A forecaster's levels or rows are other than those of the first; both are named.
    """
    require_same_levels({name: levels_of(rows) for name, rows in rows_of.items()})
    (first, rows), *others = rows_of.items()
    for name, other in others:
        if not rows[_KEYS].equals(other[_KEYS]):
            raise DataError(
                f"{first} is scored on {len(rows)} rows and {name} on {len(other)}, and they are not the same symbols, "
                "origins and horizons: all forecasters are scored on the same rows"
            )


def break_down(rows_of: Mapping[str, pd.DataFrame], *by: str) -> pd.DataFrame:
    """Return the scores of all forecasters by group, side by side on the same rows.

    Parameters
    ----------
    rows_of : by forecaster's name, as `score_rows` returns them; the first is the one under test, the others
        are what it is compared with
    by : one or more of horizon, symbol, year, tercile

    Returns
    -------
    DataFrame
        One row per group that has rows and forecaster, sorted by group: the columns of `by`; `forecaster`; `rows`
        every number rests on, and `direction_rows` (those whose outcome was not zero) for `direction`; the means
        `crps` (on the grid; equals the WIS), `dispersion`, `underprediction`, `overprediction`, `pinball_LEVEL`,
        `brier`, `direction`; `coverage_50` ..; `mae` of the median and `rmse` of the mean, in log returns;
        `mae_to_walk` and `rmse_to_walk` (over those of a random walk without drift, which forecasts 0);
        `mase`, where the rows have a `scaled_error`; and, for each forecaster but the first, `skill_NAME`
        (1 - ratio of CRPS to that forecaster's).

    Raises
    ------
    UsageError
        The rows cannot be grouped by that.
    DataError
        The forecasters were scored on different levels or rows; see `require_same_rows`.
    """
    require_same_rows(rows_of)
    return side_by_side({name: mean_scores(rows, *by) for name, rows in rows_of.items()}, *by)


def side_by_side(means_of: Mapping[str, pd.DataFrame], *by: str) -> pd.DataFrame:
    """Return what `break_down` does, from the `mean_scores` of each forecaster on the same rows."""
    crps_of = {name: table["crps"] for name, table in means_of.items()}
    tables = {
        name: table.assign(**{f"skill_{other}": 1 - table["crps"] / crps_of[other] for other in list(crps_of)[1:]})
        for name, table in means_of.items()
    }
    out = pd.concat(tables, names=["forecaster", "group"]).reset_index("forecaster")
    # the order of the forecasters stays as handed within each group
    out = out.sort_values("group", kind="stable")
    return out[[*by, "forecaster", *(c for c in out.columns if c not in {*by, "forecaster"})]].reset_index(drop=True)


def mean_scores(rows: pd.DataFrame, *by: str) -> pd.DataFrame:
    """Return the scores of one forecaster by group: the columns of `break_down`, but for those of several.

    Raises
    ------
    UsageError
        The rows cannot be grouped by that.
    """
    held = [group for group in _GROUPS if group in rows]
    if not by or not set(by) <= set(held):
        raise UsageError(f"scores by {', '.join(by) or 'nothing'}: these rows can be grouped by {', '.join(held)}")
    grouped = rows.groupby(list(by), observed=True, sort=True)
    codes = grouped.ngroup().to_numpy()
    groups = grouped.size().rename("rows").reset_index()
    counts = groups["rows"].to_numpy()

    def mean(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(codes, weights=x, minlength=len(counts)) / counts)

    column = {str(name): rows[name].to_numpy() for name in rows.columns if name not in _KEYS}
    outcome = column["outcome"]
    directed = ~np.isnan(column["direction"])
    directions = np.bincount(codes[directed], minlength=len(counts))
    table = groups.assign(
        direction_rows=directions,
        **{name: mean(column[name]) for name in ("crps", "dispersion", "underprediction", "overprediction")},
        **{name: mean(x) for name, x in column.items() if name.startswith(_PINBALL)},
        **{name.replace("hit_", "coverage_"): mean(x) for name, x in column.items() if name.startswith("hit_")},
        brier=mean(column["brier"]),
        mae=mean(np.abs(outcome - column["median"])),
        rmse=np.sqrt(mean((outcome - column["mean"]) ** 2)),
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # a group whose outcomes are all zero has no ratio
        table["mae_to_walk"] = table["mae"] / mean(np.abs(outcome))
        table["rmse_to_walk"] = table["rmse"] / np.sqrt(mean(outcome**2))
        right = np.bincount(codes[directed], weights=column["direction"][directed], minlength=len(counts))
        table["direction"] = right / directions
    if "scaled_error" in column:
        table["mase"] = mean(column["scaled_error"])
    return table
