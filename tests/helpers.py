"""Small frames, series and forecasts that several tests share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.bars import BAR_COLUMNS, PRICE_COLUMNS, PriceSeries, normalize_bars
from forecasting.config import LEVELS
from forecasting.events import no_events
from forecasting.forecasts import Forecast
from forecasting.ingestion.synthetic import make_market
from forecasting.instruments import Instrument
from forecasting.sessions import calendar_sessions, target_sessions


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def sessions_until(last: str, count: int, calendar: str = "XNYS") -> pd.DatetimeIndex:
    """Return the last `count` sessions up to a date."""
    recorded = calendar_sessions(calendar)
    return recorded[recorded <= pd.Timestamp(last)][-count:].rename("session")


def random_walk(
    symbol: str = "AAA", bars: int = 400, seed: int = 0, last: str = "2018-12-31", volatility: float = 0.01
) -> PriceSeries:
    """Return a series whose close is a driftless random walk: nothing in it can be forecast."""
    rng = np.random.default_rng(seed)
    log_close = np.log(100) + rng.normal(0, volatility, bars).cumsum()
    log_open = np.concatenate([[np.log(100)], log_close[:-1]])
    reach = np.abs(rng.normal(0, volatility / 2, (2, bars)))
    frame = pd.DataFrame(
        {
            "open": np.exp(log_open),
            "high": np.exp(np.maximum(log_open, log_close) + reach[0]),
            "low": np.exp(np.minimum(log_open, log_close) - reach[1]),
            "close": np.exp(log_close),
            "volume": np.round(1e6 * np.exp(rng.normal(0, 0.3, bars))),
        },
        index=sessions_until(last, bars),
    )
    return PriceSeries(Instrument.from_symbol(symbol), frame)


def with_void(series: PriceSeries, *days: str) -> PriceSeries:
    """Return a series whose price was not positive on some sessions: they have no bar."""
    void = pd.DatetimeIndex(days).as_unit("us")
    return replace(series, bars=series.bars[~series.sessions.isin(void)], void=void)


def flat_bars(symbol: str, sessions: Sequence[str] | pd.DatetimeIndex, closes: Sequence[float]) -> pd.DataFrame:
    """Return canonical bars whose open, high, low and close are the same."""
    frame = pd.DataFrame({"symbol": symbol, "session": pd.DatetimeIndex(sessions), "volume": 1000.0})
    return normalize_bars(frame.assign(**{column: list(closes) for column in PRICE_COLUMNS}))


def no_quarantine() -> pd.DataFrame:
    return flat_bars("AAA", [], []).assign(rule=pd.Series(dtype=str))[[*BAR_COLUMNS, "rule"]]


def events_of(symbol: str, *rows: tuple[str, str, float]) -> pd.DataFrame:
    """Return canonical events from rows of (session, kind, value)."""
    if not rows:
        return no_events()
    sessions, kinds, values = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": pd.DatetimeIndex(sessions).as_unit("us"),
            "kind": list(kinds),
            "value": np.asarray(values, dtype="float64"),
        }
    )


def normal_forecast(
    symbol: str = "AAA",
    origin: str = "2018-12-31",
    horizon: int = 3,
    sigma: float = 0.01,
    levels: tuple[float, ...] = LEVELS,
    source: str = "python",
    last_close: float = 123.45,
) -> Forecast:
    """Return the forecast of a driftless normal random walk."""
    instrument = Instrument.from_symbol(symbol, source)
    day = pd.Timestamp(origin).as_unit("us")
    sessions, estimated = target_sessions(instrument.calendar, day, horizon)
    spread = sigma * np.sqrt(np.arange(1, horizon + 1))
    values = spread[:, None] * stats.norm.ppf(np.asarray(levels))
    return Forecast(instrument, day, last_close, sessions, estimated, levels, values)


def synthetic_series(symbol: str, last: str, first: str = "2004-01-01") -> PriceSeries:
    """Return a stochastic-volatility history; its bars also carry the true `volatility` of each session."""
    return PriceSeries(Instrument.from_symbol(symbol, "synthetic"), make_market(symbol).loc[first:last])
