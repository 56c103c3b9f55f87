"""What baselines on bars have in common: which bars they may read, what they learn from, what they return."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.errors import DataError, ModelError, TooFewBars
from forecasting.forecasts import RollingForecast
from forecasting.model.features import WARM_UP, make_features
from forecasting.model.scale import HarScale, fit_scale

_FEWEST = 100  # pooled outcomes below which no quantile is given

T = TypeVar("T")


@dataclass(frozen=True)
class PooledHistory:
    """The training rows of a universe, end to end.

    Parameters
    ----------
    inputs : float32 (N, F), as `make_features` has them
    ratios : float64 (N, H), the log return to each horizon over its scale; NaN where the target session has
        no bar
    scale : fitted on the same histories
    """

    inputs: np.ndarray
    ratios: np.ndarray
    scale: HarScale


def pool_histories(series: Mapping[str, PriceSeries], horizon: int, name: str) -> PooledHistory:
    """Return the training rows of all series, in the order of their symbols, whatever order they came in.

    What a void session parts counts as histories of their own: no scale or return crosses it.

    Raises
    ------
    TooFewBars
        A horizon has fewer than 100 pooled outcomes; `name` is the forecaster that needed them.
    """
    stretches = [part for symbol in sorted(series) for part in series[symbol].parts()]
    stretches = [part for part in stretches if len(part) > WARM_UP + horizon]
    fewest = sum(len(part) - WARM_UP - horizon for part in stretches)
    if fewest < _FEWEST:
        raise TooFewBars(
            f"{name} has {fewest} outcomes of {horizon} sessions to learn from after a warm-up of {WARM_UP}, "
            f"{_FEWEST} are needed; next: fetch a longer history, or ask for fewer test sessions"
        )
    features = make_features(stretches)
    scale = fit_scale(features, horizon)
    horizons = range(1, horizon + 1)
    ratios = [(part.log_returns(horizons) / scale(f))[WARM_UP:] for part, f in zip(stretches, features, strict=True)]
    return PooledHistory(np.concatenate([f.values[WARM_UP:] for f in features]), np.concatenate(ratios), scale)


def readable_part(series: PriceSeries, first: pd.Timestamp, needs: int, name: str) -> tuple[PriceSeries, int]:
    """Return the bars after the last void session, and where among them the first origin stands.

    Raises
    ------
    DataError
        A void session lies at or after `first`.
    TooFewBars
        Fewer than `needs` of the bars lie before `first`; `name` is the forecaster that needs them.
    """
    if (series.void >= first).any():
        raise DataError(
            f"{name} from {first.date()} on would read across {series.void[-1].date()}, where {series.symbol} had a "
            "price that was not positive; next: a later date, or leave the symbol out"
        )
    part = series.parts()[-1]
    begin = int(part.sessions.searchsorted(first))
    if begin < needs:
        raise TooFewBars(
            f"{series.symbol} has {begin} bars{series.since_void} before {first.date()}, {name} needs {needs}; next: "
            "fetch a longer history, or leave the symbol out"
        )
    return part, begin


def to_rolling(part: PriceSeries, begin: int, levels: tuple[float, ...], values: np.ndarray) -> RollingForecast:
    """Return quantiles (N, H, L) as the forecasts from the last N bars of a part, the first one at `begin`."""
    close = part.bars["close"].to_numpy(dtype="float64", copy=True)
    return RollingForecast(part.instrument, part.sessions[begin:], close[begin:], levels, values)


def require_fitted(fitted: T | None, name: str) -> T:
    """Return what `fit` left behind, or raise `ModelError` before it was called."""
    if fitted is None:
        raise ModelError(f"{name} has not been fitted; next: call fit(series)")
    return fitted
