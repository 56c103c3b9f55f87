"""The price store: bars as traded and their events, append-only, with the instant each row was known.

Nothing is overwritten. A correction is a new row with a later `known_at`; reading takes, per key, the
latest row known at `as_of`. Prices are adjusted for splits and dividends only when they are read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from forecasting.bars import BAR_COLUMNS, PRICE_COLUMNS, Instrument, PriceSeries, adjust_bars, validate_symbol
from forecasting.errors import DataError
from forecasting.tables import append_rows, read_rows
from forecasting.workspace import read_json, write_json

_KNOWN_AT = ("known_at", pa.timestamp("us", tz="UTC"))
_BARS = pa.schema(
    [
        ("symbol", pa.string()),
        ("session", pa.date32()),
        *((c, pa.float64()) for c in [*PRICE_COLUMNS, "volume"]),
        _KNOWN_AT,
    ]
)
_EVENTS = pa.schema(
    [
        ("symbol", pa.string()),
        ("session", pa.date32()),
        ("kind", pa.string()),
        ("value", pa.float64()),
        _KNOWN_AT,
    ]
)
_QUARANTINE = pa.schema([*_BARS, ("rule", pa.string())])

_SAME = 1e-6  # relative; sources give about seven digits


class PriceStore:
    """Prices under a workspace's `prices` folder.

    Parameters
    ----------
    root
        The folder; it is created by the first write.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def instruments(self) -> dict[str, Instrument]:
        """Return the stored instruments by symbol."""
        path = self._root / "instruments.json"
        if not path.exists():
            return {}
        return read_json(path, lambda stored: {s: Instrument(**values) for s, values in sorted(stored.items())})

    def append(
        self,
        instruments: Iterable[Instrument],
        bars: pd.DataFrame,
        events: pd.DataFrame,
        quarantined: pd.DataFrame,
        known_at: pd.Timestamp,
    ) -> int:
        """Add what is new or has changed, and return how many bars that was.

        Parameters
        ----------
        bars, events : canonical frames, as traded
        quarantined : bars with a column `rule`, kept apart and readable by `quarantined`
        known_at : UTC instant
        """
        known = self.instruments()
        stored = {i.symbol: i for i in instruments}
        for symbol in known.keys() & stored.keys():
            if known[symbol].price_basis != stored[symbol].price_basis:
                raise DataError(
                    f"{symbol} is stored with {known[symbol].price_basis} prices, these are "
                    f"{stored[symbol].price_basis}: one price basis per symbol and workspace; next: choose another "
                    "--workspace"
                )
            if known[symbol].source != stored[symbol].source:
                raise DataError(
                    f"{symbol} is stored from {known[symbol].source}, these bars are from {stored[symbol].source}: "
                    "one source per symbol and workspace; next: choose another --workspace"
                )
        # bars after their events, instruments last: a reader never sees a bar without its split,
        # nor a symbol without its bars
        for name, schema, rows, keys in (
            ("quarantine", _QUARANTINE, quarantined, ["symbol", "session", "rule"]),
            ("events", _EVENTS, events, ["symbol", "session", "kind"]),
            ("bars_1d", _BARS, bars, ["symbol", "session"]),
        ):
            latest = self._latest(name, schema, keys, sorted(stored), None)
            fresh = _changed(rows, latest, keys)
            if len(fresh):
                append_rows(self._root / name, fresh.assign(known_at=known_at), schema)
        if known | stored != known:
            write_json(self._root / "instruments.json", {s: asdict(i) for s, i in (known | stored).items()})
        return len(fresh)

    def require(self, symbols: Sequence[str]) -> None:
        """Raise `DataError` unless all symbols are in the store."""
        known = self.instruments()
        missing = [s for s in symbols if validate_symbol(s) not in known]
        if missing:
            raise DataError(
                f"no prices of {', '.join(missing)} in the workspace, which holds {', '.join(known) or 'none'}; "
                f"next: tickercast fetch {' '.join(missing)}"
            )

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
        known = self.instruments()
        wanted = list(known) if symbols is None else list(symbols)
        self.require(wanted)
        if total := [s for s in wanted if known[s].price_basis == "total" and basis != "total"]:
            raise DataError(
                f"the prices of {', '.join(total)} are stored adjusted for dividends, their {basis} prices are not "
                "known; next: a file of traded or split-adjusted prices, in another --workspace"
            )
        bars = self._latest("bars_1d", _BARS, ["symbol", "session"], wanted, as_of)
        events = self._latest("events", _EVENTS, ["symbol", "session", "kind"], wanted, as_of)
        by_symbol = dict(list(bars.groupby("symbol")))
        return {
            symbol: PriceSeries(
                known[symbol],
                adjust_bars(
                    by_symbol.get(symbol, bars.iloc[:0]).set_index("session").drop(columns=["symbol", "known_at"]),
                    events[events["symbol"] == symbol],
                    basis,
                ),
            )
            for symbol in wanted
        }

    def quarantined(self, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows that broke a rule, with the rule's name."""
        return read_rows(self._root / "quarantine", _QUARANTINE, None if symbols is None else {"symbol": symbols})

    def summary(self) -> pd.DataFrame:
        """Return per symbol its source, first and last session, number of bars, and when they were last added."""
        bars = read_rows(self._root / "bars_1d", _BARS, columns=["symbol", "session", "known_at"])
        grouped = bars.groupby("symbol").agg(
            first=("session", "min"),
            last=("session", "max"),
            bars=("session", "nunique"),
            known_at=("known_at", "max"),
        )
        sources = pd.Series({s: i.source for s, i in self.instruments().items()}, name="source", dtype=object)
        held = self.quarantined().groupby("symbol")["session"].nunique().rename("quarantined")
        out = grouped.join(sources).join(held).reset_index()
        return out.assign(quarantined=out["quarantined"].fillna(0).astype("int64"))

    def _latest(
        self,
        name: str,
        schema: pa.Schema,
        keys: list[str],
        symbols: Sequence[str],
        as_of: pd.Timestamp | None,
    ) -> pd.DataFrame:
        rows = read_rows(self._root / name, schema, {"symbol": symbols})
        if as_of is not None:
            rows = rows[rows["known_at"] <= as_of]
        return rows.sort_values([*keys, "known_at"]).drop_duplicates(keys, keep="last", ignore_index=True)


def _changed(rows: pd.DataFrame, stored: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the rows whose key is not stored, or whose numbers differ from what is."""
    if not len(stored) or not len(rows):
        return rows
    values = [c for c in [*BAR_COLUMNS, "value"] if c in rows.columns and c not in {"symbol", "session"}]
    before = rows[keys].merge(stored[[*keys, *values]], on=keys, how="left", indicator=True)
    new = (before["_merge"] == "left_only").to_numpy()
    same = np.isclose(rows[values].to_numpy(), before[values].to_numpy(), rtol=_SAME, atol=0, equal_nan=True)
    return rows[new | ~same.all(axis=1)]
