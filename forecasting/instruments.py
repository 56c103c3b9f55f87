"""Instruments: what a symbol is, where it trades, and in which money its prices are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecasting.currencies import currency_text, major_currency, minor_unit
from forecasting.errors import DataError, InvalidSymbol
from forecasting.sessions import calendar_of, last_complete_session, time_zone_of

_FROM_CURRENCY = ("major_currency", "minor_unit")  # written for other readers; here its code tells them
EMBEDDED_SOURCES = ("sample", "synthetic")
SYMBOL_RULE = r"^\^?[A-Z0-9][A-Z0-9.&=\-]{0,19}$"


def is_symbol(name: str) -> bool:
    """Return whether a name keeps the rule for symbols."""
    return re.fullmatch(SYMBOL_RULE[1:-1], name) is not None


def validate_symbol(symbol: str) -> str:
    """Return the symbol, or raise `InvalidSymbol` with the rule.

    >>> validate_symbol("^GSPC")
    '^GSPC'
    """
    if not is_symbol(symbol):
        raise InvalidSymbol(
            f"symbol {symbol[:40]!r}: a symbol is 1 to 20 of A-Z 0-9 . & = - (a leading ^ for an index); "
            "next: check its spelling at your source, for example AAPL, VOD.L, ^GSPC or BTC-USD"
        )
    return symbol


def split_symbols(text: str) -> tuple[str, ...]:
    """Return the symbols that a person typed, apart by spaces, commas or semicolons, each once; case does not matter.

    >>> split_symbols("aapl, ^gspc AAPL")
    ('AAPL', '^GSPC')

    Raises
    ------
    InvalidSymbol
        One of them is none.
    """
    return tuple(dict.fromkeys(validate_symbol(word.upper()) for word in re.split(r"[\s,;]+", text) if word))


def normalize_symbol(typed: str) -> str:
    """Return the symbol that a person typed, or raise `InvalidSymbol`.

    >>> normalize_symbol(" brk-b ")
    'BRK-B'
    """
    return validate_symbol(typed.strip().upper())


@dataclass(frozen=True)
class Instrument:
    """What a symbol is: where it trades and in which money its prices are.

    Parameters
    ----------
    symbol, source
        One source per symbol and workspace.
    calendar
        Name of the exchange's calendar in `exchange_calendars`.
    currency
        Code of the money prices are quoted in, as the source gives it (GBp is pence).
    price_basis
        What the stored prices are: `traded`; or `split` or `total` where a file said that its prices are
        adjusted and did not tell its splits.
    """

    symbol: str
    source: str
    calendar: str
    currency: str = "USD"
    time_zone: str = "America/New_York"
    price_basis: str = "traded"

    @property
    def embedded(self) -> bool:
        """Whether its history is fixed and ends in the past, so that every forecast of it is a replay."""
        return self.source in EMBEDDED_SOURCES

    @property
    def major_currency(self) -> str:
        """The currency that `currency` is, or is a part of: GBP for GBp."""
        return major_currency(self.currency)

    @property
    def minor_unit(self) -> int:
        """How many of what prices are quoted in make one of the major currency: 100 for GBp, 1 for EUR."""
        return minor_unit(self.currency)

    @property
    def currency_in_words(self) -> str:
        """`currency` for reading, such as "GBp (pence, 1/100 GBP)"."""
        return currency_text(self.currency)

    @classmethod
    def from_symbol(cls, symbol: str, source: str = "python") -> "Instrument":
        """Return the instrument that a symbol's suffix suggests, in US dollars."""
        calendar = calendar_of(validate_symbol(symbol))
        return cls(symbol, source, calendar, time_zone=time_zone_of(calendar))


def why_stale(instrument: Instrument, last: pd.Timestamp, now: pd.Timestamp) -> str | None:
    """Return how old prices up to a last session are, where the calendar expects later ones at a UTC instant.

    >>> why_stale(Instrument.from_symbol("AAPL"), pd.Timestamp("2018-12-28"), pd.Timestamp("2019-01-01", tz="UTC"))
    'AAPL was last seen on 2018-12-28, 2018-12-31 is complete'
    """
    if instrument.embedded:
        return None
    expected = last_complete_session(instrument.calendar, now)
    return (
        f"{instrument.symbol} was last seen on {last.date()}, {expected.date()} is complete"
        if last < expected
        else None
    )


def instrument_facts(instrument: Instrument) -> dict[str, Any]:
    """Return an instrument as JSON values."""
    return {**vars(instrument), **{name: getattr(instrument, name) for name in _FROM_CURRENCY}}


def read_instruments(stored: Mapping[str, Any]) -> dict[str, Instrument]:
    """Build instruments of JSON values; raises TypeError or AttributeError where they are not."""
    return {
        symbol: Instrument(**{name: value for name, value in values.items() if name not in _FROM_CURRENCY})
        for symbol, values in stored.items()
    }


def require_same_kind(known: Instrument, new: Instrument) -> None:
    """Raise `DataError` where a stored symbol comes from another source or on another price basis."""
    if known.price_basis != new.price_basis:
        raise DataError(
            f"{new.symbol} is stored with {known.price_basis} prices, these are {new.price_basis}: one price basis "
            "per symbol and workspace; next: choose another --workspace"
        )
    if known.source != new.source:
        raise DataError(
            f"{new.symbol} is stored from {known.source}, these bars are from {new.source}: one source per symbol "
            "and workspace; next: choose another --workspace"
        )
