"""The canonical price data every part shares: bars, events, and one symbol's price series.

A bar is one session's open, high, low, close and volume. The canonical frame of bars has the columns
`BAR_COLUMNS`, one row per (symbol, session), ascending; sessions are tz-naive `datetime64[us]`, the
rest but the symbol float64. Stored bars are as traded: prices and volumes as they stood on that day.
Events (splits and dividends, `forecasting.events`) are kept beside them and applied on reading, by
`adjust_bars`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from forecasting.columns import read_column
from forecasting.errors import BarsError, UsageError
from forecasting.events import EVENT_KINDS, split_factors, validate_events
from forecasting.instruments import Instrument
from forecasting.sessions import are_sessions, session_closes, session_numbers

PRICE_COLUMNS = ["open", "high", "low", "close"]
BAR_COLUMNS = ["symbol", "session", *PRICE_COLUMNS, "volume"]


@dataclass(frozen=True)
class PriceSeries:
    """One symbol's adjusted bars, ready for a forecaster.

    Parameters
    ----------
    instrument
    bars
        Index `session`, columns open, high, low, close, volume; ascending, all on one price basis.
    void
        Sessions whose price was zero or negative, ascending. They have no bar, and no log return reaches or
        leaves them: what reads one bar after another must not read across them.
    """

    instrument: Instrument
    bars: pd.DataFrame
    void: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([], dtype="datetime64[us]"))

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """Sessions that have a bar, ascending."""
        return pd.DatetimeIndex(self.bars.index)

    def __len__(self) -> int:
        return len(self.bars)

    def until(self, session: pd.Timestamp) -> "PriceSeries":
        """Return the series cut after a session, that session included."""
        return replace(self, bars=self.bars.loc[:session], void=self.void[self.void <= session])

    def parts(self) -> list["PriceSeries"]:
        """Return the stretches of bars before, between and after the void sessions; any may be empty.

        Each is a history of its own. The last one is what a forecast may read; without a void session it is
        the whole series.
        """
        edges = [0, *self.sessions.searchsorted(self.void), len(self)]
        return [PriceSeries(self.instrument, self.bars.iloc[begin:end]) for begin, end in pairwise(edges)]

    @property
    def since_void(self) -> str:
        """From when on the last of `parts` counts, in words; nothing where there is no void session."""
        if not len(self.void):
            return ""
        return f" since {self.void[-1].date()} (its price was not positive there, so no log return exists)"

    def bars_ahead(self, horizons: Sequence[int]) -> np.ndarray:
        """Return where the bar of the session h ahead of each bar stands, by the calendar.

        Returns
        -------
        int64 array (bars, horizons)
            Row positions in `bars`; -1 where that session has no bar (yet).
        """
        if not len(self):
            return np.empty((0, len(horizons)), dtype="int64")
        numbers = session_numbers(self.instrument.calendar, self.sessions)
        numbers = numbers - numbers[0]
        positions = np.full(numbers[-1] + 1 + max(horizons), -1)
        positions[numbers] = np.arange(len(numbers))
        return positions[numbers[:, None] + np.asarray(horizons)]

    def log_returns(self, horizons: Sequence[int]) -> np.ndarray:
        """Return the natural log return from each bar to the session h ahead of it on the calendar.

        Returns
        -------
        float64 array (bars, horizons)
            NaN where the target session has no bar (yet). Not percent.
        """
        close = np.log(self.bars["close"].to_numpy(dtype="float64"))
        ahead = self.bars_ahead(horizons)
        return np.where(ahead >= 0, close[ahead] - close[:, None], np.nan)

    def outcome_dates(self, horizons: Sequence[int]) -> np.ndarray:
        """Return on which date, in UTC, the close falls that the log return from each bar ends with.

        A coin's 23 December closes at midnight and so falls on the 24th, after Wellington has closed its own 24th,
        a half day, at 23:45.

        Returns
        -------
        datetime64[us] array (bars, horizons)
            NaT where the target session has no bar (yet).
        """
        closes = session_closes(self.instrument.calendar, self.sessions).tz_localize(None).normalize().to_numpy()
        ahead = self.bars_ahead(horizons)
        return np.where(ahead >= 0, closes[ahead], np.datetime64("NaT"))


def all_dates(series: Mapping[str, PriceSeries]) -> pd.DatetimeIndex:
    """Return every date on which any of the series has a bar, ascending."""
    return unite_dates(s.sessions for s in series.values())


def unite_dates(some: Iterable[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Return every date that stands in some index, ascending."""
    dates = [index.to_numpy() for index in some]
    return pd.DatetimeIndex(np.unique(np.concatenate(dates)) if dates else np.array([], dtype="datetime64[us]"))


