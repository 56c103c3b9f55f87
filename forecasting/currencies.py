"""Money: the currency behind the code that prices are quoted in, and how many of its unit make one of it."""

import re

from forecasting.errors import UsageError
from forecasting.sessions import time_zone_of

CURRENCY_RULE = r"^([A-Z][A-Z0-9]{1,9}|[A-Z]{2}[a-z])$"
"""What a quoted code looks like: capitals, or with a small last letter a part of a currency."""

_MINOR_UNITS = {
    "GBp": ("GBP", 100, "pence"),
    "GBX": ("GBP", 100, "pence"),
    "ZAc": ("ZAR", 100, "cents"),
    "ILA": ("ILS", 100, "agorot"),
    "USX": ("USD", 100, "cents"),
}
"""Codes that sources have for a part of a currency: the currency, how many of them make one, and their name."""

_AMERICAN = ("America/New_York", "America/Chicago")


def validate_currency(code: str) -> str:
    """Return a quoted code, or raise `UsageError` with the rule.

    >>> validate_currency("EUR"), validate_currency("GBp")
    ('EUR', 'GBp')
    """
    if not re.fullmatch(CURRENCY_RULE, code):
        raise UsageError(
            f"currency {code[:40]!r}: a currency is a code in capitals, such as EUR, or of a part of one, such as GBp "
            "(pence); next: --currency EUR"
        )
    return code


def major_currency(code: str) -> str:
    """Return the currency that a quoted code is, or is a part of.

    >>> major_currency("GBp"), major_currency("EUR")
    ('GBP', 'EUR')
    """
    return _MINOR_UNITS[code][0] if code in _MINOR_UNITS else code


def minor_unit(code: str) -> int:
    """Return how many of what prices are quoted in make one of the currency.

    >>> minor_unit("GBp"), minor_unit("EUR")
    (100, 1)
    """
    return _MINOR_UNITS[code][1] if code in _MINOR_UNITS else 1


def currency_text(code: str) -> str:
    """Return a quoted code for reading.

    >>> currency_text("GBp"), currency_text("EUR")
    ('GBp (pence, 1/100 GBP)', 'EUR')
    """
    if code not in _MINOR_UNITS:
        return code
    currency, count, name = _MINOR_UNITS[code]
    return f"{code} ({name}, 1/{count} {currency})"


def currency_of(symbol: str, calendar: str) -> str | None:
    """Return the money that a symbol is quoted in where symbol and calendar tell, else None.

    A pair names it, and the United States have one; elsewhere an exchange quotes in several.

    >>> currency_of("AAPL", "XNYS"), currency_of("BTC-EUR", "24/7"), currency_of("JPY=X", "24/5")
    ('USD', 'EUR', 'JPY')
    >>> currency_of("VOD.L", "XLON")  # in pence, pounds, dollars or euros
    """
    if symbol.endswith("=X"):
        return symbol[-5:-2]
    if calendar == "24/7" and "-" in symbol:
        code = symbol.rpartition("-")[2]
        return code if re.fullmatch(CURRENCY_RULE, code) else None
    return "USD" if time_zone_of(calendar) in _AMERICAN else None
