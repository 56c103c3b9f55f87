"""The network's inputs: causal and scale-free functions of one symbol's bars.

Row t uses bars up to and including t, so every feature may inform a forecast from origin t. Nothing is
fitted here. Each group is named; the bundle of a model lists the groups it was trained with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries

WARM_UP = 60
"""Leading bars of a history that get no features: the volatility estimates are not settled there."""

_HALF_LIFE = 15  # sessions; of the daily volatility that returns are divided by
_LADDER = (3, 10, 30, 100, 250)  # half-lives, in sessions, from days to a year
_SQUARES = (10, 50)
_CLIP = 8.0  # a return beyond eight daily standard deviations says no more than eight
_FLOOR = 1e-8  # added to daily variances: a bar without movement has a finite logarithm


@dataclass(frozen=True)
class _Moves:
    """What every feature group is computed from; each array runs over the bars."""

    r: pd.Series  # log return from the previous close
    gap: pd.Series  # log return from the previous close to the open
    log_close: pd.Series
    g: pd.Series  # range variance: Parkinson's estimate of the session, plus the squared gap
    variance: pd.Series  # exponentially weighted mean of g
    scale: pd.Series  # square root of variance: daily volatility, in log returns
    volume: pd.Series


def _ewma(x: pd.Series, half_life: float) -> pd.Series:
    return x.ewm(halflife=half_life).mean()


def _moves(series: PriceSeries) -> _Moves:
    bars = series.bars
    log = np.log(bars[["open", "high", "low", "close"]])
    r = log["close"].diff().fillna(0.0)
    gap = (log["open"] - log["close"].shift()).fillna(0.0)
    # Parkinson (1980): E[(log high - log low)^2] = 4 log 2 x variance
    g = (log["high"] - log["low"]) ** 2 / (4 * np.log(2)) + gap**2 + _FLOOR
    variance = _ewma(g, _HALF_LIFE)
    return _Moves(r, gap, log["close"], g, variance, np.sqrt(variance), bars["volume"])


def _returns(m: _Moves) -> dict[str, pd.Series]:
    out = {"return_1": m.r / m.scale, "gap": m.gap / m.scale, "fall": m.r.clip(upper=0) / m.scale}
    for k in (5, 20, 60):
        out[f"return_{k}"] = m.log_close.diff(k) / (m.scale * np.sqrt(k))
    return {name: x.clip(-_CLIP, _CLIP) for name, x in out.items()}


def _volatility_ladder(m: _Moves) -> dict[str, pd.Series]:
    ladder = {f"range_{k}": np.log(_ewma(m.g, k) / m.variance) for k in _LADDER}
    squares = {f"square_{k}": np.log((_ewma(m.r**2, k) + _FLOOR) / m.variance) for k in _SQUARES}
    return {"range_today": np.log(m.g / m.variance).clip(-_CLIP, _CLIP), **ladder, **squares}


def _volume(m: _Moves) -> dict[str, pd.Series]:
    log = np.log(m.volume.where(m.volume > 0))  # no volume is no news, not a volume of nothing
    return {"volume_today": log - _ewma(log, 20), "volume_week": _ewma(log, 5) - _ewma(log, 60)}


GROUPS: dict[str, Callable[[_Moves], dict[str, pd.Series]]] = {
    "returns": _returns,
    "volatility_ladder": _volatility_ladder,
    "volume": _volume,
}


@dataclass(frozen=True)
class Features:
    """Inputs of one symbol, aligned with its bars.

    Parameters
    ----------
    names : length F
    values : float32 (bars, F); NaN in the first `WARM_UP` rows
    log_variances : float64 (bars, P), regressors of the volatility scale
    range_variance : float64 (bars,), the session's own variance as its range and gap show it
    """

    names: tuple[str, ...]
    values: np.ndarray[Any, np.dtype[np.float32]]
    log_variances: np.ndarray
    range_variance: np.ndarray


def make_features(series: PriceSeries) -> Features:
    """Return the inputs of every session of a series; row t knows nothing after bar t."""
    m = _moves(series)
    columns = {name: x for group in GROUPS.values() for name, x in group(m).items()}
    # a copy: pandas hands out read-only memory, which torch must not write to
    values = pd.DataFrame(columns).fillna(0.0).to_numpy("float32", copy=True)
    values[:WARM_UP] = np.nan
    regressors = [np.log(_ewma(m.g, k)) for k in _LADDER]
    regressors += [np.log(_ewma(m.r**2, k) + _FLOOR) for k in _SQUARES]
    regressors += [np.log(m.g), m.r.clip(upper=0) / m.scale]
    return Features(tuple(columns), values, np.column_stack(regressors), m.g.to_numpy(dtype="float64", copy=True))
