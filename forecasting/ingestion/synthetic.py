"""A seeded market with known volatility, for tests and simulations that need a known answer."""

import re
import zlib

import numpy as np
import pandas as pd

from forecasting.events import no_events
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, FetchResult, Provider
from forecasting.instruments import Instrument
from forecasting.sessions import calendar_sessions

_INTRADAY = 26  # steps of a session's price path
_FIRST, _LAST = pd.Timestamp("2004-01-02"), pd.Timestamp("2018-12-31")


def make_market(symbol: str, seed: int = 0, sessions: pd.DatetimeIndex | None = None) -> pd.DataFrame:
    """Return one symbol's bars of a stochastic-volatility market, with its true volatility.

    Log volatility is a stationary AR(1) around 1% a day (persistence 0.98); the price moves as a
    driftless random walk within the session, so the future direction cannot be known and the future
    volatility can.

    Parameters
    ----------
    sessions : ascending; those of New York from 2004 to 2018 by default

    Returns
    -------
    DataFrame
        Index `session`; columns open, high, low, close, volume, and `volatility`, the standard
        deviation of that session's log return.
    """
    if sessions is None:
        recorded = calendar_sessions("XNYS")
        sessions = recorded[(recorded >= _FIRST) & (recorded <= _LAST)]
    rng = np.random.default_rng([seed, zlib.crc32(symbol.encode())])
    n = len(sessions)
    shocks = rng.normal(0, 0.15, n)
    log_volatility = np.empty(n)
    level = rng.normal(0, 0.15 / np.sqrt(1 - 0.98**2))
    for t in range(n):
        level = 0.98 * level + shocks[t]
        log_volatility[t] = level
    volatility = 0.01 * np.exp(log_volatility)
    steps = rng.normal(0, 1, (n, _INTRADAY)) * (volatility / np.sqrt(_INTRADAY))[:, None]
    path = steps.cumsum().reshape(n, _INTRADAY)
    log_open = path[:, 0]  # the first step is the overnight gap
    price = 100 * np.exp(np.column_stack([log_open, path.max(axis=1), path.min(axis=1), path[:, -1]]))
    bars = pd.DataFrame(price, index=sessions.rename("session"), columns=["open", "high", "low", "close"])
    bars["volume"] = np.round(1e6 * np.exp(0.5 * log_volatility + rng.normal(0, 0.3, n)))
    bars["volatility"] = volatility
    return bars


class SyntheticProvider(Provider):
    """Serves `SYN1` to `SYN9999`, each its own seeded history from 2004 to 2018."""

    source = "synthetic"
    symbols: tuple[str, ...] = ("SYN1", "SYN2", "SYN3", "SYN4")

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the simulated bars within the request."""
        symbol = request.symbol
        if not re.fullmatch(r"SYN[1-9][0-9]{0,3}", symbol):
            return Failed(
                symbol,
                "unknown_symbol",
                "the synthetic market holds SYN1 to SYN9999; next: tickercast run --source synthetic SYN1",
            )
        bars = make_market(symbol).drop(columns="volatility").loc[request.first : request.last]
        bars = bars.reset_index().assign(symbol=symbol)
        return Fetched(Instrument.from_symbol(symbol, self.source), bars, no_events())
