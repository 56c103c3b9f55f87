"""Issuing: from prices and a fitted model to rows of the ledger, each with what doing nothing said."""

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.evaluation.baselines import RandomWalk
from forecasting.forecasts import Forecast
from forecasting.instruments import why_stale
from forecasting.ledger import Ledger
from forecasting.ledger_rows import why_not_live
from forecasting.model.fitted import minimum_bars
from forecasting.model.forecaster import RNNForecaster


def split_forecastable(
    series: Mapping[str, PriceSeries], forecaster: RNNForecaster
) -> tuple[dict[str, PriceSeries], dict[str, str]]:
    """Return the series that a model can forecast from their last bar, and why it cannot the others."""
    needed, failures = minimum_bars(forecaster.recipe), {}
    for symbol, s in series.items():
        if (found := len(s.parts()[-1])) < needed:
            failures[symbol] = f"{symbol} has {found} bars{s.since_void}, a forecast needs {needed}"
        elif s.sessions[-1] <= (until := forecaster.model.trained_until):
            failures[symbol] = f"{symbol} has no bar after {until.date()}, until when the model was trained"
    return {symbol: s for symbol, s in series.items() if symbol not in failures}, failures


def open_sessions(series: PriceSeries, forecaster: RNNForecaster) -> pd.DatetimeIndex:
    """Return the sessions that a model can forecast from: enough bars up to them, and none that it was trained on."""
    sessions = series.parts()[-1].sessions[forecaster.needs - 1 :]
    return sessions[sessions > forecaster.model.trained_until]


def find_stale(series: Mapping[str, PriceSeries], now: pd.Timestamp) -> dict[str, str]:
    """Return, by symbol, how old live prices are whose last session is older than the calendar expects at `now`."""
    found = {symbol: why_stale(s.instrument, s.sessions[-1], now) for symbol, s in series.items() if len(s)}
    return {symbol: why for symbol, why in found.items() if why}


def find_late(forecasts: Iterable[Forecast], now: pd.Timestamp) -> dict[str, str]:
    """Return, by symbol, why forecasts are not live from their first target session on."""
    reasons = {f.symbol: why_not_live(f.instrument, f.origin, f.target_sessions[0], now) for f in forecasts}
    return {symbol: f"{symbol} cannot be forecast live: {why}" for symbol, why in reasons.items() if why}


def make_random_walks(
    forecasts: Iterable[Forecast], series: Mapping[str, PriceSeries], forecaster: RNNForecaster
) -> dict[str, Forecast]:
    """Return, by symbol, what doing nothing says, from the bars that each forecast has seen."""
    walk = RandomWalk("ewma", forecaster.recipe.horizon, forecaster.recipe.levels)
    return {f.symbol: walk.latest(series[f.symbol].until(f.origin).parts()[-1]) for f in forecasts}


def issue_origins(
    ledger: Ledger,
    forecaster: RNNForecaster,
    model_id: str,
    series: Mapping[str, PriceSeries],
    origins: Mapping[str, pd.DatetimeIndex],
    now: pd.Timestamp,
    data_as_of: pd.Timestamp,
    flags: Mapping[tuple[str, pd.Timestamp], Collection[str]],
    *,
    as_replay: bool = False,
) -> dict[pd.Timestamp, int]:
    """Issue the forecasts from several sessions, the oldest first; return how many rows were new, by session.

    Parameters
    ----------
    series : the model's whole universe, as far as it can be forecast
    origins : by symbol, ascending, none of them empty
    now : UTC instant of the issue
    data_as_of : UTC instant at which the newest bar they rest on was known
    flags : by symbol and origin, what a forecast cannot know of itself
    as_replay : whether they are computed as of these sessions, and none is live
    """
    of_day: dict[pd.Timestamp, list[Forecast]] = {}
    for forecasts in forecaster.forecast_origins(series, origins).values():
        for forecast in forecasts:
            of_day.setdefault(forecast.origin, []).append(forecast)
    rows = {}
    for day in sorted(of_day):
        walks = make_random_walks(of_day[day], series, forecaster)
        told = {f.symbol: flags.get((f.symbol, day), ()) for f in of_day[day]}
        rows[day] = ledger.issue(of_day[day], model_id, now, data_as_of, walks, told, as_replay=as_replay)
    return rows
