"""Rules across rows: what the schema of a single row cannot say. The schemas have them in words, by the same names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from forecasting.bars import PRICE_COLUMNS
from forecasting.exports.forecasts import FORECAST_KEY, HALF, LEVEL_PREFIX, long_slots
from forecasting.exports.schemas import Schema
from forecasting.forecasts import REPORT_LIKELY, WIDER, mean_of_exp, prob_above_zero

_EXACT = 1e-9  # relative; two machines may differ in the last bits of an exponential
_OF_A_BAR = 1e-6  # relative, as the store has it
_SLOT = ["target", "output_type", "output_type_id"]
_HITS = ["hit_50", "hit_80", "hit_90", "hit_95"]


@dataclass(frozen=True)
class Broken:
    """Rows that break a rule.

    Parameters
    ----------
    rule : its name
    rows : positions in the table; ascending where `found` is given
    column : where it shows
    found : by row; None for what stands in the column
    """

    rule: str
    rows: np.ndarray
    column: str
    found: Sequence[str] | None = None


def broken_rules(schema: Schema, table: pd.DataFrame) -> Iterator[Broken]:
    """Yield, by rule and column, the rows that break a rule of the schema.

    Parameters
    ----------
    table : cells as `read_cells` reads them, none of which breaks a rule of its own
    """
    yield Broken("one_row_per_key", np.flatnonzero(table.duplicated(schema.key)), schema.key[-1])
    yield from _CHECKS[schema.name](table)


def _long(table: pd.DataFrame) -> Iterator[Broken]:
    forecast, first = _numbered(table, FORECAST_KEY)
    for column in ("as_of", "mode", "target_session", "estimated", "flags", "currency", "last_close"):
        values = _plain(table[column])
        yield Broken("same_facts", np.flatnonzero(values != values[first][forecast]), column)
    heads = table.iloc[first]
    yield from _heads(heads, first)

    levels = sorted({HALF, *table["output_type_id"][table["output_type"] == "quantile"].unique()}, key=float)
    slots = long_slots(levels)
    found, first_of = _numbered(table, _SLOT)
    known = table[_SLOT].iloc[first_of].astype(object).fillna("").itertuples(index=False, name=None)
    rows = np.full((len(first), len(slots)), -1)  # (forecasts, slots)
    rows[forecast, np.array([slots.index(slot) for slot in known])[found]] = np.arange(len(table))
    lacks = (rows < 0).any(axis=1)
    absent = [f"no {' '.join(slots[i]).rstrip()}" for i in np.argmin(rows[lacks], axis=1)]
    yield Broken("whole_forecast", first[lacks], _SLOT[-1], absent)

    rows, last_close = rows[~lacks], heads["last_close"].to_numpy()[~lacks, None]
    values = table["value"].to_numpy()[rows]
    n, half = len(levels), levels.index(HALF)
    closes, (median, mean) = values[:, :n], values[:, n : n + 2].T
    returns, (middle, down, up) = values[:, n + 2 : -3], values[:, -3:].T
    for quantiles, place in ((closes, slice(0, n)), (returns, slice(n + 2, -3))):
        yield Broken("rising_quantiles", rows[:, place][_falls(quantiles)], "value")
    yield Broken("median_is_quantile", rows[median != closes[:, half], n], "value")
    yield Broken("median_is_quantile", rows[middle != returns[:, half], -3], "value")
    with np.errstate(over="ignore"):
        follows = np.isclose(closes, last_close * np.exp(returns), rtol=_EXACT, atol=0)
    yield Broken("prices_follow_returns", rows[:, :n][~follows], "value")
    known = [float(level) for level in levels]
    expected = last_close[:, 0] * mean_of_exp(returns, known)
    yield Broken("mean_follows_quantiles", rows[~np.isclose(mean, expected, rtol=_EXACT, atol=0), n + 1], "value")
    apart = np.abs(up - prob_above_zero(returns, known)) > _EXACT
    yield Broken("probability_follows_quantiles", rows[apart, -1], "value")
    yield Broken("probabilities_add_up", rows[np.abs(down + up - 1) > _EXACT, -2], "value")


def _wide(table: pd.DataFrame) -> Iterator[Broken]:
    yield from _heads(table, np.arange(len(table)))
    names = [column for column in table if str(column).startswith(f"{LEVEL_PREFIX}0.")]
    quantiles = table[names].to_numpy()
    for name, falls in zip(names, _falls(quantiles).T, strict=True):
        yield Broken("rising_quantiles", np.flatnonzero(falls), name)
    last_close, levels = table["last_close"].to_numpy(), [float(str(name)[1:]) for name in names]
    expected = last_close * mean_of_exp(np.log(quantiles / last_close[:, None]), levels)
    follows = np.isclose(table["expected"], expected, rtol=_EXACT, atol=0)
    yield Broken("mean_follows_quantiles", np.flatnonzero(~follows), "expected")
    likely = table["flags"].str.contains(REPORT_LIKELY).fillna(False).to_numpy(dtype=bool)
    yield Broken("report_flag", np.flatnonzero(likely != (table["report_widening"] >= WIDER)), "flags")


def _heads(heads: pd.DataFrame, rows: np.ndarray) -> Iterator[Broken]:
    """Yield what is broken in the facts of forecasts, one head for each of their horizons, which stand in `rows`."""
    symbols, first = _numbered(heads, ["symbol"])
    currencies = _plain(heads["currency"])
    yield Broken("one_currency", rows[currencies != currencies[first][symbols]], "currency")
    late = (heads["mode"] == "live") & (heads["as_of"].dt.normalize() > heads["target_session"])
    yield Broken("live_in_time", rows[late], "as_of")

    forecasts, _ = _numbered(heads, FORECAST_KEY[:-1])
    order = np.lexsort((heads["horizon"], forecasts))
    heads, rows, forecasts = heads.iloc[order], rows[order], forecasts[order]
    same = np.concatenate([[False], forecasts[1:] == forecasts[:-1]])  # forecast as in the row before
    first_of = np.maximum.accumulate(np.where(same, 0, np.arange(len(heads))))
    sessions, horizons = heads["target_session"].to_numpy(), heads["horizon"].to_numpy()
    before = np.where(same, np.roll(sessions, 1), heads["origin"].to_numpy())
    yield Broken("target_after_origin", rows[~(sessions > before)], "target_session")
    longest = heads.groupby("model_id", observed=True)["horizon"].transform("max").to_numpy()
    ends = ~np.roll(same, -1) & (horizons != longest)
    yield Broken("whole_horizons", rows[ends | (same & (horizons - np.roll(horizons, 1) != 1))], "horizon")
    last_close = heads["last_close"].to_numpy()
    yield Broken("one_last_close", rows[last_close != last_close[first_of]], "last_close")
    steady = heads["flags"].astype(object).fillna("").map(lambda flags: {*flags.split()} - {REPORT_LIKELY}).to_numpy()
    yield Broken("steady_flags", rows[steady != steady[first_of]], "flags")


def _prices(table: pd.DataFrame) -> Iterator[Broken]:
    prices = table[PRICE_COLUMNS].to_numpy()
    for column, holds in (
        ("high", table["high"] >= prices.max(axis=1) * (1 - _OF_A_BAR)),
        ("low", table["low"] * (1 - _OF_A_BAR) <= prices.min(axis=1)),
    ):
        yield Broken("high_low", np.flatnonzero(~holds), column)
    symbols, first = _numbered(table, ["symbol"])
    currencies, bases = _plain(table["currency"]), _plain(table["basis"])
    yield Broken("one_currency", np.flatnonzero(currencies != currencies[first][symbols]), "currency")
    yield Broken("one_basis", np.flatnonzero(bases != bases[0]), "basis")


def _backtest(table: pd.DataFrame) -> Iterator[Broken]:
    horizons, first = _numbered(table, ["backtest_id", "horizon"])
    rows = table["rows"].to_numpy()
    yield Broken("same_rows", np.flatnonzero(rows != rows[first][horizons]), "rows")
    yield _crossed(table, "network_skill_low", "network_skill_high")


def _scores(table: pd.DataFrame) -> Iterator[Broken]:
    yield Broken("target_after_origin", np.flatnonzero(table["target_session"] <= table["origin"]), "target_session")
    records, first = _numbered(table, ["sequence"])
    for column in ("model_id", "mode", "symbol", "origin", "horizon", "target_session"):
        values = _plain(table[column])
        yield Broken("same_facts", np.flatnonzero(values != values[first][records]), column)
    for narrow, wide in pairwise(_HITS):
        yield Broken("nested_hits", np.flatnonzero((table[narrow] == "True") & (table[wide] == "False")), wide)


def _track_record(table: pd.DataFrame) -> Iterator[Broken]:
    for column in ("sessions", "compared"):
        yield Broken("counts", np.flatnonzero(table[column] > table["forecasts"]), column)
    for of in ("", *(hit.replace("hit", "") for hit in _HITS)):
        yield _crossed(table, f"low{of}", f"high{of}")


_CHECKS = {
    "forecasts-long-1": _long,
    "forecasts-wide-1": _wide,
    "prices-1": _prices,
    "backtest-1": _backtest,
    "scores-1": _scores,
    "track-record-1": _track_record,
}


def _crossed(table: pd.DataFrame, low: str, high: str) -> Broken:
    return Broken("interval_ends", np.flatnonzero(table[low] > table[high]), low)


def _numbered(table: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Number what stands in columns: of each row the number, and of each number the first row."""
    numbers = table.groupby(list(columns), observed=True, dropna=False, sort=False).ngroup().to_numpy()
    return numbers, np.unique(numbers, return_index=True)[1]


def _plain(column: pd.Series) -> np.ndarray:
    """Return a column as values that can be compared; nothing equals nothing."""
    return (column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else column).to_numpy()


def _falls(quantiles: np.ndarray) -> np.ndarray:
    """Return whether each quantile (rows, levels) is below the one before it."""
    return np.diff(quantiles, axis=1, prepend=quantiles[:, :1]) < 0
