"""Prices from people's own files: CSV (gzip too) and Parquet; a file, or a folder of one file per symbol.

What a file's prices are is stated, not guessed. The store keeps prices as traded, so splits that a file
tells are undone in its split-adjusted prices and kept as events. Where it tells none, its prices are kept
as they are, with no splits to apply to them again.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.bars import BAR_COLUMNS, PRICE_COLUMNS, adjust_bars, normalize_bars
from forecasting.currencies import currency_of, validate_currency
from forecasting.errors import BarsError, DataError, InvalidSymbol, TickercastError, UsageError
from forecasting.events import no_events, split_factors
from forecasting.ingestion.layouts import FilePrices, read_prices
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, FetchResult, Provider
from forecasting.ingestion.tabular import reading
from forecasting.instruments import Instrument, is_symbol, validate_symbol
from forecasting.sessions import calendar_of, calendar_sessions, time_zone_of

PRICES = ("traded", "split", "total")
"""What a file's prices can be: as traded, adjusted for splits, or for splits and dividends."""

_SUFFIX = re.compile(r"\.(csv|txt|tsv|parquet|pq)(\.gz)?$", re.IGNORECASE)
_LARGE_SPLIT = np.log(1.5)  # its jump is told from a day's move


class FileProvider(Provider):
    """Serves a file, or a folder of one file per symbol.

    Parameters
    ----------
    path
        A symbol is named by a column, else by the file's name where that obeys the rule for symbols.
    prices
        What open, high, low and close are: "traded", "split" (adjusted for splits, as Yahoo gives them) or
        "total" (for dividends too). An adjusted close beside them is never used.
    symbol
        The only symbol wanted; it also names a file that does not tell its own.
    currency, calendar
        Of every symbol: the money prices are quoted in (GBp is pence), and the exchange's calendar by its
        name in `exchange_calendars` (24/7 for coins); None derives it from the symbol. A symbol that does not
        tell its money (`currency_of`) fails.
    day_first, decimal
        How dates such as 02/03/2024 and numbers such as 1,234 are meant; None lets each file decide.

    Attributes
    ----------
    refused : mapping of name to `Failed`
        What the path holds beside `symbols`, and why it cannot be had.
    null_rows : mapping of symbol to count
        Of the symbols served so far, rows that are no bars: their prices and volume are all empty.

    Raises
    ------
    UsageError, InvalidSymbol, DataError
        Nothing can be served.
    """

    source = "files"
    incremental = False  # a file is at hand, and one that was adjusted again shows only as a whole

    def __init__(
        self,
        path: str | Path,
        prices: str | None,
        symbol: str | None = None,
        *,
        currency: str | None = None,
        calendar: str | None = None,
        day_first: bool | None = None,
        decimal: str | None = None,
    ) -> None:
        if prices not in PRICES:
            raise UsageError(
                f"prices {prices!r}: state what the prices in {path} are: traded, split (adjusted for splits, as Yahoo "
                "gives them) or total (for dividends too); next: prices='split', --prices split"
            )
        self.refused: dict[str, Failed] = {}
        self.null_rows: dict[str, int] = {}
        if currency is not None:
            validate_currency(currency)
        if calendar is not None:
            calendar_sessions(calendar)  # raises where there is none of this name
        self.calendar = calendar
        self._prices, self._currency, self._reading = prices, currency, (day_first, decimal)
        self._files: dict[str, Path] = {}
        self._one: FilePrices | None = None
        self._path = Path(path)
        with reading(self._path):
            folder, file = self._path.is_dir(), self._path.is_file()
        if folder:
            self._open_folder()
        elif file:
            self._open_file(symbol)
        else:
            raise UsageError(f"{str(path)!r}: no such file or folder; next: check the path")
        if symbol is not None:
            self._file_of(validate_symbol(symbol))
        self.symbols: tuple[str, ...] = tuple(self._files) if symbol is None else (symbol,)

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the file's bars within the request, with its splits and dividends as events."""
        symbol = request.symbol
        try:
            return self._serve(request)
        except UsageError as error:
            return Failed(symbol, "unknown_symbol", str(error))
        except TickercastError as error:
            return Failed(symbol, "bad_file", str(error))
        except Exception as error:  # one symbol's surprise must not end the others' batch
            cause = f"an unexpected {type(error).__name__} ({error}); next: leave it out, and report this line"
            return Failed(symbol, "unexpected", cause)

    def _serve(self, request: FetchRequest) -> FetchResult:
        symbol = request.symbol
        prices = self._read(symbol)
        calendar = self.calendar or calendar_of(symbol)
        currency = self._currency or currency_of(symbol, calendar)
        if currency is None:
            cause = (
                f"{self._path} does not tell in which money its prices of {symbol} are, which trades by {calendar}: "
                f"outside the US it is not guessed; next: {symbol} with --currency, such as GBp (pence) or EUR"
            )
            return Failed(symbol, "unknown_currency", cause)
        bars, events = _as_traded(prices, self._prices)
        asked = [frame[frame["session"].between(request.first, request.last)] for frame in (bars, events)]
        if not len(asked[0]):
            held, wanted = (
                f"from {first.date()} to {last.date()}"
                for first, last in ((bars["session"].min(), bars["session"].max()), (request.first, request.last))
            )
            cause = f"{self._path} has {symbol} {held}, none {wanted}; next: a file of these sessions"
            return Failed(symbol, "no_data_in_range", cause)
        # split-adjusted prices whose splits the file tells are stored as traded
        stored = "traded" if self._prices == "split" and prices.tells_splits else self._prices
        instrument = Instrument(symbol, self.source, calendar, currency, time_zone_of(calendar), price_basis=stored)
        return Fetched(instrument, *asked)

    def read(self, symbol: str) -> pd.DataFrame:
        """Return a symbol's canonical bars, adjusted for the splits the file tells.

        Raises
        ------
        UsageError, DataError
        """
        prices = self._read(symbol)
        bars = normalize_bars(prices.bars)
        if self._prices == "traded":
            bars = adjust_bars(bars.set_index("session"), prices.events).reset_index()
        return bars[BAR_COLUMNS]

    def _open_folder(self) -> None:
        with reading(self._path):
            files = sorted(
                f for f in self._path.iterdir() if _SUFFIX.search(f.name) and f.name[0] != "." and f.is_file()
            )
        for file in files:
            name = _SUFFIX.sub("", file.name)
            if not is_symbol(name):
                try:
                    inside = self._parse(file).symbols
                except DataError as error:
                    self.refused[name] = Failed(name, "bad_file", str(error))
                    continue
                name = inside[0] if len(inside) == 1 else name  # Stooq's aapl.us.txt holds AAPL.US
            self._offer(name, file)
        if not self._files:
            why = next((f": {failed.cause}" for failed in self.refused.values()), "")
            raise DataError(
                f"{self._path} has no file such as AAPL.csv or AAPL.parquet{why}; next: name files by symbol"
            )

    def _open_file(self, symbol: str | None) -> None:
        self._one = self._parse(self._path)
        for name in self._one.symbols or [symbol or _SUFFIX.sub("", self._path.name)]:
            self._offer(name, self._path)
        if not self._files:
            rule = next(iter(self.refused.values())).cause.split("; next:")[0]
            fix = "correct it" if self._one.symbols else "state the symbol, or rename the file, which does not tell it"
            raise InvalidSymbol(f"{self._path}: {rule}; next: {fix}")

    def _offer(self, name: str, file: Path) -> None:
        try:
            validate_symbol(name)
        except InvalidSymbol as error:
            self.refused[name] = Failed(name, "invalid_symbol", str(error))
            return
        if name in self._files:
            raise UsageError(f"{self._files[name]} and {file} are both {name}; next: remove one of them")
        self._files[name] = file

    def _parse(self, file: Path) -> FilePrices:
        return read_prices(file, *self._reading)

    def _file_of(self, symbol: str) -> Path:
        if symbol not in self._files:
            held = ", ".join(list(self._files)[:10])
            raise UsageError(f"{self._path} holds {held}, not {symbol!r}; next: one of these, or another path")
        return self._files[symbol]

    def _read(self, symbol: str) -> FilePrices:
        """Return one symbol's rows, ascending, as the file has them."""
        file = self._file_of(symbol)
        prices = self._one or self._parse(file)
        if prices.symbols and symbol not in prices.named:
            raise DataError(f"{file} holds {', '.join(prices.symbols[:10])}, not {symbol}; next: read it by itself")
        inside = symbol if prices.symbols else ""
        if inside not in prices.rows:
            raise DataError(f"{file} has no row with a price of {symbol}; next: leave it out")
        self.null_rows[symbol] = prices.null_rows.get(inside, 0)
        bars = prices.bars.iloc[prices.rows[inside]]
        one = replace(
            prices,
            bars=bars.assign(symbol=symbol).sort_values("session", kind="stable", ignore_index=True),
            events=prices.events.iloc[prices.event_rows.get(inside, [])].assign(symbol=symbol),
        )
        try:
            _require_stated(one, self._prices)
        except BarsError as error:
            raise BarsError(f"{file}: {error}") from error
        return one


