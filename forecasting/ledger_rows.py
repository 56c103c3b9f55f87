"""A forecast as rows of the ledger: the columns, whether a row is live, and the way back to the forecast."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecasting.errors import DataError, UsageError
from forecasting.forecasts import FLAGS, NO_MARKET, Forecast
from forecasting.instruments import Instrument
from forecasting.sessions import HARDLY_CLOSED, session_close, session_open

LEDGER_KEY = ["symbol", "origin", "horizon", "model_id"]
LIVE_FOR = pd.Timedelta(hours=6)
"""How long after the origin's close a forecast is live where the market hardly closes."""

_INSTANT = pa.timestamp("us", tz="UTC")
_NUMBERS = pa.list_(pa.float64())
LEDGER_SCHEMA = pa.schema(
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
        ("levels", _NUMBERS),
        ("values", _NUMBERS),
        ("prob_up", pa.float64()),
        ("expected", pa.float64()),
        ("data_as_of", _INSTANT),
        ("flags", pa.list_(pa.string())),
        ("report_widening", pa.float64()),
        ("random_walk", _NUMBERS),
        ("hash", pa.string()),
    ]
)
"""Columns of the ledger; `data/README.md` says what they mean."""

_opens = lru_cache(maxsize=4096)(session_open)


def why_not_live(instrument: Instrument, origin: pd.Timestamp, target: pd.Timestamp, now: pd.Timestamp) -> str | None:
    """Return why a forecast of a target session, issued at a UTC instant, is no live one; None where it is.

    It is live before the target session opens. Where the market hardly closes, that says little: there it is
    live up to `LIVE_FOR` after the origin's close, whatever the target session.
    """
    if instrument.embedded:
        return f"the history of {instrument.source} is fixed and ends in the past"
    if instrument.calendar in HARDLY_CLOSED:
        closed = session_close(instrument.calendar, origin)
        if now <= closed + LIVE_FOR:
            return None
        return (
            f"its market hardly closes, and the session of {origin.date()} ended at {closed:%Y-%m-%d %H:%M} UTC, more "
            f"than {LIVE_FOR // pd.Timedelta(hours=1)} hours ago"
        )
    opened = _opens(instrument.calendar, target)
    return None if now < opened else f"the session of {target.date()} opened at {opened:%Y-%m-%d %H:%M} UTC"


def make_rows(
    forecast: Forecast,
    random_walk: Forecast | None,
    model_id: str,
    now: pd.Timestamp,
    data_as_of: pd.Timestamp,
    flags: Collection[str] = (),
    *,
    as_replay: bool = False,
) -> list[dict[str, Any]]:
    """Return a forecast as rows of the ledger, by horizon, without their place in it.

    Parameters
    ----------
    random_walk : of the same origin, horizons and levels; where it is NaN, the row has none
    now : UTC instant of the issue
    data_as_of : UTC instant at which the newest bar it rests on was known
    flags : of `FLAGS`, beside those that the forecast raises by itself
    as_replay : whether it is computed as of a past session, and no row is live whatever `now` is

    Raises
    ------
    DataError
        The forecast is not finite, or the random walk is of something else.
    UsageError
        A flag is none of `FLAGS`.
    """
    _require_fitting(forecast, random_walk)
    if unknown := sorted(set(flags) - FLAGS.keys()):
        raise UsageError(f"flags {', '.join(unknown)} of {forecast.symbol}: flags are {', '.join(sorted(FLAGS))}")
    instrument, origin = forecast.instrument, forecast.origin
    replayed = as_replay or instrument.embedded
    as_of = session_close(instrument.calendar, origin) if replayed else now
    prob_up, expected = forecast.prob_up().tolist(), forecast.expected_price().tolist()
    own_flags, widening = forecast.flags(), forecast.report_widening
    return [
        {
            "model_id": model_id,
            "as_of": as_of,
            "mode": "replay" if replayed or why_not_live(instrument, origin, target, now) else "live",
            "symbol": forecast.symbol,
            "origin": origin,
            "horizon": i + 1,
            "target_session": target,
            "estimated": bool(forecast.estimated[i]),
            "currency": instrument.currency,
            "last_close": forecast.last_close,
            "levels": list(forecast.levels),
            "values": forecast.values[i].tolist(),
            "prob_up": prob_up[i],
            "expected": expected[i],
            "data_as_of": data_as_of,
            "flags": sorted({*own_flags[i], *flags}),
            "report_widening": None if widening is None else float(widening[i]),
            "random_walk": _finite(random_walk, i),
        }
        for i, target in enumerate(forecast.target_sessions)
    ]


def _require_fitting(forecast: Forecast, random_walk: Forecast | None) -> None:
    widening = () if forecast.report_widening is None else forecast.report_widening
    if not np.isfinite(np.concatenate([forecast.values.ravel(), widening, [forecast.last_close]])).all():
        raise DataError(f"{forecast.symbol} has a forecast that is not finite: it is not issued")
    if random_walk is None:
        return
    same = [(f.symbol, f.origin, f.levels, f.values.shape) for f in (forecast, random_walk)]
    if same[0] != same[1]:
        raise DataError(f"the forecast and the random walk of {forecast.symbol} differ in what they are of: {same}")


def _finite(random_walk: Forecast | None, i: int) -> list[float] | None:
    if random_walk is None or not np.isfinite(random_walk.values[i]).all():
        return None
    return random_walk.values[i].tolist()


def forecast_of(rows: pd.DataFrame, instrument: Instrument) -> Forecast:
    """Return one symbol's issued rows of one origin and model as the forecast they were."""
    rows = rows.sort_values("horizon")
    first = rows.iloc[0]
    widening = rows["report_widening"].to_numpy(dtype="float64", copy=True)
    return Forecast(
        instrument,
        first["origin"],
        float(first["last_close"]),
        pd.DatetimeIndex(rows["target_session"]),
        rows["estimated"].to_numpy(dtype=bool, copy=True),
        tuple(float(level) for level in first["levels"]),
        np.stack(rows["values"].to_list()),
        None if np.isnan(widening).all() else widening,
        first["flags"] is None or NO_MARKET not in first["flags"],
    )
