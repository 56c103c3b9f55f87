"""Outlooks: the symbols of a workspace at a glance, a row each.

What each costs, what its newest forecast says a few horizons ahead, how much it is expected to move against how it
did, how far such forecasts can be trusted, and what is wrong with it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from forecasting.errors import TickercastError
from forecasting.evaluation.finished import find_report
from forecasting.evaluation.report import BacktestReport
from forecasting.evening_report import EveningReport, last_report
from forecasting.forecasts import central_intervals, flags_of
from forecasting.instruments import Instrument, is_symbol, why_stale
from forecasting.journal import newest
from forecasting.ledger import Ledger
from forecasting.model.manifest import read_manifest
from forecasting.restatements import EVENT_KEY
from forecasting.sessions import session_numbers
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

HORIZONS = (1, 5, 20)
"""Sessions ahead that are shown: tomorrow, a week, a month."""

COVERAGE = 0.9
"""Of the range that is shown, and that the expected volatility is read from."""

FAILED, STALE, NO_FORECAST, ENDED, CURRENT = "failed", "stale", "no forecast", "ended", "current"
"""States of an outlook, worst first."""

NOT_TESTED, SUSPECT = "not tested", "suspected leak"
"""Verdicts beside `Verdict.word`."""

_YEAR = 252  # sessions
_FEWEST = 126  # daily returns of a volatility of the past year
_DRAWN = 60  # closes
_WINDOW = pd.Timedelta(days=400)  # holds a year of sessions, of whatever exchange
_HALF_WIDTH = float(ndtri((1 + COVERAGE) / 2))  # of the range of a standard normal

_ISSUED = [
    "symbol", "origin", "model_id", "horizon", "target_session", "as_of", "data_as_of", "mode", "currency",
    "last_close", "levels", "values", "prob_up", "flags",
]  # fmt: skip
_RANGE = ["lower", "median", "upper"]
_AHEAD = ["ahead", "target", *_RANGE, "prob_up"]
_PRICES = ["closes", "last_session", "last_close", "change", "past_volatility"]
OUTLOOK_COLUMNS = [
    "state", "cause", "closes", "last_session", "last_close", "currency", "change",
    *(f"{name}_{horizon}" for horizon in HORIZONS for name in _AHEAD),
    "expected_volatility", "past_volatility", "volatility_ratio", "verdict", "verdict_cause",
    "origin", "as_of", "model_id", "mode", "flags",
]  # fmt: skip


def read_outlooks(workspace: Workspace, now: pd.Timestamp) -> pd.DataFrame:
    """Return the outlook of every symbol that has prices or a forecast, or was asked for and failed.

    Parameters
    ----------
    now : UTC instant, as of which prices are current or stale

    Returns
    -------
    DataFrame
        Index `symbol`, ascending; the columns of `OUTLOOK_COLUMNS`. What rests on prices or a forecast that a symbol
        does not have is NaN, NaT or None.

        `state` : the worst of `FAILED` (the last fetch of it, or the last evening), `STALE` (its prices are older than
        `now` allows, or its forecast is older than its prices), `NO_FORECAST`, `ENDED` (its source is embedded, and
        goes no further: the forecast is one of the past) and `CURRENT`; `cause` : all that is wrong, in words
        `closes` : list of the last 60, split-adjusted; `last_session`, `last_close`, `currency`
        `change` : of the last close against that of the session before, a fraction; NaN where that has no bar
        `lower_H`, `median_H`, `upper_H`, `prob_up_H`, for H in `HORIZONS` : 90% range, median and P(up) of the newest
        forecast as it was issued, prices, divided by the splits told since; of `target_H`, which is `ahead_H` sessions
        after the origin: H, or the last one of a forecast that does not reach so far
        `expected_volatility` : a year, of log returns; from their 90% range at the last of these horizons as if they
        were normal: its width / (2 x 1.645), times sqrt(252 / sessions ahead). At 90%, normal and heavy-tailed returns
        of one variance differ least.
        `past_volatility` : standard deviation of the daily log returns of the last 252 sessions, at least 126 of them,
        times sqrt(252); `volatility_ratio` : expected over past
        `verdict` : of the newest backtest of the model's recipe on its universe, at its shortest horizon: the
        symbol's own, or pooled where it was not in it; `NOT_TESTED`, `SUSPECT`; `verdict_cause` : at all horizons
        `origin`, `as_of`, `model_id`, `flags` (tuple, of all horizons) of the forecast; `mode` : `live`, `replay`, or
        `partly live`

    Raises
    ------
    TickercastError
        Prices or ledger cannot be read. A damaged model, backtest or report of an evening is passed over.
    """
    store = PriceStore(workspace.prices)
    instruments = store.instruments()
    failures = _failures(store, _last_report(workspace))
    prices = _prices(store, instruments)
    forecasts = _forecasts(store, Ledger(workspace.ledger).latest(columns=_ISSUED))
    symbols = pd.Index(sorted({*instruments, *forecasts.index, *failures}), name="symbol", dtype="str")
    table = prices.reindex(symbols).join(forecasts)
    stored = pd.Series({symbol: i.currency for symbol, i in instruments.items()}, dtype="str")
    table["currency"] = stored.reindex(symbols).fillna(table["currency"])
    table["volatility_ratio"] = table["expected_volatility"] / table["past_volatility"]
    table[["verdict", "verdict_cause"]] = _verdicts(workspace, table["model_id"])
    states = [_state(row, instruments.get(row.Index), failures.get(row.Index), now) for row in table.itertuples()]
    table[["state", "cause"]] = pd.DataFrame(states, symbols, ["state", "cause"])
    return table[OUTLOOK_COLUMNS]


def _last_report(workspace: Workspace) -> EveningReport | None:
    try:
        return last_report(workspace)
    except TickercastError:
        return None  # what is stored is shown all the same


def _failures(store: PriceStore, report: EveningReport | None) -> dict[str, str]:
    """Return, by symbol, why it failed when it was last asked for, or in an evening since."""
    fetches = store.last_fetches()
    fetches = fetches[fetches["symbol"].map(is_symbol).astype(bool)]  # a file may have other names
    failed = fetches[fetches["outcome"] != "ok"]
    causes = {row.symbol: f"not fetched, {row.known_at:%Y-%m-%d %H:%M} UTC: {row.cause}" for row in failed.itertuples()}
    if report:
        asked = fetches.set_index("symbol")["known_at"]
        for symbol, cause in report.failures.items():
            if not asked.get(symbol, report.started) > report.ended:
                causes.setdefault(symbol, f"left out, {report.ended:%Y-%m-%d %H:%M} UTC: {cause}")
    return causes


def _prices(store: PriceStore, instruments: Mapping[str, Instrument]) -> pd.DataFrame:
    """Return `_PRICES` by symbol, of those that have a close; one without a year of late closes is read whole."""
    readable = [symbol for symbol, instrument in instruments.items() if instrument.price_basis != "total"]
    late = store.read_closes(readable, first=store.known_until.tz_localize(None).normalize() - _WINDOW)
    is_short = late.notna().sum() <= _YEAR
    parts, short = [late.loc[:, ~is_short]], list(late.columns[is_short])
    if short:
        parts.append(store.read_closes(short))
    rows = []
    for closes in parts:
        calendars = np.array([instruments[symbol].calendar for symbol in closes], dtype=object)
        for calendar in dict.fromkeys(calendars):
            rows += _price_rows(calendar, closes.loc[:, calendars == calendar])
    return pd.DataFrame(rows, columns=["symbol", *_PRICES]).set_index("symbol")


def _price_rows(calendar: str, closes: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return a symbol and its `_PRICES` for each column of closes of one calendar that holds any."""
    closes = closes.dropna(how="all")
    prices = closes.to_numpy()
    returns = np.full_like(prices, np.nan)
    returns[1:] = np.diff(np.log(prices), axis=0)
    steps = np.diff(session_numbers(calendar, pd.DatetimeIndex(closes.index)))
    returns[1:][steps != 1] = np.nan  # a session without any bar lies between
    rows: list[tuple[Any, ...]] = []
    for i, symbol in enumerate(closes):
        known = np.flatnonzero(~np.isnan(prices[:, i]))
        if not len(known):
            continue
        last = known[-1]
        year = returns[max(last + 1 - _YEAR, 0) : last + 1, i]
        year = year[~np.isnan(year)]
        volatility = year.std(ddof=1) * np.sqrt(_YEAR) if len(year) >= _FEWEST else np.nan
        drawn = prices[known[-_DRAWN:], i].tolist()
        rows.append((symbol, drawn, closes.index[last], drawn[-1], np.expm1(returns[last, i]), volatility))
    return rows