def read_bars(
    path: str | Path,
    *,
    prices: str,
    symbol: str | None = None,
    day_first: bool | None = None,
    decimal: str | None = None,
) -> pd.DataFrame:
    """Return the canonical bars of a file, or of a folder of one file per symbol, ready for `make_series`.

    Prices as traded are adjusted for the splits the file tells; others are as the file has them. Values
    are not judged: `broken_rules` and `validate_bars` do that. Rows whose prices and volume are all empty
    are no bars.

    Parameters
    ----------
    path, prices, symbol, day_first, decimal
        As of `FileProvider`.

    Raises
    ------
    UsageError, InvalidSymbol, DataError
        A part of it cannot be read: there is no half-read frame.

    Examples
    --------
    >>> series = make_series(read_bars("downloads/AAPL.csv", prices="split"))  # doctest: +SKIP
    """
    provider = FileProvider(path, prices, symbol, day_first=day_first, decimal=decimal)
    for failed in provider.refused.values() if symbol is None else ():
        raise (InvalidSymbol if failed.kind == "invalid_symbol" else DataError)(failed.cause)
    return pd.concat([provider.read(symbol) for symbol in sorted(provider.symbols)], ignore_index=True)


def _splits(events: pd.DataFrame) -> pd.Series:
    return events[events["kind"] == "split"].set_index("session")["value"]


