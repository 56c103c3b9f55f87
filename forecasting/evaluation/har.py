"""The baseline that bites: tomorrow's volatility by regression, and quantiles that never change in its units."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import LEVELS, Progress, no_progress
from forecasting.evaluation.histories import pool_histories, readable_part, require_fitted, to_rolling
from forecasting.forecasts import RollingForecast
from forecasting.model.features import WARM_UP, make_features
from forecasting.model.scale import HarScale


class HarQuantiles:
    """A heterogeneous autoregression of the range variance, with fixed quantiles around it.

        q_h(p, t) = scale_h(t) x F_h^-1(p)

    scale_h is the network's own volatility scale (Corsi, 2009; `forecasting.model.scale`) with the market's variances
    beside the symbol's, fitted on the bars handed to `fit`, pooled over symbols; F_h is the distribution of return
    over scale on the same rows. What a network adds to it is more than volatility.

    Parameters
    ----------
    horizon : H
    levels : L quantile levels
    """

    name = "har"

    def __init__(self, horizon: int, levels: tuple[float, ...] = LEVELS) -> None:
        self.horizon = horizon
        self.levels = levels
        self._fitted: tuple[HarScale, np.ndarray, frozenset[str]] | None = None

    @property
    def needs(self) -> int:
        """Bars before the first origin: the warm-up of the volatility estimates."""
        return WARM_UP

    def fit(self, series: Mapping[str, PriceSeries], progress: Progress = no_progress) -> Self:
        """Fit the scale and the quantiles; raises `TooFewBars` with fewer than 100 pooled outcomes."""
        pool = pool_histories(series, self.horizon, self.name)
        self._fitted = pool.scale, np.nanquantile(pool.ratios, self.levels, axis=0).T, frozenset(series)  # (H, L)
        return self

    def roll(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> dict[str, RollingForecast]:
        """Return, by symbol, the forecasts from every origin at or after `first`.

        The market is the universe it was fitted on, as far as it is among the series.

        Raises
        ------
        ModelError
            It has not been fitted.
        TooFewBars, DataError
            A symbol has fewer bars before `first` than `needs`, or a void session after it.
        """
        scale, quantiles, universe = require_fitted(self._fitted, self.name)
        readable = {symbol: readable_part(series[symbol], first, self.needs, self.name) for symbol in sorted(series)}
        features = make_features([part for part, _ in readable.values()], universe)
        rolled = {}
        for (symbol, (part, begin)), f in zip(readable.items(), features, strict=True):
            widths = scale(f)[begin:]  # (N, H)
            rolled[symbol] = to_rolling(part, begin, self.levels, widths[..., None] * quantiles)
        return rolled
