"""RNNForecaster: one pooled recurrent network, fitted on the bars of a universe, forecasting any symbol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch

from forecasting.bars import PriceSeries, all_dates, hash_prices
from forecasting.config import Progress, Recipe, no_progress, report_horizons
from forecasting.errors import DataError, Diverged, ModelError, TooFewBars, UsageError
from forecasting.forecasts import Forecast, RollingForecast
from forecasting.model.calibration import OutOfTraining, Tracked, apply_offsets, origin_dates, track_offsets
from forecasting.model.devices import one_thread
from forecasting.model.features import WARM_UP, Features, each_features
from forecasting.model.fitted import FittedModel, minimum_bars
from forecasting.model.loop import Epoch
from forecasting.model.networks import QuantileNetwork
from forecasting.model.report_widening import report_widening
from forecasting.model.training import train_network
from forecasting.model.windows import TrainingSet, make_training_set, standardize
from forecasting.sessions import count_closed


class RNNForecaster:
    """A pooled recurrent quantile forecaster on bars by symbol.

    Parameters
    ----------
    recipe
    model : a fitted model, as `forecasting.model.bundle.load_model` returns it

    Examples
    --------
    >>> forecaster = RNNForecaster(Recipe(horizon=5))
    >>> forecaster.recipe.network.cell
    'rnn'
    """

    name = "network"

    def __init__(self, recipe: Recipe | None = None, model: FittedModel | None = None) -> None:
        self.recipe = recipe or Recipe()
        self._model = model

    @property
    def needs(self) -> int:
        """How many bars a symbol needs to be forecast: the warm-up of its inputs and one window."""
        return minimum_bars(self.recipe)

    @property
    def model(self) -> FittedModel:
        """The fitted model; raises `ModelError` before `fit`."""
        if self._model is None:
            raise ModelError("this forecaster has not been fitted; next: call fit(series), or load a model")
        return self._model

    @one_thread()
    def fit(
        self, series: Mapping[str, PriceSeries], progress: Progress = no_progress, checkpoint: Path | None = None
    ) -> Self:
        """Train on all but the last `recipe.calibration.sessions` sessions, which calibration starts on.

        No input and no target of the training part comes from a kept-out session.

        Parameters
        ----------
        series : by symbol
        progress
        checkpoint : a file that training goes on from when it was killed, see `train_network`

        Raises
        ------
        TooFewBars
            The histories do not hold one training window before the kept-out part.
        Diverged
            Training diverged; the model is that of the last good epoch, where there was one.
        """
        recipe, data = self.recipe, self.training_set(series)
        horizons = report_horizons(recipe.horizon)
        # the weights start from the seed, whatever was drawn before, and leave the global generator alone
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.training.seed)
            network = QuantileNetwork(recipe.network, data.inputs.shape[1], len(horizons), recipe.levels)
        network.start_at(data.targets)
        try:
            history = tuple(train_network(network, data, recipe.training, progress, checkpoint))
        except Diverged as error:
            if error.history:
                self._model = self._fitted(series, data, network, error.history)
            raise
        self._model = self._fitted(series, data, network, history)
        return self

    def _fitted(
        self,
        series: Mapping[str, PriceSeries],
        data: TrainingSet,
        network: QuantileNetwork,
        history: tuple[Epoch, ...],
    ) -> FittedModel:
        dates = all_dates(series)
        return FittedModel(
            network.eval(),
            data.mean,
            data.std,
            data.scale,
            tuple(sorted(series)),
            self._trained_until(series),
            dates[0],
            dates[-1],
            hash_prices(series),
            history=history,
        )

    def training_set(self, series: Mapping[str, PriceSeries]) -> TrainingSet:
        """Return what `fit` trains on; raises `TooFewBars` as it does."""
        trained_until = self._trained_until(series)
        universe = [series[symbol].until(trained_until) for symbol in sorted(series)]
        return make_training_set(universe, report_horizons(self.recipe.horizon), self.recipe.training.window)

    def _trained_until(self, series: Mapping[str, PriceSeries]) -> pd.Timestamp:
        dates, kept_out = all_dates(series), self.recipe.calibration.sessions
        if len(dates) <= kept_out:
            raise TooFewBars(
                f"the histories span {len(dates)} sessions, of which the last {kept_out} are kept out of training for "
                "calibration; next: fetch a longer history"
            )
        return dates[-1 - kept_out]

    def roll(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> dict[str, RollingForecast]:
        """Return, by symbol, the forecasts from every origin at or after `first`.

        The network reads each history once, from its start or from its last void session on. Calibration
        tracks the outcomes of the model's own universe, as far as it is among the series, from the end of
        training on.

        Raises
        ------
        TooFewBars
            A symbol has fewer bars, since its last void session, than its inputs and one window need.
        DataError
            A symbol has a void session at or after `first`.
        """
        tracked = self.track(series, first)
        return {symbol: self._rolled(series[symbol], rows, first, tracked) for symbol, rows in tracked.rows.items()}

    @one_thread()
    def track(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> Tracked:
        """Return what `roll` corrects, and by how much; raises what it does."""
        self._require_open(series, first)
        return self._track({symbol: self._scaled(series[symbol], f) for symbol, f in self.features(series)})

    def _require_open(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> None:
        """Raise what `roll` does unless every origin from `first` on can be forecast."""
        for symbol in sorted(series):
            part = self._readable(series[symbol])
            if (series[symbol].void >= first).any():
                raise DataError(
                    f"{symbol} has {len(part)} bars{series[symbol].since_void}, a forecast needs {self.needs}, and "
                    f"one from {first.date()} on would read across that session; next: a later date, or leave the "
                    "symbol out"
                )
        if first <= self.model.trained_until:
            raise UsageError(
                f"forecasts from {first.date()} on: this model was trained on bars up to "
                f"{self.model.trained_until.date()}, and what it has seen it cannot forecast; next: a later date, or "
                "train on an earlier part"
            )

    def _track(self, scaled: Mapping[str, OutOfTraining]) -> Tracked:
        pool = [rows for symbol, rows in scaled.items() if symbol in self.model.universe] or list(scaled.values())
        dates = origin_dates(scaled.values())
        offsets = track_offsets(pool, dates, np.asarray(self.recipe.levels), self.recipe.calibration.rate)
        return Tracked(scaled, dates, offsets)

    def features(self, series: Mapping[str, PriceSeries]) -> Iterator[tuple[str, Features]]:
        """Yield symbols and their inputs, from the last void session on; row t knows nothing after bar t.

        The market they are set against is the model's universe, as far as it is among the series.
        """
        readable = [self._readable(series[symbol]) for symbol in sorted(series)]
        yield from zip(sorted(series), each_features(readable, self.model.universe), strict=True)

    def forecast(self, series: Mapping[str, PriceSeries], as_of: pd.Timestamp | None = None) -> dict[str, Forecast]:
        """Return each symbol's forecast from its last session closed by a UTC instant (its last bar by default).

        Hand in the model's whole universe, and calibration and the market rest on all of it.
        """
        if as_of is not None:
            series = {symbol: _closed_by(s, as_of) for symbol, s in series.items()}
        # each from its own last bar: a void session before that may lie after the last bar of another
        series = {symbol: self._readable(series[symbol]) for symbol in sorted(series)}
        found = self.forecast_origins(series, {symbol: s.sessions[-1:] for symbol, s in series.items()})
        return {symbol: forecasts[-1] for symbol, forecasts in found.items()}

    @one_thread()
    def forecast_origins(
        self, series: Mapping[str, PriceSeries], origins: Mapping[str, pd.DatetimeIndex]
    ) -> dict[str, list[Forecast]]:
        """Return the forecasts of symbols from some of their sessions, in one pass: each as `forecast` gives it.

        Parameters
        ----------
        series : the model's whole universe, and what else is asked for
        origins : by symbol, ascending; not empty

        Raises
        ------
        TooFewBars, DataError, UsageError
            As `roll` raises them, of the first of all these origins.
        """
        if not origins:
            return {}
        first = min(days[0] for days in origins.values())
        self._require_open(series, first)
        scaled, asides = {}, {}
        for symbol, features in self.features(series):
            scaled[symbol] = self._scaled(series[symbol], features)
            if symbol in origins:
                asides[symbol] = self._asides(series[symbol], features, origins[symbol])
        tracked = self._track(scaled)
        return {
            symbol: self._forecasts(series[symbol], days, tracked, asides[symbol]) for symbol, days in origins.items()
        }

    def _asides(
        self, series: PriceSeries, features: Features, origins: pd.DatetimeIndex
    ) -> list[tuple[np.ndarray | None, bool]]:
        """Return what the forecast from each origin tells beside its quantiles: `report_widening`, `has_market`."""
        rows = self._readable(series).sessions.get_indexer(origins)
        weights = interpolation_weights(range(1, self.recipe.horizon + 1))
        widening = report_widening(
            self.model.network, features, self._inputs(features), rows - WARM_UP, weights, self.recipe.training.window
        )
        return [(wider, bool(features.has_market[row])) for row, wider in zip(rows, widening, strict=True)]

    def _forecasts(
        self,
        series: PriceSeries,
        origins: pd.DatetimeIndex,
        tracked: Tracked,
        asides: list[tuple[np.ndarray | None, bool]],
    ) -> list[Forecast]:
        rolled = self._rolled(series, tracked.rows[series.symbol], origins[0], tracked)
        return [
            replace(rolled.at(day), report_widening=wider, has_market=has_market)
            for day, (wider, has_market) in zip(origins, asides, strict=True)
        ]

    def _inputs(self, features: Features) -> torch.Tensor:
        """Return what the network reads of a history: (bars - warm-up, F)."""
        return standardize(torch.from_numpy(features.values[WARM_UP:]), self.model.mean, self.model.std)

    def _readable(self, series: PriceSeries) -> PriceSeries:
        """Return the bars after the last void session, or refuse them as too few."""
        part = series.parts()[-1]
        if len(part) < self.needs:
            raise TooFewBars(
                f"{series.symbol} has {len(part)} bars{series.since_void}: a forecast reads a window of "
                f"{self.recipe.training.window} after a warm-up of {WARM_UP}, so it needs {self.needs}; next: fetch a "
                "longer history, or leave the symbol out"
            )
        return part

    def _scaled(self, series: PriceSeries, features: Features) -> OutOfTraining:
        """Run the network over a whole history and return what lies after the training part."""
        series = self._readable(series)
        with torch.no_grad():
            outputs = self.model.network(self._inputs(features)[None])[0]
        begin = max(WARM_UP, int(series.sessions.searchsorted(self.model.trained_until, side="right")))
        knots = outputs[begin - WARM_UP :].numpy().astype("float64", order="C")  # (N, K, L)
        horizons = range(1, self.recipe.horizon + 1)
        quantiles = interpolation_weights(horizons) @ knots  # (N, H, L)
        scale = self.model.scale(features)[begin:]
        after = replace(series, bars=series.bars.iloc[begin:])
        outcomes = after.log_returns(horizons) / scale
        return OutOfTraining(after.sessions, scale, quantiles, outcomes, after.outcome_dates(horizons))

    def _rolled(
        self, series: PriceSeries, rows: OutOfTraining, first: pd.Timestamp, tracked: Tracked
    ) -> RollingForecast:
        begin = int(rows.origins.searchsorted(first))
        origins = rows.origins[begin:]
        quantiles = apply_offsets(rows.quantiles[begin:], tracked.offsets_on(origins))
        return RollingForecast(
            series.instrument,
            origins,
            series.bars["close"].to_numpy(dtype="float64")[len(series) - len(origins) :].copy(),
            self.recipe.levels,
            quantiles * rows.scale[begin:, :, None],
        )


def interpolation_weights(horizons: Sequence[int]) -> np.ndarray:
    """Return (H, K) weights that fill in 1..H between the knots, linearly in log h.

    Each row is a convex combination, so quantiles that are ordered at the knots are ordered everywhere.
    """
    knots = np.log(report_horizons(max(horizons)))
    return np.stack([np.interp(np.log(horizons), knots, unit) for unit in np.eye(len(knots))], axis=1)


def _closed_by(series: PriceSeries, as_of: pd.Timestamp) -> PriceSeries:
    """Cut a series after the last session closed by a UTC instant."""
    bars, void = (count_closed(series.instrument.calendar, days, as_of) for days in (series.sessions, series.void))
    return replace(series, bars=series.bars.iloc[:bars], void=series.void[:void])
