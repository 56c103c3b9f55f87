"""Gradient-boosted quantiles: what trees make of the network's inputs and targets."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from forecasting.bars import PriceSeries
from forecasting.config import LEVELS, Progress, no_progress, report_horizons
from forecasting.evaluation.histories import pool_histories, readable_part, require_fitted, to_rolling
from forecasting.forecasts import RollingForecast
from forecasting.model.features import WARM_UP, make_features
from forecasting.model.forecaster import interpolation_weights
from forecasting.model.scale import HarScale


class BoostedQuantiles:
    """One boosted ensemble of trees for each quantile level and report horizon (Friedman, 2001).

    Inputs are the network's features, zero where they are not known; targets are its log returns over the volatility
    scale of their horizon.
    The levels are fitted one by one, so their predictions are sorted, which never makes them worse
    (Chernozhukov, Fernandez-Val and Galichon, 2010); the horizons between are filled in as the network's are.

    Parameters
    ----------
    horizon : H
    levels : L quantile levels
    rows : training rows drawn, seeded, where the universe has more; a fit costs time in proportion
    seed
    """

    name = "boosted"

    def __init__(self, horizon: int, levels: tuple[float, ...] = LEVELS, rows: int = 60_000, seed: int = 0) -> None:
        self.horizon = horizon
        self.levels = levels
        self.rows = rows
        self.seed = seed
        self._fitted: tuple[HarScale, list[list[Any]], frozenset[str]] | None = None

    @property
    def needs(self) -> int:
        """Bars before the first origin: the warm-up of the inputs."""
        return WARM_UP

    def fit(self, series: Mapping[str, PriceSeries], progress: Progress = no_progress) -> Self:
        """Fit the scale and all ensembles; raises `TooFewBars` with fewer than 100 pooled outcomes."""
        pool = pool_histories(series, self.horizon, self.name)
        chosen = np.arange(len(pool.inputs))
        if len(chosen) > self.rows:
            chosen = np.sort(np.random.default_rng(self.seed).choice(chosen, self.rows, replace=False))
        inputs, ratios = np.nan_to_num(pool.inputs[chosen]), pool.ratios[chosen]
        horizons = report_horizons(self.horizon)
        ensembles: list[list[Any]] = []
        with threadpool_limits(1):  # on shared cores, the threads of trees this small wait for each other
            for done, h in enumerate(horizons):
                progress("train", done, len(horizons))
                known = np.isfinite(ratios[:, h - 1])
                ensembles.append([self._boost(inputs[known], ratios[known, h - 1], level) for level in self.levels])
        progress("train", len(horizons), len(horizons))
        self._fitted = pool.scale, ensembles, frozenset(series)
        return self

    def _boost(self, inputs: np.ndarray, targets: np.ndarray, level: float) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        # on validation years more steps or larger trees scored the same at short horizons and worse at long ones;
        # a leaf's 1% quantile needs many rows
        return HistGradientBoostingRegressor(
            loss="quantile",
            quantile=level,
            max_iter=30,
            learning_rate=0.05,
            max_leaf_nodes=4,
            min_samples_leaf=min(400, max(20, len(targets) // 20)),
            early_stopping=False,
            random_state=self.seed,
        ).fit(inputs, targets)

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
        scale, ensembles, universe = require_fitted(self._fitted, self.name)
        weights = interpolation_weights(range(1, self.horizon + 1))
        readable = {symbol: readable_part(series[symbol], first, self.needs, self.name) for symbol in sorted(series)}
        features = make_features([part for part, _ in readable.values()], universe)
        rolled = {}
        for (symbol, (part, begin)), f in zip(readable.items(), features, strict=True):
            quantiles = np.einsum("hk,nkl->nhl", weights, _predict(ensembles, np.nan_to_num(f.values[begin:])))
            rolled[symbol] = to_rolling(part, begin, self.levels, quantiles * scale(f)[begin:, :, None])
        return rolled


def _predict(ensembles: list[list[Any]], inputs: np.ndarray) -> np.ndarray:
    """Return sorted quantiles (N, K, L) at the report horizons, in units of the scale."""
    if not len(inputs):
        return np.empty((0, len(ensembles), len(ensembles[0])))
    with threadpool_limits(1):
        predicted = [np.stack([ensemble.predict(inputs) for ensemble in by_level], axis=-1) for by_level in ensembles]
    return np.sort(np.stack(predicted, axis=1), axis=-1)
