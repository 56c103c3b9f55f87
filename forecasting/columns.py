"""What the columns of any frame hold, as canonical sessions, numbers and names, or an error in words."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache

import numpy as np
import pandas as pd

from forecasting.errors import BarsError

_DATES = (pd.Timestamp("0001-01-01"), pd.Timestamp("9999-12-31"))  # those that Python and ISO 8601 can write
_FAILURES = (TypeError, ValueError, ArithmeticError, NotImplementedError)


def read_column(frame: pd.DataFrame, name: str, kind: str) -> pd.Series:
    """Return one column of bars as "dates", "numbers" or "names", or raise `BarsError` naming the column."""
    try:
        return _CONVERT[kind](frame[name])
    except _FAILURES as error:
        raise BarsError(
            f"the column {name} of bars cannot be read as {kind}: {str(error)[:120]}; next: correct these rows, or "
            "remove them"
        ) from error


def _to_sessions(column: pd.Series) -> pd.Series:
    """Return dates as sessions: tz-naive midnights, `datetime64[us]`; NaT where one is missing.

    A moment counts on the date that its own clock shows, so midnight in Tokyo keeps its date. Text is
    ISO 8601. A number is no date: its unit and the day it counts from would be guesses.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype):
        days = column.dt.tz_localize(None).dt.normalize().dt.as_unit("us")
    else:
        dates = np.array([_to_date(value) for value in column.astype(object)], dtype="datetime64[D]")
        days = pd.Series(dates.astype("datetime64[us]"), index=column.index)
    if days.min() < _DATES[0] or days.max() > _DATES[1]:
        raise ValueError("a date outside the years 1 to 9999")
    return days


def _to_date(value: object) -> date | None:
    if isinstance(value, str):
        return _parse_date(value)
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    raise TypeError(f"{value!r} is no date")


@lru_cache(maxsize=2**15)
def _parse_date(text: str) -> date:
    return datetime.fromisoformat(text.strip()).date()


def _to_numbers(column: pd.Series) -> pd.Series:
    """Return numbers, or text that is one, as float64; NaN where one is missing."""
    kind = column.dtype.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    if getattr(kind, "kind", "O") in "bcmM":  # truth values, complex numbers, durations, moments
        raise TypeError(f"{kind} is no number")
    with np.errstate(over="ignore"):
        return pd.Series(column.to_numpy(dtype="float64", na_value=np.nan, copy=True), index=column.index)


def _to_names(column: pd.Series) -> pd.Series:
    """Return names as text."""
    if missing := int(column.isna().sum()):
        raise ValueError(f"{missing} of {len(column)} are missing")
    return column.astype(str)


_CONVERT: Mapping[str, Callable[[pd.Series], pd.Series]] = {
    "dates": _to_sessions,
    "numbers": _to_numbers,
    "names": _to_names,
}