def _as_traded(prices: FilePrices, stated: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return bars as they are stored, and the events to apply to them when they are read."""
    if stated == "total":
        return prices.bars, no_events()  # their events are already in them
    bars, events, splits = prices.bars, prices.events, _splits(prices.events)
    if stated == "split" and len(splits):
        factors = split_factors(pd.DatetimeIndex(bars["session"]), splits)
        bars = bars.assign(**{c: bars[c] * factors for c in PRICE_COLUMNS}, volume=bars["volume"] / factors)
        since = split_factors(pd.DatetimeIndex(events["session"]), splits)
        paid = events["value"] * np.where(events["kind"] == "dividend", since, 1.0)
        events = events.assign(value=paid)
    return bars, events


def _require_stated(prices: FilePrices, stated: str) -> None:
    """Raise `BarsError` where the price at a large split moves as it does on the other basis only."""
    closes = prices.bars.set_index("session")["close"]
    for session, ratio in _splits(prices.events).items():
        at = closes.index.searchsorted(session)
        around = closes.iloc[max(at - 1, 0) : at + 1]
        if abs(np.log(ratio)) < _LARGE_SPLIT or len(around) < 2 or not (np.isfinite(around) & (around > 0)).all():
            continue
        move, jump = np.log(around.iloc[1]) - np.log(around.iloc[0]), -np.log(ratio)
        other = 0.0 if stated == "traded" else jump
        if abs(move - other) < abs(jump) / 4:
            found = "shows its jump" if other else "leaves no jump"
            raise BarsError(
                f"prices are stated as {stated}, but the split of {ratio:g} on {session.date()} {found}; next: state "
                f"{'split' if stated == 'traded' else 'traded'}, or mend the prices before it"
            )
