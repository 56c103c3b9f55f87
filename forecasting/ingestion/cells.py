"""What a file's cells say: dates and numbers as people and vendors write them."""

import re
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.errors import BarsError, UsageError
from forecasting.ingestion.tabular import shown

MAX_TEXTS = 100_000
"""Different texts that a column of symbols or dates may have."""

_EMPTY = ("", "null", "none", "nan", "n/a", "na", "#n/a", "nat", "-", "--", ".")

_YEAR_FIRST = r"(?P<year>[12][0-9]{3})([-/.])(?P<first>[0-9]{1,2})\2(?P<second>[0-9]{1,2})"
_COMPACT = r"(?P<year>[12][0-9]{3})(?P<first>[0-9]{2})(?P<second>[0-9]{2})"
_YEAR_LAST = r"(?P<first>[0-9]{1,2})([-/.])(?P<second>[0-9]{1,2})\2(?P<year>[12][0-9]{3})"
_NAMED_MONTHS = ("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")

_CURRENCY_OR_SPACE = r"[\s\x{A0}\x{202F}$€£¥]"
_THOUSANDS = r"[ '\x{2019}\x{A0}\x{202F}]([0-9]{3})\b"
_TAIL = r"(?:[KMBT]|E[+-]?[0-9]+)?$"
_EXPONENTS = {"K": "E3", "M": "E6", "B": "E9", "T": "E12"}


def parse_texts(cells: pa.ChunkedArray, empty: Collection[str] = ("",)) -> tuple[np.ndarray, list[str]]:
    """Return a column as codes into its distinct texts, trimmed; -1 where a cell is null or in `empty`.

    Raises
    ------
    BarsError
        It has more than `MAX_TEXTS` different ones.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    encoded = cells.cast(pa.string()).dictionary_encode().unify_dictionaries().combine_chunks()
    if len(encoded.dictionary) > MAX_TEXTS:
        raise BarsError(
            f"a column of symbols or dates has {len(encoded.dictionary):,} different ones, {MAX_TEXTS:,} is the limit; "
            "next: daily prices, in a folder of one file per symbol"
        )
    texts = [text.strip() for text in encoded.dictionary.to_pylist()]
    distinct = list(dict.fromkeys(text for text in texts if text.lower() not in empty))
    position = {text: i for i, text in enumerate(distinct)}
    codes = np.array([*(position.get(text, -1) for text in texts), -1])
    return codes[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)], distinct


def parse_dates(cells: pa.ChunkedArray, day_first: bool | None = None) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Return the day of each cell, and a number that is equal where the time of day is.

    A stamp's own date counts, whatever its offset from UTC.

    Parameters
    ----------
    day_first
        How to read 02/03/2024; None lets the column decide, which a day past the 12th does.

    Returns
    -------
    days : tz-naive, NaT where a cell is empty
    clocks

    Raises
    ------
    BarsError
        A cell is no date, or the column can be read in two ways.
    """
    if pa.types.is_temporal(cells.type):
        stamps = pd.DatetimeIndex(cells.to_pandas(date_as_object=False)).tz_localize(None).as_unit("us")
        return stamps.normalize(), (stamps - stamps.normalize()).to_numpy().astype("int64")
    codes, texts = parse_texts(cells, _EMPTY)
    written = pd.Series(texts, dtype=object).str.extract(r"^(.*?)(?:[T ]+([0-9]{1,2}:[0-9]{2}.*))?$").fillna("")
    days = _days(written[0], day_first).to_numpy(dtype="datetime64[us]")
    clocks = pd.factorize(written[1])[0]
    return pd.DatetimeIndex(np.append(days, np.datetime64("NaT", "us"))[codes]), np.append(clocks, -1)[codes]


def _days(texts: pd.Series, day_first: bool | None) -> pd.Series:
    """Return distinct dates, all written in the form of the first."""
    if not len(texts):
        return pd.Series(dtype="datetime64[us]")
    form = next((f for f in (_YEAR_FIRST, _COMPACT, _YEAR_LAST) if re.fullmatch(f, texts[0])), None)
    if form is None:
        formats = (f for f in _NAMED_MONTHS if pd.notna(pd.to_datetime(texts[0], format=f, errors="coerce")))
        days = pd.to_datetime(texts, format=next(formats, "%Y-%m-%d"), errors="coerce")
    else:
        parts = texts.str.extract(f"^{form}$")[["year", "first", "second"]].astype("float64")
        if form is not _YEAR_LAST:
            day_first = False
        elif day_first is None:
            day_first = _day_first(texts, parts)
        month, day = ("second", "first") if day_first else ("first", "second")
        days = pd.to_datetime(
            pd.DataFrame({"year": parts["year"], "month": parts[month], "day": parts[day]}), errors="coerce"
        )
    if days.isna().any():
        odd = texts[days.isna()]
        raise BarsError(
            f"{len(odd)} dates are none or are not written like the first, {shown(texts[0])}, for example "
            f"{shown(odd.iloc[0])}; next: write all of them as 2024-03-02"
        )
    return days.dt.as_unit("us")


