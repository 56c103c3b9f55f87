"""Market time: which days are sessions, when they close, which session lies h ahead.

A session is a trading day of an exchange, a tz-naive date (`datetime64[us]`, midnight). Instants are
tz-aware UTC. Calendars are those of `exchange_calendars`, by name; beyond the range for which an
exchange has published its holidays, weekdays are used and flagged as estimated. A weekday is a day of
the exchange's own week: Sunday to Thursday in Riyadh, every day for a coin.
"""

import re
from bisect import bisect_right
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from forecasting.errors import DataError

SETTLING = timedelta(minutes=60)
"""A bar is complete this long after its session's close."""

HARDLY_CLOSED = frozenset({"24/7", "24/5", "CMES"})
"""Calendars of markets in which a session opens when the one before it closes, or hardly later."""

_FIRST, _LAST = "1990-01-01", "2035-12-31"
# exchange_calendars 4.13 lists their movable holidays up to here and goes on without them
_LISTED_UNTIL = {"XIDX": "2025-12-31", "XBKK": "2029-12-31", "XKLS": "2029-12-31"}
# Local hours until which a session's bar may grow, where exchange_calendars closes earlier: the German floors share
# XFRA's sessions and trade on after Xetra, energy and metals trade on after CME's early closes in shares
_LATER_CLOSES = {"XFRA": 22, "CMES": 17}
_CRYPTO = re.compile(r"[A-Z0-9]+-(USD|EUR|GBP|CAD|AUD|JPY|KRW|INR|CNY|USDT|USDC|BTC|ETH)")
_INDICES = {
    **dict.fromkeys(("^GSPC", "^DJI", "^IXIC", "^NDX", "^RUT", "^NYA", "^OEX", "^SOX", "^VIX", "^XAX"), "XNYS"),
    "^FTSE": "XLON", "^N225": "XTKS", "^HSI": "XHKG", "^GDAXI": "XETR", "^FCHI": "XPAR", "^AEX": "XAMS",
    "^BFX": "XBRU", "^IBEX": "XMAD", "^SSMI": "XSWX", "^OMX": "XSTO", "^GSPTSE": "XTSE", "^AXJO": "XASX",
    "^AORD": "XASX", "^NZ50": "XNZE", "^KS11": "XKRX", "^TWII": "XTAI", "^STI": "XSES", "^NSEI": "XBOM",
    "^BSESN": "XBOM", "^BVSP": "BVMF", "^MXX": "XMEX", "^STOXX50E": "XETR", "^ATX": "XWBO", "^JKSE": "XIDX",
    "^KLSE": "XKLS",
}  # fmt: skip
_SUFFIXES = {
    "L": "XLON", "T": "XTKS", "HK": "XHKG", "DE": "XETR", "F": "XFRA", "PA": "XPAR", "AS": "XAMS",
    "BR": "XBRU", "MI": "XMIL", "MC": "XMAD", "SW": "XSWX", "ST": "XSTO", "OL": "XOSL", "CO": "XCSE",
    "HE": "XHEL", "TO": "XTSE", "V": "XTSE", "AX": "XASX", "NZ": "XNZE", "SS": "XSHG", "SZ": "XSHG",
    "KS": "XKRX", "KQ": "XKRX", "TW": "XTAI", "TWO": "XTAI", "SI": "XSES", "NS": "XBOM", "BO": "XBOM",
    "SA": "BVMF", "MX": "XMEX", "JO": "XJSE", "TA": "XTAE", "IS": "XIST", "WA": "XWAR", "VI": "XWBO",
    "LS": "XLIS", "IR": "XDUB", "BK": "XBKK", "JK": "XIDX", "KL": "XKLS", "SR": "XSAU",
    "AT": "ASEX", "US": "XNYS", "UK": "XLON", "JP": "XTKS",
}  # fmt: skip


def calendar_of(symbol: str) -> str:
    """Return the exchange calendar's name for a symbol in Yahoo's notation.

    >>> calendar_of("AAPL"), calendar_of("VOD.L"), calendar_of("BTC-USD"), calendar_of("BRK-B")
    ('XNYS', 'XLON', '24/7', 'XNYS')

    Raises
    ------
    DataError
        The exchange behind an index or a suffix is not known; it is not guessed.
    """
    if symbol in _INDICES:
        return _INDICES[symbol]
    if symbol.endswith("=X"):
        return "24/5"
    if symbol.endswith("=F"):
        return "CMES"
    if _CRYPTO.fullmatch(symbol):
        return "24/7"
    suffix = symbol.rpartition(".")[2] if "." in symbol else None
    if symbol.startswith("^") or (suffix is not None and suffix not in _SUFFIXES):
        raise DataError(
            f"no exchange calendar is known for {symbol}, and its sessions are not guessed; next: leave it out"
        )
    return "XNYS" if suffix is None else _SUFFIXES[suffix]


