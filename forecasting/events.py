"""Splits and dividends: events kept beside the bars as traded, and applied when prices are read."""

import numpy as np
import pandas as pd

from forecasting.errors import BarsError

EVENT_COLUMNS = ["symbol", "session", "kind", "value"]
EVENT_KINDS = ("split", "dividend")

_SPLITS = (1e-6, 1e6)  # a ratio beyond these is no split, and prices divided by it are no prices


def no_events() -> pd.DataFrame:
    """Return an empty frame of events."""
    return pd.DataFrame(
        {
            "symbol": pd.Series(dtype=str),
            "session": pd.Series(dtype="datetime64[us]"),
            "kind": pd.Series(dtype=str),
            "value": pd.Series(dtype="float64"),
        }
    )


def validate_events(events: pd.DataFrame) -> pd.DataFrame:
    """Return events unchanged, or raise `BarsError` naming the rule, the count and the first row.

    Rules, in order: `no_session`, `unknown_kind` (not one of `EVENT_KINDS`), `split_ratio` (from 0.000001
    to 1000000), `dividend_amount` (finite and above 0), `duplicate_event` (a later row of the same symbol,
    session and kind). A dividend is compared with the price before it by `adjust_bars`.
    """
    missing = [c for c in EVENT_COLUMNS if list(events.columns).count(c) != 1]
    if missing:
        raise BarsError(f"events lack the columns {missing}, or have them twice: events have {EVENT_COLUMNS}")
    if not len(events):
        return events
    if not (pd.api.types.is_datetime64_dtype(events["session"]) and events["value"].dtype == "float64"):
        raise BarsError(
            f"events have sessions of {events['session'].dtype} and values of {events['value'].dtype}: they are dates "
            "without a time zone, datetime64, and numbers, float64"
        )
    value = events["value"].to_numpy()
    keys = [f"{symbol} {session} {kind}" for symbol, session, kind, _ in events[EVENT_COLUMNS].itertuples(index=False)]
    split = (events["kind"] == "split").to_numpy(dtype=bool)
    rules = {
        "no_session": events["session"].isna().to_numpy(),
        "unknown_kind": ~events["kind"].isin(EVENT_KINDS).to_numpy(),
        "split_ratio": split & ~((value >= _SPLITS[0]) & (value <= _SPLITS[1])),
        "dividend_amount": ~split & ~((value > 0) & np.isfinite(value)),
        "duplicate_event": pd.Index(keys).duplicated(),
    }
    broken = np.logical_or.reduce(list(rules.values()))
    if broken.any():
        first = int(broken.argmax())
        row = events.iloc[first]
        rule = next(rule for rule, rows in rules.items() if rows[first])
        raise BarsError(
            f"{int(broken.sum())} of {len(events)} events break a rule, the first is a {row['kind']} of {row['value']} "
            f"of {row['symbol']} on {str(row['session'])[:10]}: {rule}; next: correct or remove it"
        )
    return events


def split_factors(sessions: pd.DatetimeIndex, splits: pd.Series) -> np.ndarray:
    """Return by how much shares have multiplied since each session through later splits.

    Parameters
    ----------
    sessions : ascending
    splits : ratio (4.0 for four-for-one) indexed by ex-session; the ex-session itself is after the split
    """
    factors = np.ones(len(sessions))
    for session, ratio in splits.items():
        factors[sessions < session] *= ratio
    return factors
