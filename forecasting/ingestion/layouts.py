"""Which column of a file is what, and its rows as bars: one symbol, many below each other, or side by side."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.bars import PRICE_COLUMNS
from forecasting.errors import BarsError
from forecasting.events import EVENT_COLUMNS, EVENT_KINDS, no_events
from forecasting.ingestion.cells import parse_dates, parse_numbers, parse_texts
from forecasting.ingestion.tabular import open_table, reading, require_rows, shown
from forecasting.instruments import is_symbol

_ALIASES = {
    "date": "date session data datum fecha timestamp datetime day time index indexlevel0",
    "symbol": "symbol ticker name",
    "open": "open openprice otwarcie eroffnung erster ouverture apertura abertura",
    "high": "high highprice najwyzszy hoch tageshoch plushaut haut maximo massimo max",
    "low": "low lowprice najnizszy tief tagestief plusbas bas minimo min",
    "close": "close closeprice closelast zamkniecie schluss schlusskurs cloture cierre chiusura fechamento price last "
    "ultimo ostatnio zuletzt letzter dernier",
    "volume": "volume vol wolumen wol stuecke stucke volumen",
    "adjusted": "adjclose adjustedclose adjusted",
    "split": "stocksplits split splitratio splitfactor splitcoefficient",
    "dividend": "dividends dividend dividendamount exdividend divcash",
}
"""What columns are called, without accents, capitals and signs; of several, the first one counts."""

_RANKED = {name: (rank, field) for field, names in _ALIASES.items() for rank, name in enumerate(names.split())}
_BESIDE = {name for name, (_, field) in _RANKED.items() if field not in ("date", "symbol")}
_BAR = (*PRICE_COLUMNS, "volume")
_NEXT = "next: name the columns Date,Open,High,Low,Close,Volume, or Date,Close"


@dataclass(frozen=True)
class FilePrices:
    """What one file of prices holds.

    Parameters
    ----------
    symbols
        Those the file names, whether or not they obey the rule; none where only the file's name can tell.
    bars
        Columns symbol (categorical, "" where the file does not name it), session, open, high, low,
        close, volume; in the file's order.
    events
        Columns `EVENT_COLUMNS`, as the file gives them.
    tells_splits
        Whether there is a column of splits, so that `events` lacks none of the file's time.
    null_rows
        By symbol, how many rows were left out because their prices and volume are all empty.
    """

    symbols: Sequence[str]
    bars: pd.DataFrame
    events: pd.DataFrame
    tells_splits: bool
    null_rows: Mapping[str, int]

    @cached_property
    def rows(self) -> Mapping[str, np.ndarray]:
        """Positions of each symbol's rows in `bars`."""
        return self.bars.groupby("symbol", observed=True).indices

    @cached_property
    def event_rows(self) -> Mapping[str, np.ndarray]:
        """Positions of each symbol's rows in `events`."""
        return self.events.groupby("symbol").indices

    @cached_property
    def named(self) -> frozenset[str]:
        """`symbols`, to look one up."""
        return frozenset(self.symbols)


@dataclass(frozen=True)
class _Layout:
    """Positions of columns."""

    date: int
    symbol: int | None
    period: int | None
    fields: Mapping[str, Mapping[str, int]]  # by symbol where each has its columns, else under ""
    unread: Sequence[str]  # columns beside those of symbols whose names are none

    @property
    def numbers(self) -> list[int]:
        return sorted({position for fields in self.fields.values() for position in fields.values()})


def read_prices(path: Path, day_first: bool | None = None, decimal: str | None = None) -> FilePrices:
    """Return what a file of prices holds.

    A file without open, high and low has bars whose four prices are the close. The volume is 0 where
    none is given, as sources of indices do.

    Parameters
    ----------
    day_first, decimal
        How dates such as 02/03/2024 and numbers such as 1,234 are meant; None lets the file decide.

    Raises
    ------
    DataError
        It is no file of daily prices, or it can be read in two ways.
    """
    with reading(path):
        table = open_table(path)
        try:
            layout = _find_layout(table.names)
            single = [p for p in (layout.date, layout.symbol, layout.period) if p is not None]
            positions = [*single, *layout.numbers]
            cells = dict(zip(positions, table.read(positions), strict=True))
            days, clocks = parse_dates(cells[layout.date], day_first)
            require_rows(path, len(days) * len(layout.fields))
            if layout.period is not None and {p.upper() for p in parse_texts(cells[layout.period])[1]} - {"D"}:
                raise BarsError("it holds bars of other periods than D: prices are daily; next: download daily prices")
            named = None if layout.symbol is None else parse_texts(cells[layout.symbol])
            for position in single:
                del cells[position]
            numbers = parse_numbers({table.names[p]: c for p, c in cells.items()}, decimal)
            del cells
            return _assemble(layout, days, clocks, named, {p: numbers[table.names[p]] for p in layout.numbers})
        except BarsError as error:
            raise BarsError(f"{path}: {error}") from error