def keeps_time_of(calendar: str, time_zone: str) -> bool:
    """Return whether clocks in a time zone agree with those of a calendar's exchange, in winter and in summer.

    Markets that hardly close agree with every zone.

    >>> keeps_time_of("XTSE", "America/New_York"), keeps_time_of("XNYS", "Europe/Paris")
    (True, False)
    """
    if calendar in HARDLY_CLOSED:
        return True
    days = pd.DatetimeIndex(["2024-01-15", "2024-07-15"])
    ours, theirs = (days.tz_localize(zone).tz_convert("UTC") for zone in (time_zone_of(calendar), time_zone))
    return bool((ours == theirs).all())


def time_zone_of(calendar: str) -> str:
    """Return the time zone of a calendar's exchange.

    >>> time_zone_of("XNZE")
    'Pacific/Auckland'
    """
    return str(_calendar(calendar).tz)


@lru_cache(maxsize=64)
def _calendar(name: str) -> Any:
    import exchange_calendars as ec

    try:
        start, end = _bounds(name, ec.get_calendar(name))
        return ec.get_calendar(name, start=start, end=end)
    except (ValueError, NotImplementedError, ec.errors.CalendarError) as error:
        raise DataError(
            f"the exchange calendar {name} cannot be built ({str(error)[:80]}…); next: leave its symbols out, or "
            "another version of exchange_calendars"
        ) from error


def _bounds(name: str, calendar: Any) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first and the last date for which a calendar's holidays are recorded."""
    first, last = pd.Timestamp(_FIRST), pd.Timestamp(_LISTED_UNTIL.get(name, _LAST))
    return max(first, calendar.bound_min() or first), min(last, calendar.bound_max() or last)


