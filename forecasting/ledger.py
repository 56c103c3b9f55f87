"""The ledger: every forecast that was issued, appended once and never edited.

One row per (symbol, origin, horizon, model). Rows are numbered and chained: each carries the SHA-256 of
its own content and of the hash before it, so that a row edited, reordered or missing before the last one
shows. Rows cut off the end show only to who knows how many there were.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecasting.errors import DataError
from forecasting.forecasts import NO_MARKET, Forecast, flags_of, widening_of
from forecasting.instruments import Instrument
from forecasting.sessions import session_close, session_open
from forecasting.tables import append_rows, read_rows

LEDGER_KEY = ["symbol", "origin", "horizon", "model_id"]
_FIRST_HASH = "0" * 64
_INSTANT = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("model_id", pa.string()),
        ("as_of", _INSTANT),
        ("mode", pa.string()),
        ("symbol", pa.string()),
        ("origin", pa.date32()),
        ("horizon", pa.int32()),
        ("target_session", pa.date32()),
        ("estimated", pa.bool_()),
        ("currency", pa.string()),
        ("last_close", pa.float64()),
        ("levels", pa.list_(pa.float64())),
        ("values", pa.list_(pa.float64())),
        ("prob_up", pa.float64()),
        ("expected", pa.float64()),
        ("data_as_of", _INSTANT),
        ("hash", pa.string()),
    ]
)


class Ledger:
    """Issued forecasts under a workspace's `ledger` folder.

    Parameters
    ----------
    root
        The folder; it is created by the first issue.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def issue(self, forecasts: Iterable[Forecast], model_id: str, now: pd.Timestamp, data_as_of: pd.Timestamp) -> int:
        """Append the forecasts that are not in the ledger yet, and return how many rows that was.

        A row is `live` if it is issued before its target session opens. Everything from an embedded
        source, and everything later, is `replay`; of an embedded source it is as of the origin's close.

        Parameters
        ----------
        now : UTC instant of the issue
        data_as_of : UTC instant at which the newest bar it rests on was known
        """
        rows = [row for forecast in forecasts for row in _rows(forecast, model_id, now, data_as_of)]
        issued = self.read(symbols=sorted({r["symbol"] for r in rows}), columns=LEDGER_KEY)
        present = set(issued.itertuples(index=False, name=None))
        fresh = [r for r in rows if tuple(r[k] for k in LEDGER_KEY) not in present]
        if not fresh:
            return 0
        sequence, head = self._head()
        for row in fresh:
            sequence += 1
            row["sequence"] = sequence
            head = row["hash"] = _chained(head, row)
        append_rows(self._root, pd.DataFrame(fresh), _SCHEMA)
        return len(fresh)

    def read(
        self,
        symbols: Sequence[str] | None = None,
        model_id: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return issued rows in the order of their issue."""
        isin: dict[str, Sequence[str]] = {}
        if symbols is not None:
            isin["symbol"] = symbols
        if model_id is not None:
            isin["model_id"] = [model_id]
        names = list(columns or _SCHEMA.names)
        rows = read_rows(self._root, _SCHEMA, isin, list(dict.fromkeys([*names, "sequence"])))
        return rows.sort_values("sequence", ignore_index=True)[names]

    def latest(self, symbols: Sequence[str] | None = None, model_id: str | None = None) -> pd.DataFrame:
        """Return, per symbol, the rows of its newest origin; of those, of the model that issued last."""
        rows = self.read(symbols, model_id)
        rows = rows[rows["origin"] == rows.groupby("symbol")["origin"].transform("max")]
        return rows[rows["model_id"] == rows.groupby("symbol")["model_id"].transform("last")]

    def verify(self) -> int:
        """Check the whole chain and return the number of rows.

        Raises
        ------
        DataError
            Naming the first record that was edited, is missing, or stands twice.
        """
        rows = self.read()
        head = _FIRST_HASH
        for expected, row in enumerate(rows.to_dict("records"), 1):
            name = (
                f"record {row['sequence']} ({row['symbol']}, origin {row['origin'].date()}, horizon {row['horizon']})"
            )
            if row["sequence"] != expected:
                raise DataError(f"ledger: record {expected} is missing or stands twice; found {name}")
            if row["hash"] != _chained(head, row):
                raise DataError(f"ledger: {name} was edited after it was issued")
            head = row["hash"]
        return len(rows)

    def _head(self) -> tuple[int, str]:
        chain = self.read(columns=["sequence", "hash"])
        return (int(chain["sequence"].iloc[-1]), str(chain["hash"].iloc[-1])) if len(chain) else (0, _FIRST_HASH)


def _rows(forecast: Forecast, model_id: str, now: pd.Timestamp, data_as_of: pd.Timestamp) -> Iterable[dict[str, Any]]:
    instrument = forecast.instrument
    as_of = session_close(instrument.calendar, forecast.origin) if instrument.embedded else now
    prob_up, expected = forecast.prob_up(), forecast.expected_price()
    for i, target in enumerate(forecast.target_sessions):
        live = not instrument.embedded and now < session_open(instrument.calendar, target)
        yield {
            "model_id": model_id,
            "as_of": as_of,
            "mode": "live" if live else "replay",
            "symbol": forecast.symbol,
            "origin": forecast.origin,
            "horizon": i + 1,
            "target_session": target,
            "estimated": bool(forecast.estimated[i]),
            "currency": instrument.currency,
            "last_close": forecast.last_close,
            "levels": list(forecast.levels),
            "values": forecast.values[i].tolist(),
            "prob_up": float(prob_up[i]),
            "expected": float(expected[i]),
            "data_as_of": data_as_of,
        }


def _chained(previous: str, row: dict[str, Any]) -> str:
    """Return the hash of a row's content after the hash of the row before it."""
    content = {name: row[name] for name in _SCHEMA.names if name != "hash"}
    text = json.dumps(content, sort_keys=True, default=lambda v: v.tolist() if isinstance(v, np.ndarray) else str(v))
    return hashlib.sha256((previous + text).encode()).hexdigest()


def forecast_of(rows: pd.DataFrame, instrument: Instrument) -> Forecast:
    """Return one symbol's issued rows of one origin and model as the forecast they were."""
    rows = rows.sort_values("horizon")
    first = rows.iloc[0]
    return Forecast(
        instrument,
        first["origin"],
        float(first["last_close"]),
        pd.DatetimeIndex(rows["target_session"]),
        rows["estimated"].to_numpy(dtype=bool, copy=True),
        tuple(float(level) for level in first["levels"]),
        np.stack(rows["values"].to_list()),
        None if np.isnan(widening := widening_of(rows)).all() else widening,
        not any(NO_MARKET in flags for flags in flags_of(rows)),
    )
