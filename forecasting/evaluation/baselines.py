"""Baselines that bite: doing nothing, twice, and the sets of baselines that a network is scored against.

Both random walks expect no change; they differ in what they know of risk.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import LEVELS, Progress, Recipe, no_progress
from forecasting.errors import UsageError
from forecasting.evaluation.boosting import BoostedQuantiles
from forecasting.evaluation.calibrated import Calibrated
from forecasting.evaluation.garch import Garch
from forecasting.evaluation.har import HarQuantiles
from forecasting.forecasts import Forecast, Forecaster, RollingForecast
from forecasting.model.forecaster import RNNForecaster

_DECAY = 0.94  # RiskMetrics' daily decay of the squared return
_FEWEST = 100  # past returns below which no quantile is given


class RandomWalk:
    """The price stays where it is, plus an h-session return drawn from the symbol's own past.

    Quantiles are those of the last `window` returns of h sessions that were complete at the origin. With
    volatility "constant" they are taken as they are (rolling historical quantiles); with "ewma" each is
    first divided by the volatility of its own origin and multiplied by today's (filtered history).

    Parameters
    ----------
    volatility : "constant" or "ewma"
    horizon : H
    levels : L quantile levels
    window : number of past returns
    """

    def __init__(self, volatility: str, horizon: int, levels: tuple[float, ...] = LEVELS, window: int = 1000) -> None:
        self.name = {"constant": "random_walk", "ewma": "random_walk_ewma"}[volatility]
        self.volatility = volatility
        self.horizon = horizon
        self.levels = levels
        self.window = window

    @property
    def needs(self) -> int:
        """Bars before the first origin: enough past returns at the longest horizon."""
        return _FEWEST + self.horizon

    def fit(self, series: Mapping[str, PriceSeries], progress: Progress = no_progress) -> Self:
        """Learn nothing: the quantiles roll with the origin."""
        return self

    def roll(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> dict[str, RollingForecast]:
        """Return, by symbol, the forecasts from every origin at or after `first`."""
        return {symbol: self._roll(s, first) for symbol, s in series.items()}

    def latest(self, series: PriceSeries) -> Forecast:
        """Return the forecast from the last bar: that of `roll`, in a fortieth of the time it takes for one origin.

        Values are NaN at horizons of which there are fewer than a hundred past returns.
        """
        close, *pair = self._scaled(series)
        log_close, scale = (x.to_numpy() for x in pair)
        values = np.full((self.horizon, len(self.levels)), np.nan)
        for h in range(1, self.horizon + 1):
            past = ((log_close[h:] - log_close[:-h]) / scale[:-h])[-self.window :]
            known = past[~np.isnan(past)]  # the first bar has no volatility
            if len(known) >= _FEWEST:
                values[h - 1] = np.quantile(known, self.levels) * scale[-1]
        rolled = RollingForecast(series.instrument, series.sessions[-1:], close[-1:], self.levels, values[None])
        return rolled.latest()

    def _scaled(self, series: PriceSeries) -> tuple[np.ndarray, pd.Series, pd.Series]:
        """Return the closes, their logarithms, and what past returns are divided by at each bar."""
        close = series.bars["close"].to_numpy(dtype="float64", copy=True)
        log_close = pd.Series(np.log(close))
        scale = pd.Series(1.0, index=log_close.index)
        if self.volatility == "ewma":
            scale = np.sqrt((log_close.diff() ** 2).ewm(alpha=1 - _DECAY).mean() + 1e-8)
        return close, log_close, scale

    def _roll(self, series: PriceSeries, first: pd.Timestamp) -> RollingForecast:
        begin = int(series.sessions.searchsorted(first))
        n = len(series) - begin
        close, log_close, scale = self._scaled(series)
        values = np.empty((n, self.horizon, len(self.levels)))
        for h in range(1, self.horizon + 1):
            complete = log_close.diff(h) / scale.shift(h)
            past = complete.iloc[max(0, begin - self.window + 1) :].rolling(self.window, min_periods=_FEWEST)
            for i, level in enumerate(self.levels):
                values[:, h - 1, i] = (past.quantile(level) * scale).loc[begin:]
        return RollingForecast(series.instrument, series.sessions[begin:], close[begin:], self.levels, values)


class NoRecurrence(RNNForecaster):
    """The network with a dense tanh layer at every step where its recurrence was; all else is the same.

    What the recurrent network has over it is memory beyond the inputs, which look back by themselves.

    Parameters
    ----------
    recipe : of the recurrent network that it stands beside
    """

    name = "no_recurrence"

    def __init__(self, recipe: Recipe | None = None) -> None:
        recipe = recipe or Recipe()
        network = replace(recipe.network, cell="none", nonlinearity="tanh")
        super().__init__(replace(recipe, network=network))


def make_baselines(
    horizon: int,
    levels: tuple[float, ...] = LEVELS,
    kind: str = "standard",
    recipe: Recipe | None = None,
) -> list[Forecaster]:
    """Return the baselines that a forecaster is scored against.

    Parameters
    ----------
    horizon : H
    levels : L quantile levels
    kind : "standard" (two random walks and `HarQuantiles`: seconds) or "all" (with GARCH, GJR-GARCH, boosted
        trees and the network without its recurrence: minutes); each but the last once more, as the network is
        calibrated
    recipe : of the network under test; training and calibration are taken from it

    Raises
    ------
    UsageError
        The kind is none of these, or the levels are such that no network can have them.

    Examples
    --------
    >>> [baseline.name for baseline in make_baselines(20)][:3]
    ['random_walk', 'random_walk_ewma', 'har']
    """
    if kind not in ("standard", "all"):
        raise UsageError(f"baselines {kind!r}: kinds of baselines are standard, all; next: --baselines standard")
    recipe = replace(recipe or Recipe(), horizon=horizon, levels=levels)
    baselines: list[Forecaster] = [
        RandomWalk("constant", horizon, levels),
        RandomWalk("ewma", horizon, levels),
        HarQuantiles(horizon, levels),
    ]
    networks: list[Forecaster] = []
    if kind == "all":
        baselines += [
            Garch(horizon, levels),
            Garch(horizon, levels, asymmetric=True),
            BoostedQuantiles(horizon, levels),
        ]
        networks = [NoRecurrence(recipe)]
    calibrated = [Calibrated(copy.copy(baseline), recipe.calibration) for baseline in baselines]
    return [*baselines, *networks, *calibrated]