def _simple(name: str) -> str:
    """Return a column's name without accents, capitals, signs and a leading number ("4. close")."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\s*\d+\.\s", "", plain))


def _blank(name: str) -> bool:
    return not name.strip() or name.startswith("Unnamed: ")


def _find_fields(named: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Return where each known field stands among columns."""
    best: dict[str, tuple[int, int, str]] = {}
    for position, name in named:
        rank, field = _RANKED.get(_simple(name), (0, ""))
        if not field:
            continue
        if field in best and best[field][0] == rank:
            raise BarsError(
                f"the columns {shown(best[field][2])} and {shown(name)} are both its {field}; next: remove one"
            )
        best[field] = min(best.get(field, (rank, position, name)), (rank, position, name))
    return {field: position for field, (_, position, _) in best.items()}


def _find_layout(names: Sequence[str]) -> _Layout:
    known = _find_fields(enumerate(names))
    if "date" not in known and _blank(names[0]):
        known["date"] = 0  # the index of a saved frame
    listed = ", ".join(shown(name) for name in names[:12])
    if "date" not in known:
        raise BarsError(f"it has no column of dates among {listed}; {_NEXT}")
    period = next((i for i, name in enumerate(names) if name.strip().upper() == "<PER>"), None)
    unread: list[str] = []
    if "close" in known:
        fields = {"": known}
    elif {"open", "high", "low"} <= known.keys() or known.keys() & {"adjusted", "symbol"}:
        hint = " (adjusted for dividends too: name it Close and state prices='total')" if "adjusted" in known else ""
        raise BarsError(f"it has no column of closes among {listed}{hint}; {_NEXT}")
    else:
        fields, unread = _side_by_side(names, known["date"])
        if not fields:
            raise BarsError(f"it has no column of closes among {listed}; {_NEXT}")
    kept = {s: {f: p for f, p in at.items() if f in (*_BAR, *EVENT_KINDS)} for s, at in fields.items()}
    for symbol, at in kept.items():
        lacking = [f for f in PRICE_COLUMNS if f not in at]
        if lacking not in ([], PRICE_COLUMNS[:3]):
            columns = f"{', '.join(lacking)}{f' of {shown(symbol)}' if symbol else ''}"
            raise BarsError(f"it has no column of {columns}; next: give all four prices, or the close alone")
    layout = _Layout(known["date"], known.get("symbol") if "" in fields else None, period, kept, unread)
    counts = Counter(names[p] for p in layout.numbers)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise BarsError(f"two columns are called {shown(twice[0])}; next: remove one")
    return layout


