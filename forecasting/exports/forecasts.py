"""Issued forecasts as tables: long for programs, wide for spreadsheets. `data/README.md` has the columns."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecasting.errors import DataError
from forecasting.forecasts import flags_of, widening_of

FORECAST_KEY = ["model_id", "symbol", "origin", "horizon"]
HALF = "0.5"
"""The level of the median, as it is written."""

LEVEL_PREFIX = "q"
"""What stands before a level in the name of a column."""

_HEAD = ["model_id", "as_of", "mode", "symbol", "origin", "horizon", "target_session", "estimated", "flags"]
_SLOT = ["target", "output_type", "output_type_id"]
LONG_COLUMNS = [*_HEAD, "target", "currency", "last_close", "output_type", "output_type_id", "value"]


def long_slots(levels: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return what a long export has of every forecast and horizon: target, output type and its ID, in their order.

    Parameters
    ----------
    levels : as they are written, ascending

    >>> long_slots(["0.5"])  # doctest: +NORMALIZE_WHITESPACE
    [('close', 'quantile', '0.5'), ('close', 'median', ''), ('close', 'mean', ''),
     ('log_return', 'quantile', '0.5'), ('log_return', 'median', ''),
     ('log_return', 'pmf', 'down'), ('log_return', 'pmf', 'up')]
    """
    quantiles = {target: [(target, "quantile", level) for level in levels] for target in ("close", "log_return")}
    return [
        *quantiles["close"],
        ("close", "median", ""),
        ("close", "mean", ""),
        *quantiles["log_return"],
        ("log_return", "median", ""),
        ("log_return", "pmf", "down"),
        ("log_return", "pmf", "up"),
    ]


def long_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ledger rows as the long export: one row per forecast, target, output type and its ID.

    `target` is `close` (in `currency`) or `log_return` (natural, from the last close). Quantile levels
    are the `output_type_id` of `quantile`; `pmf` gives the probabilities of `down` and `up`.

    Raises
    ------
    DataError
        The rows are on different quantile levels, or on levels without 0.5.
    """
    levels, returns = _quantiles(rows)
    closes = _closes(rows, returns)
    slots, half = long_slots(levels), levels.index(HALF)
    prob_up = rows["prob_up"].to_numpy()
    parts = [closes, closes[:, half], rows["expected"], returns, returns[:, half], 1 - prob_up, prob_up]
    values = np.column_stack(parts)  # (forecasts, slots)
    names = dict(zip(_SLOT, np.array(slots, dtype=object).T, strict=True))
    table = _head(rows).loc[np.repeat(np.arange(len(rows)), len(slots))].reset_index(drop=True)
    table = table.assign(**{name: np.tile(column, len(rows)) for name, column in names.items()}, value=values.ravel())
    return table[LONG_COLUMNS]


def wide_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ledger rows as the wide export: a row per symbol and target session, price quantiles in columns.

    Raises
    ------
    DataError
        As `long_table`.
    """
    levels, returns = _quantiles(rows)
    quantiles = pd.DataFrame(_closes(rows, returns), columns=[f"{LEVEL_PREFIX}{level}" for level in levels])
    numbers = rows[["prob_up", "expected"]].reset_index(drop=True)
    head = _head(rows)
    head.insert(len(_HEAD), "report_widening", widening_of(rows))
    return pd.concat([head, numbers, quantiles], axis=1)


def _head(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that both exports begin with, numbered from 0."""
    head = rows.assign(flags=[" ".join(flags) for flags in flags_of(rows)])
    return head[[*_HEAD, "currency", "last_close"]].reset_index(drop=True)


def _quantiles(rows: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Return the quantile levels as they are written, and the log returns (rows, levels)."""
    found = {tuple(levels) for levels in rows["levels"]}
    if len(found) != 1:
        raise DataError(
            f"{len(rows)} ledger rows on {len(found)} sets of quantile levels: an export has one; next: those of one "
            "model"
        )
    levels = [np.format_float_positional(level) for level in found.pop()]
    if HALF not in levels:
        raise DataError(f"quantile levels {', '.join(levels)}: an export has a median, so that 0.5 must be among them")
    return levels, np.stack(rows["values"].to_list()).astype("float64")


def _closes(rows: pd.DataFrame, returns: np.ndarray) -> np.ndarray:
    return rows["last_close"].to_numpy()[:, None] * np.exp(returns)
