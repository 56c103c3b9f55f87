"""The network's inputs: causal and scale-free functions of a symbol's bars, and of those beside it.

Row t uses bars up to and including t, and of other symbols those of the same session on the same exchange, so
every feature may inform a forecast from origin t. Nothing is fitted here. Each group is named; the bundle of a model
lists the groups it was trained with.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from forecasting.bars import PRICE_COLUMNS, PriceSeries
from forecasting.model.market import Market, make_markets
from forecasting.model.report_timing import report_timing

WARM_UP = 60
"""Leading bars of a history that get no features: the volatility estimates are not settled there."""

_HALF_LIFE = 15  # sessions; of the daily volatility that returns are divided by
_LADDER = (3, 10, 30, 100, 250)  # half-lives, in sessions, from days to a year
_SQUARES = (10, 50)
_CLIP = 8.0  # a return beyond eight daily standard deviations says no more than eight
_FLOOR = 1e-8  # added to daily variances: a bar without movement has a finite logarithm


Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class _Moves:
    """What every feature group is computed from; each array runs over the bars."""

    sessions: pd.DatetimeIndex
    r: Array  # log return from the previous close
    gap: Array  # log return from the previous close to the open
    log_close: Array
    g: Array  # range variance: Parkinson's estimate of the session, plus the squared gap
    scale: Array  # square root of the exponentially weighted mean of g: daily volatility, in log returns
    log_volume: Array
    levels: Mapping[str, Array]  # what is compared across symbols; the first are the regressors of the volatility scale
    market: Mapping[str, Array] = field(default_factory=dict)  # their means over the market; NaN where there is none


_OTHERS = ("variance", "jump", "surprise")  # levels that are no regressors


def _ewma(x: Array, half_life: float) -> Array:
    return pd.Series(x).ewm(halflife=half_life).mean().to_numpy()


def _before(x: Array, bars: int = 1) -> Array:
    """Return what stood so many bars before each; NaN where there was none."""
    out = np.full(len(x), np.nan)
    out[bars:] = x[:-bars]
    return out


def _moves(series: PriceSeries) -> _Moves:
    opened, high, low, close = (np.log(series.bars[c].to_numpy(dtype="float64")) for c in PRICE_COLUMNS)
    r = np.diff(close, prepend=close[:1])
    gap = opened - np.concatenate([opened[:1], close[:-1]])
    # Parkinson (1980): E[(log high - log low)^2] = 4 log 2 x variance
    g = (high - low) ** 2 / (4 * np.log(2)) + gap**2 + _FLOOR
    variance = _ewma(g, _HALF_LIFE)
    scale = np.sqrt(variance)
    volume = series.bars["volume"].to_numpy(dtype="float64")
    log_volume = np.log(np.where(volume > 0, volume, np.nan))  # no volume is no news, not a volume of nothing
    levels = {f"range_{k}": np.log(_ewma(g, k)) for k in _LADDER}
    levels |= {f"square_{k}": np.log(_ewma(r**2, k) + _FLOOR) for k in _SQUARES}
    levels |= {"range_today": np.log(g), "fall": np.minimum(r, 0) / scale}
    levels |= {
        "variance": np.log(variance),
        "jump": np.log(g / _before(variance)) / 2,
        "surprise": log_volume - _ewma(log_volume, 20),
    }
    return _Moves(series.sessions, r, gap, close, g, scale, log_volume, levels)


def _settled(x: np.ndarray) -> np.ndarray:
    """Return a copy that is NaN in the warm-up."""
    out = x.copy()
    out[:WARM_UP] = np.nan
    return out


def _returns(m: _Moves) -> dict[str, Array]:
    out = {"return_1": m.r / m.scale, "gap": m.gap / m.scale, "fall": m.levels["fall"]}
    for k in (5, 20, 60):
        out[f"return_{k}"] = (m.log_close - _before(m.log_close, k)) / (m.scale * np.sqrt(k))
    return {name: np.clip(x, -_CLIP, _CLIP) for name, x in out.items()}


def _volatility_ladder(m: _Moves) -> dict[str, Array]:
    names = ("range_today", *(f"range_{k}" for k in _LADDER), *(f"square_{k}" for k in _SQUARES))
    return {name: np.clip(m.levels[name] - m.levels["variance"], -_CLIP, _CLIP) for name in names}


def _volume(m: _Moves) -> dict[str, Array]:
    return {"volume_today": m.levels["surprise"], "volume_week": _ewma(m.log_volume, 5) - _ewma(m.log_volume, 60)}


def _report_timing(m: _Moves) -> dict[str, Array]:
    jump, surprise = (_settled(m.levels[name]) - m.market[name] for name in ("jump", "surprise"))
    return report_timing(jump, surprise, m.sessions)


GROUPS: dict[str, Callable[[_Moves], Mapping[str, Array | pd.Series]]] = {
    "returns": _returns,
    "volatility_ladder": _volatility_ladder,
    "volume": _volume,
    "report_timing": _report_timing,
}


@dataclass(frozen=True)
class Features:
    """Inputs of one symbol, aligned with its bars.

    Parameters
    ----------
    names : length F
    groups : length F, of `GROUPS`
    values : float32 (bars, F); NaN in the first `WARM_UP` rows, and where it is not known
    log_variances : float64 (bars, P), regressors of the volatility scale: the symbol's own, then its market's, which
        are the symbol's own again where it has no market
    range_variance : float64 (bars,), the session's own variance as its range and gap show it
    has_market : bool (bars,), whether that session's market is known
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    values: np.ndarray[Any, np.dtype[np.float32]]
    log_variances: np.ndarray
    range_variance: np.ndarray
    has_market: np.ndarray


def make_features(pool: Sequence[PriceSeries], members: Collection[str] | None = None) -> list[Features]:
    """Return the inputs of every session of each history; row t knows nothing that closes after bar t.

    Parameters
    ----------
    pool
    members : symbols that make the market of each exchange; by default all
    """
    moves = [_moves(series) for series in pool]
    markets = make_markets(pool, map(_across, moves), members)
    return [_features(m, markets[s.instrument.calendar]) for s, m in zip(pool, moves, strict=True)]


def each_features(pool: Sequence[PriceSeries], members: Collection[str] | None = None) -> Iterator[Features]:
    """Yield what `make_features` returns, one history at a time: all take ten times the memory of their bars."""
    markets = make_markets(pool, (_across(_moves(series)) for series in pool), members)
    for series in pool:
        yield _features(_moves(series), markets[series.instrument.calendar])


def _across(m: _Moves) -> Array:
    """Return the levels (bars, Q) that take part in the market's means."""
    return _settled(np.column_stack([*m.levels.values()]))


def _features(m: _Moves, market_of: Market) -> Features:
    m = replace(m, market=dict(zip(m.levels, market_of.on(m.sessions).T, strict=True)))
    made = {group: make(m) for group, make in GROUPS.items()}
    columns = {name: x for group in made.values() for name, x in group.items()}
    groups = tuple(group for group, inputs in made.items() for _ in inputs)
    values = _settled(np.stack([*columns.values()], axis=1, dtype="float32", casting="same_kind"))
    names = [name for name in m.levels if name not in _OTHERS]
    own, market = (np.column_stack([of[name] for name in names]) for of in (m.levels, m.market))
    unknown = np.isnan(market)
    regressors = np.hstack([own, np.where(unknown, own, market)])
    return Features(tuple(columns), groups, values, regressors, m.g, np.asarray(~unknown.any(axis=1)))
