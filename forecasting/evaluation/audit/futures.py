"""Other futures: copies of prices in which all that an origin cannot know is different.

The future of an instant is every bar whose session closes after it, decided bar by bar on its own exchange's
calendar: of one date, New York's bar is the future of Tokyo's. Of a store, it is every row that was known later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from forecasting.bars import BAR_COLUMNS, PRICE_COLUMNS, PriceSeries
from forecasting.config import MAX_HORIZON
from forecasting.events import EVENT_COLUMNS
from forecasting.sessions import count_closed, target_session, target_sessions
from forecasting.store import PriceStore

COPIES = ("replaced", "removed", "appended")
"""What `alter_future` can do to a future."""

_SPREAD = 0.1  # standard deviation of the noise in log prices: ten calm days in one
_DAY = pd.Timedelta(days=1)


def alter_future(
    series: Mapping[str, PriceSeries], instant: pd.Timestamp, how: str, seed: int = 0
) -> dict[str, PriceSeries]:
    """Return series whose bars that have closed by an instant are the same, and whose later ones are not.

    Parameters
    ----------
    series : by symbol
    instant : UTC
    how : "replaced" (noise where the bars were, row by row), "removed" (no bar at all), or "appended" (the same
        noise with its sign turned, and after it as many sessions as the longest horizon has)
    seed

    Notes
    -----
    Noise is drawn around the last close known, and owes nothing to the bars it replaces. Turning its sign shows
    what reads no more than the direction of a move: one of the two copies moves the other way.
    """
    return {symbol: _alter(series[symbol], instant, how, [seed, i]) for i, symbol in enumerate(sorted(series))}


def _alter(series: PriceSeries, instant: pd.Timestamp, how: str, seed: Sequence[int]) -> PriceSeries:
    calendar = series.instrument.calendar
    known = count_closed(calendar, series.sessions, instant)
    past, later = series.bars.iloc[:known], series.sessions[known:]
    void = series.void[: count_closed(calendar, series.void, instant)]
    if how == "removed":
        return replace(series, bars=past, void=void)
    if how == "appended":
        start = max(instant.tz_localize(None).normalize() - 2 * _DAY, *series.sessions[-1:])
        more, _ = target_sessions(calendar, start, MAX_HORIZON)
        later = later.append(more[count_closed(calendar, more, instant) :])
    noise = _noise(past, later.rename(series.bars.index.name), 1 if how == "replaced" else -1, seed)
    return replace(series, bars=pd.concat([past, noise]) if len(past) else noise, void=void)


def _noise(past: pd.DataFrame, sessions: pd.DatetimeIndex, sign: int, seed: Sequence[int]) -> pd.DataFrame:
    """Return valid bars that know of the past no more than its last close and how large its other columns are."""
    rng = np.random.default_rng(seed)
    level = past["close"].iloc[-1] if len(past) else 100.0
    prices = level * np.exp(sign * rng.normal(0, _SPREAD, (len(sessions), len(PRICE_COLUMNS))))
    bars = pd.DataFrame(prices, index=sessions, columns=PRICE_COLUMNS)
    bars["high"], bars["low"] = prices.max(axis=1), prices.min(axis=1)
    for column in past.columns.difference(PRICE_COLUMNS, sort=False):
        typical = np.nan_to_num(past[column].abs().median()) + 1e-3
        bars[column] = typical * np.exp(sign * rng.normal(0, 1, len(sessions)))
    return bars[list(past.columns)]


def restate_store(store: PriceStore, symbols: Sequence[str], root: str, seed: int = 0) -> PriceStore:
    """Return a copy of a store in another folder, whose source then told everything differently, a day later.

    Up to `store.known_until` both hold the same. The rows known after it put other prices in the place of most
    bars, withdraw the rest, add sessions, and split every share in two.
    """
    copy, rng = PriceStore(root), np.random.default_rng(seed)
    known = {symbol: store.instruments()[symbol] for symbol in symbols}
    bars, events = store.read_overlap(symbols, None)
    bars, events = bars.loc[bars["close"].notna(), BAR_COLUMNS], events[EVENT_COLUMNS]
    held = store.quarantined(symbols)[[*BAR_COLUMNS, "rule"]]
    copy.append(known.values(), bars, events, held, store.known_until)
    last = bars.groupby("symbol").tail(1)
    ends = zip(last["symbol"], last["session"], strict=True)
    new = last.assign(session=[target_session(known[symbol].calendar, session, 1) for symbol, session in ends])
    kept = np.sort(rng.permutation(len(bars))[: len(bars) * 9 // 10])
    told = pd.concat([bars.iloc[kept], new]).sort_values(["symbol", "session"], ignore_index=True)
    told[PRICE_COLUMNS] = told[PRICE_COLUMNS].mul(np.exp(rng.normal(0, _SPREAD, len(told))), axis=0)
    splits = new[["symbol", "session"]].assign(kind="split", value=2.0)
    copy.append(known.values(), told, pd.concat([events, splits]), held, store.known_until + _DAY, whole=symbols)
    return copy