def _day_first(texts: pd.Series, parts: pd.DataFrame) -> bool:
    """Return whether the first number is the day; the months only go to 12."""
    first, second = (bool((parts[name] > 12).any()) for name in ("first", "second"))
    if first == second:
        a, b, year = (int(parts[name].iloc[0]) for name in ("first", "second", "year"))
        found = (
            f"both {shown(texts[parts['first'] > 12].iloc[0])} and {shown(texts[parts['second'] > 12].iloc[0])} occur"
            if first
            else f"{shown(texts[0])} is {year}-{b:02}-{a:02} (day first) or {year}-{a:02}-{b:02} (month first), and no "
            "day past the 12th tells which"
        )
        raise BarsError(
            f"the dates can be read in two ways: {found}; next: state day_first (--day-first, --month-first)"
        )
    return first


def parse_numbers(columns: Mapping[str, pa.ChunkedArray], decimal: str | None = None) -> dict[str, np.ndarray]:
    """Return columns of numbers as float64, NaN where a cell is empty.

    Thousands separators, decimal commas, K, M, B and T, and currency signs are understood. All
    columns write numbers in one way.

    Parameters
    ----------
    decimal
        "." or ","; None lets the columns decide.

    Raises
    ------
    BarsError
        A cell is no number, or the columns can be read in two ways.
    UsageError
    """
    if decimal not in (None, ".", ","):
        raise UsageError(f"decimal {decimal!r}: the decimal mark is '.' or ','")
    typed = {name: _is_number(cells.type) for name, cells in columns.items()}
    numbers = {name: _float(columns[name]) for name, known in typed.items() if known}
    texts = {name: columns[name] for name, known in typed.items() if not known}
    try:
        if decimal != ",":
            return numbers | {name: _float(_blanked(cells)) for name, cells in texts.items()}
    except pa.ArrowInvalid:
        pass
    cleaned = {name: _cleaned(cells) for name, cells in texts.items()}
    mark = decimal or _decimal_mark(list(cleaned.values()))
    return numbers | {name: _float(_plain(name, cells, mark)) for name, cells in cleaned.items()}


def _is_number(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal))


def _float(cells: pa.ChunkedArray) -> np.ndarray:
    return pc.cast(cells, pa.float64(), safe=False).to_numpy()


def _blanked(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts trimmed, null where they say that there is nothing."""
    texts = pc.utf8_trim_whitespace(cells.cast(pa.string()))
    return pc.if_else(pc.is_in(pc.utf8_lower(texts), pa.array(_EMPTY)), None, texts)


def _cleaned(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts in capitals, without currency signs, and thousands separators other than points and commas."""
    texts = pc.replace_substring_regex(_blanked(cells), _THOUSANDS, r"\1")
    texts = pc.replace_substring_regex(texts, rf"^{_CURRENCY_OR_SPACE}+|{_CURRENCY_OR_SPACE}+$", "")
    return pc.replace_substring(pc.utf8_upper(texts), "\N{MINUS SIGN}", "-")


def _decimal_mark(columns: list[pa.ChunkedArray]) -> str:
    """Return the mark of decimals: the one that stands before other than three digits, or after the other mark."""

    def holds(pattern: str) -> bool:
        return any(pc.any(pc.match_substring_regex(cells, pattern)).as_py() for cells in columns)

    evidence = {
        mark: holds(rf"^[+-]?0?{m}|{m}(?:[0-9]{{0,2}}|[0-9]{{4,}}){_TAIL}|{o}.*{m}|{o}[0-9]+{o}")
        for mark, m, o in ((".", r"\.", ","), (",", ",", r"\."))
    }
    if evidence["."] != evidence[","]:
        return "." if evidence["."] else ","
    if not evidence["."] and not holds(","):
        return "."
    example = next((t for c in columns for t in c.drop_null().to_pylist() if "," in t), "")
    found = f"{shown(example)} is {example.replace(',', '')} or {example.replace(',', '.')}"
    if evidence["."]:
        found = "points and commas both stand before decimals"
    raise BarsError(f"the numbers can be read in two ways: {found}; next: state decimal (--decimal . or --decimal ,)")


def _plain(name: str, cells: pa.ChunkedArray, mark: str) -> pa.ChunkedArray:
    """Return texts as a computer writes numbers, or raise `BarsError` naming the first that is none."""
    thousands, m = (",", r"\.") if mark == "." else (r"\.", ",")
    whole = rf"(?:[0-9]+|[0-9]{{1,3}}(?:{thousands}[0-9]{{2,3}})*{thousands}[0-9]{{3}})"
    number = rf"^[+-]?(?:{whole}(?:{m}[0-9]*)?|{m}[0-9]+){_TAIL}|^[+-]?INF$"
    odd = cells.filter(pc.invert(pc.match_substring_regex(cells, number)))
    if len(odd):
        raise BarsError(
            f"{len(odd)} cells of the column {shown(name)} are no numbers, for example {shown(odd[0])}; next: mend or "
            "empty them"
        )
    cells = pc.replace_substring(cells, "," if mark == "." else ".", "")
    cells = pc.replace_substring(cells, ",", ".")
    for suffix, exponent in _EXPONENTS.items():
        cells = pc.replace_substring_regex(cells, f"{suffix}$", exponent)
    return cells
