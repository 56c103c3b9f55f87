"""Ledger rows as they are read, and CSV files as the texts of their cells."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from helpers import random_walk, utc
from hypothesis import strategies as st
from ledger_helpers import Evenings

from forecasting.config import LEVELS, BacktestConfig, Recipe
from forecasting.evaluation.baselines import RandomWalk
from forecasting.evaluation.comparison import score_backtest
from forecasting.evaluation.plan import make_plan
from forecasting.evaluation.report import BacktestReport, save_backtest
from forecasting.evaluation.walkforward import walk_forward
from forecasting.exports.publishing import export_issued
from forecasting.exports.schemas import schemas
from forecasting.exports.validation import FileCheck, check_file
from forecasting.forecasts import FLAGS, REPORT_LIKELY, WIDER, Forecast, mean_of_exp, prob_above_zero
from forecasting.registry import Registry
from forecasting.scoring import SCORES_SCHEMA
from forecasting.universe import make_universe
from forecasting.workspace import Workspace

Row = dict[str, str]


def ledger_rows(*forecasts: Forecast, model_id: str = "m1", as_of: str = "2018-12-31 22:00") -> pd.DataFrame:
    """Return forecasts as rows of the ledger, issued live."""
    parts = []
    for forecast in forecasts:
        widening = forecast.report_widening
        facts = {
            "model_id": model_id,
            "as_of": utc(as_of),
            "mode": "live",
            "symbol": forecast.symbol,
            "origin": forecast.origin,
            "horizon": np.arange(1, forecast.horizon + 1, dtype="int32"),
            "target_session": forecast.target_sessions,
            "estimated": forecast.estimated,
            "currency": forecast.instrument.currency,
            "last_close": forecast.last_close,
            "levels": [np.array(forecast.levels)] * forecast.horizon,
            "values": list(forecast.values),
            "prob_up": forecast.prob_up(),
            "expected": forecast.expected_price(),
            "flags": [np.array(flags, dtype=object) for flags in forecast.flags()],
            "report_widening": np.nan if widening is None else widening,
        }
        parts.append(pd.DataFrame(facts))
    return pd.concat(parts, ignore_index=True)


@st.composite
def any_ledger_rows(draw) -> pd.DataFrame:
    """Rows that a ledger can hold of one model: any symbols, levels, prices and flags, 1 to 3 horizons."""
    levels = draw(st.sampled_from([LEVELS, (0.5,), (0.00001, 0.5, 0.99999), (0.123456789, 0.5, 0.876543211)]))
    symbols = draw(st.lists(st.from_regex(r"\A\^?[A-Z0-9][A-Z0-9.&=-]{0,5}\Z"), min_size=1, max_size=3, unique=True))
    horizon = draw(st.integers(1, 3))
    parts = []
    for symbol in symbols:
        origin = draw(st.datetimes(pd.Timestamp("1990-01-01"), pd.Timestamp("2100-01-01"))).date()
        ahead = np.cumsum(draw(st.lists(st.integers(1, 5), min_size=horizon, max_size=horizon)))
        quantiles = st.lists(st.floats(-3, 3), min_size=len(levels), max_size=len(levels)).map(sorted)
        values = np.array(draw(st.lists(quantiles, min_size=horizon, max_size=horizon)))
        last_close = draw(st.floats(1e-6, 1e9))
        steady = draw(st.lists(st.sampled_from([f for f in FLAGS if f != REPORT_LIKELY]), unique=True))
        widening = draw(st.one_of(st.none(), st.lists(st.floats(-0.9, 2), min_size=horizon, max_size=horizon)))
        flags = [[REPORT_LIKELY] * bool(widening and widening[h] >= WIDER) + steady for h in range(horizon)]
        parts.append(
            pd.DataFrame(
                {
                    "model_id": "rnn-20181231-b620c6d108",
                    "as_of": pd.Timestamp(origin, tz="UTC") + pd.Timedelta(draw(st.integers(0, 86_399_999_999)), "us"),
                    "mode": draw(st.sampled_from(["live", "replay"])),
                    "symbol": symbol,
                    "origin": pd.Timestamp(origin),
                    "horizon": np.arange(1, horizon + 1, dtype="int32"),
                    "target_session": [pd.Timestamp(origin) + pd.Timedelta(days=int(days)) for days in ahead],
                    "estimated": draw(st.lists(st.booleans(), min_size=horizon, max_size=horizon)),
                    "currency": draw(st.sampled_from(["USD", "GBp", "ZAc", "USDT"])),
                    "last_close": last_close,
                    "levels": [np.array(levels)] * horizon,
                    "values": list(values),
                    "prob_up": prob_above_zero(values, levels),
                    "expected": last_close * mean_of_exp(values, levels),
                    "flags": [np.array(some, dtype=object) for some in flags],
                    "report_widening": np.nan if widening is None else widening,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def cells(text: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO(text)))


def written(rows: list[Row]) -> str:
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue()


def checked(folder: Path, text: str, change: Callable[[list[Row]], object] = list) -> FileCheck:
    """Check a CSV file after a change to its cells."""
    rows = cells(text)
    change(rows)
    path = folder / "file.csv"
    path.write_text(written(rows))
    return check_file(path)


def price_rows() -> pd.DataFrame:
    """Return three exported sessions each of two symbols."""
    days = pd.DatetimeIndex(["2019-01-02", "2019-01-03", "2019-01-04"])
    closes = np.array([100.5, 101.25, 99.0])
    facts = {"basis": "split", "known_at": utc("2019-01-05 12:00:00.5")}
    prices = {"open": closes - 0.25, "high": closes + 1, "low": closes - 1, "close": closes, "volume": [1e6, np.nan, 0]}
    tables = [
        pd.DataFrame({"symbol": symbol, "session": days, "currency": currency, **prices, **facts})
        for symbol, currency in (("AAA", "USD"), ("VOD.L", "GBp"))
    ]
    columns = ["symbol", "session", "currency", "basis", "open", "high", "low", "close", "volume", "known_at"]
    return pd.concat(tables, ignore_index=True)[columns]


def score_rows() -> pd.DataFrame:
    """Return an exported backtest of the network and a baseline at two horizons."""
    table = pd.DataFrame({"horizon": [1, 1, 5, 5], "rows": [100, 100, 90, 90], "forecaster": ["network", "har"] * 2})
    day = pd.Timestamp("2018-12-31")
    about = {"backtest_id": "walk-20181231-1ce300e3bc", "test_first": day, "test_last": day, "symbols": 2}
    table = pd.DataFrame({**about, "suspected_leak": False}, table.index).join(table)
    scores = {"crps": 0.01, "mae": 0.02, "rmse": 0.03, **{f"coverage_{c}": c / 100 for c in (50, 80, 90, 95)}}
    against = {"network_skill": 0.02, "network_skill_low": -0.01, "network_skill_high": 0.03, "p": 0.04, "mcs": 0.5}
    table = table.assign(**scores, **against)
    table.loc[table["forecaster"] == "network", list(against)[:-1]] = np.nan
    return table


def issued_scores() -> pd.DataFrame:
    """Return the scores of two records of the ledger under both views, as they are stored."""
    facts = {"model_id": "m1", "mode": "live", "symbol": "AAA", "origin": pd.Timestamp("2018-12-31")}
    one = pd.DataFrame({**facts, "sequence": [1, 2], "horizon": [1, 2]})
    one["target_session"] = pd.to_datetime(["2019-01-02", "2019-01-03"])
    outcomes = {"outcome": [-0.02, 0.01], "known_at": utc("2019-01-04 02:00")}
    scores = {"crps": 0.01, "crps_random_walk": [0.02, np.nan], "pit_bin": [2, 7], "brier": [0.25, 0.16]}
    hits = {"hit_50": [False, None], "hit_80": [True, None], "hit_90": [True, None], "hit_95": [True, True]}
    one = one.assign(**outcomes, **scores, **hits)
    both = pd.concat([one.assign(view=view) for view in ("first", "now")], ignore_index=True)
    return both[SCORES_SCHEMA.names]


def track_record() -> pd.DataFrame:
    """Return a track record of one model, too short at the second horizon for intervals."""
    schema = next(s for s in schemas() if s.name == "track-record-1")
    key = {"mode": "live", "view": "first", "model_id": ["all", "m1"] * 2, "horizon": [1, 1, 20, 20]}
    counts = {"forecasts": 50, "sessions": 25, "needed": [20, 20, 80, 80], "compared": 50, "crps": 0.01, "brier": 0.25}
    days = {"first": pd.Timestamp("2018-11-26"), "last": pd.Timestamp("2018-12-31")}
    table = pd.DataFrame({**key, **counts, **days, "crps_random_walk": 0.0101, "skill": 0.0099})
    ends = {c: 0.01 * i for i, c in enumerate(c for c in schema.columns if c.startswith(("low", "high")))}
    shares = {c: 0.8 for c in schema.columns if c.startswith("coverage")}
    table = table.assign(**shares, **ends, p=0.03)[schema.columns]
    table.loc[table["horizon"] == 20, [*ends, "p"]] = np.nan
    return table


def saved_backtest(folder: Path) -> BacktestReport:
    """Save a quick backtest of two random walks in two symbols."""
    series = {symbol: random_walk(symbol, bars=300, seed=i) for i, symbol in enumerate(("AAA", "BBB"))}
    config = BacktestConfig(test_sessions=80, refit_every=None)
    network = RandomWalk("constant", 3, window=110)
    network.name = "network"
    backtest = walk_forward([network, RandomWalk("ewma", 3, window=110)], series, config)
    return save_backtest(backtest, score_backtest(backtest), make_plan(series, Recipe(horizon=3), config), folder)


def small_workspace(root: Path) -> Workspace:
    """Fill a workspace with three evenings of prices, forecasts and scores, and a backtest; nothing is trained."""
    workspace = Workspace(root)
    Evenings(workspace, days=3).pass_by(0, 3, horizon=5)
    Registry(workspace.models).promote(make_universe(["AAA", "BBB"]), "m1", utc("2018-12-31 22:00"), "the first")
    saved_backtest(workspace.backtests)
    export_issued(workspace)
    return workspace
