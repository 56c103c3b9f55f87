"""Any forecaster with the network's calibration, so that the network does not win by its calibrator alone."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.bars import PriceSeries, all_dates
from forecasting.config import CalibrationConfig, Progress, no_progress
from forecasting.errors import TooFewBars, UsageError
from forecasting.evaluation.histories import readable_part, require_fitted, to_rolling
from forecasting.evaluation.scores import median_of
from forecasting.forecasts import Forecaster, RollingForecast
from forecasting.model.calibration import OutOfTraining, apply_offsets, origin_dates, track_offsets

_FLOOR = 1e-4  # log return; below it, forecasts of a price that does not move have no width to count in


class Calibrated:
    """A forecaster whose quantiles are corrected online by outcomes, as the network's are.

    The forecaster is fitted on all but the last `config.sessions` sessions and forecasts these, out of
    training; from there on `forecasting.model.calibration` tracks the offsets of its quantiles, in units of
    its own width. An outcome moves forecasts from strictly later dates only. So it knows what the network
    knows: its parameters are as much older, and no outcome that corrects it was in its fit.

    Parameters
    ----------
    forecaster : its levels must be symmetric around 0.5
    config
    """

    def __init__(self, forecaster: Forecaster, config: CalibrationConfig | None = None) -> None:
        self.name = f"{forecaster.name}_calibrated"
        self.forecaster = forecaster
        self.config = config or CalibrationConfig()
        self._fitted: tuple[pd.Timestamp, frozenset[str]] | None = None

    @property
    def needs(self) -> int:
        """Bars before the first origin: those of the forecaster; a younger symbol is calibrated by the others."""
        return self.forecaster.needs

    def fit(self, series: Mapping[str, PriceSeries], progress: Progress = no_progress) -> Self:
        """Fit the forecaster on all but the last `config.sessions` sessions.

        Raises
        ------
        TooFewBars
            The histories hold no session before the kept-out part.
        """
        dates = all_dates(series)
        if len(dates) <= self.config.sessions:
            raise TooFewBars(
                f"the histories span {len(dates)} sessions, of which {self.name} keeps the last "
                f"{self.config.sessions} for calibration; next: fetch a longer history, or calibrate on fewer"
            )
        fitted_until = dates[-1 - self.config.sessions]
        past = {symbol: s.until(fitted_until) for symbol, s in series.items()}
        self.forecaster.fit({symbol: s for symbol, s in past.items() if len(s)}, progress)
        self._fitted = fitted_until, frozenset(series)
        return self

    def roll(self, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> dict[str, RollingForecast]:
        """Return, by symbol, the corrected forecasts from every origin at or after `first`.

        The outcomes tracked are those of the universe it was fitted on, as far as it is among the series.

        Raises
        ------
        ModelError
            It has not been fitted.
        UsageError
            `first` lies within the bars that the forecaster was fitted on.
        TooFewBars, DataError
            A symbol has fewer bars before `first` than `needs`, or a void session after it.
        """
        fitted_until, universe = require_fitted(self._fitted, self.name)
        if first <= fitted_until:
            raise UsageError(
                f"forecasts from {first.date()} on: {self.name} was fitted on bars up to {fitted_until.date()}; next: "
                "a later date, or fit it on an earlier part"
            )
        rolled = self._out_of_fit(series, first, fitted_until)
        rows = {symbol: _rows(series[symbol], rolling) for symbol, rolling in rolled.items()}
        pool = [r for symbol, r in rows.items() if symbol in universe] or list(rows.values())
        dates = origin_dates(rows.values())
        levels = next(iter(rolled.values())).levels
        offsets = track_offsets(pool, dates, np.asarray(levels), self.config.rate)
        corrected = {}
        for symbol, r in rows.items():
            quantiles = apply_offsets(r.quantiles, offsets[dates.get_indexer(r.origins)]) * r.scale[..., None]
            part, begin = readable_part(series[symbol], first, self.needs, self.name)
            corrected[symbol] = to_rolling(part, begin, levels, quantiles[len(r.origins) - (len(part) - begin) :])
        return corrected

    def _out_of_fit(
        self, series: Mapping[str, PriceSeries], first: pd.Timestamp, fitted_until: pd.Timestamp
    ) -> dict[str, RollingForecast]:
        """Return the forecaster's own forecasts from the end of its fit on, or from where a symbol has enough bars."""
        groups: dict[pd.Timestamp, dict[str, PriceSeries]] = {}
        for symbol in sorted(series):
            part, begin = readable_part(series[symbol], first, self.needs, self.name)
            start = max(int(part.sessions.searchsorted(fitted_until, side="right")), self.needs)
            groups.setdefault(part.sessions[start] if start < begin else first, {})[symbol] = series[symbol]
        return {s: r for start, group in groups.items() for s, r in self.forecaster.roll(group, start).items()}


def _rows(series: PriceSeries, rolling: RollingForecast) -> OutOfTraining:
    """Return forecasts and what became of them, in units of their own width."""
    part = series.parts()[-1]
    begin = len(part) - len(rolling.origins)
    horizons = range(1, rolling.values.shape[1] + 1)
    scale = _width(rolling.values, rolling.levels)
    matures = part.outcome_dates(horizons)[begin:]
    outcomes = part.log_returns(horizons)[begin:] / scale
    return OutOfTraining(rolling.origins, scale, rolling.values / scale[..., None], outcomes, matures)


def _width(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return the mean distance of the quantiles from their median; a normal distribution's is its deviation."""
    distance = np.abs(values - median_of(values, levels)[..., None]).mean(axis=-1)
    return np.maximum(distance / np.abs(stats.norm.ppf(levels)).mean(), _FLOOR)
