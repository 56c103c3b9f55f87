"""What stored prices give reason to doubt: rows held in quarantine, and flags on bars that are kept.

A flag changes nothing. It says what was found, and what the likely cause is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from forecasting.bars import PRICE_COLUMNS, PriceSeries
from forecasting.ingestion.jumps import BarArrays, Found, find_jumps, find_runs
from forecasting.sessions import missing_sessions, session_numbers
from forecasting.store import PriceStore

FINDING_COLUMNS = ["symbol", "severity", "rule", "first", "last", "bars", "found", "likely_cause"]

STALE_BARS = 5
"""Bars in a row that repeat the one before, that one included, a week: real prices repeat for up to four."""

LONG_STALE_BARS = 10
"""As many are stale whatever was traded meanwhile."""

_YEAR = 252  # bars
_SAME = 1e-6  # relative, of prices that count as equal
# per rule of quarantine: what the first row of a run shows, and the likely cause
_IN_WORDS = {
    "missing_price": ("no {missing}", "a row the source delivered in part"),
    "not_positive": (
        "lowest price {lowest:.6g}",
        "a market at or below zero, like oil in April 2020, or a placeholder; no log return leads there or back",
    ),
    "high_low": (
        "open {open:.6g}, high {high:.6g}, low {low:.6g}, close {close:.6g}",
        "one of the four is of another session, unit or adjustment",
    ),
    "negative_volume": ("volume {volume:.6g}", "a placeholder or an overflow at the source"),
    "infinite_volume": ("volume {volume:.6g}", "a placeholder or an overflow at the source"),
    "future_session": ("close {close:.6g} of a day that had not come", "a wrong date, or a day and month mixed up"),
    "duplicate_session": (
        "a second row, close {close:.6g}",
        "the source lists the session twice; its first row is kept",
    ),
    "not_a_session": (
        "close {close:.6g} on a {session:%A} without trading on {calendar}",
        "a row for a holiday, dates shifted by a time zone, or another calendar",
    ),
}


def find_flags(series: PriceSeries, quarantined: pd.DatetimeIndex | None = None) -> pd.DataFrame:
    """Return what is doubtful in one symbol's split-adjusted bars, a row per finding.

    Rules
    -----
    `unit_error`
        Closes at about 100 times, or a hundredth, of most others, for a bar, a run or from some bar on; or
        an open, high or low at that factor from its own close. No market moves so in a session.
    `missed_split`
        A move between two bars that is near a usual split ratio or its inverse, far beyond the volatility
        on both sides, made overnight and not undone, in a session as quiet as those around it: news that
        halves or doubles a price comes with a wide range and heavy volume. It is likelier where the volume
        has moved the other way, and the cause says so. Bars with neither range nor volume cannot tell
        news of that size: among them ratios below `SPLIT_UNSEEN` are not sought.
    `spike`
        A move far beyond the volatility that is undone within four bars, without unusual volume.
    `stale_run`
        At least five bars with the same four prices, each without volume or with that of the bar before.
        Prices that repeat while volume changes are the coarse ticks of a cheap share.
    `gap`
        Sessions of the calendar between the first and the last bar that have none; `bars` counts them.
        Sessions before the recorded range of the calendar cannot be missed.

    The thresholds are `STALE_BARS` and the constants of `forecasting.ingestion.jumps`.

    Parameters
    ----------
    series
    quarantined
        Sessions whose rows are held apart, which are no gaps.

    Returns
    -------
    DataFrame
        Columns `FINDING_COLUMNS`, by first session; `first` and `last` are sessions, inclusive.
    """
    return _frame([(series.symbol, "flag", *flag) for flag in _flags(series, quarantined)])


@dataclass(frozen=True)
class QualityReport:
    """What a check of stored prices found.

    Parameters
    ----------
    histories
        A row per symbol: `symbol`, `source`, `calendar`, `currency`, `first` and `last` session (NaT without
        bars), `bars`.
    findings
        As of `check_quality`.
    """

    histories: pd.DataFrame
    findings: pd.DataFrame


def find_doubts(series: PriceSeries, sessions: int = 5) -> list[str]:
    """Return, a sentence each, the flags that reach into a symbol's last sessions; of a year of bars, to be quick."""
    if not len(series):
        return []
    part = replace(series, bars=series.bars.iloc[-_YEAR:])
    since = part.sessions[-min(sessions, len(part))]
    return [
        f"{series.symbol}: {flag.rule} {flag.first.date()} to {flag.last.date()}: {flag.found}; {flag.likely_cause}"
        for flag in sorted(_flags(part, None), key=lambda flag: (flag.first, flag.rule))
        if flag.last >= since
    ]


def check_quality(store: PriceStore, symbols: Sequence[str] | None = None) -> pd.DataFrame:
    """Return what is quarantined and what is doubtful in stored prices, a row per finding.

    Parameters
    ----------
    store
        It is read only.
    symbols
        All stored ones by default.

    Returns
    -------
    DataFrame
        Columns `FINDING_COLUMNS`, by symbol and first session; `severity` is `quarantined` or `flag`.
        Quarantined rows show their prices as traded, flags theirs adjusted for splits.

    Raises
    ------
    DataError
        A symbol is not in the store.
    """
    return report_quality(store, symbols).findings