@lru_cache(maxsize=64)
def _record(calendar: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    return _bounds(calendar, _calendar(calendar))


@lru_cache(maxsize=64)
def calendar_sessions(calendar: str) -> pd.DatetimeIndex:
    """Return every recorded session of a calendar, ascending."""
    return _calendar(calendar).sessions.as_unit("us")


@lru_cache(maxsize=64)
def _closes(calendar: str) -> pd.Series:
    """Return the UTC instants at which the recorded sessions close, by session, ascending."""
    recorded = _calendar(calendar)
    if calendar not in _LATER_CLOSES:
        return recorded.closes
    late = recorded.sessions + pd.Timedelta(hours=_LATER_CLOSES[calendar])
    return recorded.closes.clip(lower=pd.Series(late.tz_localize(recorded.tz).tz_convert("UTC"), recorded.sessions))


def _weekday(calendar: str, days: Any, ahead: Any) -> np.ndarray:
    """Return the weekday `ahead` of each date; 0 ahead is the date itself, or else the weekday before it."""
    dates = np.asarray(days, dtype="datetime64[D]")
    return np.busday_offset(dates, ahead, roll="backward", weekmask=_calendar(calendar).weekmask)


def are_sessions(calendar: str, days: pd.DatetimeIndex) -> np.ndarray:
    """Return, per date, whether it is a session; outside the recorded range, whether it is a weekday."""
    first, last = _record(calendar)
    outside = (days < first) | (days > last)
    weekday = np.is_busday(days.to_numpy().astype("datetime64[D]"), weekmask=_calendar(calendar).weekmask)
    return np.where(outside, weekday, days.isin(calendar_sessions(calendar)))


def is_session(calendar: str, day: pd.Timestamp) -> bool:
    """Return whether a date is a session.

    >>> is_session("XNYS", pd.Timestamp("2019-01-21"))  # Martin Luther King Day
    False
    """
    return bool(are_sessions(calendar, pd.DatetimeIndex([day]))[0])


def session_close(calendar: str, session: pd.Timestamp) -> pd.Timestamp:
    """Return the UTC instant at which a session closes; outside the recorded range, midnight after it.

    Where symbols of one calendar trade for different hours, it is the latest close, on days of an early one too.

    >>> session_close("XFRA", pd.Timestamp("2018-12-20"))  # 22:00 in Berlin, when the last floor closes
    Timestamp('2018-12-20 21:00:00+0000', tz='UTC')
    """
    closes = _closes(calendar)
    if session in closes.index:
        return closes[session].as_unit("us")
    return (session + pd.Timedelta(days=1)).tz_localize("UTC").as_unit("us")


def session_closes(calendar: str, sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return `session_close` of many sessions: UTC instants, in the same order."""
    closes = pd.DatetimeIndex(_closes(calendar).reindex(sessions)).as_unit("us")
    midnights = (sessions + pd.Timedelta(days=1)).tz_localize("UTC").as_unit("us")
    return closes.where(closes.notna(), midnights)


def count_closed(calendar: str, sessions: pd.DatetimeIndex, instant: pd.Timestamp) -> int:
    """Return how many of ascending sessions have closed by a UTC instant, that instant included.

    >>> count_closed("XNYS", pd.DatetimeIndex(["2019-01-02", "2019-01-03"]), pd.Timestamp("2019-01-02 21:00", tz="UTC"))
    1
    """
    return bisect_right(sessions, instant, key=lambda session: session_close(calendar, session))


def session_open(calendar: str, session: pd.Timestamp) -> pd.Timestamp:
    """Return the UTC instant at which a session opens; outside the recorded range, none opens later.

    That is its midnight, or where the exchange opens on the evening before, in UTC, its earliest open.
    """
    recorded = _calendar(calendar)
    if session in recorded.sessions:
        return recorded.session_open(session).as_unit("us")
    earliest = (recorded.opens.dt.tz_localize(None) - recorded.opens.index).min()
    return (session + min(earliest, pd.Timedelta(0))).tz_localize("UTC").as_unit("us")


@lru_cache(maxsize=256)
def last_complete_session(calendar: str, now: pd.Timestamp, settling: timedelta = SETTLING) -> pd.Timestamp:
    """Return the last session whose bar is complete at the UTC instant `now`.

    Outside the recorded range weekdays stand in, each complete `settling` after its midnight in UTC.

    >>> last_complete_session("XNYS", pd.Timestamp("2018-12-31 21:30", tz="UTC")).date().isoformat()
    '2018-12-28'
    >>> last_complete_session("XNYS", pd.Timestamp("2018-12-31 22:00", tz="UTC")).date().isoformat()
    '2018-12-31'
    """
    closes = _closes(calendar)
    n = int(pd.DatetimeIndex(closes).searchsorted(now - settling, side="right"))
    first, last = _record(calendar)
    today = (now - settling).tz_convert("UTC").tz_localize(None).normalize()
    yesterday = (today if n else min(today, first)) - pd.Timedelta(days=1)
    weekday = pd.Timestamp(_weekday(calendar, yesterday, 0))
    outside = n == 0 or weekday > last
    return (weekday if outside else closes.index[n - 1]).as_unit("us")


def target_sessions(calendar: str, origin: pd.Timestamp, horizon: int) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Return the sessions 1..horizon ahead of an origin, and which of them are estimated.

    The origin need not be a session itself; targets are strictly after it.

    Returns
    -------
    sessions : DatetimeIndex, length `horizon`
    estimated : bool array, length `horizon`
        True where the exchange's holidays are not yet published, or no longer recorded, and a weekday
        stands in.

    Examples
    --------
    >>> days, estimated = target_sessions("XNYS", pd.Timestamp("2018-12-31"), 2)
    >>> [d.date().isoformat() for d in days], bool(estimated.any())
    (['2019-01-02', '2019-01-03'], False)
    """
    first, last = _record(calendar)
    recorded = calendar_sessions(calendar)
    before = _weekdays_after(calendar, origin, horizon)
    before = before[before < first]
    begin = int(recorded.searchsorted(origin, side="right"))
    known = recorded[begin : begin + horizon - len(before)]
    after = _weekdays_after(calendar, max(origin, last), horizon - len(before) - len(known))
    days = before.append([known, after])
    return days, np.asarray((days < first) | (days > last))


def _weekdays_after(calendar: str, day: pd.Timestamp, count: int) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(_weekday(calendar, day, np.arange(1, count + 1))).as_unit("us")


def target_session(calendar: str, origin: pd.Timestamp, horizon: int) -> pd.Timestamp:
    """Return the session `horizon` (1-based) ahead of an origin."""
    return target_sessions(calendar, origin, horizon)[0][-1]


def session_numbers(calendar: str, sessions: pd.DatetimeIndex) -> np.ndarray:
    """Return each session's position on its calendar, so that b - a counts sessions between bars.

    Before the recorded range every bar counts as one session, after it every weekday does.

    Returns
    -------
    int64 array, strictly increasing for ascending distinct sessions
    """
    first, last = _record(calendar)
    recorded = calendar_sessions(calendar)
    numbers = recorded.searchsorted(sessions).astype("int64")
    before = int((sessions < first).sum())
    numbers[:before] = np.arange(-before, 0)
    after = sessions > last
    begin, later = (np.asarray(d, dtype="datetime64[D]") for d in (last + pd.Timedelta(days=1), sessions[after]))
    numbers[after] = len(recorded) + np.busday_count(begin, later, weekmask=_calendar(calendar).weekmask)
    return numbers


def missing_sessions(calendar: str, bars: pd.DatetimeIndex, held: pd.DatetimeIndex | None = None) -> pd.DatetimeIndex:
    """Return the sessions between the first and the last bar that have no bar: the gaps of a history.

    Sessions outside the recorded range cannot be missed.

    Parameters
    ----------
    bars : sessions, at least one
    held : sessions whose bars are held apart, which are no gaps

    Examples
    --------
    >>> missing_sessions("XNYS", pd.DatetimeIndex(["2018-12-21", "2018-12-27"])).strftime("%d %B").tolist()
    ['24 December', '26 December']
    """
    recorded = calendar_sessions(calendar)
    between = recorded[recorded.searchsorted(bars.min()) : recorded.searchsorted(bars.max(), side="right")]
    return between[~between.isin(bars if held is None else bars.append(held))]
