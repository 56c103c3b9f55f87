"""A small workspace with issued forecasts, the models they name, and a backtest of one of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from forecasting import (
    LEVELS,
    BacktestConfig,
    Forecast,
    Instrument,
    Ledger,
    NetworkConfig,
    PriceSeries,
    PriceStore,
    RandomWalk,
    Recipe,
    RNNForecaster,
    TrainingConfig,
    Workspace,
    fetch_bars,
    make_baselines,
    make_plan,
    make_provider,
    save_backtest,
    save_model,
    score_backtest,
    walk_forward,
)
from forecasting.sessions import target_sessions

FETCHED = pd.Timestamp("2026-01-05 12:00", tz="UTC")
NEW_YEAR = pd.Timestamp("2019-01-01 12:00", tz="UTC")
TINY = Recipe(network=NetworkConfig(hidden=2), training=TrainingConfig(window=60, burn_in=30, epochs=1, batch_size=8))
PENCE = Instrument("VOD.L", "files", "XLON", "GBp", "Europe/London")


def normal_forecast(instrument, origin, last_close, horizon=20):
    sessions, estimated = target_sessions(instrument.calendar, origin, horizon)
    values = 0.01 * np.sqrt(np.arange(1, horizon + 1))[:, None] * norm.ppf(LEVELS)
    return Forecast(instrument, origin, last_close, sessions, estimated, LEVELS, values)


def save_tiny_model(workspace: Workspace, series: dict[str, PriceSeries]) -> str:
    """Save a real model of a universe, as quickly trained as can be; return its ID."""
    recent = {symbol: replace(s, bars=s.bars.iloc[-600:]) for symbol, s in series.items()}
    return save_model(RNNForecaster(TINY).fit(recent), workspace.models)


def fill(root: Path) -> Workspace:
    """Issue forecasts of SYN1 and SYN2 (replay, with a backtest) and of VOD.L (live, in pence, without one)."""
    workspace = Workspace(root)
    store, ledger = PriceStore(workspace.prices), Ledger(workspace.ledger)
    fetched = fetch_bars(make_provider("synthetic"), ["SYN1", "SYN2"], store, FETCHED)
    pence = fetched.bars[fetched.bars["symbol"] == "SYN2"].assign(symbol=PENCE.symbol)
    store.append([PENCE], pence, fetched.events, fetched.quarantined, NEW_YEAR)
    store.append(fetched.instruments.values(), fetched.bars, fetched.events, fetched.quarantined, FETCHED)

    series = store.read()
    forecasts = {s: normal_forecast(v.instrument, v.sessions[-1], v.bars["close"].iloc[-1]) for s, v in series.items()}
    for symbols, known_at in ((["SYN1", "SYN2"], FETCHED), (["VOD.L"], NEW_YEAR)):
        model_id = save_tiny_model(workspace, {s: series[s] for s in symbols})
        ledger.issue([forecasts[s] for s in symbols], model_id, known_at, known_at)

    network = RandomWalk("ewma", 5, window=250)
    network.name = "network"
    pooled = {s: replace(series[s], bars=series[s].bars.iloc[-1500:]) for s in ("SYN1", "SYN2")}
    config = BacktestConfig(test_sessions=120, refit_every=60)
    backtest = walk_forward([network, *make_baselines(5)], pooled, config)
    save_backtest(backtest, score_backtest(backtest), make_plan(pooled, TINY, config), workspace.backtests)
    workspace.publish()
    return workspace