def hash_prices(series: Mapping[str, PriceSeries]) -> str:
    """Return the SHA-256 of all bars by symbol: the same prices, the same text, whatever order they came in."""
    digest = hashlib.sha256()
    for symbol in sorted(series):
        s = series[symbol]
        digest.update(f"{symbol} {s.instrument.calendar} {len(s)}".encode())
        for array in (s.sessions.asi8, s.void.asi8, s.bars.to_numpy(dtype="float64")):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def normalize_bars(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame in canonical form: columns, dtypes and order; values are not judged.

    Raises
    ------
    BarsError
        A column is missing, there twice, or holds something that is not a number or a date
        (`forecasting.columns` has what is one).
    """
    columns = list(frame.columns)
    if missing := [c for c in BAR_COLUMNS if c not in columns]:
        raise BarsError(f"bars lack the columns {missing}: bars have {BAR_COLUMNS}")
    if twice := [c for c in BAR_COLUMNS if columns.count(c) > 1]:
        raise BarsError(f"bars have the columns {twice} more than once; next: keep one of each")
    frame = frame[BAR_COLUMNS].reset_index(drop=True)
    sessions = read_column(frame, "session", "dates")
    if sessions.isna().any():
        raise BarsError(f"{int(sessions.isna().sum())} of {len(sessions)} bars have no date; next: remove these rows")
    numbers = {c: read_column(frame, c, "numbers") for c in [*PRICE_COLUMNS, "volume"]}
    out = pd.DataFrame({"symbol": read_column(frame, "symbol", "names"), "session": sessions, **numbers})
    return out.sort_values(["symbol", "session"], kind="stable", ignore_index=True)


def broken_rules(bars: pd.DataFrame) -> pd.Series:
    """Return, per row of normalized bars, the name of the first rule it breaks, or an empty string.

    Rules, in order: `duplicate_session` (a later row of the same symbol and session),
    `missing_price` (NaN or infinite), `not_positive`, `negative_volume`, `infinite_volume`, `high_low` (high
    at least, low at most, every price of the bar, to a relative 1e-6). A NaN volume is one that is not known.
    """
    prices = bars[PRICE_COLUMNS].to_numpy()
    high, low = bars["high"].to_numpy(), bars["low"].to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        rules = {
            "high_low": (high < prices.max(axis=1) * (1 - 1e-6)) | (low > prices.min(axis=1) * (1 + 1e-6)),
            "infinite_volume": np.isinf(bars["volume"].to_numpy()),
            "negative_volume": bars["volume"].to_numpy() < 0,
            "not_positive": (prices <= 0).any(axis=1),
            "missing_price": ~np.isfinite(prices).all(axis=1),
            "duplicate_session": bars.duplicated(["symbol", "session"]).to_numpy(),
        }
    broken = np.full(len(bars), "", dtype=object)
    for rule, rows in rules.items():
        broken[rows] = rule
    return pd.Series(broken, index=bars.index, name="rule", dtype=object)


def validate_bars(bars: pd.DataFrame) -> pd.DataFrame:
    """Return canonical bars unchanged, or raise `BarsError` naming the rule, the count and the first row."""
    broken = broken_rules(bars)
    bad = bars[broken != ""]
    if len(bad):
        row = bad.iloc[0]
        raise BarsError(
            f"{len(bad)} of {len(bars)} bars break a rule, the first is {row['symbol']} on "
            f"{row['session'].date()}: {broken[bad.index[0]]}; next: correct or remove these rows"
        )
    return bars


def adjust_bars(bars: pd.DataFrame, events: pd.DataFrame, basis: str = "split") -> pd.DataFrame:
    """Return one symbol's bars on a price basis, from bars as traded and the events known.

    Parameters
    ----------
    bars : index session, columns open, high, low, close, volume, as traded
    events : columns `EVENT_COLUMNS`, of the same symbol
    basis : "split" (what a quote screen shows) or "total" (also reduced by each dividend's share of
        the close before it)

    Raises
    ------
    BarsError
        An event breaks a rule of `validate_events`, or on the basis "total" a dividend is not below the
        close before it, so that no positive price is left.
    """
    if basis not in ("split", "total"):
        raise UsageError(f"price basis {basis!r}: price bases are split, total")
    out = bars.copy()
    if not len(validate_events(events)):
        return out
    sessions = pd.DatetimeIndex(bars.index)
    splits, dividends = (events[events["kind"] == kind].set_index("session")["value"] for kind in EVENT_KINDS)
    factors = split_factors(sessions, splits)
    out[PRICE_COLUMNS] = bars[PRICE_COLUMNS].div(factors, axis=0)
    out["volume"] = bars["volume"] * factors
    if basis == "total":
        kept = np.ones(len(bars))
        for session, amount in dividends.items():
            before = int(sessions.searchsorted(session))
            if before:
                # the amount is per share of its session, the close before it perhaps from before a split
                since = split_factors(pd.DatetimeIndex([session]), splits)[0]
                share = amount / since / out["close"].iloc[before - 1]
                if not share < 1:
                    raise BarsError(
                        f"the dividend of {amount:g} on {session.date()} is not below the close before it, so that no "
                        "price is left without it; next: the price basis split, or correct the dividend"
                    )
                kept[:before] *= 1 - share
        out[PRICE_COLUMNS] = out[PRICE_COLUMNS].mul(kept, axis=0)
    return out


def make_series(bars: pd.DataFrame, instruments: Mapping[str, Instrument] | None = None) -> dict[str, PriceSeries]:
    """Return price series by symbol from a frame of canonical, already adjusted bars.

    Instruments that are not given are derived from the symbol (`Instrument.from_symbol`).

    Raises
    ------
    BarsError
        The frame is not canonical, a bar breaks a rule, or it stands on a day without a session.
    InvalidSymbol, DataError
        A symbol breaks the rule for symbols, or its exchange is not known.
    """
    canonical = validate_bars(normalize_bars(bars))
    known = instruments or {}
    series = {}
    for name, rows in canonical.groupby("symbol", sort=True):
        symbol = str(name)
        instrument = known.get(symbol) or Instrument.from_symbol(symbol)
        one = PriceSeries(instrument, rows.drop(columns="symbol").set_index("session"))
        closed = one.sessions[~are_sessions(instrument.calendar, one.sessions)]
        if len(closed):
            raise BarsError(
                f"{symbol} has {len(closed)} bars on days that are no session of {instrument.calendar}, the first on "
                f"{closed[0].date()}; next: remove them, or pass an Instrument with the right calendar"
            )
        series[symbol] = one
    return series