def _side_by_side(names: Sequence[str], date: int) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return the fields by symbol of columns such as AAPL, AAPL:close, AAPL.Close or Close_AAPL, and other columns."""
    columns: dict[str, list[tuple[int, str]]] = {}
    unread = []
    for position, name in enumerate(names):
        if position == date or _blank(name):
            continue
        symbol, field = _halves(name.strip())
        if is_symbol(symbol) or field != "close":
            columns.setdefault(symbol, []).append((position, field))
        else:
            unread.append(name)
    return {symbol: _find_fields(named) for symbol, named in columns.items()}, unread


def _halves(name: str) -> tuple[str, str]:
    for mark in ":_ /.":
        symbol, _, field = name.rpartition(mark)
        if symbol and _simple(field) in _BESIDE:
            return symbol, field
        field, _, symbol = name.partition(mark)
        if symbol and mark != "." and _simple(field) in _BESIDE:  # LOW.DE is a symbol
            return symbol, field
    return name, "close"


def _assemble(
    layout: _Layout,
    days: pd.DatetimeIndex,
    clocks: np.ndarray,
    named: tuple[np.ndarray, list[str]] | None,
    numbers: Mapping[int, np.ndarray],
) -> FilePrices:
    """Return the rows that say anything, symbol after symbol where these stand side by side."""
    symbols = list(layout.fields) if named is None else named[1]
    sides, null_rows = list(layout.fields.values()), dict.fromkeys(symbols, 0)
    codes_of, said_of = [], []
    for k, fields in enumerate(sides):
        codes = np.broadcast_to(np.int32(k), days.shape) if named is None else named[0]
        said = ~np.logical_and.reduce([np.isnan(numbers[fields[f]]) for f in _BAR if f in fields])
        lacking = (said & days.isna()).sum(), (said & (codes < 0)).sum()
        if any(lacking):
            raise BarsError(f"{lacking[0]} rows have no date and {lacking[1]} no symbol; next: mend or remove them")
        for code, count in zip(*np.unique(codes[~said & (codes >= 0)], return_counts=True), strict=True):
            null_rows[symbols[code]] += int(count)
        codes_of.append(codes)
        said_of.append(said)
    if not any(said.any() for said in said_of):
        raise BarsError("it has no row with a price; next: download it again")

    def below(columns: Iterable[np.ndarray]) -> np.ndarray:
        """Return the rows of each side that say anything, side after side."""
        parts = [column[said] for column, said in zip(columns, said_of, strict=True)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def values(field: str) -> np.ndarray:
        return below(numbers[fields.get(field, fields["close"])] for fields in sides)

    def events(kind: str) -> pd.DataFrame:
        sides_of = zip(codes_of, sides, strict=True)
        return _events(kind, days, [(c, numbers[fields[kind]]) for c, fields in sides_of if kind in fields], symbols)

    nothing = np.zeros(len(days))
    volumes = below(numbers[fields["volume"]] if "volume" in fields else nothing for fields in sides)
    bars = pd.DataFrame(
        {
            "symbol": pd.Categorical.from_codes(below(codes_of), dtype=pd.CategoricalDtype(symbols)),
            "session": below([days.to_numpy()] * len(sides)),
            **{field: values(field) for field in PRICE_COLUMNS},
            "volume": np.nan_to_num(volumes, copy=False, posinf=np.inf),
        },
        copy=False,
    )
    _require_daily(bars, below([clocks] * len(sides)))
    return FilePrices(
        [*(s for s in symbols if s), *layout.unread],
        bars,
        pd.concat([told for kind in EVENT_KINDS if len(told := events(kind))] or [no_events()], ignore_index=True),
        all("split" in fields for fields in sides),
        {symbol: count for symbol, count in null_rows.items() if count},
    )


def _require_daily(frame: pd.DataFrame, clocks: np.ndarray) -> None:
    if len(clocks) and (clocks != clocks[0]).any():
        moments = frame[["symbol", "session"]].assign(clock=clocks).drop_duplicates()
        again = moments[moments.duplicated(["symbol", "session"])]
        if len(again):
            day = again["session"].iloc[0]
            raise BarsError(
                f"{day.date()} has bars at several times of day: prices are daily; next: download daily prices"
            )


def _events(
    kind: str, days: pd.DatetimeIndex, columns: Sequence[tuple[np.ndarray, np.ndarray]], symbols: Sequence[str]
) -> pd.DataFrame:
    """Return what columns of splits or dividends, each with its symbols' codes, say: 0 and a ratio of 1 are nothing."""
    if not columns:
        return no_events()
    told = []
    for codes, values in columns:
        rows = np.flatnonzero(~np.isnan(values) & (values != 0) & ((kind != "split") | (values != 1)))
        told.append((codes[rows], days.to_numpy()[rows], values[rows]))
    codes, sessions, values = map(np.concatenate, zip(*told, strict=True))
    odd = values[~((values > 1e-6) & (values < 1e6)) | np.isnat(sessions) | (codes < 0)]
    if len(odd):
        raise BarsError(
            f"{len(odd)} {kind}s lie outside 0.000001 to 1000000, or are without date or symbol, the first is "
            f"{odd[0]:g}; next: mend or empty these cells"
        )
    frame = pd.DataFrame({"symbol": [symbols[c] for c in codes], "session": sessions, "kind": kind, "value": values})
    return frame[EVENT_COLUMNS].drop_duplicates(["symbol", "session"], ignore_index=True)