def report_quality(store: PriceStore, symbols: Sequence[str] | None = None) -> QualityReport:
    """Return the findings of `check_quality` beside what each symbol's history is."""
    known = store.instruments()
    wanted = sorted(known if symbols is None else set(symbols))
    store.require(wanted)
    held = dict(list(store.quarantined(wanted).groupby("symbol")))
    histories, findings = [], []
    for symbol, series in _read(store, wanted).items():
        first, last = (series.sessions[0], series.sessions[-1]) if len(series) else (pd.NaT, pd.NaT)
        instrument = series.instrument
        facts = (instrument.source, instrument.calendar, instrument.currency)
        histories.append((symbol, *facts, first, last, len(series)))
        apart = held.get(symbol)
        if apart is not None:
            findings += [(symbol, "quarantined", *found) for found in _quarantined(series, apart)]
        sessions = None if apart is None else pd.DatetimeIndex(apart["session"])
        findings += [(symbol, "flag", *flag) for flag in _flags(series, sessions)]
    columns = ["symbol", "source", "calendar", "currency", "first", "last", "bars"]
    return QualityReport(pd.DataFrame(histories, columns=columns), _frame(findings))


def _read(store: PriceStore, symbols: Sequence[str]) -> dict[str, PriceSeries]:
    """Return stored series by symbol; those kept adjusted for dividends too are read as they are."""
    bases = pd.Series({s: i.price_basis for s, i in store.instruments().items()}, dtype=object)[symbols]
    total, others = (list(bases.index[rows]) for rows in (bases == "total", bases != "total"))
    read = (store.read(others) if others else {}) | (store.read(total, basis="total") if total else {})
    return {symbol: read[symbol] for symbol in symbols}


def _frame(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    types = {"first": "datetime64[us]", "last": "datetime64[us]", "bars": "int64"}
    frame = pd.DataFrame(rows, columns=FINDING_COLUMNS).astype(types)
    return frame.sort_values(["symbol", "first", "severity", "rule"], kind="stable", ignore_index=True)


def _flags(series: PriceSeries, quarantined: pd.DatetimeIndex | None) -> Iterator[Found]:
    if not len(series):
        return
    bars = BarArrays(series)
    yield from find_jumps(bars)
    yield from _stale_runs(bars)
    yield from _gaps(bars, series.instrument.calendar, quarantined)


def _stale_runs(bars: BarArrays) -> Iterator[Found]:
    volume = np.nan_to_num(bars.volume)
    same = (np.abs(np.diff(bars.prices, axis=0)) <= _SAME * bars.prices[1:]).all(axis=1)
    same = np.concatenate([[False], same])
    repeats = same & ((volume == 0) | (volume == np.roll(volume, 1)))
    for second, last in find_runs(same):
        if last - second + 2 >= LONG_STALE_BARS:
            repeats[second : last + 1] = True
    for second, last in find_runs(repeats):
        first = second - 1
        if last - first + 1 >= STALE_BARS:
            traded = volume[last] > 0
            volumes = "the same volume" if np.ptp(volume[first : last + 1]) == 0 else "changing volume, the last"
            yield Found(
                "stale_run",
                bars.sessions[first],
                bars.sessions[last],
                last - first + 1,
                f"the same open, high, low and close ({bars.prices[last, 3]:.6g}), "
                + (f"and {volumes} {volume[last]:g}" if traded else "without volume"),
                "the source repeats its last bar"
                if traded
                else "no trade (suspended, hardly traded, or pegged), or a source that repeats its last price",
            )


def _gaps(bars: BarArrays, calendar: str, quarantined: pd.DatetimeIndex | None) -> Iterator[Found]:
    missing = missing_sessions(calendar, bars.sessions, quarantined)
    apart = np.flatnonzero(np.diff(session_numbers(calendar, missing)) > 1) + 1
    for start, end in pairwise([0, *apart, len(missing)] if len(missing) else []):
        count = int(end - start)
        yield Found(
            "gap",
            missing[start],
            missing[end - 1],
            count,
            f"{count} session{'s' if count > 1 else ''} of {calendar} without a bar",
            "bars the source lacks, a suspension, or holidays that the calendar does not know",
        )


def _quarantined(series: PriceSeries, held: pd.DataFrame) -> Iterator[Found]:
    """Yield one symbol's rows held apart, rows of one rule on neighbouring sessions together."""
    calendar = series.instrument.calendar
    latest = held.sort_values(["session", "known_at"]).drop_duplicates(["rule", "session"], keep="last")
    for rule, rows in latest.groupby("rule"):
        numbers = session_numbers(calendar, pd.DatetimeIndex(rows["session"]))
        for _, run in rows.groupby((np.diff(numbers, prepend=numbers[0]) > 1).cumsum()):
            first = run.iloc[0]
            prices = first[PRICE_COLUMNS].astype("float64")
            found, cause = _IN_WORDS.get(str(rule), ("close {close:.6g}", "as the rule says"))
            missing = ", ".join(prices.index[~np.isfinite(prices)])
            if rule != "duplicate_session" and run["session"].isin(series.sessions).all():
                cause += "; bars without fault are stored since"
            yield Found(
                str(rule),
                first["session"],
                run["session"].iloc[-1],
                len(run),
                found.format(**first, missing=missing, lowest=prices.min(), calendar=calendar),
                cause,
            )