def _forecasts(store: PriceStore, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the newest issued rows say, by symbol."""
    by_symbol = rows.groupby("symbol")
    out = by_symbol[["currency", "origin", "as_of", "data_as_of", "model_id", "mode", "last_close"]].first()
    is_pure = by_symbol["mode"].min() == by_symbol["mode"].max()
    out["mode"] = out["mode"].where(is_pure, "partly live")
    raised: dict[str, set[str]] = {symbol: set() for symbol in out.index}
    for symbol, names in zip(rows["symbol"], flags_of(rows), strict=True):
        raised[symbol].update(names)
    out["flags"] = [tuple(sorted(names)) for names in raised.values()]
    origin_close = (out["last_close"] / _splits_since(store, out)).to_numpy()
    longest = by_symbol["horizon"].transform("max")
    for horizon in HORIZONS:
        at = rows[rows["horizon"] == longest.clip(upper=horizon)].set_index("symbol").reindex(out.index)
        returns = _ranges(at)
        out[f"ahead_{horizon}"], out[f"target_{horizon}"] = at["horizon"], at["target_session"]
        out[[f"{name}_{horizon}" for name in _RANGE]] = np.exp(returns) * origin_close[:, None]
        out[f"prob_up_{horizon}"] = at["prob_up"]
        spread = (returns[:, 2] - returns[:, 0]) / (2 * _HALF_WIDTH)
        out["expected_volatility"] = spread * np.sqrt(_YEAR / at["horizon"])  # that of the last horizon stays
    return out.drop(columns=["data_as_of", "last_close"])


def _splits_since(store: PriceStore, issued: pd.DataFrame) -> pd.Series:
    """Return by how much shares have multiplied, by symbol, through splits told after its forecast was issued."""
    known_at = issued[["as_of", "data_as_of"]].max(axis=1)  # a replay's as_of lies before its fetch
    issues = dict(zip(issued.index, zip(issued["origin"], known_at, strict=True), strict=True))
    told = store.told("events", ["kind", "value"], list(issues))
    told = told[told["kind"] == "split"]
    later = [
        session > issues[symbol][0] and known > issues[symbol][1]
        for symbol, session, known in zip(told["symbol"], told["session"], told["known_at"], strict=True)
    ]
    splits = newest(told[np.array(later, dtype=bool)], EVENT_KEY)
    return splits.groupby("symbol")["value"].prod().reindex(issued.index, fill_value=1.0)


def _ranges(rows: pd.DataFrame) -> np.ndarray:
    """Return `_RANGE` of log returns, (rows, 3); NaN where a row's levels do not hold it."""
    places: dict[tuple[float, ...], list[int]] = {}
    out = np.full((len(rows), len(_RANGE)), np.nan)
    for i, (levels, values) in enumerate(zip(rows["levels"], rows["values"], strict=True)):
        grid = tuple(levels)
        if grid not in places:
            low = central_intervals(grid).get(COVERAGE)
            places[grid] = [] if low is None or 0.5 not in grid else [low, grid.index(0.5), len(grid) - 1 - low]
        if places[grid]:
            out[i] = values[places[grid]]
    return out


def _verdicts(workspace: Workspace, model_ids: pd.Series) -> pd.DataFrame:
    """Return, by symbol, what the backtest of its forecast's model says: in a word, and in sentences."""
    reports = {str(model_id): _report_of(workspace, str(model_id)) for model_id in model_ids.dropna().unique()}
    pairs = [
        _verdict(reports[model_id], str(symbol)) if model_id in reports else (None, None)
        for symbol, model_id in model_ids.items()
    ]
    return pd.DataFrame(pairs, model_ids.index, ["verdict", "verdict_cause"])


def _report_of(workspace: Workspace, model_id: str) -> BacktestReport | None:
    try:
        manifest = read_manifest(workspace.models, model_id)
    except TickercastError:
        return None
    return find_report(workspace.backtests, manifest["universe"], manifest["recipe"])


def _verdict(report: BacktestReport | None, symbol: str) -> tuple[str, str]:
    if report is None:
        return NOT_TESTED, "The model's recipe has not been backtested on its universe; next: tickercast backtest"
    is_own = symbol in report.universe
    word = SUSPECT if report.suspected_leak else report.verdicts(symbol if is_own else None)[0].word
    own = report.summary_of(symbol)
    return word, own if is_own and own else f"{own} {report.summary()}".strip()


def _state(row: Any, instrument: Instrument | None, failure: str | None, now: pd.Timestamp) -> tuple[str, str]:
    """Return a symbol's state, and all that is wrong with it."""
    has_prices, has_forecast = pd.notna(row.last_session), pd.notna(row.origin)
    stale = why_stale(instrument, row.last_session, now) if instrument and has_prices else None
    behind = None
    if has_prices and has_forecast and row.origin < row.last_session:
        behind = f"its forecast is from {row.origin.date()}, its prices run to {row.last_session.date()}"
    missing = None if has_forecast else "no forecast was issued" if has_prices else "no prices are stored"
    causes = [(FAILED, failure), (STALE, stale), (STALE, behind), (NO_FORECAST, missing)]
    found = [(state, cause) for state, cause in causes if cause]
    fine = ENDED if instrument and instrument.embedded else CURRENT
    return found[0][0] if found else fine, "; ".join(cause for _, cause in found)
