"""RNNForecaster: one pooled recurrent network, fitted on the bars of a universe, forecasting any symbol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from forecasting.model.features import GROUPS, WARM_UP, Features, make_features
from forecasting.model.loop import Epoch
from forecasting.model.networks import QuantileNetwork
from forecasting.model.scale import HarScale
from forecasting.model.training import train_network
from forecasting.model.windows import TrainingSet, make_training_set, standardize
from forecasting.sessions import count_closed


@dataclass(frozen=True)
class FittedModel:
    """What fitting leaves behind, and a bundle stores.

    Parameters
    ----------
    network : in evaluation mode
    mean, std : float32 (F,), of the training inputs
    scale : the volatility scale of each horizon
    universe : symbols handed to `fit`; one too young for a window before `trained_until` taught nothing
    trained_until : the last session any input or target of the training part came from
    first_session, fitted_until : range of the bars that `fit` was handed
    prices_sha256 : of these bars, see `hash_prices`; empty where an earlier tickercast fitted it
    feature_groups
    history : one `Epoch` per pass over the training windows
    """

    network: QuantileNetwork
    mean: torch.Tensor
    std: torch.Tensor
    scale: HarScale
    universe: tuple[str, ...]
    trained_until: pd.Timestamp
    first_session: pd.Timestamp
    fitted_until: pd.Timestamp
    prices_sha256: str
    feature_groups: tuple[str, ...] = tuple(GROUPS)
    history: tuple[Epoch, ...] = field(default=())


def minimum_bars(recipe: Recipe) -> int:
    """Return how many bars a symbol needs to be forecast: the warm-up of its inputs and one window."""
    return WARM_UP + recipe.training.window


def minimum_history(recipe: Recipe) -> int:
    """Return how many bars the longest history of a universe needs before a model can be trained on it."""
    return minimum_bars(recipe) + recipe.horizon + recipe.calibration.sessions


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
        levels = torch.tensor(recipe.levels, dtype=torch.float32)
        try:
            history = tuple(train_network(network, data, levels, recipe.training, progress, checkpoint))
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

    def track(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> Tracked:
        """Return what `roll` corrects, and by how much; raises what it does."""
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
        scaled = {symbol: self._scaled(series[symbol], features) for symbol, features in self.features(series).items()}
        pool = [rows for symbol, rows in scaled.items() if symbol in self.model.universe] or list(scaled.values())
        dates = origin_dates(scaled.values())
        offsets = track_offsets(pool, dates, np.asarray(self.recipe.levels), self.recipe.calibration.rate)
        return Tracked(scaled, dates, offsets)

    def features(self, series: Mapping[str, PriceSeries]) -> dict[str, Features]:
        """Return each symbol's inputs, from its last void session on; row t knows nothing after bar t.

        The market they are set against is the model's universe, as far as it is among the series.
        """
        readable = [self._readable(series[symbol]) for symbol in sorted(series)]
        return dict(zip(sorted(series), make_features(readable, self.model.universe), strict=True))

    def forecast(self, series: Mapping[str, PriceSeries], as_of: pd.Timestamp | None = None) -> dict[str, Forecast]:
        """Return each symbol's forecast from its last session closed by a UTC instant (its last bar by default).

        Hand in the model's whole universe, and calibration rests on all of it.
        """
        if as_of is not None:
            series = {symbol: _closed_by(s, as_of) for symbol, s in series.items()}
        # each from its own last bar: a void session before that may lie after the last bar of another
        series = {symbol: self._readable(series[symbol]) for symbol in sorted(series)}
        first = min((s.sessions[-1] for s in series.values()), default=pd.Timestamp.max)
        return {symbol: rolling.latest() for symbol, rolling in self.roll(series, first).items()}

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
        inputs = standardize(torch.from_numpy(features.values[WARM_UP:]), self.model.mean, self.model.std)
        with torch.no_grad(), one_thread():
            knots = self.model.network(inputs[None])[0].numpy().astype("float64")  # (T, K, L)
        begin = max(WARM_UP, int(series.sessions.searchsorted(self.model.trained_until, side="right")))
        horizons = range(1, self.recipe.horizon + 1)
        quantiles = np.einsum("hk,tkl->thl", interpolation_weights(horizons), knots[begin - WARM_UP :])
        scale = self.model.scale(features)[begin:]
        matures = series.outcome_dates(horizons)[begin:]
        outcomes = series.log_returns(horizons)[begin:] / scale
        return OutOfTraining(series.sessions[begin:], scale, quantiles, outcomes, matures)

    def _rolled(
        self, series: PriceSeries, rows: OutOfTraining, first: pd.Timestamp, tracked: Tracked
    ) -> RollingForecast:
        chosen = np.asarray(rows.origins >= first)
        origins = rows.origins[chosen]
        quantiles = apply_offsets(rows.quantiles[chosen], tracked.offsets_on(origins))
        return RollingForecast(
            series.instrument,
            origins,
            series.bars["close"].loc[origins].to_numpy(dtype="float64", copy=True),
            self.recipe.levels,
            quantiles * rows.scale[chosen][..., None],
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
