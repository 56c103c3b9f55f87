"""Prices as they are stored: read as known at an instant, adjusted, and summed up.

Of rows with the same key, the latest one known at `as_of` counts, and one of NaN was withdrawn by the source. Prices
are stored as traded; they are adjusted for splits and dividends only when they are read.
"""

from collections.abc import Collection, Sequence
from functools import reduce
from operator import and_
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from forecasting.bars import BAR_COLUMNS, PriceSeries, adjust_bars
from forecasting.errors import DataError, UsageError
from forecasting.events import split_factors
from forecasting.instruments import Instrument, read_instruments, validate_symbol
from forecasting.journal import KNOWN_AT, Journal, newest
from forecasting.price_tables import SCHEMAS, SESSION_TYPE
from forecasting.restatements import BAR_KEY, EVENT_KEY, fresh_rows
from forecasting.sessions import missing_sessions
from forecasting.tables import one_of

_NO_SESSIONS = pd.DatetimeIndex([], dtype="datetime64[us]")


class StoredPrices:
    """Prices under a workspace's `prices` folder, to be read; `forecasting.store.PriceStore` adds to them.

    Parameters
    ----------
    root
        The folder; where there is none, nothing is stored.

    Notes
    -----
    Where methods take `symbols`, a single one may be a string, and None means all.
    """

    def __init__(self, root: str | Path) -> None:
        self._journal = Journal(Path(root), SCHEMAS, "instruments", read_instruments)

    def instruments(self) -> dict[str, Instrument]:
        """Return the stored instruments by symbol."""
        return dict(self._journal.published().facts)

    @property
    def known_until(self) -> pd.Timestamp:
        """The UTC instant of the last append; everything stored was known by then."""
        return self._journal.published().known_until

    def require(self, symbols: Sequence[str]) -> None:
        """Raise `DataError` unless all symbols are in the store."""
        _require(symbols, self.instruments())

    def read(
        self,
        symbols: Sequence[str] | None = None,
        as_of: pd.Timestamp | None = None,
        basis: str = "split",
    ) -> dict[str, PriceSeries]:
        """Return adjusted price series by symbol, as known at a UTC instant (now by default).

        Raises
        ------
        DataError
            A symbol is not in the store.
        """
        instruments, until = self._wanted(symbols, basis, as_of)
        bars = self._bars(None if symbols is None else list(instruments), until)
        bars = bars[bars["close"].notna()]
        events = self._events(list(instruments), until, None if basis == "total" else "split")
        void = self._void(list(instruments), until, bars)
        bars_of, events_of = (dict(list(rows.groupby("symbol", observed=True))) for rows in (bars, events))
        return {
            symbol: PriceSeries(
                instrument,
                adjust_bars(
                    bars_of.get(symbol, bars.iloc[:0]).set_index("session")[BAR_COLUMNS[2:]],
                    events_of.get(symbol, events.iloc[:0]),
                    basis,
                ),
                void.get(symbol, _NO_SESSIONS),
            )
            for symbol, instrument in instruments.items()
        }

    def read_closes(
        self,
        symbols: Sequence[str] | None = None,
        as_of: pd.Timestamp | None = None,
        first: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Return split-adjusted closes, a row per session and a column per symbol; NaN where there is no bar.

        Parameters
        ----------
        first : session from which on; by default all

        Raises
        ------
        DataError
            A symbol is not in the store.
        """
        instruments, until = self._wanted(symbols, "split", as_of)
        names = pd.Index(list(instruments))
        bars = self._bars(None if symbols is None else list(instruments), until, first, ["close"])
        bars = bars[bars["close"].notna()]
        rows, sessions = pd.factorize(bars["session"], sort=True)
        symbol = bars["symbol"].astype("category").cat
        closes = np.full((len(sessions), len(names)), np.nan)
        closes[rows, names.get_indexer(symbol.categories)[symbol.codes]] = bars["close"]
        days = pd.DatetimeIndex(sessions, name="session")
        for symbol, splits in self._events(list(names), until, "split").groupby("symbol"):
            closes[:, names.get_loc(symbol)] /= split_factors(days, splits.set_index("session")["value"])
        return pd.DataFrame(closes, days, names, copy=False)

    def read_overlap(self, symbols: Sequence[str], since: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the latest bars as traded from a session on (all for None), and events, to compare answers with.

        A bar that the source withdrew is a row of NaN.
        """
        until = self._journal.published().known_until
        return self._bars(symbols, until, since), self._events(symbols, until)

    def told(
        self,
        table: str,
        columns: Sequence[str],
        symbols: Sequence[str] | None = None,
        first: pd.Timestamp | None = None,
        since: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Return all that sources ever told of `bars_1d` or `events`, corrections too, with the instant it was known.

        Parameters
        ----------
        columns : beside `symbol`, `session` and `known_at`; as traded, NaN where a row was withdrawn
        first : session from which on
        since : UTC instant after which it was known
        """
        condition = _where(None if symbols is None else _listed(symbols), first, since)
        until, columns = self._journal.published().known_until, [*BAR_KEY, *columns, KNOWN_AT.name]
        return self._journal.rows(table, until, condition, columns)

    def quarantined(self, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows that broke a rule, with the rule's name."""
        return self._all("quarantine", symbols).sort_values([*BAR_KEY, "known_at"], ignore_index=True)

    def restatements(self, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        """Return how sources changed what they had told before, oldest first; `data/README.md` has the columns."""
        return self._all("restatements", symbols).sort_values(["known_at", "symbol"], ignore_index=True)

    def fetches(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Return every time that symbols were asked for and what came of it, newest first."""
        return self._all("fetches", symbols).sort_values("known_at", ascending=False, ignore_index=True)

    def last_fetches(self) -> pd.DataFrame:
        """Return, per symbol, when it was last asked for and what came of it; `data/README.md` has the columns."""
        return newest(self._all("fetches"), ["symbol"])

    def summary(self, *, gaps: bool = False) -> pd.DataFrame:
        """Return per symbol what is stored of it.

        Columns `symbol`, `source`, `calendar`, `first` and `last` session, number of `bars`, number of
        sessions `quarantined`, and when bars were last added, `known_at`; NaT where it has no bar.

        Parameters
        ----------
        gaps : also a column `gaps`, the number of `missing_sessions`
        """
        published = self._journal.published()
        facts = [(symbol, i.source, i.calendar) for symbol, i in published.facts.items()]
        bars = self._bars(None, published.known_until, columns=["close"])
        bars = bars[bars["close"].notna()].groupby("symbol", observed=True)
        kept = bars.agg(
            first=("session", "first"), last=("session", "last"), bars=("session", "size"), known_at=("known_at", "max")
        )
        kept.index = kept.index.astype(str)
        held = self._journal.rows("quarantine", published.known_until, columns=BAR_KEY).groupby("symbol")["session"]
        out = pd.DataFrame(facts, columns=["symbol", "source", "calendar"]).astype(str)
        out = out.join(kept, on="symbol").join(held.nunique().rename("quarantined"), on="symbol")
        if gaps:
            calendars = out.set_index("symbol")["calendar"]
            apart = {symbol: pd.DatetimeIndex(days) for symbol, days in held}
            has = {symbol: pd.DatetimeIndex(days) for symbol, days in bars["session"]}
            missing = {s: len(missing_sessions(calendars[s], days, apart.get(s))) for s, days in has.items()}
            out["gaps"] = out["symbol"].map(missing)
        counts = ["bars", "quarantined", "gaps"] if gaps else ["bars", "quarantined"]
        return out.fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, "int64"))

    def last_sessions(self) -> pd.Series:
        """Return the last session that each symbol has told, by symbol: of a bar, or of one in quarantine."""
        held = self._all("quarantine").groupby("symbol")["session"].max()
        return pd.concat([self.summary().set_index("symbol")["last"], held]).groupby(level=0).max()

    def _all(self, name: str, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        condition = None if symbols is None else _one_of(_listed(symbols))
        return self._journal.rows(name, self._journal.published().known_until, condition)

    def _bars(
        self,
        symbols: Sequence[str] | None,
        until: pd.Timestamp,
        since: pd.Timestamp | None = None,
        columns: Sequence[str] = tuple(BAR_COLUMNS[2:]),
    ) -> pd.DataFrame:
        """Return the latest rows of bars as traded, ordered by symbol and session; NaN where one was withdrawn.

        All symbols for None; they are categories then.
        """
        columns, encoded = [*BAR_KEY, *columns, KNOWN_AT.name], ["symbol"] if symbols is None else []
        return newest(self._journal.rows("bars_1d", until, _where(symbols, since), columns, encoded), BAR_KEY)

    def _events(self, symbols: Sequence[str], until: pd.Timestamp, kind: str | None = None) -> pd.DataFrame:
        """Return the latest events, or those of a kind, without those that the source withdrew."""
        condition = _one_of(symbols) if kind is None else _one_of(symbols) & (ds.field("kind") == kind)
        events = newest(self._journal.rows("events", until, condition), EVENT_KEY)
        return events[events["value"].notna()]

    def _void(self, symbols: Sequence[str], until: pd.Timestamp, bars: pd.DataFrame) -> dict[str, pd.DatetimeIndex]:
        """Return, by symbol, the sessions whose close was zero or negative, and for which no other bar came."""
        condition = _one_of(symbols) & (ds.field("close") <= 0)
        held = self._journal.rows("quarantine", until, condition, BAR_KEY).drop_duplicates().sort_values(BAR_KEY)
        held = fresh_rows(held, bars, BAR_KEY)
        return {str(symbol): pd.DatetimeIndex(rows["session"]) for symbol, rows in held.groupby("symbol")}

    def _wanted(
        self, symbols: Sequence[str] | None, basis: str, as_of: pd.Timestamp | None
    ) -> tuple[dict[str, Instrument], pd.Timestamp]:
        """Return the instruments of symbols, all of them for None, and the instant to read them as of.

        One look at what is published: all tables are then read as of the same instant.
        """
        as_of = None if as_of is None else pd.Timestamp(as_of)
        if as_of is not None and as_of.tz is None:
            raise UsageError(f"as_of {as_of}: an instant has a time zone; next: pd.Timestamp(..., tz='UTC')")
        published = self._journal.published()
        wanted = list(published.facts) if symbols is None else _listed(symbols)
        _require(wanted, published.facts)
        known = {symbol: published.facts[symbol] for symbol in wanted}
        if total := [s for s, i in known.items() if i.price_basis == "total" and basis != "total"]:
            raise DataError(
                f"the prices of {', '.join(total)} are stored adjusted for dividends, their {basis} prices are not "
                "known; next: a file of traded or split-adjusted prices, in another --workspace"
            )
        return known, min(as_of or published.known_until, published.known_until)


def _listed(symbols: Sequence[str]) -> list[str]:
    return [symbols] if isinstance(symbols, str) else list(symbols)


def _one_of(symbols: Sequence[str]) -> ds.Expression:
    return one_of("symbol", symbols, SCHEMAS["bars_1d"])


def _where(
    symbols: Sequence[str] | None, first: pd.Timestamp | None = None, after: pd.Timestamp | None = None
) -> ds.Expression | None:
    """Return the condition that a row is of some symbols, from a session on, and was known after an instant."""
    tests = [] if symbols is None else [_one_of(symbols)]
    tests += [] if first is None else [ds.field("session") >= pa.scalar(first.date(), SESSION_TYPE)]
    tests += [] if after is None else [ds.field(KNOWN_AT.name) > pa.scalar(after, KNOWN_AT.type)]
    return reduce(and_, tests) if tests else None


def _require(symbols: Sequence[str], known: Collection[str]) -> None:
    missing = [s for s in symbols if validate_symbol(s) not in known]
    if missing:
        raise DataError(
            f"no prices of {', '.join(missing)} in the workspace, which holds {', '.join(known) or 'none'}; next: "
            f"tickercast fetch {' '.join(missing)}"
        )
